"""The sequence that a run learns from and is tested on: genomes, their weights, and the split, which is recorded."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.io.intervals.bed import read_intervals
from titans_dna.io.sequence.aliases import read_aliases
from titans_dna.loading.genomes import Genome, open_genome
from titans_dna.loading.lanes import MASKED, Contig
from titans_dna.loading.word_lanes import WordContig
from titans_dna.tokenizers import Tokenizer
from titans_dna.training.words import NUCLEOTIDES, is_single

TRAIN, HOLDOUT, EXCLUDED = "train", "holdout", "excluded"
FOLDS = 4  # parts of each genome; the versions of the word counts leave them out in turn
GENOME_GROUPS = 8  # genomes for which there are separate versions of the word counts; further genomes share them


@dataclass(frozen=True, kw_only=True)
class Source:
    """A FASTA to learn from; its bases are drawn `weight` times as often as those of a FASTA of weight 1."""

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read a source written as ``PATH`` or ``PATH=WEIGHT``.

        Raises
        ------
        ConfigError
            If the weight is negative or infinite.
        """
        path, equals, weight = text.rpartition("=")
        try:
            value = float(weight) if equals else 1.0
        except ValueError:  # the "=" belongs to the name of the file
            return cls(path=Path(text))
        if not 0 <= value < float("inf"):
            raise ConfigError(f"the sampling weight of {path} is {weight}; give a number of 0 or more")
        return cls(path=Path(path if equals else text), weight=value)


@dataclass(frozen=True, kw_only=True)
class Split:
    """The contigs and regions that a run does not learn from.

    A contig may be given by any of its names; ``FASTA:CONTIG`` means the contig of one file only.
    """

    holdout: Sequence[str] = ()  # contigs to evaluate on
    exclude: Sequence[str] = ()  # contigs to use for neither training nor evaluation, such as a test set
    holdout_bed: Path | None = None  # regions to evaluate on, 0-based half-open
    holdout_share: float = 0.0  # share of the remaining contigs to evaluate on, drawn at random
    aliases: Path | None = None  # file of names that mean the same contig
    seed: int = 0


