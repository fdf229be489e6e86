"""The settings of a copy memory: the words that address it, and how places are found, followed and dropped."""

from __future__ import annotations

from dataclasses import dataclass

from titans_dna.errors import ConfigError

CHUNK = 64  # words are written at multiples of this many tokens, counted from the start of the stream
LONGEST_WORD = 32  # bases; a word is two bits a base in 64
MOST_PLACES = 64
MOST_TOKENS = (1 << 32) - 2  # of a memory: entries are numbered in 32 bits
LAG_MARGIN = 256  # tokens before a horizon that a reader may look at
RING_TOKENS = 1 << 14  # that a ring keeps beyond its horizon, at the least
SPACED = "111010010100110111"  # 11 of 18 bases: finds diverged copies best (PatternHunter, Ma et al. 2002)
SOLID = "1" * 20


def _is_word(word: str) -> bool:
    whole = isinstance(word, str) and 8 <= len(word) <= LONGEST_WORD and not set(word) - {"0", "1"}
    return whole and word.count("1") >= 8 and word[0] == word[-1] == "1"


@dataclass(frozen=True, kw_only=True)
class RecallForm:
    """Addresses of a copy memory, and the rule by which its places are followed.

    The short words find diverged copies, the long ones find a copy among the many chance hits of a large memory. All
    values but ``horizon_bases`` are part of the function: a model is trained with them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    words: tuple[str, ...] = (SPACED, SOLID)  # which of consecutive bases make an address: 1 counts, 0 does not
    sample_every: tuple[int, ...] = (1, 4)  # of each word, one in so many is written, chosen by its hash
    index_bits: int = 24  # a word has one of 2 ** index_bits addresses
    places: int = 16  # places followed at once
    matches: int = 16  # newest entries of an address that are tried
    accepted_hits: int = 24  # of the 32 bases before a place, those that must agree for it to be followed
    spacing_bases: int = 256  # a word is written again only so many bases after it was written last
    leading_run: int = 24  # while a place foretold so many bases without a miss, others that disagree have no say
    inverted: bool = True  # whether the reverse complement of what was read is found too
    horizon_bases: int = 0  # what lies further back is not recalled, and its memory is used again; 0 for no limit

    def __post_init__(self) -> None:
        numbers = [value for value in vars(self).values() if not isinstance(value, tuple)]
        if any(not isinstance(n, int) or n > MOST_TOKENS for n in [*numbers, *self.sample_every]):
            raise ConfigError(f"recall takes whole numbers up to {MOST_TOKENS:,}, and words of digits")
        if not self.words or len(self.words) != len(self.sample_every) or min(self.sample_every) < 1:
            raise ConfigError("recall needs at least one of words, and a sample_every of 1 or more for each")
        if any(not _is_word(word) for word in self.words):
            raise ConfigError(
                f"recall words are {self.words}; write each as 8 to {LONGEST_WORD} digits, 1 for a base that counts "
                "and 0 for one that does not, 1 at both ends and at least 8 times"
            )
        if not 10 <= self.index_bits <= 30:
            raise ConfigError(f"recall index_bits is {self.index_bits}; choose 10 to 30")
        if not 1 <= self.places <= MOST_PLACES or self.matches < 1:
            raise ConfigError(f"recall places is {self.places}; choose 1 to {MOST_PLACES}, and matches of 1 or more")
        if not 0 <= self.accepted_hits <= 32:
            raise ConfigError(f"recall accepted_hits is {self.accepted_hits}; choose 0 to 32")
        if min(self.spacing_bases, self.horizon_bases, self.leading_run) < 0:
            raise ConfigError("recall spacing_bases, leading_run and horizon_bases must be 0 or more")

    @property
    def ring_tokens(self) -> int:
        """Tokens that a memory with a horizon keeps, a power of two; 0 where all are kept."""
        return 1 << (2 * self.horizon_bases + RING_TOKENS - 1).bit_length() if self.horizon_bases else 0

    @property
    def lag_tokens(self) -> int:
        """Tokens by which a memory with a horizon may be ahead of a reader; 0 for any number."""
        return self.ring_tokens - self.horizon_bases - LAG_MARGIN if self.horizon_bases else 0

    def numbered(self, sample_every: int) -> bool:
        """Tell whether the entries of a word are numbered by their places, one for each token."""
        return sample_every == 1 or self.horizon_bases > 0

    @property
    def bytes_per_base(self) -> float:
        """Bytes that a base takes on the tape and in the chains; the table of addresses is bounded and comes on top."""
        return 3 / 8 + sum(4 if self.numbered(every) else 8 / every for every in self.sample_every)

    @property
    def masks(self) -> tuple[int, ...]:
        """For every word, the bits of the bases that count: the first base in the lowest two."""
        return tuple(sum(3 << 2 * i for i, digit in enumerate(word) if digit == "1") for word in self.words)
