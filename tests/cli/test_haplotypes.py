"""Both haplotypes of a sample, in the coordinates of the reference."""

from __future__ import annotations

import shutil
import subprocess

import h5py
import numpy as np
import pyBigWig
import pytest

from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.io.tables.tsv import read_head, read_tsv
from titans_dna.report.summaries import OUTCOMES

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
        np.testing.assert_array_equal(file["chrA/log_likelihood_difference"], two - one)
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
    sites = tmp_path / "sites.vcf"
    sites.write_text("##fileformat=VCFv4.4\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    for options, said in [
        ((*given, "--sample", "HER"), "phased.vcf: there is no sample 'HER'; the variants have ME."),
        ((*given, "--region", "chr2"), "no genotype of ME is phased on chr2 (8 other_contig). Phase it"),
        ((*given[:4], "--sample", "ME"), "--sample changes nothing without --sample-vcf; leave it out"),
        ((*given, "--track", tmp_path / "t.bw"), "--track holds one haplotype; add --haplotypes 1 or 2"),
        ((*given, "--copies", tmp_path / "c.bedpe"), "--sample-vcf excludes --copies; leave one out"),
        ((*given[:4], "--sample-vcf", "-"), "a stream will not do. Name a file."),
        ((*given[:4], "--sample-vcf", sites), "sites.vcf: has no samples, and so no genotypes. Give a phased VCF of"),
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
    np.testing.assert_allclose(frame["bits_difference"], wanted, rtol=1e-6)
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


def written_in(text: str, calls: list[str], haplotype: int) -> str:
    """Return a contig with the phased variants of the fixture `vcf` written in."""
    for number, call in reversed(list(enumerate(calls))):
        at = 299 + 50 * number
        if "|" in call and call[2 * haplotype - 2] == "1":
            first = text[at]
            ref, alt = [(1, other(first)), (1, first + "GATC"), (5, first)][number % 3]
            text = text[:at] + alt + text[at + ref :]
    return text


@pytest.fixture(scope="module")
def own(tmp_path_factory, sequences):
    """The two haplotypes, each as a FASTA of its own."""
    folder = tmp_path_factory.mktemp("own")
    for number in (1, 2):
        texts = {contig: written_in(sequences[contig].upper(), calls, number) for contig, calls in CALLS.items()}
        (folder / f"{number}.fa").write_text("".join(f">{contig}\n{text}\n" for contig, text in texts.items()))
    return folder


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory, run, model, genome):
    """Classifiers of two and of three classes."""
    folder = tmp_path_factory.mktemp("classifiers")
    for classes in (2, 3):
        bed = folder / f"{classes}.bed"
        bed.write_text("".join(f"chrA\t{at}\t{at + 40}\tclass{at // 40 % classes}\n" for at in range(0, 840, 40)))
        result = run(
            "finetune", "--model", model, "--data", bed, "--fasta", genome, "--mode", "frozen", "--epochs", 1,
            "--output", folder / str(classes), "--device", "cpu",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_on_both_haplotypes(run, classifiers, genome, vcf, regions, own, tmp_path, classes):
    """They are those of FASTA files with the variants written in."""
    table, given = tmp_path / "c.tsv", ("--model", classifiers / str(classes), "--device", "cpu")
    result = run("predict", *given, "--data", regions, "--fasta", genome, "--sample-vcf", vcf, "-o", table)
    assert result.exit_code == 0, result.output
    assert "haplotypes of ME: 8 records, of these 7 applied, 1 unphased" in result.stderr
    counts = dict(line.split() for line in result.stderr.splitlines()[-4:])
    assert counts == {"used": "9", "contig_unknown": "2", "deleted": "1", "total": "12"}
    rows = list(read_tsv(table))
    assert [row["haplotype"] for row in rows] == ["1", "2"] * 6
    assert [(row["name"], row["start"], row["end"]) for row in rows[2:4]] == [("SNV", "290", "360")] * 2
    assert [(row["haplotype_start"], row["haplotype_end"]) for row in rows[2:4]] == [("290", "364"), ("290", "360")]
    assert [row["outcome"] for row in rows[6:8]] == ["used", "deleted"]
    assert (rows[7]["haplotype_start"], rows[7]["haplotype_end"]) == ("546", "546")
    assert {rows[-1][name] for name in ("haplotype_start", "predicted", "probability_difference")} == {"NA"}
    for number in (1, 2):
        lifted, alone = tmp_path / "lifted.bed", tmp_path / "alone.tsv"
        mine = [row for row in rows if row["haplotype"] == str(number) and row["outcome"] == "used"]
        keys = ("contig", "haplotype_start", "haplotype_end")
        lifted.write_text("".join("\t".join(row[key] for key in keys) + "\n" for row in mine))
        result = run("predict", *given, "--data", lifted, "--fasta", own / f"{number}.fa", "-o", alone)
        assert result.exit_code == 0, result.output
        for row, wanted in zip(mine, read_tsv(alone), strict=True):
            for name in (f"p_class{k}" for k in range(classes)):
                assert float(row[name]) == pytest.approx(float(wanted[name]), abs=1e-6)
    for one, two in zip(rows[:6:2], rows[1:6:2], strict=True):
        asked = "class1" if classes == 2 else one["predicted"]
        assert one["difference_class"] == two["difference_class"] == asked
        difference = float(two[f"p_{asked}"]) - float(one[f"p_{asked}"])
        assert one["probability_difference"] == two["probability_difference"]
        assert float(one["probability_difference"]) == pytest.approx(difference, abs=1e-6)
    assert [row["probability_difference"] for row in rows[:2] + rows[6:10]] == ["0"] * 2 + ["NA"] * 2 + ["0"] * 2
    assert float(rows[2]["probability_difference"]) != 0
    _, metadata = read_head(table)
    assert metadata["haplotypes"].endswith("sample=ME haplotypes=1,2")
    frame = open_scores(table).to_pandas()
    assert frame["haplotype_end"].tolist()[2:4] == [364, 360]
    page = tmp_path / "page.html"
    assert run("report", "--classes", table, "-o", page).exit_code == 0
    assert OUTCOMES["deleted"]


def test_classes_in_a_notebook_are_those_of_the_command_line(run, classifiers, genome, vcf, regions, tmp_path):
    import titans_dna as td

    table = tmp_path / "c.tsv"
    given = ("--model", classifiers / "2", "--data", regions, "--fasta", genome, "--sample-vcf", vcf)
    assert run("predict", *given, "-o", table).exit_code == 0
    rows, classifier = list(read_tsv(table)), td.load_classifier(classifiers / "2", "cpu")
    frame = classifier.predict(regions, genome, haplotypes=(vcf, "ME"))
    assert frame["outcome"].tolist() == [row["outcome"] for row in rows]
    for name in ("haplotype", "haplotype_start", "haplotype_end"):
        assert frame[name].astype(str).replace("<NA>", "NA").tolist() == [row[name] for row in rows]
    for name in ("p_class1", "probability_difference"):
        wanted = [float(row[name].replace("NA", "nan")) for row in rows]
        np.testing.assert_allclose(frame[name], wanted, atol=1e-6)
    single = classifier.predict("chrA:291-360", genome, haplotypes=(vcf, "ME", 2))
    assert (single["haplotype"].tolist(), "probability_difference" in single) == ([2], False)
    with pytest.raises(td.errors.ConfigError, match="give fasta, or leave them out"):
        classifier.predict(["ACGT"], haplotypes=(vcf, "ME"))


def test_tables_of_intervals_keep_their_columns(run, classifiers, genome, vcf, tmp_path):
    given = ("--model", classifiers / "2", "--fasta", genome, "--sample-vcf", vcf, "--haplotypes", 2)
    (tmp_path / "t.csv").write_text("id,contig,start,end\nv1,A,290,360\nv2,chrA,-5,3\nv3,chrA,9,3\n")
    result = run("predict", *given, "--data", tmp_path / "t.csv", "-o", tmp_path / "c.tsv")
    assert result.exit_code == 0, result.output
    rows = list(read_tsv(tmp_path / "c.tsv"))
    assert [(row["id"], row["outcome"]) for row in rows] == [("v1", "used"), ("v2", "beyond_contig"), ("v3", "empty")]
    assert (rows[0]["haplotype"], rows[0]["haplotype_end"], rows[1]["haplotype_end"]) == ("2", "360", "NA")
    assert "probability_difference" not in rows[0]
    (tmp_path / "s.csv").write_text("sequence\nACGT\n")
    for words, said in [
        ((*given, "--data", tmp_path / "s.csv"), "the rows are sequences, which variants cannot change"),
        ((*given[:2], *given[4:], "--data", tmp_path / "t.csv"), "give the one its variants were called on by --fasta"),
    ]:
        result = run("predict", *words, "-o", tmp_path / "x.tsv")
        assert result.exit_code == 1
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr


def test_tracks_of_a_head_are_on_the_reference(run, model, genome, vcf, own, tmp_path):
    """Those of haplotype 1 are those of its own FASTA, without the inserted bases."""
    import titans_dna as td

    head, bed = tmp_path / "head", tmp_path / "t.bed"
    bed.write_text("".join(f"{contig}\t{at}\t{at + 9}\tbox\n" for contig in CALLS for at in range(10, 400, 30)))
    result = run(
        "finetune", "--model", model, "--targets", bed, "--fasta", genome, "--holdout", "chrB", "--bases", 800,
        "--test-bases", 400, "--epochs", 1, "--output", head, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    tracks, alone, stretches = tmp_path / "t.h5", tmp_path / "own.h5", tmp_path / "s.bed"
    given = ("predict", "--model", head, "--contig", "chrA", "--workers", 1)
    more = ("--contig", "chrB", "--bed-output", stretches, "--threshold", 1e-9)
    result = run(*given, "--fasta", genome, "--sample-vcf", vcf, *more, "-o", tracks)
    assert result.exit_code == 0, result.output
    assert "bases of 4 haplotypes" in result.stderr
    assert run(*given, "--fasta", own / "1.fa", "-o", alone).exit_code == 0
    with h5py.File(tracks) as file, h5py.File(alone) as wanted:
        assert list(file) == ["chrA", "chrB"]
        one, two = (file[f"chrA/box_haplotype{number}"][:] for number in (1, 2))
        difference, alike = (file[f"{contig}/box_difference"][:] for contig in file)
        lone = wanted["chrA/box"][:]
    assert one.shape == two.shape == (900,)
    # Four bases are inserted behind base 350 and behind base 500, and four deleted behind base 400.
    paired = np.concatenate([lone[:350], lone[354:404], np.full(4, np.nan), lone[404:500], lone[504:]])
    np.testing.assert_array_equal(one, paired)
    np.testing.assert_array_equal(difference, two - one)
    assert np.nanmax(np.abs(difference)) > 1e-6
    assert set(alike[~np.isnan(alike)]) == {0}  # the variants of chrB are on both haplotypes
    assert np.flatnonzero(np.isnan(two)).tolist() == [400, 401, 402, 403, 550, 551, 552, 553]
    assert {line.split("\t")[3] for line in stretches.read_text().splitlines()} == {"box_haplotype1", "box_haplotype2"}
    assert run(*given, "--fasta", genome, "--sample-vcf", vcf, "-o", tmp_path / "t.bw").exit_code == 0
    with pyBigWig.open(str(tmp_path / "t.box_difference.bw")) as bigwig:
        np.testing.assert_array_equal(bigwig.values("chrA", 0, 900), difference)
    one_alone = (*given, "--fasta", genome, "--sample-vcf", vcf, "--haplotypes", 2, "-o", tmp_path / "two.bw")
    assert run(*one_alone).exit_code == 0
    assert [path.name for path in tmp_path.glob("two.*.bw")] == ["two.box_haplotype2.bw"]
    predictor = td.load_base_predictor(head, "cpu")
    asked = [("chrA", 345, 410), ("chrB", 0, 90), ("chrA", 550, 554)]
    frame = predictor.predict(asked, genome, haplotypes=(vcf, "ME"))
    assert frame.columns.tolist() == ["contig", "start", "box_haplotype1", "box_haplotype2", "box_difference"]
    assert frame["start"].tolist() == [*range(345, 410), *range(90), *range(550, 554)]
    on_b = predictor.predict([("chrB", 0, 90)], own / "1.fa")
    expected = np.concatenate([one[345:410], on_b["box"], one[550:554]])
    np.testing.assert_allclose(frame["box_haplotype1"], expected, atol=1e-6)
    np.testing.assert_allclose(frame["box_haplotype2"][:65], two[345:410], atol=1e-6)
    assert np.isnan(frame["box_haplotype2"][155:]).all()  # deleted
    np.testing.assert_array_equal(frame["box_difference"], frame["box_haplotype2"] - frame["box_haplotype1"])
    assert predictor.predict(asked, genome, haplotypes=(vcf, "ME", 2)).columns.tolist()[2:] == ["box_haplotype2"]


def test_prompts_of_both_haplotypes_draw_alike(run, given, model, genome, vcf, regions, own, tmp_path):
    """Sequences are those that go on behind the same prompt of a FASTA with the variants written in."""
    import titans_dna as td

    output, table = tmp_path / "g.fa", tmp_path / "g.tsv"
    how = ("--bases", 40, "--workers", 1)
    result = run("generate", *given, "--bed", regions, *how, "--number", 2, "--table", table, "-o", output)
    assert result.exit_code == 0, result.output
    counts = dict(line.split() for line in result.stderr.splitlines()[-4:])
    assert counts == {"generated": "18", "contig_unknown": "2", "deleted": "1", "total": "21"}
    prompts = [row["name"] for row in read_tsv(table) if row["kind"] == "prompt"]
    assert prompts == [
        "before/1", "before/2", "SNV/1", "SNV/2", "indel/1", "indel/2", "chrA:551-554/1", "b/1", "b/2",
    ]  # fmt: skip
    with open_fasta(output) as fasta:
        found = {name: fasta.sequence(name) for name in fasta.contigs.names}
    assert found["before/1_2"] == found["before/2_2"]
    assert found["before/1_1"] != found["before/1_2"]
    for number, place in [(1, "290\t364"), (2, "290\t360")]:
        (tmp_path / "one.bed").write_text(f"chrA\t{place}\tSNV\n")
        alone = tmp_path / f"{number}.fa"
        words = ("--model", model, "--fasta", own / f"{number}.fa", "--bed", tmp_path / "one.bed", *how)
        assert run("generate", *words, "-o", alone).exit_code == 0
        with open_fasta(alone) as fasta:
            assert fasta.sequence("SNV_1") == found[f"SNV/{number}_1"]
    frame = td.load_model(model).generate("chrA:291-360", genome, bases=40, haplotypes=(vcf, "ME"))
    assert frame["name"].tolist()[::2] == ["chrA:291-360/1", "chrA:291-360/2"]
    assert frame["bases"].tolist() == [74, 40, 70, 40]
    assert frame[["haplotype", "haplotype_start", "haplotype_end"]].to_numpy().tolist()[::2] == [
        [1, 290, 364], [2, 290, 360],
    ]  # fmt: skip
    first, second = frame["bits_per_base"][:2].to_numpy(), frame["bits_per_base"][2:].to_numpy()
    assert frame["bits_difference"].to_numpy() == pytest.approx([*(second - first)] * 2, abs=1e-7)
    alone = td.load_model(model).generate("chrA:291-360", genome, bases=40, haplotypes=(vcf, "ME", 2))
    assert "bits_difference" not in alone
    assert alone["sequence"][1] == frame["sequence"][3]
    with pytest.raises(td.errors.ConfigError, match="give fasta, or leave them out"):
        td.load_model(model).generate("ACGT", haplotypes=(vcf, "ME"))


def test_names_agree_where_a_region_is_deleted_on_one_haplotype(run, given, tmp_path):
    bed, table = tmp_path / "r.bed", tmp_path / "g.tsv"
    bed.write_text("chrA\t550\t554\tx\nchrA\t100\t120\tx\n")
    words = ("--bed", bed, "--bases", 5, "--table", table, "-o", tmp_path / "g.fa")
    assert run("generate", *given, *words).exit_code == 0
    missing = {row["name"]: row["bits_difference"] == "NA" for row in read_tsv(table)}
    assert missing["x/1"], missing  # the other haplotype has no base of it
    assert not missing["x.2/1"]
    rows = {row["name"]: row["bases"] for row in read_tsv(table) if row["kind"] == "prompt"}
    assert rows == {"x/1": "4", "x.2/1": "20", "x.2/2": "20"}


def test_a_prompt_has_no_haplotypes(run, model, vcf, tmp_path):
    result = run("generate", "--model", model, "--prompt", "ACGT", "--sample-vcf", vcf, "-o", tmp_path / "g.fa")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: --prompt gives the bases themselves, which --sample-vcf cannot change; leave one out"
    ]


def test_exchanged_alleles_are_refused_without_an_option_that_is_not_there(run, given, sequences, tmp_path):
    text, wrong = sequences["chrA"].upper(), tmp_path / "wrong.vcf"
    lines = [f"chrA\t{at}\t.\t{other(text[at - 1])}\t{text[at - 1]}\t.\t.\t.\tGT\t0|1\n" for at in range(10, 400, 3)]
    wrong.write_text(HEADER + "".join(lines))
    for verb, output in [("score-regions", "r.tsv"), ("embed", "e.h5"), ("generate", "g.fa")]:
        result = run(verb, *given[:4], "--sample-vcf", wrong, "--region", "chrA", "-o", tmp_path / output)
        assert result.exit_code == 1
        assert "REF and ALT are exchanged, mend the file with bcftools norm --check-ref s" in result.stderr
        assert "--on-mismatch" not in result.stderr
