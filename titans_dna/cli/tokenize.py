"""``titans-dna tokenize``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from titans_dna.cli import options

COLUMNS = ("contig", "start", "end", "id", "token", "masked", "region")


@click.command("tokenize")
@options.tokenizer
@click.option(
    "--model", "model_folder", type=options.FILE, callback=options.find_model,
    help="Use the tokenizer of this model instead.",
)  # fmt: skip
@options.fasta
@options.aliases
@options.bed
@options.region
@options.output(
    f"Table ({options.endings('tokenize')}, - for standard output); start 0-based, end excluded.", streams=True
)
def tokenize(
    tokenizer: str, model_folder: Path | None, fasta: Path, aliases: Path | None, bed: Path | None,
    regions: tuple[str, ...], output: Path,
) -> None:  # fmt: skip
    """Write one row per token: its place on the contig, its id, its text, and the share of its bases in lower case.

    A region is tokenized as a sequence of its own, on the forward strand. Without --bed and --region every contig is
    one region. IUPAC codes such as R or Y, which the tokenizer reads as N, are counted on standard error.

    \b
    titans-dna tokenize --tokenizer kmer:6 --fasta data/demo.fa --region chrA:1-60 --output -
    titans-dna tokenize --model model/ --fasta data/demo.fa --bed data/demo.bed --output tokens.tsv.gz
    """
    from titans_dna.cli.regions import place_regions, warn_unused
    from titans_dna.cli.sources import open_genome, report_names
    from titans_dna.io.tables.tsv import write_tsv
    from titans_dna.jobs.provenance import command_line
    from titans_dna.tokenizers import named_tokenizer, read_tokenizer
    from titans_dna.tokenizers import tokenize as encode
    from titans_dna.version import __version__

    if model_folder is not None:
        options.refuse_useless("tokenizer", where="beside --model")
    chosen = named_tokenizer(tokenizer) if model_folder is None else read_tokenizer(model_folder / "tokenizer.json")
    words, unread = chosen.vocabulary, Counter[str]()
    with open_genome(fasta, aliases) as source:
        placed = place_regions(source, bed, regions)

        def rows() -> Iterator[dict[str, Any]]:
            for region in placed:
                if not region.usable:
                    continue
                found = encode(chosen, source.fetch(region.contig, region.start, region.end), region.start)
                unread.update(found.ambiguous)
                for number, (start, end), masked in zip(
                    found.ids.tolist(), found.offsets.tolist(), found.masked.tolist(), strict=True
                ):
                    values = (region.contig, start, end, number, words[number], masked, region.asked.name)
                    yield dict(zip(COLUMNS, values, strict=True))

        metadata = {
            "version": __version__, "tokenizer": chosen.kind, "reference": fasta.name, "command": command_line()
        }  # fmt: skip
        written = write_tsv(output, COLUMNS, rows(), metadata)
        report_names(source)
    warn_unused(placed)
    click.echo(f"{written:,} tokens", err=True)
    if unread:
        click.echo("read as N: " + ", ".join(f"{code} {count:,}" for code, count in sorted(unread.items())), err=True)
