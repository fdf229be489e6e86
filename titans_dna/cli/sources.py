"""Where sequence comes from: a FASTA, GenBank or EMBL file, or a sample's reads over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import click

from titans_dna.errors import ConfigError
from titans_dna.genome.contigs import is_mitochondrion
from titans_dna.io.sequence.aliases import read_aliases
from titans_dna.io.sequence.bam import AlignedReads, ReadFilter, open_reads
from titans_dna.io.sequence.consensus import ConsensusOptions, SampleGenome
from titans_dna.io.sequence.fasta import Fasta, Genome, open_fasta

if TYPE_CHECKING:
    from titans_dna.inference.model import SequenceModel
    from titans_dna.inference.windows import Context
    from titans_dna.model.config import BackboneConfig
    from titans_dna.recall import Relatives, Target

_NAMES_SHOWN = 6
_HG19_MITOCHONDRION = 16_571  # bases


@dataclass(frozen=True, kw_only=True)
class ReadsChoice:
    """The values of the options about a sample's reads (see `titans_dna.cli.options.reads`).

    Raises
    ------
    ConfigError
        If an option was changed that has no effect beside the others.
    """

    reads: Path | None = None  # BAM, CRAM or SAM
    reads_as: str = "consensus"  # "consensus": the sample's own genome; "sequences": every read by itself
    fill: Literal["reference", "n"] = "reference"  # what stands where no base is called
    min_mapping_quality: int = 0  # Phred
    min_depth: int = 1  # reads below which a base is not called
    duplicates: bool = False  # take reads marked as duplicates
    secondary: bool = False  # take secondary alignments
    supplementary: bool = True  # take supplementary (split) alignments
    as_sequenced: bool = False  # bases in the direction of the sequencer
    clipped: bool = False  # leave soft-clipped ends in

    def __post_init__(self) -> None:
        # An option without effect is refused, because who gave it expects that the result depends on it.
        changed = [name for name in vars(self) if getattr(self, name) != getattr(type(self), name)]
        if self.reads is None and changed:
            raise ConfigError(f"--{changed[0].replace('_', '-')} needs --reads; give a BAM, CRAM or SAM file")
        single = [name for name in ("as_sequenced", "clipped") if name in changed]
        if single and self.reads_as != "sequences":
            raise ConfigError(f"--{single[0].replace('_', '-')} is about reads by themselves; add --reads-as sequences")
        called = [name for name in ("fill", "min_depth") if name in changed]
        if called and self.reads_as == "sequences":
            raise ConfigError(
                f"--{called[0].replace('_', '-')} is about a consensus; leave it or --reads-as sequences out"
            )

    @property
    def as_sequences(self) -> bool:
        """Whether each read is a sequence of its own."""
        return self.reads is not None and self.reads_as == "sequences"

    @property
    def keep(self) -> ReadFilter:
        """Return the conditions under which a read is used."""

        names = ("min_mapping_quality", "duplicates", "secondary", "supplementary")
        return ReadFilter(**{name: getattr(self, name) for name in names})


@overload
def open_genome(fasta: Path, aliases: Path | None = None) -> Fasta: ...
@overload
def open_genome(fasta: Path | None, aliases: Path | None, choice: ReadsChoice) -> Fasta | SampleGenome: ...
def open_genome(
    fasta: Path | None, aliases: Path | None = None, choice: ReadsChoice = ReadsChoice()
) -> Fasta | SampleGenome:
    """Open the sequence to read: a FASTA, or a sample's consensus over it. A context manager.

    Parameters
    ----------
    fasta
        FASTA, GenBank or EMBL.
    aliases
        File of names that mean the same contig; None for the built-in ones alone.
    choice
        The sample's reads whose consensus takes the reference's place; without reads the FASTA itself is returned.

    Raises
    ------
    ConfigError
        If no FASTA was given.
    InputMissing, FormatError, ReferenceMismatch
        If one of the files cannot be used.
    """
    if fasta is None:
        raise ConfigError("--fasta is missing; only --reads-as sequences goes without")

    groups = aliases_of(aliases)
    genome = open_fasta(fasta, aliases=groups)
    if choice.reads is None:
        return genome

    called = ConsensusOptions(min_depth=choice.min_depth, reads=choice.keep)
    return SampleGenome(genome, open_reads(choice.reads, genome, aliases=groups), called, fill=choice.fill)


def read_before(
    model: SequenceModel, genome: Genome | None, kin: dict[str, Any], context: Context | None = None
) -> SequenceModel:
    """Return the model as it reads behind the relatives of ``read_kin``, if any are named.

    A memory of what is to be scored itself is only of use in windows, and refused in another ``context``.
    """
    from titans_dna.loading.memory_file import holds_target
    from titans_dna.loading.relatives import open_targets

    if any(map(holds_target, kin["memories"])) and context is not None and context.kind == "window":
        target, others = open_targets(kin["memories"], model.backbone.config.require_recall(model.name))
        assert target is not None
        _require_any(target, genome)
        model, kin = model.scoring(target), kin | {"memories": tuple(others)}
    found = read_kin(model.backbone.config, model.name, genome, kin)
    return model.behind(found) if found else model


def _require_any(target: Target, genome: Genome | None) -> None:
    """Refuse a memory of which no contig can be in the genome."""
    lengths = set(genome.contigs.lengths.values()) if genome is not None else set()
    if not any(contig.length_bp in lengths for contig in target.contigs):
        raise ConfigError(
            f"--memory holds {target.contigs[0].name} of {target.contigs[0].length_bp:,} bases, and no contig is as "
            "long; make it again from the FASTA that is scored, or leave it out"
        )


def read_kin(config: BackboneConfig, name: str, genome: Genome | None, kin: dict[str, Any]) -> Relatives | None:
    """Return the relatives that a model is to read before, None if there are none; say on standard error what was read.

    Parameters
    ----------
    config, name
        Of the model.
    genome
        What is to be read, which no relative may be.
    kin
        Values of the options of `titans_dna.cli.options.relatives`.

    Raises
    ------
    ConfigError
        If the model has no copy memory, if a relative is the target itself, or options change nothing.
    InputMissing, FormatError
        If a file cannot be used.
    """
    from titans_dna.cli.terminal import number_of, progress_bar
    from titans_dna.loading.relatives import RelativesChoice, read_relatives

    names = {"relatives": "fastas"}
    choice = RelativesChoice(**{names.get(name, name): value for name, value in kin.items()})
    if not choice.fastas and (choice.allow_self or choice.one_vote_per != "file"):
        raise ConfigError("--one-vote-per and --allow-self are about --relatives; give some, or leave them out")
    if not choice:
        return None
    form = config.require_recall(name)
    with progress_bar("reading relatives", 0) as advance:
        found, left_out = read_relatives(choice, form, genome, advance=advance)
    for contig in left_out:
        click.echo(f"warning: {contig} is the target itself and was left out", err=True)
    click.echo(f"relatives: {number_of(len(found.genomes), 'genome')}, {found.bases:,} bases", err=True)
    return found


def report_names(genome: Genome | AlignedReads) -> None:
    """Print which contigs have another name or length, how each was found, and how many bases a consensus has."""
    by_how: dict[str, list[str]] = {}
    for name, (contig, how) in genome.contigs.matches.items():
        by_how.setdefault(how, []).append(f"{name} = {contig}")
    for how, pairs in by_how.items():
        more = f" and {len(pairs) - _NAMES_SHOWN} more" if len(pairs) > _NAMES_SHOWN else ""
        click.echo(f"contigs matched by {how}: {', '.join(pairs[:_NAMES_SHOWN])}{more}", err=True)
    for name, (contig, how) in genome.contigs.matches.items():
        if how == "spelling" and genome.contigs.lengths[contig] == _HG19_MITOCHONDRION and is_mitochondrion(contig):
            click.echo(
                f"warning: {name} was taken for {contig} of {_HG19_MITOCHONDRION:,} bases, the one of UCSC's hg19 "
                f"(NC_001807); positions on the rCRS (16,569 bases) differ from it",
                err=True,
            )
    for name, (asked, here) in genome.contigs.length_conflicts.items():
        click.echo(f"warning: {name} has {here:,} bases in {genome.path}, {asked:,} elsewhere", err=True)
    for name, (asked, contig) in genome.contigs.refused.items():
        here = genome.contigs.lengths[contig]
        click.echo(f"warning: {name} is not {contig}: {asked:,} bases there, {here:,} in {genome.path}", err=True)
    if isinstance(genome, SampleGenome):
        lost = genome.losses
        stands = "the reference's base stands" if genome.fill == "reference" else "N stands"
        click.echo(
            f"consensus: {lost['called']:,} bases called, {lost['not_called']:,} not called ({stands}), "
            f"{lost['deleted_bases']:,} deleted (N)",
            err=True,
        )


def aliases_of(path: Path | None) -> list[tuple[str, ...]]:
    """Return the groups of names of a file, none if there is no file."""
    return read_aliases(path) if path is not None else []
