"""Who speaks for a gene of E. coli K-12 that has a paralog: the right gene of W, and where W lacks it the other one.

K-12's argF came with a prophage that W does not have; argI, which both have, is its paralog (79% equal).
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.recall import RecallForm, Relatives
from titans_dna.recall.vote import NONE, votes
from titans_dna.tokenizers import base_ids

AROUND_BP = 2000


@pytest.fixture(scope="module")
def bacteria(shared_data) -> tuple[np.ndarray, Relatives]:
    """K-12, and a memory of W."""
    contigs = []
    for name in ("genomes/ecoli_k12_NC_000913.3.fna.gz", "relatives/ecoli_W.fa.gz"):
        with open_fasta(shared_data / name) as fasta:
            contigs.append(base_ids(fasta.sequence(fasta.contigs.names[0])))
    relatives = Relatives.empty(RecallForm())
    relatives.read("W", "W", [contigs[1]], "")
    return contigs[0], relatives


def gene(data: Path, name: str) -> tuple[int, int, bool]:
    """Start, end and strand (whether reverse) of a gene of K-12."""
    with gzip.open(data / "genomes/ecoli_k12_NC_000913.3.gff.gz", "rt") as gff:
        for line in gff:
            row = line.rstrip("\n").split("\t")
            if len(row) > 8 and row[2] == "gene" and re.search(rf";gene={name};", row[8]):
                return int(row[3]) - 1, int(row[4]), row[6] == "-"
    raise AssertionError(f"{name} is not annotated")


def said(bacteria, data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The bases of a gene of K-12 and those that W has there, both read along the gene."""
    whole, relatives = bacteria
    start, end, reverse = gene(data, name)
    own = whole[start:end]
    vote = votes(relatives, whole[start - AROUND_BP : end + AROUND_BP])[AROUND_BP:-AROUND_BP, 0]
    if not reverse:
        return own, vote
    return 3 - own[::-1], np.where(vote == NONE, NONE, 3 - vote)[::-1]


@pytest.mark.parametrize("name", ["tufA", "tufB", "gadA", "gadB", "argI", "dnaA"])
def test_a_gene_that_both_have_is_followed_in_its_own_place(bacteria, shared_data, name):
    own, vote = said(bacteria, shared_data, name)
    followed = vote != NONE
    assert followed.mean() > 0.99
    assert (vote == own)[followed].mean() > 0.96


def test_a_gene_that_the_relative_lacks_is_spoken_for_by_its_paralog(bacteria, shared_data):
    """The documented limit: such votes look like any others, and are those of another gene."""
    own, vote = said(bacteria, shared_data, "argF")
    paralog, _ = said(bacteria, shared_data, "argI")
    assert len(own) == len(paralog)
    followed = vote != NONE
    assert followed.mean() > 0.9
    assert (vote == own)[followed].mean() < 0.85
    assert (vote == paralog)[followed].mean() > 0.95
