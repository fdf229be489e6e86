"""The command line: each verb has a file of its own, which is imported only when that verb is called."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

import click

from titans_dna.cli.terminal import plain_terminal
from titans_dna.errors import OutputError, TitansDNAError
from titans_dna.io.disk.atomic import full_disk
from titans_dna.version import __version__

# Threads that wait in a busy loop make small products many times slower where others use the machine too; it must be
# set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_NO_ROOM = ("failed to map segment from shared object", "cannot allocate memory", "Cannot allocate memory")
INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT, as a shell reports of a program that this signal ended

VERBS = {
    "train-tokenizer": "Learn byte-pair tokens from FASTA files.",
    "tokenize": "Write regions or contigs as tokens, with the bases of each.",
    "pretrain": "Train a model on FASTA files.",
    "finetune": "Train a classifier of sequences, or a head for every base.",
    "predict": "Apply a classifier or a head that finetune has trained.",
    "evaluate": "Measure bits per base on contigs that were held out.",
    "remember": "Read genomes of relatives into a memory file.",
    "score-variants": "Score the variants of a VCF, BCF or table.",
    "explain": "Say why variants score as they do, base by base.",
    "score-regions": "Score regions or whole contigs, with tracks along them.",
    "copies": "Trace where sequence was copied from, without a network.",
    "mutagenesis": "Score every single-base change of a region.",
    "generate": "Continue a sequence, base by base.",
    "embed": "Write embeddings of regions to HDF5.",
    "merge": "Make one file of the shards that several machines wrote.",
    "convert": "Convert embeddings to h5ad, parquet or npy, and back.",
    "benchmark": "Measure a model on data of your own.",
    "statistics": "Count the results of one sample.",
    "report": "Put results into one HTML page.",
    "info": "Say what a model, sequence, embedding or score file holds.",
    "doctor": "Check the installation, one line each.",
}


class LazyGroup(click.Group):
    """A group that lists its verbs without importing them, and turns known errors into one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run as a program; on a terminal, everything that is printed is plain text."""
        with plain_terminal():
            return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they are used, which is also that of the help."""
        return list(VERBS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that is asked for; where there is none of this name, suggest the near ones."""
        name = args[0].replace("_", "-")
        if args[0] not in VERBS and args[0][:1].isalnum():
            near = [verb for verb in VERBS if verb.startswith(name)] or get_close_matches(name, VERBS)
            suggested = f" Did you mean {' or '.join(near)}?" if near else f" See {ctx.command_path} --help."
            ctx.fail(f"No such command '{args[0]}'.{suggested}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"titans_dna.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; an error of `titans_dna.errors` ends it with one line on standard error and exit code 1."""
        try:
            with full_disk(None):
                return super().invoke(ctx)
        except TitansDNAError as error:
            _drop_unwritable()
            raise _OneLine(str(error)) from error
        except MemoryError as error:
            raise _no_memory(str(error)) from error
        except ImportError as error:
            if _lacks_room_to_load(error):
                raise _no_memory("") from error
            raise
        # The reader of a pipe has gone, as after `| head`. 141 is 128 + SIGPIPE, what a shell reports of a program that
        # this signal ended; with standard error closed, Python cannot complain when it flushes standard output at exit.
        except BrokenPipeError:
            sys.stderr.close()
            raise SystemExit(141) from None
        # What the system refuses beyond what the readers and writers know, such as a folder that is deleted meanwhile.
        except OSError as error:
            if _lacks_room_to_load(error):
                raise _no_memory("") from error
            if error.filename is None:
                raise
            raise _OneLine(str(OutputError(f"{error.strerror}. Check the path.", path=error.filename))) from error
        # Whoever knows how the run can go on has noted it on the exception.
        except KeyboardInterrupt as interrupt:
            _drop_unwritable()
            raise _Interrupted("; ".join(["interrupted", *getattr(interrupt, "__notes__", ())])) from None
        finally:
            _end_workers()


def _lacks_room_to_load(error: BaseException) -> bool:
    """Tell whether a library could not be loaded because memory is limited, as by ``ulimit -v``.

    The loader of the system says so in words alone, and libraries raise errors of their own from its error.
    """
    cause: BaseException | None = error
    while cause is not None:
        if any(words in str(cause) for words in _NO_ROOM):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _end_workers() -> None:
    """End the processes of a run that has failed; Python would wait at exit until they have computed everything."""
    if "titans_dna.jobs.workers" in sys.modules:
        importlib.import_module("titans_dna.jobs.workers").end_workers()


def _drop_unwritable() -> None:
    """Close standard output if it cannot be flushed, for else Python reports the same error again when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            sys.stdout.close()


class _OneLine(click.ClickException):
    """Printed by click as ``error: message``."""

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", err=True, file=file)


def _no_memory(more: str) -> _OneLine:
    """Return the error of a process that was refused memory."""
    told = f" ({more})" if more else ""
    return _OneLine(f"there is not enough memory{told}. Give the process more, or less at a time.")


class _Interrupted(_OneLine):
    """Ctrl-C: one line that says how the run can go on."""

    exit_code = INTERRUPTED

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True, file=file)


# Without "color" click takes colour codes out of what goes to a pipe or file, and with them a part of a contig's name.
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "color": True}


@click.group(cls=LazyGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="titans-dna")
@click.option("-v", "--verbose", is_flag=True, help="Log what is being done to standard error.")
def main(verbose: bool) -> None:
    """Read genomes with Titans: a model whose memory learns while it reads.

    \b
    BED, embeddings and tracks count bases from 0, ends excluded.
    VCF positions and regions written contig:start-end count from 1, ends included.
    Contigs may be named in any common way (1, chr1, NC_000001.11; I, chrI; M, MT).

    \b
    titans-dna score-variants --model MODEL --fasta hg38.fa --vcf in.vcf.gz --output out.vcf.gz
    titans-dna VERB --help
    """
    # Standard output may carry a table or a VCF (--output -), so the log goes to standard error.
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", stream=sys.stderr)
