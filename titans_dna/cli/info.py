"""``titans-dna info``."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from titans_dna.cli import options
from titans_dna.cli.terminal import number_of
from titans_dna.errors import FormatError

if TYPE_CHECKING:
    from titans_dna.inference.gates import GateStatistics
    from titans_dna.inference.model import SequenceModel
    from titans_dna.model.config import BackboneConfig
    from titans_dna.recall import RecallForm, Target

_COUNTED = ("outcome", "predicted")  # columns whose values are counted
_METADATA = {"rows": "rows of the job"}  # of a shard, beside the number of its own
_LINES = 1000  # of contigs that are written at once
_INDEXES = (".tbi", ".csi", ".bai", ".fai", ".gzi")


@click.command("info")
@click.argument("path", type=options.FILE, callback=options.find_model)
def info(path: Path) -> None:
    """Say what a model folder, a sequence file, or a file that titans-dna wrote holds.

    Sequence files are FASTA, GenBank and EMBL. For scores, tracks, embeddings, classes, tokens and copies, in every
    format that a verb writes, this prints the number of rows, the columns, how many rows have each outcome or class,
    and what made the file; for JSON it prints the figures, for a memory file the genomes in it.

    \b
    titans-dna info model/
    titans-dna info data/demo.fa
    titans-dna info default
    """
    from titans_dna.io.formats import HOLDS, sniff

    if path.is_dir():
        _model(path)
        return
    found = sniff(path)
    if found is None or found.holds == "sequence":
        _fasta(path)
    elif found.name == "NumPy":
        _vectors(path)
    elif found.holds in _READERS:
        _READERS[found.holds](path)
    elif found.reader:
        _scores(path)
    else:
        _rows({"holds": HOLDS[found.holds], "format": found.name, "bytes": f"{path.stat().st_size:,}"})


def _memory(path: Path) -> None:
    from titans_dna.loading.memory_file import open_memory
    from titans_dna.recall import Target

    found = open_memory(path, whole=True)
    if isinstance(found, Target):
        _target(path, found)
        return
    genomes = found.genomes
    bases = dict.fromkeys(genomes, 0)
    for contig in found.contigs:
        bases[contig.genome] += contig.length_bp
    _rows(
        {
            "memory of": f"{len(genomes):,} genomes, {len(found.contigs):,} contigs, {found.bases:,} bases",
            "settings": _recall(found.memory.form),
            "checksum": f"{found.checksum}; all arrays are whole",
            "bytes a base": f"{path.stat().st_size / found.bases:.2f}",
            **{f"genome {number}": f"{name}, {bases[name]:,} bases" for number, name in enumerate(genomes, 1)},
        }
    )


def _target(path: Path, found: Target) -> None:
    from titans_dna.cli.terminal import number_of

    contigs = number_of(len(found.contigs), "contig")
    bases = sum(contig.length_bp for contig in found.contigs)
    _rows(
        {
            "memory of": f"what is to be scored, both strands of {contigs}, {bases:,} bases",
            "settings": _recall(found.form),
            "checksum": "all arrays are whole",
            "bytes a base": f"{path.stat().st_size / max(1, bases):.2f}",
            **{f"contig {n}": f"{c.name}, {c.length_bp:,} bases, MD5 {c.md5}" for n, c in enumerate(found.contigs, 1)},
        }
    )


def _rows(rows: dict[str, object]) -> None:
    for key, value in rows.items():
        click.echo(f"{key:<18} {value}")


def _model(path: Path) -> None:
    from titans_dna.inference.model import load_model
    from titans_dna.model.state import state_numbers
    from titans_dna.training.evaluation import training_record

    model = load_model(path, "cpu")
    config, record = model.backbone.config, training_record(path)
    _rows(
        {
            "model": model.name,
            "weights sha256": model.weights_sha256,
            "parameters": f"{sum(x.numel() for x in model.backbone.parameters()):,}",
            "block": f"{config.block}, {config.layers} layers of width {config.width}",
            "memory": _deep_memory(config),
            "copy memory": _recall(config.recall),
            "attention": f"window of {config.window_tokens} tokens, {config.persistent_tokens} persistent",
            "state": f"{state_numbers(model.backbone.initial_state(1)):,} numbers per sequence",
            "tokenizer": model.tokenizer.kind,
            "trained on": ", ".join(record.get("fasta", [])) or "not recorded",
            "bases learned": f"{record['bases']:,}" if "bases" in record else "not recorded",
            **_gates(model),
            **_memory_card(path, model),
        }
    )


def _deep_memory(config: BackboneConfig) -> str:
    from titans_dna.model.config import MEMORY_BLOCKS

    if config.block not in MEMORY_BLOCKS:
        return "none"
    resets = f"begins anew every {config.reset_tokens:,} tokens" if config.reset_tokens else "carried along"
    heads = number_of(config.memory_heads, "head")
    return f"depth {config.memory.depth}, {heads}, chunks of {config.chunk_tokens}, {resets}"


def _gates(model: SequenceModel) -> dict[str, object]:
    """Return one line for the memory of each layer: how often it writes, and how much; none for a model without."""
    from titans_dna.inference.gates import RANDOM_BASES, RANDOM_SEED, random_gates
    from titans_dna.tokenizers import NucleotideTokenizer

    config, found = model.backbone.config, random_gates(model)
    if not found:
        return {}
    read = "bases" if isinstance(model.tokenizer, NucleotideTokenizer) else "tokens"
    rows: dict[str, object] = {
        "gates": f"read on the start token and {RANDOM_BASES:,} random bases (seed {RANDOM_SEED}):"
    }
    for layer in range(1, config.layers + 1):
        rows[f"memory of layer {layer}"] = "none: window attention alone"
        for memory in (memory for memory in found if memory.layer == layer):
            which = f"memory {memory.memory}" if memory.memory > 1 else "memory"
            rows[f"{which} of layer {layer}"] = _gates_of(memory, read)
    return rows


def _gates_of(memory: GateStatistics, read: str) -> str:
    return (
        f"writes at {memory.writes:.1%} of the {read}, mean step {memory.mean_step:.2g}, "
        f"momentum {memory.mean_momentum:.2g}, forgetting {memory.mean_forgetting:.2g}"
    )


def _memory_card(folder: Path, model: SequenceModel) -> dict[str, str]:
    """Return what the memory card in a model's folder says, if there is one and it is of these weights."""
    from titans_dna.benchmark.memory_card import card_lines, read_card

    card = read_card(folder)
    if card is None:
        return {}
    if card["weights_sha256"] != model.weights_sha256:
        return {"memory card": "of other weights; measure it anew by `titans-dna benchmark memory --keep`"}
    return card_lines(card)


