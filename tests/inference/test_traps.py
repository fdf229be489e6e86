"""Faults found in other tools, a test each; numbers are those of the list in the project's notes on peers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference import branches
from titans_dna.inference.alleles import Allele
from titans_dna.inference.score_variants import score_strands
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence import fasta as fasta_module
from titans_dna.jobs import variants as variant_file
from titans_dna.jobs.variant_scores import ScoringOptions

OPTIONS = ScoringOptions(horizon_bp=10)


@pytest.fixture(scope="module")
def sequence(random_bases):
    return random_bases(240, 61)


@pytest.fixture
def score(model, tmp_path, make_fasta):
    """Score lines of VCF and give the rows of the table."""

    def run(contigs: dict[str, bytes], lines: list[str], suffix: str = ".tsv") -> list[dict]:
        source, output = tmp_path / "in.vcf", tmp_path / f"out{suffix}"
        source.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "\n".join(lines))
        with make_fasta(contigs) as fasta:
            variant_file.score_variant_file(model, fasta, source, output, options=OPTIONS)
        return list(open_scores(output).rows())

    return run


def line(position: int, ref: str, alt: str, contig: str = "chrA") -> str:
    return f"{contig}\t{position}\t.\t{ref}\t{alt}\t.\t.\t."


def other(base: int) -> str:
    return "ACGT"["ACGT".index(chr(base)) - 1]


def test_1_a_batch_mate_that_is_longer_changes_nothing(model, sequence, monkeypatch):
    """Evo 2 mixes the probability of padding into shorter sequences of a batch: -6.460 alone, -6.628 batched."""
    short = Allele(0, 100, 101, b"A", 100, 101)
    alone = score_strands(model, sequence, [short], horizon_bp=5)
    for size in (1, 7, 60):
        mates = [Allele(at, 100, 100, b"ACGT" * size, 100, 100) for at in range(1, 4)]
        monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", 4)
        batched = score_strands(model, sequence, [short, *mates], horizon_bp=5)
        assert batched[0] == pytest.approx(alone[0], abs=1e-5)


def test_3_both_strands_belong_to_the_same_base(model, sequence):
    """Evo 2 averages forward scores with reversed ones of the neighbouring base: a flipped contig tells."""
    alleles = [Allele(0, 50, 51, other(sequence[50]).encode(), 50, 51), Allele(1, 200, 200, b"GAT", 200, 200)]
    here = score_strands(model, sequence, alleles, horizon_bp=12)
    n = len(sequence)
    flipped = [
        Allele(a.row, n - a.end, n - a.start, reverse_complement(a.alt), n - a.last, n - a.first) for a in alleles
    ]
    there = score_strands(model, reverse_complement(sequence), flipped, horizon_bp=12)
    assert here == pytest.approx(there[:, ::-1], abs=1e-4)
    assert np.abs(here[:, 0] - here[:, 1]).max() > 1e-3  # the strands do differ


def test_4_a_variant_that_is_skipped_drops_no_later_one(score, sequence):
    """baskerville breaks out of its loop at the first variant that it skips."""
    good = [line(at, chr(sequence[at - 1]), other(sequence[at - 1])) for at in (10, 20, 30, 40)]
    bad = line(15, other(sequence[14]), "A" if chr(sequence[14]) != "A" else "C")
    rows = score({"chrA": sequence}, [good[0], bad, *good[1:]])
    assert [row["outcome"] for row in rows] == ["scored", "ref_mismatch", "scored", "scored", "scored"]
    assert all(row["llr"] != "NA" for row in rows if row["outcome"] == "scored")


def test_5_one_bad_row_ends_no_run(score, sequence):
    """gpn and baskerville exit at the first row that they cannot use."""
    good = line(10, chr(sequence[9]), other(sequence[9]))
    bad = [
        line(9999, "A", "C"),
        line(5, "A", "C", "nowhere"),
        "chrA\tx\t.\tA\tC\t.\t.\t.",
        line(8, "A", "<INV>"),
        "one",
    ]
    rows = score({"chrA": sequence}, [*bad, good])
    assert len(rows) == 6
    assert rows[-1]["outcome"] == "scored"
    assert "scored" not in {row["outcome"] for row in rows[:-1]}


def test_6_every_alt_has_a_score(score, sequence):
    """Pangolin scores the first ALT only."""
    base = chr(sequence[99])
    alts = [b for b in "ACGT" if b != base] + [base + "AC"]
    together = score({"chrA": sequence}, [line(100, base, ",".join(alts))])
    alone = [score({"chrA": sequence}, [line(100, base, alt)])[0] for alt in alts]
    assert [row["alt"] for row in together] == alts
    assert len({row["llr"] for row in together}) == 4
    for one, two in zip(together, alone, strict=True):
        assert float(one["llr"]) == pytest.approx(float(two["llr"]), abs=1e-4)


def test_7_a_dot_is_no_alt_and_no_separator(score, sequence):
    """selene splits ALT at dots."""
    base = chr(sequence[99])
    rows = score({"chrA": sequence}, [line(100, base, "."), line(100, base, f".{base}"), line(100, base, f"{base}.")])
    assert [row["outcome"] for row in rows] == ["no_alt", "breakend", "breakend"]


def test_8_each_contig_has_its_own_name(score, sequence):
    """SpliceAI asks the first contig whether names begin with chr; baskerville always writes it in front."""
    contigs = {"scaffold_9": sequence[:60], "chr7": sequence[60:120], "8": sequence[120:180]}
    lines = [
        line(10, chr(contigs[there][9]), other(contigs[there][9]), name)
        for there, name in (("scaffold_9", "scaffold_9"), ("chr7", "7"), ("chr7", "chr7"), ("8", "chr8"), ("8", "8"))
    ]
    rows = score(contigs, [*lines, line(10, "A", "C", "chrscaffold_9x")])
    assert [row["outcome"] for row in rows] == ["scored"] * 5 + ["contig_unknown"]
    assert rows[1]["llr"] == rows[2]["llr"]
    assert rows[3]["llr"] == rows[4]["llr"]


def test_9_no_variant_is_looked_for_in_the_middle_and_none_is_dropped(model, sequence, monkeypatch):
    """Caduceus guesses a variant's place as the middle of its window and drops the last batch where it is not full."""
    alleles = [Allele(at, at, at + 1, other(sequence[at]).encode(), at, at + 1) for at in (0, 1, 3, 120, 237, 238, 239)]
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", 4)
    scores = score_strands(model, sequence, alleles, horizon_bp=0)
    assert scores.shape == (7, 2)
    assert np.abs(scores).min() > 1e-6
    # with no horizon the score is that of the one base that changes: an MNV's reaches over all of its bases
    wide = Allele(
        0, 120, 123, bytes([ord(other(sequence[120]))]) + sequence[121:122] + other(sequence[122]).encode(), 120, 123
    )
    narrow = Allele(0, 120, 121, other(sequence[120]).encode(), 120, 121)
    wide_score, narrow_score = (score_strands(model, sequence, [a], horizon_bp=0)[0] for a in (wide, narrow))
    assert np.abs(wide_score - narrow_score).min() > 1e-6


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".h5", ".h5ad"])
def test_11_scores_keep_their_digits(score, model, sequence, suffix):
    """baskerville stores scores as 16-bit floats."""
    places = range(20, 220, 10)
    rows = score({"chrA": sequence}, [line(at + 1, chr(sequence[at]), other(sequence[at])) for at in places], suffix)
    alleles = [Allele(0, at, at + 1, other(sequence[at]).encode(), at, at + 1) for at in places]
    wanted = score_strands(model, sequence, alleles, horizon_bp=10).mean(1)
    found = np.array([float(row["llr"]) for row in rows])
    assert np.abs(found - wanted).max() < 2e-6
    assert np.abs(wanted.astype(np.float16) - wanted).max() > 1e-5  # 16 bits would not do


