"""Tokens of k bases, side by side or overlapping, and single bases where there are no k plain bases.

Ids 0 to 3 are single bases; the k-mers follow in the order of A C G T, and then N and the specials (see
`titans_dna.tokenizers.base`). Two rules keep the phase:

* side by side: a cell of k bases that holds an N, or is cut off by the end, becomes k (or fewer) single-base tokens,
  and the next cell begins where it would have begun anyway;
* overlapping: token i always begins at base i; it is the k-mer there, or the single base if the k-mer would hold an N
  or reach beyond the end.

So an N changes only the tokens that cover it. An insertion or deletion shifts all cells after it, but leaves the
overlapping tokens after it unchanged.
"""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar, Self

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.tokenizers.base import BASES, SPECIALS, Buffer, Ids, base_ids, check_ids, smallest_dtype

_FIRST = len(BASES)  # id of the first k-mer
_CHUNK = 1 << 16  # bases encoded at once
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)


class KmerTokenizer:
    """Tokens of k bases.

    Parameters
    ----------
    k
        Number of bases in a token, 3 to 8.
    overlapping
        Whether a token begins at every base instead of at every k-th.

    Raises
    ------
    ConfigError
        If k is out of range.

    Examples
    --------
    >>> tokenizer = KmerTokenizer(3)
    >>> ids = tokenizer.encode(b"ACGACNACGAC")
    >>> [tokenizer.vocabulary[i] for i in ids]
    ['ACG', 'A', 'C', 'N', 'ACG', 'A', 'C']
    >>> tokenizer.offsets(ids).tolist()[4]
    [6, 9]
    """

    kind: ClassVar[str] = "kmer"

    def __init__(self, k: int, *, overlapping: bool = False) -> None:
        if not isinstance(k, int) or not 3 <= k <= 8:
            raise ConfigError(f"k-mer tokens of {k!r} bases are not supported. Choose k from 3 to 8.")
        self.k, self.overlapping = k, bool(overlapping)
        self._gap = _FIRST + 4**k  # id of N
        self._dtype = smallest_dtype(self._gap + len(SPECIALS))
        self._singles = np.array([*range(len(BASES)), self._gap], self._dtype)
        self._powers = (4 ** np.arange(k - 1, -1, -1)).astype(np.int32)

    def __repr__(self) -> str:
        return f"KmerTokenizer({self.k}, overlapping={self.overlapping})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KmerTokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.kind, self.k, self.overlapping))

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        return (*BASES, *("".join(letters) for letters in product("ACGT", repeat=self.k)), *SPECIALS)

    @property
    def targets(self) -> int:
        """Number of ids that can be predicted: single bases and k-mers."""
        return self._gap

    def widen(self, start: int, end: int) -> tuple[int, int]:
        """Widen a span to whole cells; where tokens overlap, to all tokens that reach into it."""
        if self.overlapping:
            return max(0, start - self.k + 1), end + self.k - 1
        return start // self.k * self.k, -(-end // self.k) * self.k

    def encode(self, sequence: Buffer) -> Ids:
        """Turn bases into ids of the smallest unsigned type that holds the vocabulary."""
        # Chunks begin at the border of a cell, so the phase is kept.
        step = _CHUNK // self.k * self.k
        encode = self._overlapping if self.overlapping else self._side_by_side
        parts = [encode(sequence, at, min(at + step, len(sequence))) for at in range(0, len(sequence), step)]
        return np.concatenate(parts) if parts else np.empty(0, self._dtype)

    def decode(self, ids: Ids) -> bytes:
        """Turn ids into upper-case bases; <bos> and <pad> become nothing, an overlapping token its first base.

        Raises
        ------
        ConfigError
            If an id lies outside the vocabulary.
        """
        wide = check_ids(ids, self._gap + len(SPECIALS))
        shifts = 2 * np.arange(self.k - 1, -1, -1)
        letters = np.full((len(wide), self.k), len(_LETTERS), np.uint8)
        whole = (wide >= _FIRST) & (wide < self._gap)
        letters[whole] = ((wide[whole, None] - _FIRST) >> shifts) & 3
        letters[wide < _FIRST, 0] = wide[wide < _FIRST]
        letters[wide == self._gap, 0] = len(BASES)
        flat = letters[:, 0] if self.overlapping else letters.reshape(-1)
        return _LETTERS[flat[flat < len(_LETTERS)]].tobytes()

    def offsets(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the bases that each token covers, (n, 2), 0-based half-open; <bos> and <pad> cover none."""
        ids = np.asarray(ids).astype(np.int64)
        widths = np.where((ids >= _FIRST) & (ids < self._gap), self.k, ids <= self._gap)
        steps = np.minimum(widths, 1) if self.overlapping else widths
        starts = np.cumsum(steps) - steps
        return np.stack([starts, starts + widths], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return the settings from which the same tokenizer can be made again."""
        return {"kind": self.kind, "k": self.k, "overlapping": self.overlapping, "vocabulary_size": self._gap + 3}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Self:
        """Make a tokenizer from the settings that `to_json` returned."""
        if settings.get("kind") != cls.kind or "k" not in settings:
            raise ConfigError(f"settings {settings!r} are not those of a k-mer tokenizer. They need kind 'kmer' and k.")
        overlapping = settings.get("overlapping", False)
        if not isinstance(overlapping, bool):
            raise ConfigError(f"overlapping is {overlapping!r} in the settings of k-mers. Write true or false.")
        return cls(settings["k"], overlapping=overlapping)

    def _side_by_side(self, sequence: Buffer, start: int, end: int) -> Ids:
        """Encode bases start to end; a cell must begin at start."""
        bases = base_ids(sequence[start:end])
        cells = bases[: len(bases) // self.k * self.k].reshape(-1, self.k)
        whole = cells.max(axis=1, initial=0) < 4
        # Without a loop over cells: the running sum of tokens per cell says where the tokens of each cell go.
        ids = np.empty(int(np.where(whole, 1, self.k).sum()) + len(bases) - cells.size, self._dtype)
        ends = np.cumsum(np.where(whole, 1, self.k))
        ids[ends[whole] - 1] = cells[whole] @ self._powers + _FIRST
        ids[(ends[~whole] - self.k)[:, None] + np.arange(self.k)] = self._singles[cells[~whole]]
        ids[len(ids) - (len(bases) - cells.size) :] = self._singles[bases[cells.size :]]
        return ids

    def _overlapping(self, sequence: Buffer, start: int, end: int) -> Ids:
        """Encode the tokens that begin at bases start to end."""
        bases = base_ids(sequence[start : end + self.k - 1])
        ids = self._singles[bases[: end - start]]
        places = len(bases) - self.k + 1
        if places > 0:
            codes = np.zeros(places, np.int32)
            whole = np.ones(places, bool)
            for shift in range(self.k):
                codes = codes * 4 + bases[shift : shift + places]
                whole &= bases[shift : shift + places] < 4
            ids[:places][whole] = codes[whole] + _FIRST
        return ids