def _recall(form: RecallForm | None) -> str:
    if form is None:
        return "none"
    words = " and ".join(f"{word} (one in {n})" for word, n in zip(form.words, form.sample_every, strict=True))
    reach = f"{form.horizon_bases:,} bases back" if form.horizon_bases else "everything read"
    return f"{form.places} places in {reach}, by words {words}; {form.bytes_per_base:.1f} bytes a base, and its tables"


def _scores(path: Path) -> None:
    from titans_dna.io.scores import open_scores

    table = open_scores(path)
    counts = {name: Counter[str]() for name in _COUNTED if name in [column.name for column in table.columns]}
    rows = 0
    for row in table:
        rows += 1
        for name, count in counts.items():
            count[row[name] or "none"] += 1
    told = {name: ", ".join(f"{value} {n:,}" for value, n in count.most_common()) for name, count in counts.items()}
    made = {_METADATA.get(name, name): text for name, text in table.metadata.items()}
    _rows({"rows": f"{rows:,}", "columns": " ".join(column.name for column in table.columns), **told, **made})


def _figures(path: Path) -> None:
    from titans_dna.io.tables.figures import open_figures

    table = open_figures(path)
    _rows({**{row["figure"]: f"{row['value']:.10g}" for row in table}, **table.metadata})


def _tokenizer(path: Path) -> None:
    from titans_dna.tokenizers import read_tokenizer

    found = read_tokenizer(path)
    longest = max(len(word) for word in found.vocabulary if set(word) <= set("ACGT"))
    _rows({"tokenizer": found.kind, "tokens": f"{len(found.vocabulary):,}", "longest token": f"{longest} bases"})


def _vectors(path: Path) -> None:
    import numpy as np

    from titans_dna.io.disk.beside import read_beside

    regions, width = np.load(path, mmap_mode="r").shape
    _rows({"regions": f"{regions:,}", "width": width, **read_beside(path)})


def _embeddings(path: Path) -> None:
    from titans_dna.io.embeddings.convert import as_hdf5

    with as_hdf5(path) as embeddings:
        _rows({"regions": f"{len(embeddings):,}", "width": embeddings.width, **embeddings.attributes})


def _fasta(path: Path) -> None:
    from titans_dna.io.sequence.fasta import open_fasta

    if path.suffix in _INDEXES:
        raise FormatError(f"is an index, which other programs need. Give the file {path.stem}.", path=path)
    try:
        with open_fasta(path) as fasta:
            click.echo("contig\tlength\tmd5")
            rows = (f"{name}\t{length}\t{fasta.md5(name)}" for name, length in fasta.contigs.lengths.items())
            # Every call writes to the terminal at once, and drafts have hundreds of thousands of contigs.
            while lines := list(islice(rows, _LINES)):
                click.echo("\n".join(lines))
    except FormatError:
        if not (path.parent / "model.safetensors").is_file():
            raise
        what = f"is no sequence but a part of a model. Give the model's folder: titans-dna info {path.parent}."
        raise FormatError(what, path=path) from None


_READERS = {
    "embeddings": _embeddings, "memory": _memory, "figures": _figures, "provenance": _figures, "tokenizer": _tokenizer,
}  # fmt: skip
