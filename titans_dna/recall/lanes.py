"""Readers side by side, one for each row of a batch; rows come, go and change places as those of a state do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from titans_dna.errors import CheckpointError
from titans_dna.recall.form import MOST_TOKENS, RecallForm
from titans_dna.recall.memory import CopyMemory
from titans_dna.recall.reader import RecallState, read_gap, recall


@dataclass(frozen=True, kw_only=True)
class RecallLanes:
    """The readers of a batch, in the order of its rows.

    A state that comes from a file has readers whose memory is still to be read: ``checksums`` says what must stand in
    it, and ``attach`` gives it back.
    """

    streams: tuple[RecallState, ...]
    checksums: tuple[int, ...] = ()  # of what each reader had read; empty where the memories are at hand

    @classmethod
    def start(cls, form: RecallForm, rows: int, before: CopyMemory | None = None) -> RecallLanes:
        """Return readers before the first token of streams of their own, which may lie behind what was read before."""
        if before is not None:
            return cls(streams=(RecallState(memory=before, position=before.end, leaves=True),) * rows)
        return cls(streams=tuple(RecallState(memory=CopyMemory(form)) for _ in range(rows)))

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, RecallLanes]:
        """Return the records after each token, (B, T, S) uint32, and the readers after the last token.

        Raises
        ------
        CheckpointError
            If the memories are not at hand.
        """
        if self.checksums:
            raise CheckpointError(
                "the state recalls what was read before it was saved, and that is not in its file; "
                "give it back with titans_dna.model.state.attach"
            )
        found = [recall(state, row) for state, row in zip(self.streams, ids, strict=True)]
        return np.stack([f.codes for f in found]), RecallLanes(streams=tuple(f.state for f in found))

    def read_gap(self, tokens: int) -> RecallLanes:
        """Return the readers after so many tokens that are no bases."""
        assert not self.checksums, "the memories are at hand"
        return RecallLanes(streams=tuple(read_gap(state, tokens) for state in self.streams))

    def attach(self, ids_of: Callable[[int], np.ndarray], before: CopyMemory | None = None) -> RecallLanes:
        """Return readers whose memories hold what each row had read: what was read before, the ids up to its position.

        Raises
        ------
        CheckpointError
            If they are not what was read.
        """
        streams = []
        for row, (state, checksum) in enumerate(zip(self.streams, self.checksums, strict=True)):
            memory = before.fork(before.end) if before is not None else CopyMemory(state.memory.form)
            memory.append(ids_of(row))
            if memory.end != state.position or memory.checksum(memory.end) != checksum:
                raise CheckpointError("the sequence is not the one that the saved state had read; begin anew")
            streams.append(replace(state, memory=memory))
        return RecallLanes(streams=tuple(streams))

    def detached(self) -> RecallLanes:
        """Return the readers as they are kept in a file: places and checksums, without the memories."""
        sums = self.checksums or tuple(state.memory.checksum(state.position) for state in self.streams)
        bare = tuple(replace(state, memory=CopyMemory(state.memory.form)) for state in self.streams)
        return RecallLanes(streams=bare, checksums=sums)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values for JSON: all but the memories."""
        kept = self.detached()
        return {
            "form": asdict(kept.streams[0].memory.form if kept.streams else RecallForm()),
            "streams": [[s.position, s.floor, s.places.tolist()] for s in kept.streams],
            "checksums": list(kept.checksums),
        }

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> RecallLanes:
        """Return the readers of ``to_plain``, whose memories are to be attached.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the values cannot be those of readers.
        """
        names: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in dict(values["form"]).items()
        }
        streams, form = [], RecallForm(**names)
        for position, floor, rows in values["streams"]:
            if any(type(number) is not int for number in (position, floor, *(n for row in rows for n in row))):
                raise ValueError("a place is no whole number")
            places = np.array(rows, dtype=np.int64).reshape(-1, 4)
            at, direction, outcomes, run = places.T
            if not (0 <= floor <= position <= MOST_TOKENS and len(places) <= form.places):
                raise ValueError("a reader stands where none can be")
            ahead = (at >= floor) & (at < position) & (abs(direction) == 1)
            if not (ahead & (run >= 0) & (run <= max(position, 32)) & (outcomes >> 32 == 0)).all():
                raise ValueError("a followed place lies where none can be")
            streams.append(RecallState(memory=CopyMemory(form), position=position, floor=floor, places=places))
        if len(values["checksums"]) != len(streams):
            raise ValueError("not every reader has a checksum")
        return cls(streams=tuple(streams), checksums=tuple(map(int, values["checksums"])))

    def select(self, rows: Sequence[int]) -> RecallLanes:
        """Return the readers of ``rows``, in that order."""
        return self._with([(self, row) for row in rows])

    def where(self, mask: Sequence[bool], other: RecallLanes) -> RecallLanes:
        """Return, row by row, this reader where ``mask`` is true and the other's elsewhere."""
        return self._with([(self if own else other, row) for row, own in enumerate(mask)])

    @classmethod
    def join(cls, lanes: Sequence[RecallLanes]) -> RecallLanes:
        """Return the readers of several batches as one."""
        return cls._with([(part, row) for part in lanes for row in range(len(part.streams))])

    def leave(self) -> RecallLanes:
        """Return copies of these readers that stand at the same tokens and go on reading into memories of their own."""
        return replace(self, streams=tuple(replace(state, leaves=True) for state in self.streams))

    @staticmethod
    def _with(rows: Sequence[tuple[RecallLanes, int]]) -> RecallLanes:
        sums = tuple(part.checksums[row] for part, row in rows if part.checksums)
        return RecallLanes(streams=tuple(part.streams[row] for part, row in rows), checksums=sums)
