"""Options that several verbs share."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from titans_dna.checkpoints import DEFAULT, is_retrained, model_folder
from titans_dna.errors import ConfigError, OutputError
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.io.formats import endings_of, format_of
from titans_dna.io.intervals.bed import EXON

_OF_LIKELIHOODS = ("score-variants", "score-regions", "mutagenesis", "evaluate")
FILE = click.Path(path_type=Path)


def _all(*options: Any) -> Any:
    """Return a decorator that adds these options, in this order."""
    return lambda command: functools.reduce(lambda added, option: option(added), reversed(options), command)


def refuse_useless(*names: str, where: str) -> None:
    """Refuse options that were typed where they would change nothing.

    Parameters
    ----------
    names
        Parameters of the verb.
    where
        What makes them useless, such as ``"without --all-snvs"``.

    Raises
    ------
    ConfigError
        If one of them was typed.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ConfigError(f"{parameter.opts[0]} changes nothing {where}; leave it out")


def find_model(context: click.Context, parameter: click.Parameter, name: Path | None, unless: str = "") -> Path | None:
    """Turn ``default`` into the folder of the package's model, and say so if nobody named it; warn of classifiers."""
    unnamed = name is not None and context.get_parameter_source(parameter.name or "") is ParameterSource.DEFAULT
    if unnamed and not context.params.get(unless):  # what was typed is read before defaults
        click.echo("note: using the default model, which is in the package; --model names another", err=True)
    folder = None if name is None else model_folder(name)
    if folder and context.info_name in _OF_LIKELIHOODS and is_retrained(folder):
        click.echo(
            f"warning: {folder} is a classifier, whose training moved its likelihoods; for {context.info_name} take "
            f"the model that it was made of",
            err=True,
        )
    return folder


def model_option(
    help_text: str = "Use the model in this folder (see pretrain); 'default' is in the package.", unless: str = ""
) -> Any:
    """Return the ``--model`` option of a verb that can use the model in the package.

    Where the option ``unless`` is given, no model is used, and nothing is said of the default.
    """
    return click.option(
        "--model",
        "model_folder",
        type=FILE,
        default=DEFAULT,
        show_default=True,
        help=help_text,
        callback=functools.partial(find_model, unless=unless),
    )


model = model_option()
_SEQUENCE = "FASTA (plain, gzip, bgzip), GenBank or EMBL"
fasta = click.option("--fasta", type=FILE, required=True, help=f"Read the sequence from this file: {_SEQUENCE}.")
fasta_or_reads = click.option(
    "--fasta", type=FILE,
    help=f"Read the sequence from this file: {_SEQUENCE}. Only reads that are read by themselves do not need it.",
)  # fmt: skip
fastas = click.option(
    "--fasta", "fastas", type=FILE, required=True, multiple=True,
    help=f"Learn from the sequence in this file: {_SEQUENCE}. Repeatable.",
)  # fmt: skip
aliases = click.option(
    "--aliases", type=FILE,
    help="Read from this file which names mean the same contig: one contig a line, tab-separated (chromAlias.txt).",
)  # fmt: skip
_DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Compute on this device; auto takes a GPU if there is one.",
)  # fmt: skip


def _set_threads(context: click.Context, parameter: click.Parameter, threads: int | None) -> None:
    """Let PyTorch use this number of threads until the verb has ended."""
    if threads is not None:
        import torch

        context.call_on_close(functools.partial(torch.set_num_threads, torch.get_num_threads()))
        torch.set_num_threads(threads)


_THREADS = click.option(
    "--threads", type=click.IntRange(1), callback=_set_threads, expose_value=False,
    show_default="all cores, or OMP_NUM_THREADS", help="Compute with this many threads on the CPU.",
)  # fmt: skip


#: The options of all verbs that run a model: where it runs, and with how many threads.
device = _all(_DEVICE, _THREADS)

