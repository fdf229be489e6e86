"""Training windows for tokens of several bases, from lanes as in `titans_dna.loading.lanes`.

The length of a window is counted in tokens. The reverse strand is tokenized as a sequence of its own: its tokens are
not the reverse complements of the forward tokens, because k-mers have another phase there, and byte pairs merge from
the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.loading.lanes import Batch, shares_of
from titans_dna.tokenizers import Tokenizer, new_bases, soft_mask


@dataclass(frozen=True, kw_only=True)
class WordStrand:
    """One strand of a contig as tokens; each array has one entry per token."""

    ids: np.ndarray  # token ids
    bases: np.ndarray  # uint8: number of bases that each token is the first to cover
    masked: np.ndarray  # float16: share of these bases in lower case

    @classmethod
    def of(cls, sequence: bytes, tokenizer: Tokenizer) -> Self:
        """Tokenize a strand."""
        ids = tokenizer.encode(sequence)
        bases = new_bases(tokenizer, ids)
        ends = np.cumsum(bases, dtype=np.int64)
        # Of cumulated sums, the difference between two places is the number of lower-case bases between them.
        lower = np.concatenate([[0], np.cumsum(soft_mask(sequence), dtype=np.int32)])
        masked = (lower[ends] - lower[ends - bases]) / np.maximum(bases, 1)
        return cls(ids=ids, bases=bases, masked=masked.astype(np.float16))


@dataclass(frozen=True, kw_only=True)
class WordContig:
    """A contig to learn from: its forward strand and its reverse complement."""

    strands: tuple[WordStrand, WordStrand]
    weight: float = 1.0  # how often its tokens are drawn, relative to a contig of weight 1

    @classmethod
    def of(cls, sequence: bytes, tokenizer: Tokenizer, weight: float = 1.0) -> Self:
        """Tokenize both strands."""
        reverse = WordStrand.of(reverse_complement(sequence), tokenizer)
        return cls(strands=(WordStrand.of(sequence, tokenizer), reverse), weight=weight)


class WordLanes:
    """Draws batches of consecutive windows of tokens; the same seed gives the same batches.

    Parameters
    ----------
    contigs
        Contigs to learn from, drawn in proportion to their weight times the number of their known tokens.
    lanes, window_tokens
        Number of windows in a batch, and tokens in a window.
    bos
        Id of the start token, which stands before the first token of a lane.
    targets
        Number of ids that are bases and words.
    restart
        Probability that a lane starts anew after a window, in (0, 1].
    random_lanes
        Number of lanes, the last ones, that start anew after every window.
    both_strands
        Whether reverse complements are drawn too.
    soft_mask_weight
        Loss weight of a token in lower case; a token that is partly in lower case has a weight between this and 1.
    seed
        Seed of the random generator.

    Raises
    ------
    ConfigError
        If the contigs have fewer known tokens than a window, or all weights are 0.
    """

    def __init__(
        self,
        contigs: Sequence[WordContig],
        *,
        lanes: int,
        window_tokens: int,
        bos: int,
        targets: int,
        restart: float = 0.25,
        random_lanes: int = 0,
        both_strands: bool = True,
        soft_mask_weight: float = 0.1,
        seed: int = 0,
    ) -> None:
        known = [float((c.strands[0].ids < targets).sum()) for c in contigs]
        self._share = shares_of(known, [c.weight for c in contigs], window_tokens, "tokens")
        self._contigs = list(contigs)
        self._random_from, self._both = lanes - random_lanes, both_strands
        self._window, self._bos, self._targets, self._restart = window_tokens, bos, targets, restart
        self._soft, self._random = soft_mask_weight, np.random.default_rng(seed)
        self._places: list[tuple[int, int, int] | None] = [None] * lanes  # contig, strand, next token

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` needs to go on from here, as plain values."""
        return {"random": self._random.bit_generator.state, "places": [p and list(p) for p in self._places]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` returned."""
        self._random.bit_generator.state = state["random"]
        self._places = [p and (int(p[0]), int(p[1]), int(p[2])) for p in state["places"]]

    def draw(self, window_tokens: int | None = None) -> Batch:
        """Return the next window of every lane; tokens that are no words or cover no new base have weight 0."""
        window, lanes = window_tokens or self._window, len(self._places)
        ids = np.full((lanes, window + 1), self._bos, dtype=np.int64)
        weights, bases = np.zeros((2, lanes, window), dtype=np.float32)
        fresh = np.zeros(lanes, dtype=bool)
        for lane, place in enumerate(self._places):
            fresh[lane] = place is None
            contig, which, start = place or self._start(window)
            strand = self._contigs[contig].strands[which]
            found = slice(start, start + window)
            size = len(strand.ids[found])
            ids[lane, 1 : 1 + size] = strand.ids[found]
            if place:
                ids[lane, 0] = strand.ids[start - 1]
            bases[lane, :size] = strand.bases[found]
            weights[lane, :size] = 1 - strand.masked[found].astype(np.float32) * (1 - self._soft)
            end = start + window
            over = end + window // 2 > len(strand.ids)
            stop = self._random.random() < self._restart
            self._places[lane] = None if over or stop or lane >= self._random_from else (contig, which, end)
        targets = ids[:, 1:]
        weights *= (targets < self._targets) & (bases > 0)
        versions = np.zeros(lanes, dtype=np.int64)
        return Batch(
            inputs=ids[:, :-1].copy(), targets=targets, weights=weights, fresh=fresh, versions=versions, bases=bases
        )

    def _start(self, window: int) -> tuple[int, int, int]:
        """Return a random place from which on more than half of a window are known tokens."""
        for _ in range(1000):
            contig, which = int(self._random.choice(len(self._contigs), p=self._share)), int(self._random.integers(2))
            which *= self._both
            ids = self._contigs[contig].strands[which].ids
            start = int(self._random.integers(max(1, len(ids) - window + 1)))
            if (ids[start : start + window] < self._targets).mean() > 0.5:
                return contig, which, start
        raise ConfigError("hardly any window holds known bases; is the sequence all N?")
