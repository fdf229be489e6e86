from __future__ import annotations

import gzip
import io

import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from titans_dna.errors import FormatError
from titans_dna.io import open_fasta


def flat(kind: str, *records: tuple[str, str, str]) -> str:
    text = io.StringIO()
    made = []
    for name, sequence, topology in records:
        annotations = {"molecule_type": "DNA", "topology": topology}
        made.append(SeqRecord(Seq(sequence), id=name, name=name.split(".")[0], annotations=annotations))
    SeqIO.write(made, text, kind)
    return text.getvalue()


@pytest.mark.parametrize("kind", ["genbank", "embl"])
def test_flat_files_read_as_sequences_with_their_topology(write, kind):
    text = flat(kind, ("AB0001.1", "ACGTNacgtrY" * 30, "circular"), ("AB0002.2", "TTTT", "linear"))
    for name, data in [("a.txt", text.encode()), ("b.gz", gzip.compress(text.encode()))]:
        path = write("x", data).rename(write("y", b"").parent / name)
        for _ in range(2):
            with open_fasta(path) as fasta:
                assert fasta.contigs.names == ("AB0001.1", "AB0002.2")
                assert fasta.sequence("AB0001.1").upper() == b"ACGTNACGTRY" * 30
                assert fasta.fetch("AB0002.2", 1, 99) == b"TTT"


def test_a_record_without_sequence_or_there_twice_is_refused(write):
    text = flat("genbank", ("AB0001.1", "ACGT", "linear"))
    long = flat("genbank", ("AB0001.1", "ACGTNacgtrY" * 30, "circular"))
    with pytest.raises(FormatError, match="there twice"):
        open_fasta(write("a.gb", text * 2))
    empty = text[: text.index("ORIGIN")] + "CONTIG      join(X:1..4)\n//\n"
    with pytest.raises(FormatError, match="no sequence"):
        open_fasta(write("b.gb", empty))
    with pytest.raises(FormatError, match=r"b2\.gb: "):
        open_fasta(write("b2.gb", text[: len(text) // 3]))
    with pytest.raises(FormatError, match="sequence length"):
        open_fasta(write("d.gb", "\n".join(line for line in long.split("\n") if not line.strip().startswith("61 "))))
    with pytest.raises(FormatError, match="accession"):
        open_fasta(write("e.gb", text.replace("AB0001", "AB\u00e9001")))
    protein = flat("genbank", ("AB0001.1", "MKTLLE", "linear"))
    with pytest.raises(FormatError, match="no nucleotide"):
        open_fasta(write("c.gb", protein))


@pytest.mark.real
def test_the_genbank_file_of_e_coli_is_its_fasta(shared_data):
    (flat_file,) = (shared_data / "genomes").glob("ecoli*.gb*")
    (plain,) = [p for p in (shared_data / "genomes").glob("ecoli*.f*a*") if not p.name.endswith(".fai")]
    with open_fasta(flat_file) as one, open_fasta(plain) as other:
        assert one.sequence("NC_000913.3").upper() == other.sequence(other.contigs.names[0]).upper()


def test_a_file_of_a_genbank_release_is_read_behind_its_preamble(write):
    preamble = (
        "GBPHG1.SEQ           Genetic Sequence Data Bank\n                          December 15 2023\n\n"
        "                NCBI-GenBank Flat File Release 259.0\n\n                     Phage Sequences (Part 1)\n\n"
        "       2 loci,         4 bases, from         2 reported sequences\n\n\n"
    )
    text = preamble + flat("genbank", ("AB0001.1", "ACGT", "linear"), ("AB0002.2", "TTTT", "linear"))
    for name, data in [("gbphg1.seq", text), ("gbphg1.seq.gz", text)]:
        with open_fasta(write(name, data)) as fasta:
            assert {contig: fasta.sequence(contig) for contig in fasta.contigs.names} == {
                "AB0001.1": b"ACGT", "AB0002.2": b"TTTT",
            }  # fmt: skip


def test_embl_as_imgt_hla_writes_it_is_read(write):
    text = (
        "ID   HLA00001; SV 1; standard; DNA; HUM; 12 BP.\nXX\nAC   HLA00001;\nXX\nSV   HLA00001.1\nXX\n"
        "DE   HLA-A*01:01:01:01, Human MHC Class I sequence\nXX\nFH   Key             Location/Qualifiers\nFH\n"
        "FT   source          1..12\nXX\nSQ   Sequence 12 BP; 3 A; 3 C; 3 G; 3 T; 0 other;\n"
        "     acgtacgtac gt                                                           12\n//\n"
    )
    with open_fasta(write("hla.dat", text)) as fasta:
        assert [fasta.sequence(contig).upper() for contig in fasta.contigs.names] == [b"ACGTACGTACGT"]