seed = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Begin all random numbers with this seed."
)
tokenizer = click.option(
    "--tokenizer", default="nucleotide", show_default=True, metavar="nucleotide|kmer:K|kmer:K:overlapping|FILE",
    help="Make tokens of the sequence in this way; FILE is a tokenizer that train-tokenizer has written.",
)  # fmt: skip
columns = click.option(
    "--column", "columns", multiple=True, metavar="WHAT=NAME",
    help="Take this column of a table of variants: WHAT is contig, position, ref, alt, id or variant (the whole one). "
    "Columns with common names are found without it. offset=1 says that positions count from 0. Repeatable.",
)  # fmt: skip
region = click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="CONTIG:START-END",
    help="Take this region; it is 1-based, and the end is included. Repeatable.",
)
resume = click.option("--resume", is_flag=True, help="Go on with what a stopped run has finished.")
_CONTEXT = (
    "Choose what the network reads before a place: the whole contig; or at least N bases, while the copy memory "
    "holds all of the contig before them, which costs the same wherever the place lies"
)
context = click.option(
    "--context", metavar="contig|window:N", default="contig", show_default=True, help=f"{_CONTEXT}."
)  # fmt: skip
region_context = click.option(
    "--context", metavar="contig|window:N|region", default="contig", show_default=True,
    help=f"{_CONTEXT}; or nothing, so that each region is a sequence by itself.",
)  # fmt: skip
workers = click.option(
    "--workers", type=click.IntRange(1), default=lambda: len(os.sched_getaffinity(0)), show_default="all cores",
    help="Work with this many processes side by side if --context is not contig; their number changes no result.",
)  # fmt: skip
shard = click.option(
    "--shard",
    type=Shard.parse,
    callback=lambda context, option, shard: shard or WHOLE,
    metavar="I/N",
    help="Do only part I of N, so that N machines can share the work; merge joins their outputs.",
)


#: The options about a sample's reads (see `titans_dna.cli.sources.ReadsChoice`).
reads = _all(
    click.option(
        "--reads", type=FILE, help="Take a sample's reads from this BAM, CRAM or SAM file, aligned to --fasta."
    ),
    click.option(
        "--reads-as", type=click.Choice(["consensus", "sequences"]), default="consensus", show_default=True,
        help="consensus: the sample's own bases take the reference's place, in its coordinates; sequences: every read "
        "that overlaps the regions is read by itself.",
    ),
    click.option(
        "--fill", type=click.Choice(["reference", "n"]), default="reference", show_default=True,
        help="Put the reference's base, or N, where the consensus calls no base.",
    ),
    click.option(
        "--min-depth", type=click.IntRange(1), default=1, show_default=True,
        help="Call a base of the consensus only where there are this many reads.",
    ),
    click.option(
        "--min-mapping-quality", type=click.IntRange(0, 255), default=0, show_default=True,
        help="Take only reads whose mapping quality (Phred) is at least this.",
    ),
    click.option("--duplicates", is_flag=True, help="Take reads that are marked as duplicates, too."),
    click.option("--secondary", is_flag=True, help="Take secondary alignments, too."),
    click.option(
        "--supplementary/--no-supplementary", default=True, show_default=True,
        help="Choose whether supplementary alignments, the further parts of split reads, are taken.",
    ),
    click.option(
        "--as-sequenced", is_flag=True, help="Read each read in the direction of the sequencer, not of the reference."
    ),
    click.option("--clipped", is_flag=True, help="Keep the soft-clipped ends of reads."),
)  # fmt: skip


one_vote_per = click.option(
    "--one-vote-per", type=click.Choice(["file", "contig", "prefix"]), default="file", show_default=True,
    help="Choose what counts as one relative: each file; each contig; or all contigs whose names agree up to the first "
    "# or |.",
)  # fmt: skip
_RELATIVES = (
    click.option(
        "--relatives", "relatives", type=FILE, multiple=True,
        help="Read this genome of a relative, strain or haplotype first: FASTA or GenBank, not aligned. Repeatable.",
    ),
    click.option(
        "--memory", "memories", type=FILE, multiple=True,
        help="Use what `remember` has read into this file: relatives, or what is to be scored. Repeatable.",
    ),
    one_vote_per,
    click.option("--allow-self", is_flag=True, help="Leave out contigs of --relatives that are the target itself."),
)  # fmt: skip


def relatives(command: Any) -> Any:
    """Add the options about relatives, which are read first; the verb gets their values together, as ``kin``."""

    @functools.wraps(command)
    def collected(*args: Any, **values: Any) -> Any:
        kin = {name: values.pop(name) for name in ("relatives", "memories", "one_vote_per", "allow_self")}
        return command(*args, kin=kin, **values)

    return _all(*_RELATIVES)(collected)


_HAPLOTYPES = (
    click.option(
        "--sample-vcf", type=FILE,
        help="Read a sample's haplotypes: the variants of this phased VCF or BCF are applied to --fasta.",
    ),
    click.option("--sample", default="", metavar="NAME", help="Take this sample of --sample-vcf, if it has several."),
    click.option(
        "--haplotypes", type=click.Choice(["both", "1", "2"]), default="both", show_default=True,
        help="Read both haplotypes of the sample, or one.",
    ),
)  # fmt: skip


