"""The register of formats: what each holds, its file endings, who writes and reads it, and whether its shards merge.

All other parts of the package ask here what an ending means. A reader or writer is imported only when it is asked for,
so this module is quick to load. The name of an output says its format (`format_of`). An input is recognised by its
bytes, or by its name if the bytes do not say (`sniff`).
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import FormatError, InputMissing, OutputError
from titans_dna.io.disk.hdf5_reader import find, read_hdf5

#: What a file can hold, in words.
HOLDS = {
    "variants": "scored variants",
    "scores": "a table of scores",
    "tracks": "tracks, one number or several for each base",
    "all-SNVs": "ln P of A, C, G and T at every base",
    "mutagenesis": "single-base changes of regions",
    "embeddings": "embeddings of regions",
    "explanation": "explanations of variants, base by base",
    "benchmark": "figures of a benchmark",
    "classes": "predicted classes",
    "tokens": "tokens of sequence",
    "sequence": "sequence",
    "generated": "figures of generated sequences and their prompts",
    "figures": "figures of an evaluation, a classifier or a sample",
    "copies": "stretches and the earlier places that foretold them",
    "memory": "genomes of relatives, read to be found again",
    "tokenizer": "a tokenizer",
    "provenance": "what made the file beside it",
    "page": "a page to be looked at",
    "picture": "a picture",
}


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format for one kind of content."""

    name: str  # in words
    holds: str  # a key of `HOLDS`
    endings: tuple[str, ...]  # endings of file names, the preferred one first
    verbs: tuple[str, ...] = ()  # verbs that write it, with the option if that is not --output
    writer: str = ""  # "module:name" below titans_dna.io; empty if the verb writes it itself
    reader: str = ""  # "module:name" below titans_dna.io of a function that takes a path
    merges: bool = False  # whether `titans-dna merge` makes one file of its shards
    package: str = ""  # optional package that it needs; "" for none

    def fits(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a path has an ending of this format."""
        return os.fspath(path).endswith(self.endings)

    def load_writer(self) -> Any:
        """Import the writer."""
        return _load(self.writer)

    def load_reader(self) -> Any:
        """Import the reader."""
        return _load(self.reader)


_TABLES = ("score-variants", "score-regions")
_TRACKS = ("score-regions --tracks", "mutagenesis --all-snvs", "predict --tracks")
_BENCHMARKS = ("benchmark needle", "benchmark classification", "benchmark variants")
_TSV, _HDF5 = (".tsv", ".tsv.gz"), (".h5", ".hdf5")
BENCHMARK_COLUMNS = {  # first and last of each table
    ("test", "bases_right"), ("set", "auprc_greatest"), ("score", "pairs_right_high"),
}  # fmt: skip
_TOKENIZERS = ("nucleotide", "kmer", "bpe")  # values of "kind" in the JSON of a tokenizer
_TEXT = ("TSV", "JSON", "HTML")  # formats that can be written to a device or pipe
_SINKS, _TABLE, _TRACK = "tables.score_table:", "tables.score_table_reader:", "tables.track_set:"

FORMATS = (
    Format(
        name="VCF", holds="variants", endings=(".vcf.gz", ".vcf", ".vcf.bgz"), verbs=("score-variants",),
        writer="variants.vcf_writer:ScoredVcfWriter", reader="variants.scored_vcf:open_scored_vcf", merges=True,
    ),
    Format(
        name="BCF", holds="variants", endings=(".bcf",), reader="variants.scored_vcf:open_scored_vcf",
    ),
    Format(
        name="TSV", holds="scores", endings=_TSV, verbs=_TABLES, writer=_SINKS + "TsvSink", reader=_TABLE + "open_tsv",
        merges=True,
    ),
    Format(
        name="Parquet", holds="scores", endings=(".parquet",), verbs=_TABLES, writer=_SINKS + "ParquetSink",
        reader=_TABLE + "open_parquet", merges=True, package="pyarrow",
    ),
    Format(
        name="HDF5", holds="scores", endings=_HDF5, verbs=_TABLES, writer=_SINKS + "Hdf5Sink",
        reader=_TABLE + "open_hdf5", merges=True,
    ),
    Format(
        name="AnnData", holds="scores", endings=(".h5ad",), verbs=_TABLES, writer=_SINKS + "AnnDataSink",
        reader=_TABLE + "open_anndata", merges=True, package="anndata",
    ),
    Format(
        name="TSV with a tabix index", holds="all-SNVs", endings=(".tsv.gz",), verbs=("mutagenesis --all-snvs",),
        writer="tables.snv_table:SnvTableWriter", reader=_TABLE + "open_tsv", merges=True,
    ),
    Format(
        name="bigWig", holds="tracks", endings=(".bw",), verbs=("score-regions --track", *_TRACKS),
        writer=_TRACK + "BigWigs", reader="tables.track_set_reader:open_bigwig", merges=True,
    ),
    Format(
        name="TSV", holds="tracks", endings=_TSV, verbs=_TRACKS, writer=_TRACK + "Rows", reader=_TABLE + "open_tsv",
        merges=True,
    ),
    Format(
        name="Parquet", holds="tracks", endings=(".parquet",), verbs=_TRACKS, writer=_TRACK + "Rows",
        reader=_TABLE + "open_parquet", merges=True, package="pyarrow",
    ),
    Format(
        name="HDF5", holds="tracks", endings=_HDF5, verbs=_TRACKS, writer=_TRACK + "Arrays",
        reader="tables.track_set_reader:open_arrays", merges=True,
    ),
    Format(
        name="HDF5", holds="mutagenesis", endings=_HDF5, verbs=("mutagenesis",),
        reader="tables.mutagenesis:open_mutagenesis",
    ),
    Format(
        name="HDF5", holds="embeddings", endings=_HDF5, verbs=("embed", "convert"),
        writer="embeddings.writer:EmbeddingWriter", reader="embeddings.reader:open_embeddings", merges=True,
    ),
    Format(
        name="AnnData", holds="embeddings", endings=(".h5ad",), verbs=("convert",),
        writer="embeddings.convert:write_h5ad", reader="embeddings.convert:read_h5ad", package="anndata",
    ),
    Format(
        name="Parquet", holds="embeddings", endings=(".parquet",), verbs=("convert",),
        writer="embeddings.convert:write_parquet", reader="embeddings.convert:read_parquet", package="pyarrow",
    ),
    Format(
        name="NumPy", holds="embeddings", endings=(".npy",), verbs=("convert",), writer="embeddings.convert:write_npy",
    ),
    Format(
        name="TSV", holds="classes", endings=_TSV, verbs=("predict",), writer="tables.tsv:TsvWriter",
        reader=_TABLE + "open_tsv",
    ),
    Format(
        name="TSV", holds="tokens", endings=_TSV, verbs=("tokenize",), writer="tables.tsv:TsvWriter",
        reader=_TABLE + "open_tsv",
    ),
    Format(
        name="FASTA", holds="sequence", endings=(".fa", ".fa.gz", ".fasta", ".fasta.gz"), verbs=("generate",),
        writer="sequence.fasta_writer:FastaWriter",
    ),
    Format(
        name="TSV", holds="generated", endings=_TSV, verbs=("generate --table",), writer="tables.tsv:TsvWriter",
        reader=_TABLE + "open_tsv",
    ),
    Format(
        name="JSON", holds="figures", endings=(".json",), verbs=("evaluate", "statistics", "benchmark memory"),
        reader="tables.figures:open_figures",
    ),
    Format(name="JSON", holds="tokenizer", endings=(".json",), verbs=("train-tokenizer",)),
    Format(
        name="JSON", holds="provenance", endings=(".bw.json", ".npy.json"), reader="tables.figures:open_figures",
    ),
    Format(
        name="BEDPE", holds="copies", endings=(".bedpe", ".bedpe.gz"), verbs=("copies", "score-regions --copies"),
        writer="tables.tsv:TsvWriter", reader=_TABLE + "open_tsv",
    ),
    Format(
        name="TSV", holds="explanation", endings=_TSV, verbs=("explain",), writer="tables.tsv:TsvWriter",
        reader=_TABLE + "open_tsv",
    ),
    Format(
        name="TSV", holds="benchmark", endings=_TSV, verbs=_BENCHMARKS, writer="tables.tsv:TsvWriter",
        reader=_TABLE + "open_tsv",
    ),
    Format(name="memory", holds="memory", endings=(".tdm",), verbs=("remember",)),
    Format(name="IGV session", holds="page", endings=(".xml",), verbs=("score-regions --igv",)),
    Format(name="HTML", holds="page", endings=(".html", ".htm"), verbs=("report",)),
    Format(
        name="picture", holds="picture", endings=(".png", ".svg", ".pdf"),
        verbs=("mutagenesis --picture", "explain --picture"),
    ),
)  # fmt: skip


def endings_of(*, verb: str = "", holds: str = "") -> tuple[str, ...]:
    """Return the endings that a verb writes, or that files of some content have; the preferred one first."""
    return tuple(dict.fromkeys(end for found in _chosen(verb, holds) for end in found.endings))


def format_of(path: str | os.PathLike[str], *, verb: str = "", holds: str = "") -> Format:
    """Return the format that the path of an output asks for.

    Parameters
    ----------
    path
        Output. A device such as ``/dev/null`` has no ending; it is accepted if the verb writes one text format only.
    verb
        Verb that writes, with the option if that is not ``--output``; "merge" writes all formats whose shards merge.
    holds
        Content that is written, a key of `HOLDS`; empty for all that the verb writes.

    Raises
    ------
    OutputError
        If the verb does not write this ending, or a package that it needs is not installed.
    """
    formats = _chosen(verb, holds)
    found = next((each for each in formats if each.fits(path)), None)
    if found is None and len(formats) == 1 and formats[0].name in _TEXT and _is_device(Path(path)):
        return formats[0]
    if found is None:
        raise OutputError(_refusal(Path(path), verb, holds), path=path)
    require_package(found, path)
    return found


def require_package(found: Format, path: str | os.PathLike[str]) -> None:
    """Raise OutputError if the package that a format needs is not installed."""
    if found.package and importlib.util.find_spec(found.package) is None:
        raise OutputError(
            f"needs the package {found.package}. Install it with: pip install 'titans-dna[convert]'.", path=path
        )


def sniff(path: str | os.PathLike[str]) -> Format | None:
    """Return the format of a file, by its bytes or else by its name; None if the package does not write such files.

    Raises
    ------
    InputMissing
        If the file does not exist.
    FormatError
        If the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        if Path(f"{path}.work").is_dir():
            what = "is not complete yet: a run is writing it, or was stopped. Wait, or run it again with --resume."
            raise InputMissing(what, path=path)
        raise InputMissing("there is no such file. Check the path.", path=path)
    name, holds = _look_inside(path)
    if name:
        return next((each for each in FORMATS if each.name == name and each.holds == holds), None)
    return next((each for each in FORMATS if each.fits(path)), None)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"titans_dna.io.{module}"), name)