class Piece(NamedTuple):
    """A piece of a contig, and what it is for."""

    genome: int  # number of its FASTA
    contig: str
    start: int  # 0-based half-open
    end: int
    part: str  # TRAIN, HOLDOUT or EXCLUDED

    def codes(self, genomes: Sequence[Genome]) -> np.ndarray:
        """Return the codes of its bases."""
        return genomes[self.genome].codes_of(self.contig, self.start, self.end)

    def sequence(self, genomes: Sequence[Genome]) -> bytes:
        """Return its bases as letters."""
        return genomes[self.genome].sequence_of(self.contig, self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Pieces of contigs to learn from and to evaluate on."""

    contigs: list[Contig] | list[WordContig]  # the latter where tokens have several bases
    held_out: list[np.ndarray]  # token ids of each held-out piece
    groups: list[int]  # group of each contig, for the versions of the word counts
    left_out: list[frozenset[int]]  # groups that each version has not seen
    bed: str  # the split as BED: contig, start, end (0-based half-open), part, FASTA
    record: dict[str, Any]  # entries of training.json


def read_data(sources: Sequence[Source], split: Split, tokenizer: Tokenizer = NUCLEOTIDES) -> TrainingData:
    """Open the genomes and split them.

    Raises
    ------
    ConfigError
        If no FASTA has a contig that was named or has a region, or if nothing is left to learn from.
    """
    aliases = read_aliases(split.aliases) if split.aliases else []
    genomes = [open_genome(source.path, aliases) for source in sources]
    pieces = _pieces(genomes, split)
    trained, tested = ([p for p in pieces if p.part == part] for part in (TRAIN, HOLDOUT))
    learned = _fold(trained)
    if not learned:
        raise ConfigError("every contig is held out or excluded; leave at least one to learn from")
    # A model learns to trust word counts only as far as they help with sequence that was not counted. So while a contig
    # is learned, a version of the counts is read that has left its group out.
    groups = [piece.genome % GENOME_GROUPS * FOLDS + fold for piece, fold in learned]
    left_out = _versions(groups)
    contigs = [
        Contig(
            codes=piece.codes(genomes), weight=sources[piece.genome].weight,
            versions=tuple(v for v, out in enumerate(left_out) if group in out), genome=piece.genome,
        )
        for (piece, _), group in zip(learned, groups, strict=True)
    ]  # fmt: skip
    words: list[WordContig] = []
    if is_single(tokenizer):
        # Without the bit of soft-masking, which only weighs the training loss.
        held_out = [piece.codes(genomes) & np.uint8(MASKED - 1) for piece in tested]
    else:
        held_out = [tokenizer.encode(piece.sequence(genomes)) for piece in tested]
        words = [WordContig.of(p.sequence(genomes), tokenizer, sources[p.genome].weight) for p in trained]
    bed = "".join(f"{p.contig}\t{p.start}\t{p.end}\t{p.part}\t{sources[p.genome].path}\n" for p in pieces)
    learned_of = {piece[:2] for piece in trained}
    record = {
        "fasta": [str(source.path) for source in sources],
        "fasta_weight": [source.weight for source in sources],
        "fasta_md5": {str(genome.path): genome.md5 for genome in genomes},
        "train_contigs": _names(trained),
        "holdout_contigs": _names(piece for piece in tested if piece[:2] not in learned_of),
        "excluded_contigs": _names(piece for piece in pieces if piece.part == EXCLUDED),
        "matched_contigs": {
            name: {"contig": contig, "by": how}
            for genome in genomes
            for name, (contig, how) in genome.contigs.matches.items()
        },
        "split_seed": split.seed,
    }
    return TrainingData(
        contigs=words or contigs, held_out=held_out, groups=groups, left_out=left_out, bed=bed, record=record
    )


def _names(pieces: Iterable[Piece]) -> list[str]:
    return list(dict.fromkeys(piece.contig for piece in pieces))


def _pieces(genomes: Sequence[Genome], split: Split) -> list[Piece]:
    """Return the pieces of every contig of every genome, in order."""
    regions = _regions(genomes, split.holdout_bed)
    named = {**_named(genomes, split.holdout, HOLDOUT), **_named(genomes, split.exclude, EXCLUDED)}
    keys = [(index, contig) for index, genome in enumerate(genomes) for contig in genome.contigs.names]
    free = [key for key in keys if key not in named and key not in regions]
    if not 0 <= split.holdout_share < 1:
        raise ConfigError(f"holdout_share is {split.holdout_share}; choose 0 or more, but less than 1")
    count = round(split.holdout_share * len(free))
    # A stream of its own (7), so that the split does not depend on what else uses the seed.
    drawn = np.random.default_rng([split.seed, 7]).permutation(len(free))[:count]
    named |= {free[i]: HOLDOUT for i in drawn}
    pieces: list[Piece] = []
    for key in keys:
        whole = Piece(*key, 0, genomes[key[0]].contigs.lengths[key[1]], named.get(key, TRAIN))
        pieces += [whole] if key in named else _around(whole, regions.get(key, []))
    return pieces


def _named(genomes: Sequence[Genome], names: Sequence[str], part: str) -> dict[tuple[int, str], str]:
    found: dict[tuple[int, str], str] = {}
    for name in names:
        file, _, rest = name.partition(":")
        chosen = [index for index, genome in enumerate(genomes) if file in (str(genome.path), genome.path.name)]
        here = {
            (index, contig): part
            for index in (chosen or range(len(genomes)))
            if (contig := genomes[index].contigs.resolve(rest if chosen else name)) is not None
        }
        if not here:
            have = [contig for genome in genomes for contig in genome.contigs.names][:5]
            raise ConfigError(f"--{part.removesuffix('d')} {name}: no FASTA has this contig; it has {', '.join(have)}")
        found |= here
    return found


def _regions(genomes: Sequence[Genome], bed: Path | None) -> dict[tuple[int, str], list[tuple[int, int]]]:
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for interval in read_intervals(bed) if bed else []:
        keys = [
            (index, contig)
            for index, genome in enumerate(genomes)
            if (contig := genome.contigs.resolve(interval.contig)) is not None
        ]
        if not keys:
            raise ConfigError(f"{bed}: {interval.contig}: no FASTA has this contig; correct the BED")
        for key in keys:
            found.setdefault(key, []).append((interval.start, interval.end))
    return found


def _around(whole: Piece, regions: Sequence[tuple[int, int]]) -> list[Piece]:
    """Return the held-out regions of a contig, without overlaps, and the pieces to learn from between them."""
    pieces: list[Piece] = []
    at = 0
    for start, end in sorted(regions):
        start, end = max(start, at), min(end, whole.end)
        if start >= end:
            continue
        if start > at:
            pieces.append(whole._replace(start=at, end=start))
        pieces.append(whole._replace(start=start, end=end, part=HOLDOUT))
        at = end
    return [*pieces, whole._replace(start=at)] if at < whole.end else pieces


def _fold(pieces: Sequence[Piece]) -> list[tuple[Piece, int]]:
    """Assign every piece to a fold of its genome; the pieces of a genome with few are each cut into one per fold."""
    counts = Counter(piece.genome for piece in pieces)
    out = []
    for piece in pieces:
        if counts[piece.genome] >= FOLDS:
            # By a checksum of the name, so that all pieces of a contig, and the same contig in another run, have one
            # fold.
            out.append((piece, zlib.crc32(piece.contig.encode()) % FOLDS))
            continue
        cuts = np.linspace(piece.start, piece.end, FOLDS + 1).astype(int).tolist()
        out += [(piece._replace(start=start, end=end), fold) for fold, (start, end) in enumerate(pairwise(cuts))]
    return out


def _versions(groups: Sequence[int]) -> list[frozenset[int]]:
    """Return the groups that each version of the word counts leaves out: a whole genome, or one fold of all genomes."""
    present = sorted({*groups})
    genomes = sorted({group // FOLDS for group in present})
    whole = [frozenset(g for g in present if g // FOLDS == genome) for genome in genomes if len(genomes) > 1]
    folds = [frozenset(g for g in present if g % FOLDS == fold) for fold in range(FOLDS)]
    return [out for out in (*whole, *folds) if out and len(out) < len(present)] or [frozenset(present)]
