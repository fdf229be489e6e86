"""What the report reads, against the numbers that the inputs were written from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pyBigWig
import pysam
import pytest

from titans_dna.errors import CheckpointError, ConfigError, FormatError, InputMissing
from titans_dna.report.gather import ReportInputs, gather_inputs
from titans_dna.report.regions import class_of, main_classes, nearest_agree, read_embedded_regions, read_scored_regions
from titans_dna.report.run import read_evaluation, read_model_run
from titans_dna.report.summaries import flattened, provenance, truth_rows
from titans_dna.report.track import read_tracks
from titans_dna.report.variants import read_scored_variants


def test_model_run(inputs):
    run = read_model_run(inputs.model)
    assert [curve.split for curve in run.curves] == ["train", "validation"]
    assert [len(curve.steps) for curve in run.curves] == [200, 10]
    assert run.bases_seen == 200 * 8192
    rows = dict(provenance(run))
    assert rows["parameters"] == "412,345"
    assert rows["reference"] == "demo.fa"  # no folder of the machine it was made on
    assert rows["reference MD5"] == "d41d8cd98f00b204e9800998ecf8427e"
    assert rows["trained on"] == "chrA, chrB"
    assert len(rows["SHA-256 of the weights"]) == 64
    assert dict(flattened(run.config))["memory.chunk_tokens"] == "64"


def test_a_long_list_is_cut_short(inputs):
    run = read_model_run(inputs.model)
    run.training["train_contigs"] = [f"c{number}" for number in range(1041)]
    assert dict(provenance(run))["trained on"].endswith("c38, c39 and 1,001 more")


def test_evaluation(inputs):
    evaluation = read_evaluation(inputs.evaluation)
    assert evaluation.best_baseline.name == "order-12"
    assert (evaluation.carried, evaluation.reset) == (1.8012, 1.8531)


def test_evaluation_without_memory_reset_and_baselines(tmp_path):
    path = tmp_path / "evaluation.json"
    path.write_text('{"contigs": ["c"], "bases": 5, "bits_per_base": 1.5}')
    evaluation = read_evaluation(path)
    assert math.isnan(evaluation.reset)
    assert evaluation.best_baseline is None


def test_every_allele_has_an_outcome_and_the_counts_add_up(inputs, make):
    variants = read_scored_variants(inputs.variants, truth_field="TRUTH")
    assert variants.outcomes == make.EXPECTED_OUTCOMES
    assert variants.records == 85
    assert variants.alleles == sum(variants.outcomes.values()) == 87
    assert variants.adds_up
    assert len(variants.llr) == 82
    assert len(variants.labelled.llr) == 80


def test_an_allele_without_outcome_is_counted_and_told(tmp_path, make):
    path = tmp_path / "variants.vcf.gz"
    make.write_variants(path, ["chrA\t5\t.\tA\tC,G\t.\t.\tTD_LLR=-1;TD_OUTCOME=scored"])
    variants = read_scored_variants(path)
    assert variants.outcomes == {"no outcome": 1, "scored": 1}
    assert not variants.adds_up


def test_malformed_lines_of_the_source_are_counted(tmp_path, make):
    plain = tmp_path / "variants.vcf"
    header = make.HEADER.replace("#CHROM", "##titans_dna_malformed_records=3\n#CHROM")
    plain.write_text(f"{header}chrA\t5\t.\tA\tC\t.\t.\tTD_LLR=-1;TD_OUTCOME=scored\n")
    variants = read_scored_variants(plain)
    assert variants.outcomes == {"malformed": 3, "scored": 1}
    assert (variants.records, variants.alleles, variants.adds_up) == (1, 4, True)


def test_lowest_alleles_come_first_and_ties_keep_their_order(tmp_path, make):
    path = tmp_path / "variants.vcf.gz"
    rows = [(1, -1.0), (2, -3.0), (3, -2.0), (4, -2.0), (5, 0.5)]
    make.write_variants(path, [f"chrA\t{at}\t.\tA\tC\t.\t.\tTD_LLR={llr};TD_OUTCOME=scored" for at, llr in rows])
    lowest = read_scored_variants(path, top=3).lowest
    assert {kind: [allele.position for allele in alleles] for kind, alleles in lowest.items()} == {"snv": [2, 3, 4]}


def test_truth_of_each_allele_or_of_the_record(tmp_path, make):
    path = tmp_path / "variants.vcf.gz"
    make.write_variants(path, ["chrA\t5\t.\tA\tC,G\t.\t.\tTRUTH=breaking;TD_LLR=-1,2;TD_OUTCOME=scored,scored"])
    assert read_scored_variants(path, truth_field="TRUTH").labelled.truths.tolist() == ["breaking", "breaking"]
    assert read_scored_variants(path, truth_field="ABSENT").labelled.truths.tolist() == []


def test_areas_by_contig_and_kind(tmp_path, make):
    path = tmp_path / "variants.vcf.gz"
    lines = []
    for contig, breaking, neutral in (("chrA", -5, -1), ("chrB", -1, -5)):
        for at, (truth, llr) in enumerate((("breaking", breaking), ("neutral", neutral)), 1):
            lines.append(f"{contig}\t{at}\t.\tA\tC\t.\t.\tTRUTH={truth};TD_LLR={llr};TD_OUTCOME=scored")
    make.write_variants(path, lines)
    variants = read_scored_variants(path, truth_field="TRUTH")
    rows = {row.group: row for row in truth_rows(variants, "breaking", ["chrB"])}
    assert {group: row.area for group, row in rows.items()} == {"held-out contigs": 0, "other contigs": 1, "all": 0.5}
    assert next(iter(rows)) == "held-out contigs"
    assert rows["other contigs"].medians == (5, 1)
    assert [row.group for row in truth_rows(variants, "breaking")] == ["all"]
    assert truth_rows(variants, "pathogenic") == []


def test_regions(inputs):
    regions = read_scored_regions(inputs.regions)
    assert regions.outcomes == {"scored": 60, "contig_unknown": 1}
    assert str(regions.rows[1]) == "chrA:901-1,200"
    assert regions.scored[0].bits_per_base == min(row.bits_per_base for row in regions.scored)
    assert {row.class_name for row in regions.scored} == {"gene", "promoter", "repeat"}


@pytest.mark.parametrize(
    ("name", "contig", "expected"),
    [
        ("chrA.gene15.promoter", "chrA", "promoter"),
        ("chrA.array24:unit=15", "chrA", "array"),
        ("chrA_private20:chrA.2", "chrA", "private"),
        ("shared01:chrB.1", "chrB", "shared"),
        ("<script>", "chrA", "other"),
        ("", "chrA", "other"),
        ("chrA", "chrA", "other"),
    ],
)
def test_class_of_a_region(name, contig, expected):
    assert class_of(name, contig) == expected


def test_main_classes():
    assert main_classes(["b", "a", "a", "other"]) == ("a", "b", "other")
    assert main_classes(["b", "a"]) == ("a", "b")
    assert main_classes(list("aabbccddeefgh"), most=5) == ("a", "b", "c", "d", "e", "other")
    assert main_classes([f"name{chr(97 + number)}" for number in range(26)]) == ("all",)
    assert main_classes([]) == ("all",)


def test_track_bins(inputs):
    (track,) = read_tracks(inputs.track, bins=60)
    assert (track.contig, track.length_bp, track.contigs, track.covered_bp) == ("chrA", 60_000, 2, 54_002)
    assert np.isnan(track.mean[54:]).all()
    assert np.isfinite(track.mean[:54]).all()
    with pyBigWig.open(str(inputs.track)) as source:
        first = source.values("chrA", 0, 1000, numpy=True)
    assert track.mean[0] == pytest.approx(first.mean(), rel=1e-6)
    assert track.extreme[0] == pytest.approx(first.max(), rel=1e-6)


def test_a_contig_without_values_is_passed_over(tmp_path):
    path = tmp_path / "surprise.bw"
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([("long", 500), ("short", 10)])
        track.addEntries(["short"], [2], ends=[4], values=[1.5])
    (profile,) = read_tracks(path)
    assert (profile.contig, len(profile.mean)) == ("short", 10)
    assert np.nanmax(profile.extreme) == 1.5


@pytest.mark.parametrize("ending", [".bw", ".tsv"])
def test_low_values_are_kept_where_they_matter_and_held_out_contigs_come_first(tmp_path, ending):
    for kind, extreme in (("log_likelihood", -3.0), ("entropy_bits", -0.5)):
        path = tmp_path / f"t.{kind}{ending}"
        if ending == ".bw":
            with pyBigWig.open(str(path), "w") as track:
                track.addHeader([("long", 500), ("unseen", 10)])
                track.addEntries(["long"], [0], ends=[9], values=[-9.0])
                track.addEntries(["unseen", "unseen"], [0, 1], ends=[1, 2], values=[-0.5, -3.0])
        else:
            rows = "long\t400\t-9\nunseen\t0\t-0.5\nunseen\t1\t-3\n"
            path.write_text(f"##options=kind=regions\ncontig\tstart\t{kind}\n{rows}")
        (track,) = read_tracks(path, bins=1, prefer=("unseen", "elsewhere"))
        assert (track.contig, track.kind) == ("unseen", kind)
        assert track.extreme.tolist() == [extreme]
        assert track.extreme_name == ("minimum" if kind == "log_likelihood" else "maximum")
        assert read_tracks(path, bins=1)[0].contig == "long"


def test_how_well_classes_are_apart():
    vectors = np.array([[1.0, 0.1], [1.0, 0.2], [-1.0, 0.1], [-2.0, 0.1], [0.1, 3.0], [0.1, 9.0]])
    classes = np.array(list("aabbac"))
    assert nearest_agree(vectors, classes) == (4 / 6, pytest.approx((3 * 2 + 2 * 1) / 30))
    assert np.isnan(nearest_agree(vectors[:1], classes[:1])).all()
    assert nearest_agree(np.zeros((3, 2)), np.array(list("aaa"))) == (1.0, 1.0)


def test_components_of_known_vectors(tmp_path, make):
    along = np.array([-2.0, -1.0, 1.0, 2.0])
    vectors = np.vstack([np.outer(along, [0, 3, 4]) + 7, [np.nan, 0, 0]])
    make.write_vectors(tmp_path / "embeddings.h5", list("abcde"), vectors)
    embedded = read_embedded_regions(tmp_path / "embeddings.h5")
    assert (embedded.count, embedded.width, embedded.shown) == (5, 3, 4)
    assert embedded.classes.tolist() == list("abcd")
    assert embedded.explained == pytest.approx((1.0, 0.0))
    assert embedded.projection[:, 0] == pytest.approx(along * 5)
    assert embedded.projection[:, 1] == pytest.approx(0, abs=1e-5)


def test_a_large_file_is_thinned_evenly(tmp_path, make):
    make.write_embeddings(tmp_path / "embeddings.h5", [f"g{number}" for number in range(20_000)])
    embedded = read_embedded_regions(tmp_path / "embeddings.h5", most=300)
    assert (embedded.count, embedded.shown) == (20_000, 299)


def test_nothing_to_report_on():
    with pytest.raises(ConfigError, match="at least one input"):
        ReportInputs()
    with pytest.raises(ConfigError, match="without variants"):
        ReportInputs(truth_field="TRUTH", model="model")


@pytest.mark.parametrize("part", ["evaluation", "variants", "regions", "track", "embeddings"])
def test_missing_input_is_named(inputs, tmp_path, part):
    path = tmp_path / "absent"
    with pytest.raises(InputMissing, match=f"^{path}: (no|there is no) such file"):
        gather_inputs(dataclasses.replace(inputs, **{part: path}))


@pytest.mark.parametrize("part", ["evaluation", "variants", "regions", "track", "embeddings"])
def test_input_of_another_format_is_refused(inputs, tmp_path, part):
    path = tmp_path / "other"
    path.write_bytes(b"a,b\n1,2\n\xff\n")
    with pytest.raises(FormatError, match=f"^{path}:"):
        gather_inputs(dataclasses.replace(inputs, **{part: path}))


def test_unscored_vcf_is_refused(tmp_path):
    path = tmp_path / "plain.vcf"
    path.write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    with pytest.raises(FormatError, match="score-variants"):
        read_scored_variants(path)


def test_model_directory_without_weights(inputs):
    (inputs.model / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        read_model_run(inputs.model)


def test_broken_log_tells_its_line(inputs):
    (inputs.model / "log.csv").write_text("step,split,bits_per_base,bases\n1,train,1.9,10\ntwo,train,1.9,10\n")
    with pytest.raises(FormatError, match=r"log\.csv:3: "):
        read_model_run(inputs.model)


def test_fields_that_the_header_does_not_know_are_left_out(tmp_path, make):
    """Scores without calibration: pysam takes a field that the header does not name for an error."""
    path = tmp_path / "scored.vcf.gz"
    plain = tmp_path / "scored.vcf"
    needed = [line for line in make.HEADER.splitlines() if "QUANTILE" not in line and "TD_P" not in line]
    plain.write_text("\n".join([*needed, "chrA\t5\t.\tA\tC\t.\t.\tTD_LLR=-1;TD_OUTCOME=scored"]) + "\n")
    pysam.tabix_compress(str(plain), str(path), force=True)
    assert read_scored_variants(path).outcomes == {"scored": 1}
