"""Merges shards of scores into the file that a run without shards would have written.

The header of every shard says how it was made, and which rows of the whole it holds. Shards that differ in model,
sequence, version, input or options are refused, and so are a missing shard and one that is given twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

from titans_dna.errors import FormatError, TitansDNAError
from titans_dna.io.formats import format_of, sniff
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.score_table import ScoreTableWriter
from titans_dna.io.variants.scored_vcf import OURS, metadata_of
from titans_dna.io.variants.vcf import VariantReader, VcfRecord, read_variants
from titans_dna.io.variants.vcf_header import VcfHeader, read_header, structured
from titans_dna.io.variants.vcf_writer import MALFORMED_SHOWN, ScoredVcfWriter
from titans_dna.jobs.provenance import HOW, command_line, metadata_of_whole
from titans_dna.jobs.shards import merge_order
from titans_dna.jobs.variants import EXTRA, FIELDS

_OUR_IDS = frozenset(field.id for field in (*FIELDS, *EXTRA.values()))


def merge_scores(paths: Sequence[Path], output: Path) -> int:
    """Merge shards of scored variants or regions; return the number of rows (of a table) or records (of a VCF).

    Parameters
    ----------
    paths
        All shards of one run, in any order: either all VCF, or all tables of one kind.
    output
        A VCF for shards in VCF; for tables a table, in any format. ``-`` writes a VCF to standard output.

    Raises
    ------
    InputMissing, FormatError
        If a file does not exist, is not a shard, or the shards do not fit together into one whole.
    OutputError
        If the output cannot be written.
    """
    if str(output) == "-":
        return _merge_vcfs(paths, output)
    found = sniff(paths[0])
    held = found.holds if found else "scores"
    format_of(output, verb="merge", holds=held)
    return _merge_vcfs(paths, output) if held == "variants" else _merge_tables(paths, output)


def check_shards(paths: Sequence[Path], metadata: Sequence[dict[str, str]]) -> list[tuple[int, int]]:
    """Compare how the shards were made, and return the order of their rows as ``merge_order`` does.

    Raises
    ------
    FormatError
        If a file is not a shard, two of them differ in how they were made, or a shard is missing or given twice.
    """
    for path, found in zip(paths, metadata, strict=True):
        if not {"shard", "rows"} <= found.keys():
            raise FormatError("is no shard: it was not made with --shard. Give the shards of one run.", path=path)
        # All keys that bear on the numbers must agree; `HOW` lists those that tell only how a file came about.
        for key in sorted({*found, *metadata[0]} - set(HOW)):
            if found.get(key) != metadata[0].get(key):
                raise FormatError(
                    f"{key} is {found.get(key)!r}, in {paths[0].name} {metadata[0].get(key)!r}. Shards of different "
                    "runs cannot be merged.",
                    path=path,
                )
    try:
        return merge_order([found["rows"] for found in metadata], [found["shard"] for found in metadata])
    except TitansDNAError as error:
        raise FormatError(f"{error.what}.", path=paths[0]) from None


def _check_same(paths: Sequence[Path], found: Sequence[Sequence[object]], what: str) -> None:
    """Refuse the first shard whose columns or samples are not those of the first one."""
    for path, each in zip(paths, found, strict=True):
        if each != found[0]:
            raise FormatError(
                f"its {what} differ from those of {paths[0].name}. Give the shards of one run.", path=path
            )


def _merge_tables(paths: Sequence[Path], output: Path) -> int:
    tables = [open_scores(path) for path in paths]
    order = check_shards(paths, [table.metadata for table in tables])
    _check_same(paths, [table.columns for table in tables], "columns")
    whole = metadata_of_whole(tables[0].metadata)
    rows = [table.rows() for table in tables]
    with ScoreTableWriter(output, tables[0].columns, {**whole, "command": command_line()}) as writer:
        for place, count in order:
            written = 0
            for row in islice(rows[place], count):
                writer.write(row)
                written += 1
            if written < count:
                raise FormatError("has fewer rows than it says. Make it again.", path=paths[place])
    return writer.rows


def _merge_vcfs(paths: Sequence[Path], output: Path) -> int:
    with ExitStack() as stack:
        readers = [stack.enter_context(read_variants(path)) for path in paths]
        metadata = [_metadata(reader.header) for reader in readers]
        order = check_shards(paths, metadata)
        _check_same(paths, [reader.header.columns for reader in readers], "samples")
        whole = {**metadata_of_whole(metadata[0]), "command": command_line()}
        told = [f"{OURS}{key}={value}" for key, value in whole.items()]
        headers = [reader.header for reader in readers]
        header, ours, lengths = _joined(headers)
        lines = [*ours, *told, *_not_copied(headers)]
        writer = stack.enter_context(ScoredVcfWriter(output, header, (), contig_lengths=lengths, header_lines=lines))
        for place, count in order:
            for record in _take(readers[place], count, paths[place]):
                writer.write(record, {})
    return writer.records


def _take(reader: VariantReader, count: int, path: Path) -> Iterator[VcfRecord]:
    taken = list(islice(reader, count))
    if len(taken) < count or any(record.problem for record in taken):
        raise FormatError("has fewer good records than it says. Make it again.", path=path)
    yield from taken


def _metadata(header: VcfHeader) -> dict[str, str]:
    """Return what the header says about the run, without the lines that stand for records not copied."""
    return {key: value for key, value in metadata_of(header).items() if not key.startswith(("malformed", "dropped"))}


def _joined(headers: Sequence[VcfHeader]) -> tuple[VcfHeader, list[str], dict[str, int]]:
    """Return the header of the source as far as the shards tell it, our own INFO lines, and the lengths of contigs.

    After the lines of the source, each shard declares what its own records use, and then our fields. The lines that all
    shards begin with are therefore those of the source, and perhaps declarations that one run would have made too.
    Everything else is declared anew as the records are written.
    """
    plain = [[line for line in header.lines if not line.startswith(OURS)] for header in headers]
    ours = [line for line in plain[0] if _declares_ours(line)]
    others = [[line for line in lines if line not in ours] for lines in plain]
    agreed = [lines[0] for lines in takewhile(lambda lines: len(set(lines)) == 1, zip(*others, strict=False))]
    source = read_header([*agreed, "\t".join(headers[0].columns)], "")
    declared = {**source.declared, "INFO": source.declared["INFO"] | _OUR_IDS}
    lengths = {name: length for header in headers for name, length in header.contigs.items() if length is not None}
    return replace(source, declared=declared), ours, lengths


def _declares_ours(line: str) -> bool:
    kind, pairs = structured(line)
    return kind == "INFO" and pairs.get("ID") in _OUR_IDS


def _not_copied(headers: Sequence[VcfHeader]) -> list[str]:
    """Return the header lines about records that could not be copied, in the order of the source."""
    lines = [line.removeprefix(OURS).partition("=")[::2] for header in headers for line in header.lines
             if line.startswith((f"{OURS}mal", f"{OURS}drop"))]  # fmt: skip
    kept = []
    if numbers := [_number(text) for key, text in lines if key == "malformed_records"]:
        kept.append(f"{OURS}malformed_records={sum(numbers)}")
    for wanted in ("malformed", "dropped"):
        texts = [text for key, text in lines if key == wanted]
        # In the order of the source, so that the merged header is that of one whole run.
        texts.sort(key=lambda text: _number(text.removeprefix("line ").partition(":")[0]))
        kept += [f"{OURS}{wanted}={text}" for text in texts[:MALFORMED_SHOWN]]
    return kept


def _number(text: str) -> int:
    """Return a count or line number of a header, and 0 for a text that is not one, since anybody may edit a header."""
    return int(text) if text.isascii() and text.isdecimal() else 0
