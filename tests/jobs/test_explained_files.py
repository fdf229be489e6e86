"""Explanations as files: chosen from strings, a VCF or scores, and drawn."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from toy import cache, save_small_model, toy_sequences, write_fasta  # noqa: F401 - the cache is a fixture

from titans_dna.cli import main
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.jobs.explain import lowest_variants

SEQUENCES = toy_sequences({"chrA": 900, "chrB": 500})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model that recalls, a toy genome, and variants of it."""
    folder = tmp_path_factory.mktemp("explain")
    save_small_model(folder / "model")
    write_fasta(folder, SEQUENCES)
    a, b = SEQUENCES["chrA"], SEQUENCES["chrB"]
    records = [
        f"A\t101\trs1\t{a[100]}\t{other(a[100])}", f"A\t301\trs2\t{a[300:305]}\t{a[300]}",
        f"chrB\t401\trs3\t{b[400]}\t{b[400]}CAT,{other(b[400])}", "chrZ\t5\trs4\tA\tC",
    ]  # fmt: skip
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "x.vcf").write_text(head + "".join(f"{record}\t.\t.\t.\n" for record in records))
    return folder


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base.upper()) - 1]


def call(folder, verb: str, output, *arguments: object, code: int = 0) -> str:
    words = [verb, "--model", folder / "model", "--device", "cpu", "--fasta", folder / "toy.fa", "--output", output]
    result = CliRunner().invoke(main, [str(word) for word in (*words, *arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_what_is_written_adds_up_to_the_scores(folder, tmp_path):
    call(folder, "score-variants", tmp_path / "s.vcf", "--vcf", folder / "x.vcf")
    scored = {(row["id"], row["alt"]): row for row in open_scores(tmp_path / "s.vcf")}
    told = call(
        folder, "explain", tmp_path / "e.tsv.gz", "--vcf", folder / "x.vcf", "--id", "rs3", "--id", "A:301",
        "--picture", tmp_path / "e.svg",
    )  # fmt: skip
    assert "total                         3" in told
    assert sniff(tmp_path / "e.tsv.gz").holds == "explanation"
    sums: dict[str, float] = {}
    for row in open_scores(tmp_path / "e.tsv.gz"):
        if row["counted"] in ("both", "forward"):
            ref, alt = (0.0 if row[name] == "-" else row[f"forward_{name}"] for name in ("ref", "alt"))
            sums[row["variant"]] = sums.get(row["variant"], 0.0) + alt - ref
    b = SEQUENCES["chrB"][400]
    wanted = {
        f"chrB:401:{b}:{b}CAT": scored["rs3", f"{b}CAT"]["llr_forward"],
        f"chrB:401:{b}:{other(b)}": scored["rs3", other(b)]["llr_forward"],
        f"A:301:{SEQUENCES['chrA'][300:305]}:{SEQUENCES['chrA'][300]}":
            scored["rs2", SEQUENCES["chrA"][300]]["llr_forward"],
    }  # fmt: skip
    assert sums == pytest.approx(wanted, abs=1e-3)
    assert (tmp_path / "e.svg").read_text().startswith("<?xml")
    again = tmp_path / "again.svg"
    more = ("--vcf", folder / "x.vcf", "--id", "rs3", "--id", "A:301", "--picture", again)
    call(folder, "explain", tmp_path / "f.tsv", *more)
    assert again.read_bytes() == (tmp_path / "e.svg").read_bytes()


@pytest.mark.parametrize("ending", [".vcf.gz", ".tsv", ".h5"])
def test_the_lowest_scores_are_explained(folder, tmp_path, ending):
    call(folder, "score-variants", tmp_path / f"s{ending}", "--vcf", folder / "x.vcf")
    rows = [row for row in open_scores(tmp_path / f"s{ending}") if row["outcome"] == "scored"]
    lowest = min(rows, key=lambda row: row["llr"])
    told = call(folder, "explain", tmp_path / "e.tsv", "--vcf", tmp_path / f"s{ending}", "--top", 1)
    assert told.startswith(f"{lowest['contig']}:{lowest['position']}:{lowest['ref']}:{lowest['alt']}  ln P(ALT)")
    assert f"= {lowest['llr']:+.3f} (" in told


def test_a_file_without_scores_gives_an_empty_table(folder, tmp_path):
    lines = (folder / "x.vcf").read_text().splitlines(keepends=True)
    (tmp_path / "z.vcf").write_text("".join(line for line in lines if line.startswith("#")))
    call(folder, "score-variants", tmp_path / "s.vcf", "--vcf", tmp_path / "z.vcf")
    told = call(folder, "explain", tmp_path / "e.tsv", "--vcf", tmp_path / "s.vcf", "--top", 3, "--picture",
                tmp_path / "e.svg")  # fmt: skip
    assert "s.vcf has no variant with a score, so the table is empty" in told
    assert list(open_scores(tmp_path / "e.tsv")) == []
    assert not (tmp_path / "e.svg").exists()


def test_only_alleles_in_bases_that_were_scored_as_they_stand_are_lowest(tmp_path):
    rows = [("A", "<DEL>", -9, "scored"), ("A", "C", -8, "swapped"), ("A", "G", -7, "scored"), ("A", "T", "NA", "x"),
            ("A", "AC", -2, "scored"), ("A", "AC", -2, "scored"), ("A", "AG", -1, "scored")]  # fmt: skip
    head = "contig\tposition\tref\talt\tllr\toutcome\n"
    (tmp_path / "s.tsv").write_text(head + "".join(f"c\t5\t{r}\t{a}\t{s}\t{o}\n" for r, a, s, o in rows))
    assert lowest_variants(tmp_path / "s.tsv", 2) == ["c:5:A:G", "c:5:A:AC"]
    assert lowest_variants(tmp_path / "s.tsv", 9) == ["c:5:A:G", "c:5:A:AC", "c:5:A:AG"]


BAD = {
    "nothing": ((), "give variants by --variant, or by --vcf"),
    "both": (("--variant", "A:1:A:C", "--vcf", "{x}", "--top", 1), "give variants by --variant, or by --vcf"),
    "no choice": (("--vcf", "{x}"), "with either --id or --top"),
    "an unknown ID": (("--vcf", "{x}", "--id", "rs9"), "has no variant of the ID or place 'rs9'"),
    "not scored": (("--vcf", "{x}", "--top", 1), "INFO/TD_LLR"),
    "a bad string": (("--variant", "A:1000"), "variant 'A:1000' is not contig:position:ref:alt"),
    "no contig": (("--variant", "chrQ:5:A:C"), "chrQ"),
    "a picture's ending": (("--variant", "A:1:A:C", "--picture", "x.gif"), "has no ending that explain --picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(folder, tmp_path, case):
    arguments, message = BAD[case]
    told = call(folder, "explain", tmp_path / "e.tsv", *(str(w).format(x=folder / "x.vcf") for w in arguments), code=1)
    assert message in told
    assert told.count("\n") <= 2
    assert not (tmp_path / "e.tsv").exists()


@pytest.mark.parametrize("ending", [".vcf", ".tsv", ".h5"])
def test_genes_stand_beside_the_scores(folder, tmp_path, ending):
    gtf = tmp_path / "x.gff3"
    gtf.write_text(
        "chrA\tx\tgene\t51\t150\t.\t+\t.\tID=g;Name=a%3Bb c\n"
        "chrA\tx\tCDS\t101\t110\t.\t+\t0\tParent=g;note=some words\n"
        "B\tx\tgene\t451\t480\t.\t+\t.\tID=h\n"
    )
    output = tmp_path / f"s{ending}"
    call(folder, "score-variants", output, "--vcf", folder / "x.vcf", "--gtf", gtf)
    rows = list(open_scores(output))
    told = [(row["gene"], row["feature"], row["gene_distance"]) for row in rows if row["outcome"] == "scored"]
    assert told == [("a;b c", "CDS", 0), ("a;b c", "intergenic", 152), ("h", "intergenic", 50), ("h", "intergenic", 50)]
    unscored = next(row for row in rows if row["outcome"] == "contig_unknown")
    assert unscored["gene"] in ("", "NA")
    plain = tmp_path / f"plain{ending}"
    call(folder, "score-variants", plain, "--vcf", folder / "x.vcf")
    assert [row["llr"] for row in open_scores(plain)][:4] == [row["llr"] for row in rows][:4]
