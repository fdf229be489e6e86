"""One token per base, so that there is no phase to lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.tokenizers.base import BASES, SPECIALS, BaseIds, Buffer, Ids, base_ids, check_ids

_LETTERS = np.frombuffer(b"ACGTN", np.uint8)


@dataclass(frozen=True)
class NucleotideTokenizer:
    """One token per base: A 0, C 1, G 2, T 3, N 4, and the specials <bos> 5 and <pad> 6.

    Examples
    --------
    >>> tokenizer = NucleotideTokenizer()
    >>> tokenizer.encode(b"ACgtuRN").tolist()
    [0, 1, 2, 3, 3, 4, 4]
    >>> tokenizer.decode(tokenizer.encode(b"acgtn"))
    b'ACGTN'
    """

    kind: ClassVar[str] = "nucleotide"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        return BASES + SPECIALS

    @property
    def targets(self) -> int:
        """Number of ids that can be predicted: A, C, G and T."""
        return len(BASES)

    def widen(self, start: int, end: int) -> tuple[int, int]:
        """Return the span itself, because the token of a base depends on no other base."""
        return start, end

    def encode(self, sequence: Buffer) -> BaseIds:
        """Turn bases into uint8 ids, one per base."""
        return base_ids(sequence)

    def decode(self, ids: Ids) -> bytes:
        """Turn ids into upper-case bases; <bos> and <pad> become nothing.

        Raises
        ------
        ConfigError
            If an id lies outside the vocabulary.
        """
        wide = check_ids(ids, len(self.vocabulary))
        return _LETTERS[wide[wide < len(_LETTERS)]].tobytes()

    def offsets(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the bases that each token covers, (n, 2), 0-based half-open; <bos> and <pad> cover no base."""
        covers = np.asarray(ids) < len(_LETTERS)
        ends = np.cumsum(covers, dtype=np.int64)
        starts = ends - covers
        return np.stack([starts, ends], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Return the settings from which the same tokenizer can be made again."""
        return {"kind": self.kind, "vocabulary_size": len(self.vocabulary)}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Self:
        """Make a tokenizer from the settings that `to_json` returned."""
        if settings.get("kind") != cls.kind:
            raise ConfigError(
                f"tokenizer settings are of kind {settings.get('kind')!r}, not {cls.kind!r}. Use load_tokenizer."
            )
        return cls()
