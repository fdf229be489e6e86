"""Generated sequences as files: the same bytes whatever the processes, after a kill too, and counted in a report."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from toy import cache, save_small_model, toy_sequences, write_fasta  # noqa: F401 - the cache is a fixture

from titans_dna.cli import main
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.jobs import generate as job
from titans_dna.report.generated import read_generated


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model that recalls, and a toy genome."""
    folder = tmp_path_factory.mktemp("generate")
    save_small_model(folder / "model")
    write_fasta(folder, toy_sequences({"chrA": 900, "chrB": 500}))
    return folder


def call(folder, output, *arguments: object, code: int = 0) -> str:
    words = ["generate", "--model", folder / "model", "--device", "cpu", "--output", output, *arguments]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def regions(folder) -> tuple[object, ...]:
    return ("--fasta", folder / "toy.fa", "--region", "A:101-400", "--region", "chrB:50-90", "--bases", 70)


def test_workers_and_numbers_change_no_sequence(folder, tmp_path):
    told = call(folder, tmp_path / "1.fa", *regions(folder), "--number", 3, "--table", tmp_path / "1.tsv")
    assert "generated                     6" in told
    call(folder, tmp_path / "2.fa", *regions(folder), "--number", 3, "--workers", 3)
    assert (tmp_path / "1.fa").read_bytes() == (tmp_path / "2.fa").read_bytes()
    call(folder, tmp_path / "3.fa.gz", *regions(folder), "--number", 1)
    with open_fasta(tmp_path / "1.fa") as whole, open_fasta(tmp_path / "3.fa.gz") as one:
        assert list(whole.contigs.names) == [f"{p}_{n}" for p in ("chrA:101-400", "chrB:50-90") for n in (1, 2, 3)]
        assert list(one.contigs.names) == ["chrA:101-400_1", "chrB:50-90_1"]
        assert all(one.sequence(name) == whole.sequence(name) for name in one.contigs.names)
        assert set(whole.contigs.lengths.values()) == {70}


def test_the_table_has_a_row_for_each_prompt_and_sequence(folder, tmp_path):
    call(folder, tmp_path / "x.fa", *regions(folder), "--number", 2, "--table", tmp_path / "x.tsv.gz")
    rows = list(open_scores(tmp_path / "x.tsv.gz"))
    assert [row["kind"] for row in rows] == ["prompt", "generated", "generated"] * 2
    assert [row["bases"] for row in rows] == [300, 70, 70, 41, 70, 70]
    found = read_generated(tmp_path / "x.tsv.gz")
    assert (found.prompts, found.sequences, found.bases) == (2, 4, 280)
    assert found.copied == pytest.approx(sum(r["copied"] * 70 for r in rows if r["kind"] == "generated") / 280)
    assert sniff(tmp_path / "x.fa").holds == "sequence"
    page = tmp_path / "page.html"
    assert CliRunner().invoke(main, ["report", str(tmp_path / "x.tsv.gz"), "-o", str(page)]).exit_code == 0
    assert "4 sequences, 280 bases" in page.read_text()
    header = (tmp_path / "x.fa").read_text().splitlines()[0].split()
    assert header[0] == ">chrA:101-400_1"
    assert {"bases=70", "temperature=1", "top_k=4", "seed=0"} <= set(header)


def test_a_run_that_was_stopped_goes_on(folder, tmp_path, monkeypatch):
    call(folder, tmp_path / "whole.fa", *regions(folder), "--number", 2, "--table", tmp_path / "whole.tsv")
    true, made = job.generate, []

    def stops(*arguments: object):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(arguments)
        return true(*arguments)

    more = (*regions(folder), "--number", 2, "--table", tmp_path / "x.tsv", "--workers", 1)
    with monkeypatch.context() as patch:
        patch.setattr(job, "generate", stops)
        told = call(folder, tmp_path / "x.fa", *more, code=130)
    assert "the same command with --resume goes on" in told
    assert not (tmp_path / "x.fa").exists()
    refused = call(folder, tmp_path / "x.fa", *more, "--seed", 1, "--resume", code=1)
    assert "the unfinished run has another options" in refused
    with monkeypatch.context() as patch:
        patch.setattr(job, "generate", lambda *arguments: made.append(arguments) or true(*arguments))
        call(folder, tmp_path / "x.fa", *more, "--resume")
    assert len(made) == 4  # the last alone was made again
    assert (tmp_path / "x.fa").read_bytes() == (tmp_path / "whole.fa").read_bytes()
    rows = [[line for line in (tmp_path / f"{name}.tsv").read_text().splitlines() if not line.startswith("##command")]
            for name in ("x", "whole")]  # fmt: skip
    assert rows[0] == rows[1]
    assert not (tmp_path / "x.fa.work").exists()


def test_prompts_of_one_name_have_names_of_their_own(folder, tmp_path):
    bed = tmp_path / "x.bed"
    bed.write_text("chrA\t10\t60\tan exon\nchrA\t10\t60\tan exon\nchrZ\t1\t2\nchrB\t480\t600\tend\n")
    told = call(folder, tmp_path / "x.fa", "--fasta", folder / "toy.fa", "--bed", bed, "--bases", 9)
    with open_fasta(tmp_path / "x.fa") as fasta:
        assert list(fasta.contigs.names) == ["an_exon_1", "an_exon.2_1", "end_1"]
    assert "contig_unknown                1" in told
    assert "total                         4" in told


def test_text_is_a_prompt_without_a_file(folder, tmp_path):
    call(folder, tmp_path / "x.fa", "--prompt", "ACGTTGCA", "--prompt", "", "--bases", 12)
    with open_fasta(tmp_path / "x.fa") as fasta:
        assert fasta.contigs.lengths == {"prompt1_1": 12, "prompt2_1": 12}
    assert ">prompt1_1" in call(folder, "-", "--prompt", "ACGTTGCA", "--bases", 12)


BAD = {
    "neither": ((), "give prompts by --fasta"),
    "both": (("--prompt", "ACG", "--fasta", "{toy}"), "give prompts by --fasta"),
    "a region of text": (("--prompt", "ACG", "--region", "chrA"), "--region changes nothing without --fasta"),
    "no bases": (("--prompt", "HELLO"), "'E' at base 2"),
    "no contig": (("--fasta", "{toy}", "--region", "chrQ:1-5"), "there is no contig 'chrQ'"),
    "a context": (("--fasta", "{toy}", "--context", "window:-3"), "write contig, region, or window:N"),
    "an ending": (("--prompt", "ACG", "--table", "x.csv"), "has no ending that generate --table writes"),
    "relatives": (("--prompt", "ACG", "--one-vote-per", "contig"), "are about --relatives"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(folder, tmp_path, case):
    arguments, message = BAD[case]
    given = [str(word).format(toy=folder / "toy.fa") for word in arguments]
    told = call(folder, tmp_path / "x.fa", *given, code=1)
    assert message in told
    assert not (tmp_path / "x.fa").exists()
