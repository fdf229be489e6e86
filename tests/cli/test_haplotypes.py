"""Both haplotypes of a sample, in the coordinates of the reference."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pytest

from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.tables.tsv import read_head, read_tsv

CALLS = {"chrA": ["0|1", "1|0", "1|1", "0/1", "1|0", "0|1"], "chrB": ["1|1", "1|1"]}
HEADER = (
    "##fileformat=VCFv4.4\n##contig=<ID=chrA>\n##contig=<ID=chrB>\n##FORMAT=<ID=GT,Number=1,Type=String,"
    'Description="Genotype">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tME\n'
)


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


@pytest.fixture(scope="module")
def vcf(tmp_path_factory, sequences):
    """chrA differs between the haplotypes from base 300 on, and chrB nowhere."""
    lines = []
    for contig, calls in CALLS.items():
        text = sequences[contig].upper()
        for number, call in enumerate(calls):
            at = 300 + 50 * number
            first, *rest = text[at - 1 : at + 4]
            ref, alt = [(first, other(first)), (first, first + "GATC"), (first + "".join(rest), first)][number % 3]
            lines.append(f"{contig}\t{at}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t{call}\n")
    path = tmp_path_factory.mktemp("phased") / "phased.vcf"
    path.write_text(HEADER + "".join(lines))
    return path


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    path = tmp_path_factory.mktemp("regions") / "r.bed"
    rows = [
        "chrA\t0\t290\tbefore",
        "chrA\t290\t360\tSNV",
        "chrA\t340\t420\tindel",
        "chrA\t550\t554",
        "chrB\t200\t500\tb",
    ]
    path.write_text("".join(row + "\n" for row in [*rows, "chrZ\t1\t9\tnowhere"]))
    return path


@pytest.fixture
def given(model, genome, vcf):
    return ("--model", model, "--fasta", genome, "--sample-vcf", vcf)


def test_rows_of_both_haplotypes_with_their_places_and_difference(run, given, regions, tmp_path):
    table = tmp_path / "r.tsv"
    result = run("score-regions", *given, "--bed", regions, "-o", table)
    assert result.exit_code == 0, result.output
    assert "haplotypes of ME: 8 records, of these 7 applied, 1 unphased" in result.stderr
    rows = list(read_tsv(table))
    assert [row["haplotype"] for row in rows] == ["1", "2"] * 6
    assert [(row["contig"], row["start"], row["end"]) for row in rows[2:4]] == [("chrA", "290", "360")] * 2
    assert [(row["haplotype_start"], row["haplotype_end"]) for row in rows[2:6]] == [
        ("290", "364"), ("290", "360"), ("340", "420"), ("340", "416"),
    ]  # fmt: skip
    for one, two in zip(rows[::2], rows[1::2], strict=True):
        assert one["bits_difference"] == two["bits_difference"]
        if one["outcome"] == two["outcome"] == "scored":
            difference = float(two["bits_per_base"]) - float(one["bits_per_base"])
            assert float(one["bits_difference"]) == pytest.approx(difference, abs=1e-6)
    same = [float(row["bits_difference"]) for row in rows if row["name"] in ("before", "b")]
    assert same == [0.0] * 4
    assert float(rows[2]["bits_difference"]) != 0
    assert rows[-1]["outcome"] == "contig_unknown"
    assert rows[-1]["bits_difference"] == "NA"
    _, metadata = read_head(table)
    assert metadata["haplotypes"].startswith("phased.vcf sha256=")
    assert metadata["haplotypes"].endswith("sample=ME haplotypes=1,2")


@pytest.mark.skipif(not shutil.which("bcftools"), reason="bcftools is not installed")
@pytest.mark.parametrize("context", ["contig", "window:64", "region"])
def test_scores_are_those_of_the_consensus_to_the_bit(run, given, model, genome, vcf, regions, tmp_path, context):
    packed = tmp_path / "p.vcf.gz"
    with packed.open("wb") as stream:
        subprocess.run(["bgzip", "-c", vcf], check=True, stdout=stream)
    subprocess.run(["bcftools", "index", packed], check=True)
    own = tmp_path / "own.fa"
    # Unphased genotypes are left out of both.
    command = ["bcftools", "consensus", "-f", genome, "-H", "1", "-e", 'GT="0/1" && GT!="0|1" && GT!="1|0"', packed]
    with own.open("w") as stream:
        subprocess.run(command, check=True, stdout=stream)
    ours, lifted, theirs = tmp_path / "ours.tsv", tmp_path / "own.bed", tmp_path / "theirs.tsv"
    how = ("--context", context, "--workers", 1)
    assert run("score-regions", *given, "--haplotypes", 1, "--bed", regions, *how, "-o", ours).exit_code == 0
    rows = list(read_tsv(ours))
    keys = ("contig", "haplotype_start", "haplotype_end", "name")
    lifted.write_text("".join("\t".join(row[key] or "." for key in keys) + "\n" for row in rows))
    result = run("score-regions", "--model", model, "--fasta", own, "--bed", lifted, *how, "-o", theirs)
    assert result.exit_code == 0, result.output
    numbers = ("bases", "log_likelihood", "bits_per_base", "memory_surprise", "entropy_bits", "outcome")
    assert [[row[key] for key in numbers] for row in rows] == [
        [row[key] for key in numbers] for row in read_tsv(theirs)
    ]
    assert "bits_difference" not in rows[0]


def test_tracks_are_on_the_reference(run, given, tmp_path):
    tracks = tmp_path / "t.h5"
    result = run("score-regions", *given, "--region", "chrA", "--tracks", tracks, "-o", tmp_path / "r.tsv")
    assert result.exit_code == 0, result.output
    with h5py.File(tracks) as file:
        assert list(file) == ["chrA"]
        one, two = (file[f"chrA/log_likelihood_haplotype{number}"][:] for number in (1, 2))
    assert one.shape == two.shape == (900,)
    assert np.array_equal(one[:299], two[:299])
    assert one[299] != two[299]
    assert np.flatnonzero(np.isnan(one)).tolist() == [400, 401, 402, 403]  # deleted on both
    assert np.flatnonzero(np.isnan(two)).tolist() == [400, 401, 402, 403, 550, 551, 552, 553]


@pytest.mark.parametrize("context", ["contig", "window:64"])
def test_shards_together_are_the_whole(run, given, regions, tmp_path, context):
    whole, merged = tmp_path / "whole.tsv", tmp_path / "merged.tsv"
    parts = [tmp_path / f"{number}.tsv" for number in (1, 2)]
    how = ("--bed", regions, "--context", context, "--workers", 1)
    for output, more in [(whole, ()), *((part, ("--shard", f"{n}/2")) for n, part in enumerate(parts, 1))]:
        assert run("score-regions", *given, *how, *more, "-o", output).exit_code == 0
    assert run("merge", *parts, "--output", merged).exit_code == 0
    assert list(read_tsv(merged)) == list(read_tsv(whole))


def test_what_cannot_be_done_is_one_line(run, given, vcf, tmp_path):
    out = ("-o", tmp_path / "r.tsv")
    for options, said in [
        ((*given, "--sample", "HER"), "phased.vcf: there is no sample 'HER'; the variants have ME."),
        ((*given, "--region", "chr2"), "no genotype of ME is phased on chr2 (8 other_contig). Phase it"),
        ((*given[:4], "--sample", "ME"), "--sample changes nothing without --sample-vcf; leave it out"),
        ((*given, "--track", tmp_path / "t.bw"), "--track holds one haplotype; add --haplotypes 1 or 2"),
        ((*given, "--copies", tmp_path / "c.bedpe"), "--sample-vcf excludes --copies; leave one out"),
        ((*given[:4], "--sample-vcf", "-"), "a stream will not do. Name a file."),
        ((*given[:4], "--sample-vcf", tmp_path / "no.vcf"), "no.vcf: there is no such file."),
    ]:
        result = run("score-regions", *options, *out)
        assert result.exit_code == 1, options
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr


def test_the_python_face_gives_the_same_rows(run, given, model, genome, vcf, regions, tmp_path):
    import titans_dna as td

    table = tmp_path / "r.tsv"
    assert run("score-regions", *given, "--bed", regions, "-o", table).exit_code == 0
    frame = td.load_model(model).score_regions(regions, genome, haplotypes=(vcf, "ME"))
    rows = list(read_tsv(table))
    assert list(frame.columns) == list(rows[0])
    for name in ("haplotype", "haplotype_start", "haplotype_end", "outcome"):
        assert frame[name].astype(str).tolist() == [row[name] for row in rows]
    wanted = [float(row["bits_difference"].replace("NA", "nan")) for row in rows]
    np.testing.assert_array_equal(frame["bits_difference"], np.array(wanted, np.float32))
    with pytest.raises(td.errors.ConfigError, match="give \\(phased VCF, sample\\)"):
        td.load_model(model).score_regions(regions, genome, haplotypes="ME")


def test_embeddings_of_both_haplotypes(run, given, model, genome, vcf, regions, tmp_path):
    """Vectors are those of the bases of each haplotype, and equal ones have the distance 0."""
    import titans_dna as td

    whole, merged, table = tmp_path / "e.h5", tmp_path / "m.h5", tmp_path / "e.parquet"
    parts = [tmp_path / f"{number}.h5" for number in (1, 2)]
    for output, more in [(whole, ()), *((part, ("--shard", f"{n}/2")) for n, part in enumerate(parts, 1))]:
        result = run("embed", *given, "--bed", regions, *more, "-o", output)
        assert result.exit_code == 0, result.output
    assert run("merge", *parts, "--output", merged).exit_code == 0
    assert run("convert", whole, table).exit_code == 0
    with open_embeddings(whole) as found, open_embeddings(merged) as joined:
        frame = found.to_pandas()
        assert joined.to_pandas().equals(frame)
        assert found.attributes["haplotypes"].startswith("phased.vcf sha256=")
        assert list(found.contigs) == ["chrA", "chrB"]
        assert found.contigs["chrA"][0] == 900
        assert len(found.select(region="chrA:300-310")) == 2
    assert frame["name"].tolist()[:4] == ["before/1", "before/2", "SNV/1", "SNV/2"]
    assert frame["name"].tolist()[6] == "chrA:551-554/1"
    assert frame["haplotype_end"].tolist()[2:6] == [364, 360, 420, 416]
    assert frame["start"].tolist()[2:4] == [290, 290]
    distances = frame["haplotype_distance"].tolist()
    assert distances[:2] == distances[8:10] == [0.0, 0.0]
    assert distances[2] == distances[3] > 1e-6
    vectors = frame.filter(regex="^e[0-9]").to_numpy(np.float64)
    one, two = vectors[2], vectors[3]
    assert distances[2] == pytest.approx(1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two), abs=1e-9)
    assert frame["outcome"].tolist()[7] == "deleted"
    assert np.isnan(distances[6:8]).all()
    loaded = td.load_model(model).embed(regions, genome, haplotypes=(vcf, "ME"))
    np.testing.assert_array_equal(loaded, vectors.astype(np.float32))
    back = tmp_path / "back.h5"
    assert run("convert", table, back).exit_code == 0
    with open_embeddings(back) as again:
        assert again.to_pandas().equals(frame)


def test_a_stopped_run_goes_on_with_the_same_variants_only(run, given, vcf, regions, tmp_path, monkeypatch):
    from titans_dna.jobs import regions as job

    whole, table = tmp_path / "whole.tsv", tmp_path / "r.tsv"
    assert run("score-regions", *given, "--bed", regions, "-o", whole).exit_code == 0

    def stop(*_: object, **__: object) -> None:
        raise OSError("stopped")

    def again(*options: object):
        return run("score-regions", *options, "--bed", regions, "--resume", "-o", table)

    with monkeypatch.context() as patched:
        patched.setattr(job, "_write_rows", stop)
        run("score-regions", *given, "--bed", regions, "-o", table)
    assert (tmp_path / "r.tsv.work").is_dir()
    changed = tmp_path / "phased.vcf"
    changed.write_text(vcf.read_text().replace("1|0", "0|1", 1))
    refused = again(*given[:4], "--sample-vcf", changed)
    assert refused.exit_code == 1
    assert "the unfinished run has another haplotypes" in refused.stderr
    with monkeypatch.context() as patched:
        patched.setattr(job, "score_contig_regions", stop)  # nothing is read a second time
        assert again(*given).exit_code == 0
    assert list(read_tsv(table)) == list(read_tsv(whole))
