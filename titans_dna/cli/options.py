"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.checkpoints import model_folder
from titans_dna.errors import OutputError
from titans_dna.genome.shard import Shard

FILE = click.Path(path_type=Path)


def find_model(context: click.Context, parameter: click.Parameter, name: Path | None) -> Path | None:
    """Turn ``default`` into the folder of the model in the package."""
    return None if name is None else model_folder(name)


model = click.option(
    "--model", "model_folder", type=FILE, required=True, callback=find_model,
    help="Folder of a model (see pretrain), or 'default' for the one in the package.",
)  # fmt: skip
fasta = click.option("--fasta", type=FILE, required=True, help="Sequence: FASTA, plain, gzip or bgzip.")
device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
bed = click.option(
    "--bed", type=FILE, help="Regions: BED (0-based, end excluded) or GTF/GFF exons, .gz too; - for standard input."
)
region = click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="CONTIG:START-END",
    help="A region, 1-based, end included. Repeatable.",
)
resume = click.option("--resume", is_flag=True, help="Go on with what a stopped run has finished.")
shard = click.option(
    "--shard", type=Shard.parse, default="1/1", metavar="I/N", help="Do part I of N, for N machines; see merge."
)


def check_folder(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file in a folder that is not there, before any work is done for it."""
    if path is not None and str(path) != "-" and not path.parent.is_dir():
        raise OutputError(f"the folder {str(path.parent)!r} does not exist. Make it first.", path=path)
    return path


def output(help_text: str, **settings: Any) -> Any:
    """Return the ``--output`` option; its folder must exist unless ``callback=None``."""
    settings = {"callback": check_folder, **settings}
    return click.option("--output", "-o", type=FILE, required=True, help=help_text, **settings)
