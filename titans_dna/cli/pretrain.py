"""``titans-dna pretrain``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options


@click.command("pretrain", short_help="Train a model on FASTA files.")
@options.fastas
@click.option(
    "--holdout", multiple=True, metavar="CONTIG", help="Contig to evaluate on and never to learn. Repeatable."
)
@options.tokenizer
@click.option("--config", default="tiny", show_default=True, help="Named size of the model.")
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Updates of the weights.")
@click.option("--lanes", type=click.IntRange(1), default=16, show_default=True, help="Windows per step.")
@click.option("--window-tokens", type=click.IntRange(2), default=1024, show_default=True, help="Tokens per window.")
@click.option("--learning-rate", type=float, default=3e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--soft-mask-weight", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Of lower-case bases."
)
@click.option("--evaluate-every", type=click.IntRange(1), default=100, show_default=True, help="Steps.")
@options.seed
@options.device
@options.output("Folder of the model; made if need be.", callback=None)
def pretrain(
    fastas: tuple[Path, ...], holdout: tuple[str, ...], tokenizer: str, config: str, output: Path, device: str,
    **settings: float,
) -> None:  # fmt: skip
    """Train a model on the contigs of FASTA files.

    \b
    titans-dna pretrain --fasta data/demo.fa --holdout chrC --steps 100 --output model/
    titans-dna pretrain --fasta data/demo.fa --holdout chrC --tokenizer kmer:6 --steps 100 --output words/
    """
    from titans_dna.cli.progress import progress_bar
    from titans_dna.model.config import named_config
    from titans_dna.tokenizers import named_tokenizer
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.run import pretrain_model

    training = TrainingConfig(**settings)  # type: ignore[arg-type]
    bases = training.steps * training.lanes * training.window_tokens
    with progress_bar("training", bases) as advance:
        summary = pretrain_model(
            fastas, output, named_config(config), training, size=config, holdout=holdout, device=device,
            tokenizer=named_tokenizer(tokenizer), advance=advance,
        )  # fmt: skip
    click.echo(summary)
