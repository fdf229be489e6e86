"""What is recalled along the training sequence is what a reader of the whole tape recalls, wherever a window lies."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from recall.sequences import patchwork

from titans_dna.loading import recalled as module
from titans_dna.loading.lanes import EVERYTHING, MASKED, Contig, LaneSampler, Place, reverse_complement_ids
from titans_dna.loading.recalled import with_recalled
from titans_dna.recall import CopyMemory, RecallForm, RecallState, recall
from titans_dna.recall.record import AGE_AT

FORM = RecallForm(index_bits=16, places=6)
LENGTHS = (3000, 1023, 0, 2500, 1800)
GENOMES = (0, 0, 0, 0, 1)
BOS, PAD = 5, 4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TITANS_DNA_CACHE", str(folder))
    return folder


def make_contigs() -> list[Contig]:
    """Contigs of two genomes with copies within and between them, gaps, and soft-masked bases."""
    whole, made, at = patchwork(sum(LENGTHS), 17), [], 0
    for length, genome in zip(LENGTHS, GENOMES, strict=True):
        codes = whole[at : at + length].copy()
        codes[length // 3 : length // 2] |= MASKED
        made.append(Contig(codes=codes, genome=genome))
        at += length
    return made


@pytest.fixture
def contigs() -> list[Contig]:
    return make_contigs()


def read_whole(contigs: list[Contig], reverse: bool, form: RecallForm = FORM) -> np.ndarray:
    """Return the records along the tape of a genome, read at once."""
    parts = [c.codes & (MASKED - 1) for c in contigs]
    if reverse:
        parts = [reverse_complement_ids(part) for part in parts[::-1]]
    tape = np.concatenate([np.append(part, PAD) for part in parts])
    return recall(RecallState(memory=CopyMemory(form)), tape).codes


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("piece", [64, 1000, 1 << 18])
def test_it_equals_reading_the_tape_of_the_genome(contigs, monkeypatch, reverse, piece):
    monkeypatch.setattr(module, "PIECE", piece)
    found = with_recalled(contigs, FORM, workers=2)
    for genome in (0, 1):
        rows = [row for row, contig in enumerate(contigs) if contig.genome == genome]
        whole, at = read_whole([contigs[row] for row in rows], reverse), 0
        assert (whole > 0).any(1).mean() > 0.1
        for row in rows[::-1] if reverse else rows:
            strand, tokens = found[row].recalled[reverse], len(contigs[row].codes)
            assert strand.slots == FORM.places
            np.testing.assert_array_equal(strand.window(0, tokens), whole[at : at + tokens])
            at += tokens + 1


def test_a_window_anywhere_is_a_part_of_the_whole(contigs):
    strand = with_recalled(contigs, FORM)[3].recalled[1]
    whole = strand.window(0, 2500)
    edges = [0, 1, 7, 1000, 1023, 1024, 1025, 2047, 2499, 2500]
    for start in edges:
        for end in (edge for edge in edges if edge >= start):
            np.testing.assert_array_equal(strand.window(start, end), whole[start:end])


def test_relatives_of_one_genome_are_recalled_and_another_genome_is_not(contigs):
    first = np.random.default_rng(0).integers(0, 4, 2000).astype(np.uint8)
    same = with_recalled([Contig(codes=first), Contig(codes=first)], FORM)
    apart = with_recalled([Contig(codes=first), Contig(codes=first, genome=1)], FORM)
    assert (same[1].recalled[0].window(100, 1900) > 0).any(1).mean() > 0.9
    assert (same[0].recalled[1].window(100, 1900) > 0).any(1).mean() > 0.9  # the other strand is read from the end
    assert (apart[1].recalled[0].window(100, 1900) > 0).any(1).mean() < 0.1


def arrays_of(contigs: list[Contig]) -> list[bytes]:
    return [s.window(0, len(c.codes)).tobytes() for c in contigs for s in c.recalled]


@pytest.fixture
def computations(monkeypatch) -> list[bool]:
    """One entry for every strand of a genome that is computed."""
    seen: list[bool] = []
    real = module._computed
    monkeypatch.setattr(module, "_computed", lambda *given: seen.append(given[1]) or real(*given))
    return seen


def test_the_cache_is_used(contigs, cache, computations):
    one = arrays_of(with_recalled(contigs, FORM))
    assert sorted(computations) == [False, False, True, True]
    assert len(list(cache.iterdir())) == 4 * 3
    assert arrays_of(with_recalled(make_contigs(), FORM)) == one
    assert len(computations) == 4
    with_recalled(contigs, RecallForm(index_bits=16, places=5))
    assert len(computations) == 8  # another form has other records
    contigs[4].codes[5] = (contigs[4].codes[5] + 1) % 4
    with_recalled(contigs, FORM)
    assert len(computations) == 10


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGE = {"cut off": truncate, "empty": lambda _: b"", "no array": lambda d: b"x" * len(d), "flipped": flip_middle}


@pytest.mark.parametrize("part", module.PARTS)
@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_cache_is_computed_anew(contigs, cache, computations, part, damage):
    if (part, damage) == ("codes", "flipped"):
        pytest.skip("records are as many as before: nothing tells")
    one = arrays_of(with_recalled(contigs, FORM))
    for path in cache.glob(f"*.{part}.npy"):
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert arrays_of(with_recalled(contigs, FORM)) == one
    assert len(computations) == 8
    assert arrays_of(with_recalled(contigs, FORM)) == one
    assert len(computations) == 8  # and it is whole again


def test_a_part_that_is_missing_is_computed_anew(contigs, cache, computations):
    one = arrays_of(with_recalled(contigs, FORM))
    next(cache.glob("*.codes.npy")).unlink()
    assert arrays_of(with_recalled(contigs, FORM)) == one
    assert len(computations) == 5


def test_a_cache_that_cannot_be_written_is_no_error(contigs, cache, tmp_path, monkeypatch):
    one = arrays_of(with_recalled(contigs, FORM))
    (tmp_path / "file").touch()
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "file" / "below"))
    assert arrays_of(with_recalled(contigs, FORM)) == one


def noted(start, started: list[Place], window: int) -> Place:
    started.append(start(window))
    return started[-1]


@pytest.mark.parametrize("lanes", [1, 5])
def test_records_stand_beside_the_inputs_that_they_follow(contigs, lanes):
    """Input j's record is that after reading it; the start token has none. For new lanes and such that go on."""
    found = with_recalled(contigs, FORM)
    sampler = LaneSampler(
        found, lanes=lanes, window_tokens=64, bos=BOS, restart=0.2, without_recall=0.0, cut_recall=0.0, seed=3
    )
    seen = {"fresh": 0, "on": 0, "forward": 0, "reverse": 0, "recalled": 0}
    for _ in range(120 // lanes):
        before = list(sampler._places)
        with pytest.MonkeyPatch.context() as patch:
            started: list[Place] = []
            patch.setattr(sampler, "_start", partial(noted, sampler._start, started))
            batch = sampler.draw()
        assert batch.recalled.dtype == np.uint32
        assert batch.recalled.shape == (lanes, 64, FORM.places)
        for lane in range(lanes):
            place = before[lane] or started.pop(0)
            whole = found[place.contig].recalled[place.reverse].window(0, LENGTHS[place.contig])
            strand = found[place.contig].codes & (MASKED - 1)
            strand = reverse_complement_ids(strand) if place.reverse else strand
            for j in range(64):
                at = place.next_base - 1 + j  # of the base that input j is
                if at >= len(strand) or (j == 0 and batch.fresh[lane]):
                    assert batch.inputs[lane, j] == BOS
                    assert not batch.recalled[lane, j].any()
                    continue
                assert batch.inputs[lane, j] == strand[at]
                np.testing.assert_array_equal(batch.recalled[lane, j], whole[at])
            seen["fresh" if batch.fresh[lane] else "on"] += 1
            seen["reverse" if place.reverse else "forward"] += 1
            seen["recalled"] += int((batch.recalled[lane] > 0).any())
    assert min(seen.values()) > 5, seen


def test_rows_and_windows_of_any_size_carry_their_records(contigs):
    sampler = LaneSampler(with_recalled(contigs, FORM), lanes=4, window_tokens=64, bos=BOS, cut_recall=0.0, seed=1)
    batch = sampler.draw(16)
    assert batch.recalled.shape == (4, 16, FORM.places)
    np.testing.assert_array_equal(batch.rows(1, 3).recalled, batch.recalled[1:3])
    assert LaneSampler(contigs, lanes=2, window_tokens=64, bos=BOS).draw().rows(0, 1).recalled is None


def test_a_share_of_the_windows_recalls_nothing_and_a_share_what_is_near():
    rng = np.random.default_rng(1)
    family = rng.integers(0, 4, 500)
    codes = np.concatenate([part for _ in range(60) for part in (family, rng.integers(0, 4, 500))]).astype(np.uint8)
    found = with_recalled([Contig(codes=codes)], FORM)

    def ages(without: float, cut: float) -> np.ndarray:
        """Return the log2 of the largest distance in each window; 0 where nothing is recalled."""
        sampler = LaneSampler(
            found, lanes=50, window_tokens=600, bos=BOS, restart=1.0, without_recall=without, cut_recall=cut, seed=2
        )
        rows = np.concatenate([sampler.draw().recalled for _ in range(8)])
        return np.where(rows > 0, rows >> AGE_AT & 31, 0).max((1, 2))

    whole = ages(0.0, 0.0)
    assert (whole == 0).mean() < 0.05  # those at the start of the contig
    assert (whole >= 10).mean() > 0.9
    assert not ages(1.0, 0.0).any()
    assert (ages(0.25, 0.0) == 0).mean() == pytest.approx(0.25, abs=0.07)
    near = ages(0.0, 1.0)  # the unit of the repeat, of 1,000 bases, lies beyond a cut at 2**8 or 2**9, of 8 to 22
    assert (near == 0).mean() == pytest.approx(2 / 15, abs=0.07)
    assert (near == 9).mean() > (whole == 9).mean()
    assert EVERYTHING > 31  # any distance that a record can tell


def test_a_restored_sampler_goes_on_with_the_same_records(contigs):
    found = with_recalled(contigs, FORM)

    def make() -> LaneSampler:
        return LaneSampler(found, lanes=5, window_tokens=64, bos=BOS, restart=0.3, seed=6)

    first, second = make(), make()
    for _ in range(5):
        first.draw()
    second.restore(json.loads(json.dumps(first.state())))
    for _ in range(6):
        np.testing.assert_array_equal(first.draw().recalled, second.draw().recalled)


PEAK = """
import resource, sys, numpy as np
from titans_dna.loading import recalled
rng = np.random.default_rng(0)
sizes = rng.integers(1 << 20, 1 << 21, 40)
arrays = [rng.integers(0, 9, size, dtype=np.uint32) for size in sizes]
held = sum(array.nbytes for array in arrays)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
joined = recalled._joined(arrays)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / held, len(joined) == sizes.sum())
"""


def test_records_are_held_in_memory_once_while_they_are_joined():
    if sys.platform != "linux" or not hasattr(resource, "RUSAGE_SELF"):
        pytest.skip("the peak is read as Linux tells it")
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=120)
    more, whole = done.stdout.split()
    assert whole == "True"
    assert float(more) < 0.3