def haplotypes(command: Any) -> Any:
    """Add the options about a sample's haplotypes; the verb gets them as ``phased``, a `SampleHaplotypes` or None."""

    @functools.wraps(command)
    def collected(*args: Any, **values: Any) -> Any:
        from titans_dna.jobs.haplotypes import SampleHaplotypes

        vcf, sample, which = (values.pop(name) for name in ("sample_vcf", "sample", "haplotypes"))
        if vcf is None:
            refuse_useless("sample", "haplotypes", where="without --sample-vcf")
        chosen = (1, 2) if which == "both" else (int(which),)
        phased = None if vcf is None else SampleHaplotypes(vcf=vcf, sample=sample, which=chosen)
        return command(*args, phased=phased, **values)

    return _all(*_HAPLOTYPES)(collected)


class RegionFile(NamedTuple):
    """A file of regions, and which lines of it count if it is an annotation."""

    path: Path  # BED, GTF or GFF; "-" for standard input
    features: tuple[str, ...] = (EXON,)  # feature types of GTF and GFF


_REGION_FILE = (
    click.option(
        "--bed", type=FILE,
        help="Take the regions of this file: BED (0-based, end excluded), or the features of GTF or GFF; .gz too; - is "
        "standard input.",
    ),
    click.option(
        "--feature", "features", multiple=True, metavar="TYPE", show_default=EXON,
        help="Take lines of this type (gene, CDS, ...) from GTF or GFF. Repeatable, or separated by commas.",
    ),
)  # fmt: skip


def bed(command: Any) -> Any:
    """Add the options for a file of regions; the verb gets them as ``bed``, a `RegionFile` or None."""

    @functools.wraps(command)
    def collected(*args: Any, **values: Any) -> Any:
        named = tuple(kind.strip() for text in values.pop("features") for kind in text.split(",") if kind.strip())
        if named and values["bed"] is None:
            raise ConfigError("--feature chooses lines of --bed, which is missing; give a GTF or GFF file")
        if values["bed"] is not None:
            values["bed"] = RegionFile(values["bed"], *([named] if named else []))
        return command(*args, **values)

    return _all(*_REGION_FILE)(collected)


#: The options about results that other verbs wrote (see `titans_dna.report.gather.ReportInputs`).
results = _all(
    click.option(
        "--variants", type=FILE, help="Take the scores that `score-variants` or `mutagenesis` wrote, in any format."
    ),
    click.option(
        "--truth-field", default="", metavar="ID", help="Take the true class of the variants from this INFO field."
    ),
    click.option(
        "--truth-optional", is_flag=True,
        help="Go on, with a warning, if no scored allele has the field of --truth-field.",
    ),
    click.option(
        "--truth-positive", default="breaking", show_default=True, metavar="VALUE",
        help="Count this class as the one that should score high.",
    ),
    click.option("--regions", type=FILE, help="Take the table that `score-regions` wrote."),
    click.option(
        "--track", type=FILE, help="Take the tracks that `score-regions` or `mutagenesis --all-snvs` wrote."
    ),
    click.option(
        "--embeddings", type=FILE, help="Take the embeddings that `embed` wrote, or `convert` as .h5ad or .parquet."
    ),
    click.option("--classes", type=FILE, help="Take the table that `predict` wrote."),
    click.option("--copies", type=FILE, help="Take what `copies` or `score-regions --copies` wrote."),
)  # fmt: skip


def check_place(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in a folder that is not there, before any work is done for it."""
    if path is not None and str(path) != "-" and not path.parent.is_dir():
        raise OutputError(f"the folder {str(path.parent)!r} does not exist. Make it first.", path=path)
    return path


def verb_of(context: click.Context) -> str:
    """Return the verb as it is typed: ``score-variants``, or ``benchmark needle``."""
    above = context.parent
    if above is None or above.parent is None:
        return str(context.info_name)
    return f"{verb_of(above)} {context.info_name}"


def check_output(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Check a path as `check_place` does, and refuse an ending that the verb cannot write."""
    option = max(parameter.opts, key=len)
    verb = verb_of(context) + ("" if option == "--output" else f" {option}")
    if path is not None and str(path) != "-" and endings_of(verb=verb):
        format_of(path, verb=verb)
    return check_place(context, parameter, path)


def check_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Check a path as `check_output` does, and refuse standard output too."""
    if str(path) == "-":
        raise ConfigError(f"--output is - for standard output, which {context.info_name} cannot write to. Name a file.")
    return check_output(context, parameter, path)


def endings(verb: str, holds: str = "") -> str:
    """Return the endings that a verb writes, for its help."""
    return ", ".join(endings_of(verb=verb, holds=holds))


def output(help_text: str, *, streams: bool = False, callback: Any = check_file) -> Any:
    """Return the ``--output`` option; its folder must exist unless ``callback=None``, ``-`` needs ``streams``."""
    check = check_output if streams else callback
    return click.option("--output", "-o", type=FILE, required=True, help=help_text, callback=check)
