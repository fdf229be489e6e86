"""Readers of a copy memory, which recall places while they read.

    state = RecallState(memory=CopyMemory(form))
    found = recall(state, ids)              # found.codes[t]: records of the places that are followed after ids[t]
    found = recall(found.state, more)       # and so on; cutting the stream anywhere changes nothing

A state is a handle to the memory and a position in it. What a memory holds before a position never changes, so states
can be kept, copied and read on from for nothing. A state that is read on with other ids than those that the memory
holds there (a haplotype) goes on in a memory of its own that lies over the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.recall.memory import GAP, CopyMemory

NO_PLACES = np.zeros((0, 4), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class RecallState:
    """Where a reader stands in a copy memory, and the places that it follows; a value that no call changes."""

    memory: CopyMemory
    position: int = 0  # tokens read; with relatives read before, they count too
    floor: int = 0  # nothing before this position is recalled
    places: np.ndarray = field(default_factory=lambda: NO_PLACES)  # (n, 4) position, direction, outcomes, run
    leaves: bool = False  # what is read next goes to a memory of its own, even where this one ends here


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one stream recalled."""

    codes: np.ndarray  # (T, S) uint32, records of the places followed after each token (``record.py``); 0 for none
    state: RecallState  # after the last token
    sources: np.ndarray | None = None  # (T, S) int64, position on the tape of the base that each place foretells


def recall(state: RecallState, ids: np.ndarray, *, sources: bool = False) -> Found:
    """Read ids from where a state stands; what is found after a token depends on it and those before it alone.

    Parameters
    ----------
    state
        Of a new memory, or from an earlier call.
    ids
        (T,) integers: 0 to 3 for bases, anything above for N and other tokens that are no bases.
    sources
        Whether to say where on the tape each place lies.

    Raises
    ------
    ConfigError
        If the memory is a ring that has forgotten what the state stands on.
    """
    ids = np.ascontiguousarray(np.minimum(ids, GAP), dtype=np.uint8)
    memory, start, slots = state.memory, state.position, state.memory.form.places
    if start < memory.oldest_reader():
        raise ConfigError(
            f"the copy memory has gone on {memory.end - start:,} tokens and kept {memory.form.horizon_bases:,}; "
            "read on from a later state, or set a larger recall horizon_bases"
        )
    held = min(memory.end - start, len(ids))
    if len(ids) and (state.leaves or (held and not memory.holds(start, ids[:held]))):
        memory, held = memory.fork(start), 0
    memory._put(ids[held:])
    places = np.zeros((slots, 4), dtype=np.int64)
    places[: len(state.places)] = state.places
    codes = np.zeros((len(ids), slots), dtype=np.uint32)
    where = np.full((len(ids) if sources else 0, slots), -1, dtype=np.int64)
    count = memory.follow(start, ids, state.floor, places, len(state.places), codes, where)
    after = RecallState(memory=memory, position=start + len(ids), floor=state.floor, places=places[:count].copy())
    return Found(codes=codes, state=after, sources=where if sources else None)


def read_gap(state: RecallState, tokens: int) -> RecallState:
    """Return the state after so many tokens that are no bases: what ``recall`` leaves, but at once.

    Raises
    ------
    ConfigError
        If the memory is full.
    """
    if tokens and not state.leaves and state.memory.end == state.position:
        state.memory.append_gap(tokens)
        return replace(state, position=state.position + tokens, places=NO_PLACES)
    for start in range(0, tokens, 1 << 20):  # what the memory holds behind the reader is compared
        state = recall(state, np.full(min(1 << 20, tokens - start), GAP, dtype=np.uint8)).state
    return state