def test_14_the_fasta_is_opened_once_and_a_contig_read_twice_at_most(score, sequence, monkeypatch):
    """Pangolin opens the FASTA again for every variant."""
    opened, read = [], []
    real = fasta_module.Fasta.bases
    monkeypatch.setattr(fasta_module.Fasta, "bases", lambda self, contig: (read.append(contig), real(self, contig))[1])
    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: (opened.append(self), real_open(self, *a, **k))[1])
    lines = [line(at, chr(sequence[at - 1]), other(sequence[at - 1])) for at in range(1, 100, 3)]
    score({"chrA": sequence, "chrB": sequence}, lines)
    assert read == ["chrA", "chrA"]  # for the checksum that --resume compares, and to be scored; chrB is not read
    assert len([path for path in opened if path.suffix == ".fa"]) <= 4  # its kind, its index and its bytes


def test_the_output_is_whole_or_not_there(score, sequence, tmp_path):
    rows = score({"chrA": sequence}, [line(10, chr(sequence[9]), other(sequence[9]))], ".tsv.gz")
    assert len(rows) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.vcf", "out.tsv.gz"]
    with gzip.open(tmp_path / "out.tsv.gz", "rt") as stream:
        lines = stream.readlines()
    assert lines[-2].startswith("contig\tposition")
    assert all(line.startswith("##") for line in lines[:-2])
