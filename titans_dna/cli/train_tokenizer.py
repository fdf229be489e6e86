"""``titans-dna train-tokenizer``."""

from __future__ import annotations

from pathlib import Path

import click

from titans_dna.cli import options


@click.command("train-tokenizer")
@options.fastas
@click.option(
    "--vocabulary-size", type=click.IntRange(8), default=4096, show_default=True,
    help="Number of tokens, including the single bases, N, start and padding.",
)  # fmt: skip
@click.option(
    "--sample-bp", type=click.IntRange(512), default=20_000_000, show_default=True,
    help="Bases to learn from, drawn evenly from all contigs.",
)  # fmt: skip
@click.option("--longest-bp", type=click.IntRange(2, 255), default=64, show_default=True, help="Most bases in a token.")
@options.seed
@options.output("JSON file, to be given to pretrain --tokenizer.")
def train_tokenizer(
    fastas: tuple[Path, ...], vocabulary_size: int, sample_bp: int, longest_bp: int, seed: int, output: Path
) -> None:
    """Learn the byte pairs that are frequent on both strands of a genome, and write them as JSON.

    K-mers need no learning: give pretrain --tokenizer kmer:6 instead.

    \b
    titans-dna train-tokenizer --fasta data/demo.fa --vocabulary-size 512 --output bpe.json
    titans-dna pretrain --fasta data/demo.fa --tokenizer bpe.json --output model/
    """
    import json
    from collections.abc import Iterator

    from titans_dna.genome.alphabet import reverse_complement
    from titans_dna.io.disk.atomic import write_text
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.tokenizers import BpeTokenizer

    def strands() -> Iterator[bytes]:
        for path in fastas:
            with open_fasta(path) as fasta:
                for contig in fasta.contigs:
                    sequence = fasta.sequence(contig)
                    yield sequence
                    yield reverse_complement(sequence)

    tokenizer = BpeTokenizer.train(strands(), vocabulary_size, sample_bp=sample_bp, seed=seed, longest_bp=longest_bp)
    write_text(output, json.dumps(tokenizer.to_json()) + "\n")
    words = tokenizer.vocabulary[: tokenizer.targets]
    click.echo(f"{output}: {len(tokenizer.vocabulary):,} tokens, the longest of {max(map(len, words))} bases", err=True)
