"""A branch from a kept state gives what a reading of the whole changed contig gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference import branches, score_variants
from titans_dna.inference.alleles import Allele, read_alleles
from titans_dna.inference.score_variants import score_strands
from titans_dna.model.config import BLOCKS, MemoryLayout

BASES = 230  # stride of the branches is 32 inputs; several of them, and an end that is no multiple
STRANDS = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def score_alleles(model, sequence, alleles, *, horizon_bp, reverse, progress=lambda _: None) -> np.ndarray:
    """Scores of one strand, (alleles,)."""
    return score_strands(model, sequence, alleles, horizon_bp=horizon_bp, strands=(reverse,), progress=progress)[:, 0]


def log_probabilities(model, sequence: bytes) -> np.ndarray:
    """ln P of every base, read in one call from the start; nan where a base is not known."""
    ids = torch.from_numpy(model.tokenizer.encode(sequence).astype(np.int64))
    inputs = torch.cat([torch.tensor([model.bos]), ids[:-1]])[None]
    with torch.inference_mode():
        log_p = model.backbone(inputs)[0].log_softmax(-1).double().numpy()
    known = ids.numpy() < 4
    picked = log_p[np.arange(len(ids)), np.where(known, ids.numpy(), 0)]
    return np.where(known, picked, np.nan)


def brute_force(model, sequence: bytes, allele: Allele, horizon_bp: int, reverse: bool) -> float:
    """Read the contig with ALT in place and the contig as it is, whole; compare from ``first`` to the horizon."""
    changed = sequence[: allele.start] + allele.alt + sequence[allele.end :]
    length, grown = len(sequence), len(changed) - len(sequence)
    if reverse:
        sequence, changed = reverse_complement(sequence), reverse_complement(changed)
    first, last = (length - allele.last, length - allele.first) if reverse else (allele.first, allele.last)
    stop = min(length, last + horizon_bp)
    ref = np.nansum(log_probabilities(model, sequence)[first:stop])
    return float(np.nansum(log_probabilities(model, changed)[first : stop + grown]) - ref) if changed else -float(ref)


def plain(start: int, end: int, alt: bytes) -> Allele:
    return Allele(row=0, start=start, end=end, alt=alt, first=start, last=end)


CASES = {
    "snv": (100, 101, b"A"),
    "first base": (0, 1, b"G"),
    "last base": (BASES - 1, BASES, b"G"),
    "insertion": (97, 97, b"GATTACA"),
    "insertion before all": (0, 0, b"ACG"),
    "insertion after all": (BASES, BASES, b"ACG"),
    "deletion": (60, 71, b""),
    "deletion of the start": (0, 5, b""),
    "deletion of the end": (BASES - 5, BASES, b""),
    "mnv": (127, 131, b"TGCA"),
    "delins": (95, 99, b"TTTTTTTTT"),
    "at a branch": (96, 97, b"C"),
    "across a branch": (94, 98, b""),
    "longer than the branches": (40, 140, b"A"),
}


@STRANDS
@pytest.mark.parametrize("horizon_bp", [0, 1, 50, 1000])
def test_every_kind_equals_a_rerun_of_the_whole_contig(model, random_bases, reverse, horizon_bp):
    sequence = random_bases(BASES, 3)
    alleles = [plain(*case) for case in CASES.values()]
    scores = score_alleles(model, sequence, alleles, horizon_bp=horizon_bp, reverse=reverse)
    wanted = [brute_force(model, sequence, allele, horizon_bp, reverse) for allele in alleles]
    for name, score, value in zip(CASES, scores, wanted, strict=True):
        assert score == pytest.approx(value, abs=1e-4), name
    assert len({round(value, 3) for value in wanted}) > len(wanted) // 2  # the model tells them apart


KINDS = {
    **{block: {"block": block, "segment_tokens": 24} for block in BLOCKS},
    "resets": {"reset_tokens": 40},
    "two memories": {"further_memories": (MemoryLayout(heads=1, chunk_tokens=12, reset_tokens=24),)},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_model_equals_a_rerun(make_model, random_bases, kind):
    """Branches that stand at different places of a chunk, segment or reset are never read as one batch."""
    model, sequence = make_model(**KINDS[kind]), bytearray(random_bases(BASES, 3))
    sequence[150:153] = b"NNN"
    names = ("snv", "insertion", "deletion", "mnv", "first base", "last base", "insertion after all", "across a branch")
    alleles = [plain(*CASES[name]) for name in names]
    alleles += [plain(103, 104, b"T"), plain(103, 104, b"G"), plain(149, 150, b"A"), plain(153, 153, b"CC")]
    scores = score_strands(model, bytes(sequence), alleles, horizon_bp=40)
    for column, reverse in enumerate((False, True)):
        wanted = [brute_force(model, bytes(sequence), allele, 40, reverse) for allele in alleles]
        assert scores[:, column] == pytest.approx(wanted, abs=1e-4)


def test_little_memory_for_waiting_states_changes_nothing(make_model, random_bases, monkeypatch):
    """States of the quadratic baseline grow along the contig; they are read off before they fill the memory."""
    model, sequence = make_model(block="transformer"), random_bases(BASES, 3)
    alleles = many(sequence, 30, 5)
    whole = score_strands(model, sequence, alleles, horizon_bp=30)
    monkeypatch.setattr(branches, "WAITING_BYTES", 1)
    assert score_strands(model, sequence, alleles, horizon_bp=30) == pytest.approx(whole, abs=1e-4)


@STRANDS
def test_beside_and_across_unknown_bases(model, random_bases, reverse):
    sequence = bytearray(random_bases(BASES, 4))
    sequence[100:104] = b"NNNN"
    sequence[150] = ord("R")
    sequence[20:40] = bytes(sequence[20:40]).lower()
    alleles = [
        plain(99, 100, b"T"), plain(104, 105, b"T"), plain(104, 104, b"ACGT"), plain(97, 100, b""),
        plain(149, 150, b"A"), plain(30, 31, b"G"),
    ]  # fmt: skip
    scores = score_alleles(model, bytes(sequence), alleles, horizon_bp=60, reverse=reverse)
    wanted = [brute_force(model, bytes(sequence), allele, 60, reverse) for allele in alleles]
    assert scores == pytest.approx(wanted, abs=1e-4)


def test_a_wide_ambiguity_is_compared_as_a_whole(model, random_bases):
    sequence = random_bases(80, 5) + b"CA" * 30 + random_bases(60, 6)
    allele = Allele(row=0, start=80, end=82, alt=b"", first=80, last=140)
    for reverse in (False, True):
        score = score_alleles(model, sequence, [allele], horizon_bp=20, reverse=reverse)
        assert score[0] == pytest.approx(brute_force(model, sequence, allele, 20, reverse), abs=1e-4)


def test_the_reference_against_itself_scores_nothing(model, random_bases):
    sequence = random_bases(BASES, 3)
    alleles = [plain(at, at + 1, sequence[at : at + 1]) for at in (0, 31, 32, 33, 150, BASES - 1)]
    for reverse in (False, True):
        scores = score_alleles(model, sequence, alleles, horizon_bp=64, reverse=reverse)
        assert np.abs(scores).max() < 1e-4


def test_a_contig_of_one_base(model):
    alleles = [plain(0, 1, b"C"), plain(0, 0, b"GG"), plain(1, 1, b"GG"), plain(0, 1, b"")]
    for reverse in (False, True):
        scores = score_alleles(model, b"A", alleles, horizon_bp=10, reverse=reverse)
        wanted = [brute_force(model, b"A", allele, 10, reverse) for allele in alleles]
        assert scores == pytest.approx(wanted, abs=1e-5)


def many(sequence: bytes, count: int, seed: int) -> list[Allele]:
    random = np.random.default_rng(seed)
    alleles = []
    for row in range(count):
        start = int(random.integers(0, len(sequence)))
        end = min(len(sequence), start + int(random.integers(0, 6)))
        alt = bytes(random.choice(list(b"ACGT"), int(random.integers(0, 9))).astype(np.uint8))
        alleles.append(Allele(row=row, start=start, end=end, alt=alt, first=start, last=end))
    return alleles


@pytest.mark.parametrize("batch", [1, 3, 7, 64])
def test_scores_do_not_depend_on_batch_mates_or_order(model, random_bases, monkeypatch, batch):
    sequence = random_bases(400, 8)
    alleles = many(sequence, 40, 2)
    whole = score_alleles(model, sequence, alleles, horizon_bp=70, reverse=False)
    order = np.random.default_rng(batch).permutation(len(alleles))
    monkeypatch.setitem(branches.BATCH_BRANCHES, "cpu", batch)
    again = score_alleles(model, sequence, [alleles[i] for i in order], horizon_bp=70, reverse=False)
    assert again == pytest.approx(whole[order], abs=1e-5 * math.sqrt(140))
    alone = score_alleles(model, sequence, alleles[5:6], horizon_bp=70, reverse=False)
    assert alone[0] == pytest.approx(whole[5], abs=1e-4)


def test_the_place_of_the_branches_does_not_matter(model, random_bases, monkeypatch):
    sequence = random_bases(300, 9)
    alleles = many(sequence, 12, 4)
    one = score_alleles(model, sequence, alleles, horizon_bp=50, reverse=True)
    monkeypatch.setattr(score_variants, "BRANCH_CHUNKS", 4)
    two = score_alleles(model, sequence, alleles, horizon_bp=50, reverse=True)
    assert two == pytest.approx(one, abs=1e-4)


def test_progress_adds_up_to_the_contig(model, random_bases):
    seen: list[int] = []
    score_alleles(
        model, random_bases(150), [plain(5, 6, b"A")], horizon_bp=9, reverse=False, progress=seen.append
    )  # fmt: skip
    assert sum(seen) == 150


# A contig where most indels can be written in several ways: runs, dinucleotides, a triplet repeat, its ends too.
REPEATS = b"AAAAACACACACAGTTTTTTGATCATCATCATCATGCGCGCGCTTAGGGGGGGCCCATATATATAGAGAGAGTTT"


def writings(start: int, end: int, alt: bytes) -> list[tuple[int, str, str]]:
    """Every (POS, REF, ALT) of up to three bases of padding on either side that gives the same haplotype."""
    wanted = REPEATS[:start] + alt + REPEATS[end:]
    grown, found = len(wanted) - len(REPEATS), []
    for first in range(max(0, start - 20), start + 20):
        for size in range(1, end - start + 5):
            size_alt = size + grown
            last = first + size
            if last > len(REPEATS) or size_alt < 1:
                continue
            text = wanted[first : first + size_alt]
            if REPEATS[:first] + text + REPEATS[last:] == wanted and text != REPEATS[first:last]:
                found.append((first + 1, REPEATS[first:last].decode(), text.decode()))
    return found


@pytest.fixture(scope="module")
def repeats(make_fasta):
    with make_fasta({"chrA": REPEATS}) as fasta:
        yield fasta


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_haplotype_is_one_allele_however_it_is_written(repeats, make_record, data):
    start = data.draw(st.integers(0, len(REPEATS) - 1), "start")
    end = min(len(REPEATS), start + data.draw(st.integers(0, 4), "deleted"))
    alt = data.draw(st.text("ACGT", min_size=0, max_size=4), "inserted").encode()
    ways = writings(start, end, alt)
    if not ways:
        return
    records = [make_record(position, ref, alternative) for position, ref, alternative in ways]
    table = read_alleles(records, repeats, longest_bp=100)
    found = {(a.start, a.end, a.alt, a.first, a.last) for a in table.alleles["chrA"]}
    assert len(table.alleles["chrA"]) == len(ways)
    assert len(found) == 1, found
    first_base = {position - 1 for position, ref, alternative in ways if len(ref) == 1 or len(alternative) == 1}
    (only,) = found
    assert REPEATS[: only[0]] + only[2] + REPEATS[only[1] :] == REPEATS[:start] + alt + REPEATS[end:]
    assert only[3] <= only[0] <= only[1] <= only[4]
    assert not first_base or only[3] <= min(first_base) + 1


@settings(max_examples=6, deadline=None)
@given(start=st.integers(0, len(REPEATS) - 3), alt=st.sampled_from([b"", b"A", b"CA", b"ATC", b"GG"]))
def test_one_haplotype_has_one_score_however_it_is_written(model, repeats, make_record, start, alt):
    ways = writings(start, start + 2, alt)
    if not ways:
        return
    table = read_alleles([make_record(*way) for way in ways], repeats, longest_bp=100)
    for reverse in (False, True):
        scores = score_alleles(model, REPEATS, table.alleles["chrA"], horizon_bp=30, reverse=reverse)
        assert np.ptp(scores) < 1e-4
        first = brute_force(model, REPEATS, table.alleles["chrA"][0], 30, reverse)
        assert scores[0] == pytest.approx(first, abs=1e-4)
