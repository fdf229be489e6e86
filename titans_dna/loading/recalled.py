"""What the copy memory recalls along the training sequence, computed once, ahead, for every contig and both strands.

The contigs of a genome lie on one tape, one after the other with a gap between, so that a window meets copies from
anywhere before it: in its own contig, and in those of relatives in the same file. The other strand has a tape of its
own, read from the last contig to the first. Records depend on the ids alone, so they are kept in the cache beside the
codes of the genomes, under a digest of ids and form.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from titans_dna.io.disk.cache import cache_folder, try_to_store
from titans_dna.loading.lanes import MASKED, Contig, reverse_complement_ids
from titans_dna.recall import CopyMemory, RecallForm, RecallState, recall
from titans_dna.recall.memory import GAP

BLOCK = 1024  # tokens between two whose first record is looked up
PIECE = 1 << 18  # tokens recalled at once
PARTS = ("counts", "codes", "starts")
# NumPy parses the header of a .npy file as Python, and Python 3.11 may raise SystemError where two threads parse at
# once (gh-106905).
_PARSING = Lock()


@dataclass(frozen=True, kw_only=True)
class RecalledStrand:
    """Records of the tokens ``offset`` to ``offset + tokens`` of a tape."""

    counts: np.ndarray  # (tape,) uint8: places followed after each token
    codes: np.ndarray  # (all of them,) uint32
    starts: np.ndarray  # int64: records before every BLOCK-th token
    slots: int
    offset: int = 0
    tokens: int = 0

    def window(self, start: int, end: int) -> np.ndarray:
        """Return the records after tokens ``start`` to ``end`` (half-open), (T, S) uint32; 0 for no place."""
        first, last = self.offset + start, self.offset + end
        counts = self.counts[first:last]
        block = first // BLOCK
        at = int(self.starts[block]) + int(self.counts[block * BLOCK : first].sum(dtype=np.int64))
        out = np.zeros((end - start, self.slots), dtype=np.uint32)
        out[np.arange(self.slots) < counts[:, None]] = self.codes[at : at + int(counts.sum(dtype=np.int64))]
        return out


def with_recalled(contigs: Sequence[Contig], form: RecallForm, workers: int | None = None) -> list[Contig]:
    """Return the contigs with what is recalled along both strands of each.

    Parameters
    ----------
    contigs
        Those of one ``genome`` share a tape, in the order given.
    form
        The copy memory.
    workers
        Threads; as many as the process may use if None.
    """
    genomes = sorted({contig.genome for contig in contigs})
    tapes = {g: [i for i, contig in enumerate(contigs) if contig.genome == g] for g in genomes}
    jobs = [(rows, reverse) for rows in tapes.values() for reverse in (False, True)]
    found: dict[tuple[int, bool], RecalledStrand] = {}
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        strands = pool.map(lambda job: _strand([contigs[row].codes for row in job[0]], job[1], form), jobs)
        for (rows, reverse), strand in zip(jobs, strands, strict=True):
            offset = 0
            for row in reversed(rows) if reverse else rows:
                tokens = len(contigs[row].codes)
                found[row, reverse] = replace(strand, offset=offset, tokens=tokens)
                offset += tokens + 1
    return [replace(c, recalled=(found[row, False], found[row, True])) for row, c in enumerate(contigs)]


def _strand(codes: Sequence[np.ndarray], reverse: bool, form: RecallForm) -> RecalledStrand:
    """Return what is recalled along one strand of a genome, from the cache if it was computed before."""
    digest = hashlib.sha256(json.dumps([asdict(form), reverse, BLOCK, 2]).encode())
    for piece in codes:
        digest.update((piece & np.uint8(MASKED - 1)).tobytes())
        digest.update(b"|")
    places = [cache_folder() / f"recall-{digest.hexdigest()[:32]}.{part}.npy" for part in PARTS]
    arrays = _stored(places)
    if arrays is None:
        arrays = _computed(codes, reverse, form)
        for place, array in zip(places, arrays, strict=True):
            try_to_store(place, partial(_save, array=array))
        arrays = _stored(places) or arrays
    return RecalledStrand(counts=arrays[0], codes=arrays[1], starts=arrays[2], slots=form.places)


def _save(path: Path, *, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _stored(places: Sequence[Path]) -> list[np.ndarray] | None:
    try:
        with _PARSING:
            arrays = [np.load(place, mmap_mode="r") for place in places]
        counts, codes, starts = arrays
        kinds = [(array.dtype, array.ndim) for array in arrays] == [(np.uint8, 1), (np.uint32, 1), (np.int64, 1)]
        return arrays if kinds and np.array_equal(_starts(counts), [*starts, len(codes)]) else None
    except (OSError, ValueError, IndexError, EOFError):  # it is not there, or damaged: it is computed anew
        return None


def _starts(counts: np.ndarray) -> np.ndarray:
    """Return the number of records before every BLOCK-th token, and of all."""
    sums = np.add.reduceat(counts, np.arange(0, len(counts), BLOCK), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(sums)])


def _computed(codes: Sequence[np.ndarray], reverse: bool, form: RecallForm) -> list[np.ndarray]:
    state, counts, records = RecallState(memory=CopyMemory(form)), [], []
    for contig in reversed(codes) if reverse else codes:
        for start in range(0, len(contig) + 1, PIECE):
            piece = _ids(contig, start, min(start + PIECE, len(contig)), reverse)
            if start + PIECE > len(contig):
                piece = np.append(piece, np.uint8(GAP))
            found = recall(state, piece)
            state = found.state
            held = found.codes > 0
            counts.append(held.sum(1, dtype=np.uint8))
            records.append(found.codes[held])
    every = _joined(counts)
    return [every, _joined(records), _starts(every)[:-1]]


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    """Return the pieces as one array; each is let go as soon as it is copied, so that memory holds them once."""
    out = np.empty(sum(map(len, pieces)), dtype=pieces[0].dtype)
    end = len(out)
    while pieces:
        piece = pieces.pop()
        out[end - len(piece) : end] = piece
        end -= len(piece)
    return out


def _ids(codes: np.ndarray, start: int, end: int, reverse: bool) -> np.ndarray:
    if reverse:
        return reverse_complement_ids(codes[len(codes) - end : len(codes) - start]) & np.uint8(MASKED - 1)
    return codes[start:end] & np.uint8(MASKED - 1)
