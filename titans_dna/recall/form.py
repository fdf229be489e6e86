"""What a copy memory is: the words that address it, how places are found, followed and dropped."""

from __future__ import annotations

from dataclasses import dataclass

from titans_dna.errors import ConfigError

CHUNK = 64  # words are written at multiples of this many tokens, counted from the start of the stream
LONGEST_WORD = 32  # bases; a word is two bits a base in 64
MOST_PLACES = 64


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

    word_bases: tuple[int, ...] = (12, 20)  # lengths of the words that address a place
    sample_every: tuple[int, ...] = (1, 4)  # of each length, one word in so many is written, chosen by its hash
    index_bits: int = 24  # a word has one of 2 ** index_bits addresses; 12 bases fill 24 bits without a collision
    places: int = 16  # places followed at once
    matches: int = 8  # newest entries of an address that are tried
    accepted_hits: int = 20  # of the 32 bases before a place, those that must agree for it to be followed
    spacing_bases: int = 256  # a word is written again only so many bases after it was written last
    inverted: bool = True  # whether the reverse complement of what was read is found too
    horizon_bases: int = 0  # what lies further back is not recalled, and its memory is used again; 0 for no limit

    def __post_init__(self) -> None:
        if not self.word_bases or len(self.word_bases) != len(self.sample_every):
            raise ConfigError("recall needs at least one of word_bases, and one of sample_every for each")
        if any(not 8 <= k <= LONGEST_WORD for k in self.word_bases) or min(self.sample_every) < 1:
            raise ConfigError(f"recall word_bases are {self.word_bases}; choose 8 to {LONGEST_WORD}, and sample_every of 1 up")
        if not 10 <= self.index_bits <= 30:
            raise ConfigError(f"recall index_bits is {self.index_bits}; choose 10 to 30")
        if not 1 <= self.places <= MOST_PLACES or self.matches < 1:
            raise ConfigError(f"recall places is {self.places}; choose 1 to {MOST_PLACES}, and matches of 1 or more")
        if not 0 <= self.accepted_hits <= 32:
            raise ConfigError(f"recall accepted_hits is {self.accepted_hits}; choose 0 to 32")
        if self.spacing_bases < 0 or self.horizon_bases < 0:
            raise ConfigError("recall spacing_bases and horizon_bases must be 0 or more")
