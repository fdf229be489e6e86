"""The register of formats: every format is whole, and an ending that a verb cannot write is refused with a remedy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from titans_dna.errors import InputMissing, OutputError
from titans_dna.io.formats import FORMATS, HOLDS, endings_of, format_of, sniff


@pytest.mark.parametrize("found", FORMATS, ids=lambda found: f"{found.name} of {found.holds}")
def test_every_format_is_whole(found):
    assert found.holds in HOLDS
    assert found.endings
    if found.writer:
        assert callable(found.load_writer())
    if found.reader:
        assert callable(found.load_reader())
    assert found.verbs or found.reader
    assert found.reader or not found.merges


def test_the_register_loads_nothing_heavy():
    heavy = "{'h5py', 'pyarrow', 'anndata', 'pandas', 'pysam', 'pyBigWig', 'torch', 'numpy'}"
    code = f"import sys, titans_dna.io.formats; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("verb", "name", "said"),
    [
        ("embed", "x.npy", "embed writes no .npy. Choose .h5 or .hdf5, and make .npy of it with `titans-dna convert`."),
        ("embed", "x.h5ad", "embed writes no .h5ad. Choose .h5 or .hdf5, and make .h5ad of it with"),
        ("embed", "x.txt", "has no ending that embed writes. Choose .h5 or .hdf5."),
        ("score-regions --track", "x.bedgraph", "has no ending that score-regions --track writes. Choose .bw."),
        ("score-regions --track", "x.tsv.gz", "score-regions --track writes no .tsv.gz. Choose .bw."),
        ("score-variants", "x.bcf", "score-variants writes no .bcf. Choose .vcf.gz, .vcf, .vcf.bgz, .tsv"),
        ("evaluate", "x.txt", "has no ending that evaluate writes. Choose .json."),
    ],
)
def test_an_ending_that_a_verb_cannot_write_is_refused(verb, name, said):
    with pytest.raises(OutputError) as caught:
        format_of(name, verb=verb)
    assert str(caught.value).startswith(f"{name}: {said}")


def test_endings_go_by_verb_and_content():
    assert endings_of(verb="embed") == (".h5", ".hdf5")
    assert endings_of(verb="merge", holds="variants") == (".vcf.gz", ".vcf", ".vcf.bgz")
    assert format_of("x.tsv.gz", verb="mutagenesis --all-snvs").holds == "all-SNVs"
    assert format_of("x.tsv", verb="mutagenesis --all-snvs").holds == "tracks"
    assert format_of("/dev/null", verb="evaluate").name == "JSON"
    with pytest.raises(OutputError, match="no ending that embed"):
        format_of("/dev/null", verb="embed")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"x.parquet: needs the package pyarrow. .*'titans-dna\[convert\]'"):
        format_of("x.parquet", verb="score-variants")


def test_bytes_tell_what_a_file_is_and_names_where_they_do_not(tmp_path):
    def told(name: str, content: bytes) -> tuple[str, str] | None:
        (tmp_path / name).write_bytes(content)
        found = sniff(tmp_path / name)
        return found and (found.name, found.holds)

    assert told("x.txt", b"##fileformat=VCFv4.2\n") == ("VCF", "variants")
    assert told("y.txt", b"##version=1\ncontig\tstart\tend\n") == ("TSV", "scores")
    assert told("z.txt", b"contig\tstart\tsurprise\n") == ("TSV", "tracks")
    assert told("z.parquet", b"contig\tstart\tend\tid\ttoken\n") == ("TSV", "tokens")
    assert told("x.bw", b"") == ("bigWig", "tracks")
    assert told("x.tsv", b"") == ("TSV", "scores")
    assert told("x.fa", b">a\nACGT\n") == ("FASTA", "sequence")
    with pytest.raises(InputMissing, match="no such file"):
        sniff(tmp_path / "nothing")
