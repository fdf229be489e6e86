"""Byte-pair encoding learned on a genome, run by the Hugging Face ``tokenizers`` library.

Merges are learned on pieces of plain bases. An N is always a token of its own. Sequence is encoded in pieces of
`PIECE_BP` bases, and no token spans two pieces: this costs one cut in thousands of bases, but time and memory then grow
only linearly. Ids 0 to 3 are single bases; merged tokens follow in the order in which they were learned, and then N and
the specials (see `titans_dna.tokenizers.base`).

References: Sennrich, Haddow, Birch 2016, arXiv:1508.07909; for DNA: Zhou et al. 2024 (DNABERT-2), arXiv:2306.15006.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.tokenizers.base import BASES, SPECIALS, Buffer, Ids, check_ids, plain_text, smallest_dtype

PIECE_BP = 4096  # bases encoded as one piece
_LEARNED_BP = 512  # bases of a piece from which merges are learned
MOST_MERGES = 1 << 19  # which takes two seconds to set up
_LONGEST_BP = 255  # most bases in a token: numbers of bases are stored in one byte
_FIRST = len(BASES) + len(SPECIALS)


class BpeTokenizer:
    """Tokens that are joined from pairs, by merges that were learned on a genome.

    Parameters
    ----------
    merges
        Pairs of tokens, in the order in which they are joined.

    Raises
    ------
    ConfigError
        If a merge joins texts that are no tokens yet, a token is too long, or the ``tokenizers`` package is missing.
    """

    kind: ClassVar[str] = "bpe"

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        vocabulary = {text: number for number, text in enumerate(BASES)}
        if len(merges) > MOST_MERGES:
            raise ConfigError(f"{len(merges):,} merges are too many. Learn {MOST_MERGES:,} at most.")
        for pair in merges:
            left, right = pair
            if left not in vocabulary or right not in vocabulary:
                raise ConfigError(f"merge {left!r} + {right!r} joins parts that are no tokens. The file is damaged.")
            if len(left + right) > _LONGEST_BP:
                raise ConfigError(
                    f"a token of {len(left + right)} bases is too long. Learn tokens of {_LONGEST_BP} at most."
                )
            vocabulary.setdefault(left + right, len(vocabulary))
        self.merges = tuple((left, right) for left, right in merges)
        self._targets = len(vocabulary)
        vocabulary |= {text: self._targets + number for number, text in enumerate(SPECIALS)}
        self._vocabulary = tuple(vocabulary)
        self._texts = [*self._vocabulary[: self._targets], "N", "", ""]
        self._widths = np.array([len(text) for text in self._texts], np.int64)
        self._dtype = smallest_dtype(len(vocabulary))
        self._engine = _engine(vocabulary, self.merges)

    def __repr__(self) -> str:
        return f"BpeTokenizer({len(self._vocabulary)} tokens)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BpeTokenizer) and self.merges == other.merges

    def __hash__(self) -> int:
        return hash((self.kind, self.merges))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.merges,)

    @classmethod
    def train(
        cls,
        sequences: Iterable[bytes],
        vocabulary_size: int = 4096,
        *,
        sample_bp: int | None = None,
        seed: int = 1,
        longest_bp: int = 64,
    ) -> Self:
        """Learn merges from sequence.

        Parameters
        ----------
        sequences
            Contigs, upper or lower case; only one at a time is kept in memory.
        vocabulary_size
            Number of tokens, including single bases and specials; there are fewer if the sequence gives no more.
        sample_bp
            Bases to learn from, drawn evenly from all contigs; by default all of them.
        seed
            Seed of the drawing.
        longest_bp
            Most bases in a token, 2 to 255.

        Raises
        ------
        ConfigError
            If the vocabulary is too small, ``longest_bp`` is out of range, or the sequence holds no plain bases.
        """
        if not 2 <= longest_bp <= _LONGEST_BP:
            raise ConfigError(f"tokens of {longest_bp} bases at most cannot be learned. Choose 2 to {_LONGEST_BP}.")
        if vocabulary_size <= _FIRST:
            raise ConfigError(
                f"a vocabulary of {vocabulary_size} leaves no room for merges. Ask for more than {_FIRST}."
            )
        from tokenizers import Tokenizer, models, trainers

        pieces = list(_pieces(sequences))
        if sample_bp is not None and sample_bp < len(pieces) * _LEARNED_BP:
            pieces = random.Random(seed).sample(pieces, max(1, sample_bp // _LEARNED_BP))
        if not pieces:
            raise ConfigError("there are no plain bases to learn tokens from. Give a genome with A, C, G and T.")
        engine = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size - len(SPECIALS),  # specials and N are not part of what is learned
            initial_alphabet=list("ACGT"),
            max_token_length=longest_bp,
            show_progress=False,
        )
        engine.train_from_iterator(pieces, trainer, length=len(pieces))
        merges = json.loads(engine.to_str())["model"]["merges"]
        return cls([tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in merges])

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The text of every token, by id."""
        return self._vocabulary

    @property
    def targets(self) -> int:
        """Number of ids that can be predicted: single bases and merged tokens."""
        return self._targets

    def widen(self, start: int, end: int) -> tuple[int, int]:
        """Widen a span to whole pieces, because a merge may depend on any base of its piece."""
        return start // PIECE_BP * PIECE_BP, -(-end // PIECE_BP) * PIECE_BP

    def encode(self, sequence: Buffer) -> Ids:
        """Turn bases into ids of the smallest unsigned type that holds the vocabulary."""
        text = plain_text(sequence)
        parts = [np.empty(0, self._dtype)]
        for start in range(0, len(text), PIECE_BP * 64):
            block = text[start : start + PIECE_BP * 64]
            pieces = [block[at : at + PIECE_BP] for at in range(0, len(block), PIECE_BP)]
            for piece in self._engine.encode_batch(pieces, add_special_tokens=False):
                parts.append(np.array(piece.ids, self._dtype))
        return np.concatenate(parts)

    def decode(self, ids: Ids) -> bytes:
        """Turn ids into upper-case bases; specials stand for no base.

        Raises
        ------
        ConfigError
            If an id lies outside the vocabulary.
        """
        return "".join([self._texts[i] for i in check_ids(ids, len(self._texts)).tolist()]).encode("ascii")

    def offsets(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the bases that each token covers, (n, 2), 0-based half-open; <bos> and <pad> cover no base."""
        ends = np.cumsum(self._widths[np.asarray(ids)])
        return np.stack([ends - self._widths[np.asarray(ids)], ends], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Give the settings from which the same tokenizer can be made again."""
        merges = [list(pair) for pair in self.merges]
        return {"kind": self.kind, "merges": merges, "vocabulary_size": len(self._vocabulary)}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Self:
        """Make a tokenizer from the settings that `to_json` gave."""
        merges = settings.get("merges")
        pairs = isinstance(merges, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in merges)
        if settings.get("kind") != cls.kind or not pairs:
            raise ConfigError("settings are not those of a BPE tokenizer. They need kind 'bpe' and merges.")
        return cls([(str(left), str(right)) for left, right in merges or []])


def _engine(vocabulary: dict[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    """Make the library's tokenizer with our ids; an N is split off before any merge."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    usable = {text: number for text, number in vocabulary.items() if text not in SPECIALS[1:]}
    # Without a cache: pieces of a genome hardly ever repeat, and the cache would grow with it.
    engine = Tokenizer(models.BPE(vocab=usable, merges=list(merges), cache_capacity=0))
    engine.pre_tokenizer = pre_tokenizers.Split(Regex("N"), "isolated")
    return engine


def _pieces(sequences: Iterable[bytes]) -> Iterator[str]:
    """Cut sequences into pieces of plain bases from which merges are learned."""
    for sequence in sequences:
        for run in plain_text(sequence).split("N"):
            for at in range(0, len(run), _LEARNED_BP):
                yield run[at : at + _LEARNED_BP]
