"""``titans-dna evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options


@click.command("evaluate")
@options.model
@options.fasta
@options.aliases
@options.relatives
@click.option(
    "--contig",
    "contigs",
    multiple=True,
    help="Contig to evaluate on; by default those that training held out, or all if there are none. Repeatable.",
)
@click.option(
    "--window-tokens", type=click.IntRange(2), show_default="as in training",
    help="Tokens after which the memory is reset, in the second of the two readings.",
)  # fmt: skip
@options.device
@options.output("JSON file.")
def evaluate(
    model_folder: Path, fasta: Path, aliases: Path | None, contigs: tuple[str, ...], window_tokens: int | None,
    device: str, output: Path, kin: dict[str, Any],
) -> None:  # fmt: skip
    """Print bits per base of whole contigs: with memory carried along, with memory reset, and of Markov models.

    The Markov models (orders 2, 6 and 12) learn from both strands of all other contigs of the FASTA.

    \b
    titans-dna evaluate --model model/ --fasta data/demo.fa --contig chrC --output evaluation.json
    """
    import json

    from titans_dna.cli.sources import open_genome, read_before, report_names
    from titans_dna.cli.terminal import progress_bar
    from titans_dna.inference.model import load_model
    from titans_dna.io.disk.atomic import write_text
    from titans_dna.jobs.provenance import command_line
    from titans_dna.training.evaluation import evaluate_model, held_out_contigs

    model = load_model(model_folder, device)

    with open_genome(fasta, aliases) as source:
        model = read_before(model, source, kin)
        chosen = [source.contigs.require(name) for name in contigs] or held_out_contigs(model_folder, source)
        if not chosen:
            chosen = list(source.contigs.names)
            click.echo(
                f"note: {fasta} has no contig that the training of {model.name} held out, so all {len(chosen):,} are "
                f"evaluated; where training saw them, the figures flatter the model. Choose with --contig.",
                err=True,
            )
        # Every contig is read twice: with the memory carried along, and with resets.
        total = 2 * sum(source.contigs.lengths[contig] for contig in chosen)
        with progress_bar("evaluating", total) as advance:
            result = evaluate_model(model, source, chosen, window_tokens or _window(model_folder), advance)
        report_names(source)
    result["command"] = command_line()
    write_text(output, json.dumps(result, indent=2) + "\n")
    click.echo(f"bits per base over {result['bases']:,} bases of {', '.join(chosen)}")
    click.echo(f"  model, memory carried   {result['bits_per_base']:.4f}")
    click.echo(f"  model, memory reset     {result['bits_per_base_memory_reset']:.4f}")
    for row in result["baselines"]:
        click.echo(f"  Markov, {row['name']:<15} {row['bits_per_base']:.4f}")
    if not result["baselines"]:
        click.echo(f"note: no Markov models, which would learn from other contigs: {fasta} has none", err=True)


def _window(model_folder: Path) -> int:
    from titans_dna.training.evaluation import training_record

    return int(training_record(model_folder).get("window_tokens", 1024))
