"""Genomes of relatives, read from files into a copy memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.io.sequence.fasta import Fasta, Genome, open_fasta
from titans_dna.loading.memory_file import holds_target, open_memory
from titans_dna.recall import RecallForm, Relatives, Target, TargetContig
from titans_dna.recall.target import read_strand
from titans_dna.tokenizers import NucleotideTokenizer

MOST_GENOMES = 4096  # each is followed at every base, and its vote takes four bytes there
PIECE_BP = 1 << 20
GENOME_OF = ("file", "contig", "prefix")


@dataclass(frozen=True, kw_only=True)
class RelativesChoice:
    """Which relatives are read, and what counts as one of them.

    Raises
    ------
    ConfigError
        If the rule for what counts as one relative is unknown.
    """

    fastas: tuple[Path, ...] = ()
    memories: tuple[Path, ...] = ()  # written by `titans-dna remember`
    one_vote_per: str = "file"  # "file"; "contig"; or "prefix": of its name, before the first # or |
    allow_self: bool = False  # whether contigs that are the target itself are left out, with a word, or refused

    def __post_init__(self) -> None:
        if self.one_vote_per not in GENOME_OF:
            raise ConfigError(f"one vote per {self.one_vote_per!r} is unknown; choose {', '.join(GENOME_OF)}")

    def __bool__(self) -> bool:
        return bool(self.fastas or self.memories)


def genome_of(contig: str, path: Path, one_vote_per: str) -> str:
    """Return the name of the genome that a contig of a file is counted to."""
    if one_vote_per == "contig":
        return contig
    if one_vote_per == "prefix":
        return contig.replace("|", "#").partition("#")[0]
    return path.name


def read_relatives(
    choice: RelativesChoice,
    form: RecallForm,
    target: Genome | None = None,
    *,
    advance: Callable[[int], None] = lambda bases: None,
) -> tuple[Relatives, list[str]]:
    """Read relatives into a memory; also return the names of contigs that were left out for they are the target.

    Parameters
    ----------
    choice
        The files. A single memory is used as it lies on the disk; of several, or beside FASTA, a new one is made.
    form
        Settings of the memory.
    target
        What is to be scored. Of each relative's contig that has the length of one of its contigs the MD5 is compared.
    advance
        Called with the number of bases read since the last call.

    Raises
    ------
    ConfigError
        If a relative is the target itself and that is not allowed, if two genomes have one name or there are too many,
        or a memory was made with other settings.
    FormatError, InputMissing
        If a file cannot be used.
    """
    own = _Targets(target)
    found, left_out = Relatives.empty(form), []
    for path in choice.memories:
        opened = open_memory(path)
        if isinstance(opened, Target):
            raise ConfigError(
                f"{path}: holds what is to be scored, not relatives; only a context of window:N has a use for it"
            )
        _require_form(path, opened.memory.form, form)
        selves = [contig.name for contig in opened.contigs if own.is_self(contig.length_bp, contig.md5)]
        if selves:
            raise ConfigError(f"{path}: holds {selves[0]}, which is the target itself; make a memory without it")
        found = _joined(found, opened) if found.contigs else opened
    for path in choice.fastas:
        with open_fasta(path) as fasta:
            for name, length in fasta.contigs.lengths.items():
                if own.has_length(length) and own.is_self(length, fasta.md5(name)):
                    if not choice.allow_self:
                        raise ConfigError(
                            f"{path}: {name} is the target itself; leave it out, or let that be done by --allow-self"
                        )
                    left_out.append(name)
                    continue
                if not found.memory.writes:
                    found = _joined(Relatives.empty(form), found)
                genome = genome_of(name, path, choice.one_vote_per)
                found.read(name, genome, _pieces(fasta, name, advance), fasta.md5(name))
    if not found.contigs:
        raise ConfigError("no relative is left to be read; give another genome")
    if (count := len(found.genomes)) > MOST_GENOMES:
        raise ConfigError(
            f"{count:,} genomes would each have a vote, and {MOST_GENOMES:,} is the limit; are they contigs of fewer? "
            "Use --one-vote-per file or prefix"
        )
    return found, left_out


def read_target(
    fastas: Iterable[Path],
    form: RecallForm,
    names: Collection[str] = (),
    *,
    advance: Callable[[int], None] = lambda bases: None,
) -> Target:
    """Read both strands of contigs that are to be scored.

    Parameters
    ----------
    fastas
        The files.
    form
        Settings of the memory.
    names
        Contigs that are read; all if none is named.
    advance
        Called with the number of bases read since the last call, of both strands.

    Raises
    ------
    ConfigError
        If the form has a horizon, or a contig that is named is in no file.
    FormatError, InputMissing
        If a file cannot be used.
    """
    if form.horizon_bases:
        raise ConfigError("the model's copy memory forgets, so it cannot be read ahead; use a model that keeps all")
    tokenizer, found, missing = NucleotideTokenizer(), Target(form=form), set(names)
    for path in fastas:
        with open_fasta(path) as fasta:
            for name, length in fasta.contigs.lengths.items():
                if names and name not in names:
                    continue
                missing.discard(name)
                sequence, strands = fasta.sequence(name), []
                for read in (sequence, reverse_complement(sequence)):
                    strands.append(read_strand(form, tokenizer.encode(read)))
                    advance(length)
                contig = TargetContig(
                    name=name, length_bp=length, md5=fasta.md5(name), strands=(strands[0], strands[1])
                )
                found.contigs.append(contig)
    if missing:
        raise ConfigError(f"{', '.join(sorted(missing))} is in no FASTA that was given; check the names of the contigs")
    return found


def open_targets(paths: Sequence[Path], form: RecallForm) -> tuple[Target | None, list[Path]]:
    """Return what of these memory files is to be scored, None if nothing is; and the files of relatives.

    Raises
    ------
    ConfigError
        If a memory was made with other settings.
    FormatError, InputMissing
        If a file cannot be used.
    """
    found, others = Target(form=form), []
    for path in paths:
        opened = open_memory(path) if holds_target(path) else None
        if not isinstance(opened, Target):
            others.append(path)
            continue
        _require_form(path, opened.form, form)
        found.contigs.extend(opened.contigs)
    return (found if found.contigs else None), others


def _require_form(path: Path, found: RecallForm, wanted: RecallForm) -> None:
    if found != wanted:
        raise ConfigError(
            f"{path}: was made with other settings of the copy memory than the model's; make it again with "
            "remember --model"
        )


def _joined(first: Relatives, second: Relatives) -> Relatives:
    """Return one memory of two, in memory: what lies in a file is not added to."""
    both = Relatives.empty(first.memory.form)
    both.join(first)
    both.join(second)
    return both


def _pieces(fasta: Fasta, name: str, advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    tokenizer, length = NucleotideTokenizer(), fasta.contigs.lengths[name]
    for start in range(0, length, PIECE_BP):
        end = min(start + PIECE_BP, length)
        yield tokenizer.encode(fasta.fetch(name, start, end))
        advance(end - start)


class _Targets:
    """The contigs that are scored; used to find relatives that are one of them."""

    def __init__(self, genome: Genome | None) -> None:
        self.genome = genome
        lengths = genome.contigs.lengths if genome is not None else {}
        self.names: dict[int, list[str]] = {}
        for name, length in lengths.items():
            self.names.setdefault(length, []).append(name)

    def has_length(self, length_bp: int) -> bool:
        return length_bp in self.names

    def is_self(self, length_bp: int, md5: str) -> bool:
        assert self.genome is not None or not self.names
        return any(self.genome.md5(name) == md5 for name in self.names.get(length_bp, ()))  # type: ignore[union-attr]