def _chosen(verb: str, holds: str) -> list[Format]:
    """Return the formats that a verb writes for some content."""
    held = [each for each in FORMATS if each.verbs and holds in ("", each.holds)]
    return [each for each in held if not verb or verb in each.verbs or (verb == "merge" and each.merges)]


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _refusal(path: Path, verb: str, holds: str) -> str:
    """Return in words what the verb cannot write, what it can, and what else would write it."""
    known = next(
        (end for each in FORMATS for end in sorted(each.endings, key=len)[::-1] if path.name.endswith(end)), ""
    )
    who = verb or "titans-dna"
    what = f" for {HOLDS[holds]}" if holds and (verb == "merge" or not verb) else ""
    said = f"{who} writes no {known}{what}" if known else f"has no ending that {who} writes{what}"
    choice = endings_of(verb=verb, holds=holds)
    listed = ", ".join(choice[:-1]) + " or " + choice[-1] if len(choice) > 1 else "".join(choice)
    later = verb in ("embed", "merge") and known in endings_of(verb="convert", holds="embeddings")
    more = f", and make {known} of it with `titans-dna convert`" if later and holds in ("", "embeddings") else ""
    return f"{said}. Choose {listed}{more}."


def _look_inside(path: Path) -> tuple[str, str]:
    """Return name and content of the format that the bytes of a file show; two empty texts if they do not show it."""
    with path.open("rb") as file:
        head = file.read(8)
    # The magic numbers of HDF5, Parquet, bigWig (in either byte order) and NumPy.
    if head == b"\x89HDF\r\n\x1a\n":
        return _look_inside_hdf5(path)
    if head[:4] == b"PAR1":
        return "Parquet", _content_of_parquet(path)
    if head[:4] in (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26"):
        return "bigWig", "tracks"
    if head[:6] == b"\x93NUMPY":
        return "NumPy", "embeddings"
    if path.suffix == ".json":
        return "JSON", _content_of_json(path)
    return _look_inside_text(path)


def _content_of_json(path: Path) -> str:
    """Return what JSON holds. A damaged file counts as figures, because the reader of figures says what is wrong."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return "figures"
    if isinstance(found, dict) and found.get("kind") in _TOKENIZERS:
        return "tokenizer"
    return "provenance" if path.name.endswith((".bw.json", ".npy.json")) else "figures"


def _look_inside_hdf5(path: Path) -> tuple[str, str]:
    with read_hdf5(path) as file:
        # Tracks come last: their groups bear the names of contigs, which tell nothing.
        if "titans_dna_scores" in file.attrs:
            return "HDF5", "scores"
        if (group := find(file, "uns/titans_dna")) is not None:
            return "AnnData", "scores" if "kinds" in group else "embeddings"
        if find(file, "regions") is not None and find(file, "embeddings") is not None:
            return "HDF5", "embeddings"
        kind = str(file.attrs.get("options", "")).split()
        if "kind=mutagenesis" in kind:
            return "HDF5", "mutagenesis"
        return ("HDF5", "tracks") if kind else ("", "")


def _content_of_parquet(path: Path) -> str:
    if importlib.util.find_spec("pyarrow") is None:
        return "scores"
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None
    if "embedding" in schema.names:
        return "embeddings"
    return _content_of_columns(schema.names)


def _look_inside_text(path: Path) -> tuple[str, str]:
    """Look at the first lines of a text file; the column names of a table tell what it holds."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            line = stream.readline(1 << 20)
            if line.startswith(b"##fileformat=VCF"):
                return "VCF", "variants"
            if line.startswith(b"BCF"):
                return "BCF", "variants"
            while line.startswith(b"##"):
                line = stream.readline(1 << 20)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None
    columns = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    if columns == ["#contig", "position", "ref", *"ACGT"]:
        return "TSV with a tabix index", "all-SNVs"
    if columns[0] == "#chrom1":
        return "BEDPE", "copies"
    if columns[0] == "variant" and "forward_ref" in columns:
        return "TSV", "explanation"
    if (columns[0], columns[-1]) in BENCHMARK_COLUMNS:
        return "TSV", "benchmark"
    held = _content_of_columns(columns) if columns[0] in ("contig", "name") else ""
    return ("TSV", held) if held else ("", "")


def _content_of_columns(columns: list[str]) -> str:
    if columns[:2] == ["contig", "start"] and columns[2:3] != ["end"]:
        return "tracks"
    if "predicted" in columns:
        return "classes"
    if "word_divergence" in columns:
        return "generated"
    return "tokens" if "token" in columns else "scores"
