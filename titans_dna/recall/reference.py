"""The copy memory in plain Python, slow and without an index: what the compiled loops must equal to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from titans_dna.recall.follow_kernels import CHANCE_RUN, LEAST_OF_16, STRIDE, SURE_RUN
from titans_dna.recall.form import CHUNK, RecallForm
from titans_dna.recall.kernels import SPAN
from titans_dna.recall.record import AGE_AT, HELD_AT, HITS_AT, INVERTED_AT, LAST_AT, RUN_AT

WIDE = (1 << 64) - 1


def hashed(word: int) -> int:
    """Spread a word over 64 bits."""
    word = (word ^ word >> 32) * 0xD6E8FEB86659FD93 & WIDE
    word = (word ^ word >> 29) * 0x9E3779B97F4A7C15 & WIDE
    return word ^ word >> 32


def address_of(bases: list[int], kind: int, form: RecallForm) -> int:
    """Return the address of a word, or -1 if words like it are not written."""
    counted = zip(form.words[kind], bases, strict=True)
    mixed = hashed(sum(base << 2 * i for i, (digit, base) in enumerate(counted) if digit == "1"))
    every = form.sample_every[kind]
    return -1 if every > 1 and (mixed >> 40) % every else mixed & (1 << form.index_bits) - 1


@dataclass
class Place:
    """A followed place; the newest of ``outcomes`` is the last."""

    position: int
    direction: int
    outcomes: list[bool]
    run: int

    @property
    def hits(self) -> int:
        """Of the last 32 bases, those that it foretold."""
        return sum(self.outcomes)


@dataclass
class ReferenceRecall:
    """One reader of a whole stream, token by token."""

    form: RecallForm
    floor: int = 0
    tape: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    entries: list[dict[int, list[int]]] = field(default_factory=list)  # per length, address to ends of words, rising

    def read(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return records and sources of the places followed after each token, (T, S) each."""
        self.entries = self.entries or [{} for _ in self.form.words]
        codes = np.zeros((len(ids), self.form.places), dtype=np.uint32)
        sources = np.full(codes.shape, -1, dtype=np.int64)
        for row, token in enumerate(ids.tolist()):
            now = len(self.tape)
            if now % CHUNK == 0:
                self._write(now - CHUNK, now)
            self.tape.append(min(token, 4))
            self._step(now)
            for slot, place in enumerate(self._heard()):
                codes[row, slot] = self._record(place, now)
                sources[row, slot] = place.position
        return codes, sources

    def _heard(self) -> list[Place]:
        """Return the places that vote: all of them, or those that agree with the leading one."""
        longest = max((place.run for place in self.places), default=0)
        if not 0 < self.form.leading_run <= longest:
            return self.places
        least = min(longest, max(self.form.leading_run + SURE_RUN, longest - CHANCE_RUN))
        best = max((place for place in self.places if place.run >= least), key=lambda place: place.position)
        base = self._foretold(best.position, best.direction)
        return [place for place in self.places if self._foretold(place.position, place.direction) == base]

    def _write(self, start: int, end: int) -> None:
        for at in range(max(0, start), end):
            for kind, k in enumerate(map(len, self.form.words)):
                word = self.tape[max(0, at - k + 1) : at + 1]
                if len(word) < k or 4 in word:
                    continue
                address = address_of(word, kind, self.form)
                ends = self.entries[kind].setdefault(address, [])
                if address >= 0 and not (ends and at - ends[-1] < self.form.spacing_bases):
                    ends.append(at)

    def _oldest(self, now: int) -> int:
        return max(self.floor, now + 1 - self.form.horizon_bases) if self.form.horizon_bases else self.floor

    def _foretold(self, position: int, direction: int) -> int:
        base = self.tape[position]
        return base if base > 3 or direction > 0 else 3 - base

    def _step(self, now: int) -> None:
        token, oldest = self.tape[now], self._oldest(now)
        if token > 3:
            self.places = []
            return
        kept = []
        for place in self.places:
            hit = self._foretold(place.position, place.direction) == token
            place.outcomes = [*place.outcomes[1:], hit]
            place.run = place.run + 1 if hit else 0
            place.position += place.direction
            if place.position >= oldest and sum(place.outcomes[16:]) >= LEAST_OF_16:
                kept += [place] if self._foretold(place.position, 1) < 4 else []
        self.places = kept
        enough = len(kept) == self.form.places or any(place.run >= SPAN for place in kept)
        if enough and now % STRIDE:
            return
        for kind, k in enumerate(map(len, self.form.words)):
            word = self.tape[max(0, now - k + 1) :]
            if len(word) == k and 4 not in word:
                for direction in (1, -1) if self.form.inverted else (1,):
                    self._find(kind, k, now, oldest, direction)

    def _find(self, kind: int, k: int, now: int, oldest: int, direction: int) -> None:
        word = self.tape[now - k + 1 :] if direction > 0 else [3 - base for base in reversed(self.tape[now - k + 1 :])]
        address = address_of(word, kind, self.form)
        limit = now // CHUNK * CHUNK
        ends = [end for end in self.entries[kind].get(address, []) if oldest + k - 1 <= end < limit]
        for end in ends[: -self.form.matches - 1 : -1]:
            position = end + 1 if direction > 0 else end - k
            if position < oldest or self._foretold(position, 1) > 3:
                continue
            outcomes = [self._agrees(now - back, position, direction, back, oldest, now) for back in range(SPAN)][::-1]
            self._follow(Place(position, direction, outcomes, _run(outcomes)))

    def _agrees(self, at: int, position: int, direction: int, back: int, oldest: int, now: int) -> bool:
        """Tell whether the base at ``at`` is what the place would have foretold; gaps count as base 0."""
        source = position - direction * (1 + back)
        if source < oldest or source > now:
            return False
        read = 0 if at < 0 or self.tape[at] > 3 else self.tape[at]
        held = 0 if self.tape[source] > 3 else self.tape[source]
        return read == (held if direction > 0 else 3 - held)

    def _follow(self, new: Place) -> None:
        if new.hits < self.form.accepted_hits:
            return
        if any((p.position, p.direction) == (new.position, new.direction) for p in self.places):
            return
        if len(self.places) < self.form.places:
            self.places.append(new)
            return
        worst = min(range(len(self.places)), key=lambda j: self.places[j].hits)
        if new.hits > self.places[worst].hits:
            self.places[worst] = new

    def _record(self, place: Place, now: int) -> int:
        length = place.run if place.run < 32 else min(63, 32 + place.run.bit_length() - 1 - 5)
        age = min(31, max(1, now + 1 - place.position).bit_length() - 1)
        last = sum(hit << i for i, hit in enumerate(place.outcomes[-8:]))
        base = self._foretold(place.position, place.direction)
        return (
            base | place.hits << HITS_AT | last << LAST_AT | length << RUN_AT | age << AGE_AT
            | (place.direction < 0) << INVERTED_AT | 1 << HELD_AT
        )  # fmt: skip


def _run(outcomes: list[bool]) -> int:
    return next((i for i, hit in enumerate(reversed(outcomes)) if not hit), SPAN)
