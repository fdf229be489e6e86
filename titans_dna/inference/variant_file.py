"""A variant file in, the same file with scores out."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import OutputError
from titans_dna.inference.alleles import AlleleTable, Outcome, read_alleles
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_variants import score_alleles
from titans_dna.io.fasta import Fasta
from titans_dna.io.tables import TsvWriter
from titans_dna.io.variant_table import VariantColumns, open_variants
from titans_dna.io.vcf_header import InfoField
from titans_dna.io.vcf_writer import write_scored
from titans_dna.version import __version__

FIELDS = (
    InfoField(
        id="TD_LLR",
        number="A",
        type="Float",
        description="ln P(ALT) - ln P(REF) given the whole contig, averaged over both strands",
    ),
    InfoField(id="TD_LLR_FWD", number="A", type="Float", description="ln P(ALT) - ln P(REF) on the forward strand"),
    InfoField(id="TD_LLR_REV", number="A", type="Float", description="ln P(ALT) - ln P(REF) on the reverse strand"),
    InfoField(id="TD_OUTCOME", number="A", type="String", description="scored, or why this ALT has no score"),
    InfoField(
        id="TD_HORIZON", number="1", type="Integer", description="Bases behind the variant whose probabilities count"
    ),
)
COLUMNS = ("contig", "position", "id", "ref", "alt", "llr", "llr_forward", "llr_reverse", "outcome")


def score_variant_file(
    model: SequenceModel,
    fasta: Fasta,
    source: Path,
    output: Path,
    *,
    horizon_bp: int = 128,
    longest_bp: int = 1000,
    on_mismatch: str = "skip",
    columns: VariantColumns | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Score every ALT of ``source`` and write ``output``; return the number of ALTs by outcome.

    Parameters
    ----------
    model, fasta
        Model and reference.
    source
        VCF, BCF, a table, or one ``chrom:pos:ref:alt`` string; ``-`` is standard input.
    output
        ``.vcf.gz``, ``.vcf``, ``.tsv`` or ``.tsv.gz``; ``-`` is a VCF on standard output.
    horizon_bp, longest_bp, on_mismatch
        See ``score_alleles`` and ``read_alleles``.
    columns
        Names of the columns of a table; None for a VCF, or common names.
    advance
        Called with (bases streamed since the last call, bases to stream in all).

    Raises
    ------
    OutputError
        If the suffix of ``output`` is not known, or it cannot be written.
    ReferenceMismatch, FormatError, InputMissing
        If the input cannot be used.
    """
    kind = _kind(output)
    with tempfile.TemporaryDirectory() as folder:
        path = _spooled(source, Path(folder))
        with open_variants(path, columns) as reader:
            table = read_alleles(reader, fasta, longest_bp=longest_bp, on_mismatch=on_mismatch)
        scores = _score(model, fasta, table, horizon_bp, advance)
        if kind == "vcf":
            header = [
                f"##titans_dna_version={__version__}",
                f"##titans_dna_model={model.name} sha256={model.weights_sha256}",
                f"##titans_dna_reference={fasta.path.name}",
                f"##titans_dna_command={shlex.join(['titans-dna', *sys.argv[1:]])}",
            ]
            rows = _info_rows(table, scores, horizon_bp)
            names = _names(fasta, path, columns)
            write_scored(open_variants(path, columns), output, FIELDS, rows, header, contig_lengths=names)
        else:
            _write_table(path, output, table, scores, columns)
    counted = Counter(str(outcome) for outcome in table.outcomes)
    return {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}


def _kind(output: Path) -> str:
    name = str(output)
    if name == "-" or name.endswith((".vcf", ".vcf.gz", ".vcf.bgz")):
        return "vcf"
    if name.endswith((".tsv", ".tsv.gz")):
        return "tsv"
    raise OutputError("ends in no known suffix. Choose .vcf.gz, .vcf, .tsv or .tsv.gz.", path=output)


def _spooled(source: Path, folder: Path) -> Path:
    """Return a file that can be read twice."""
    if str(source) != "-":
        return source
    copy = folder / "stdin.vcf"
    with copy.open("wb") as target:
        while block := sys.stdin.buffer.read(1 << 20):
            target.write(block)
    return copy


def _score(
    model: SequenceModel, fasta: Fasta, table: AlleleTable, horizon_bp: int, advance: Callable[[int, int], None]
) -> np.ndarray:
    """Return (rows, 2) scores, forward and reverse; nan where there is none."""
    scores = np.full((len(table.outcomes), 2), np.nan)
    total = 2 * sum(fasta.contigs.lengths[contig] for contig in table.alleles)
    for contig, alleles in table.alleles.items():
        sequence = fasta.sequence(contig)
        rows = [allele.row for allele in alleles]
        for column, reverse in enumerate((False, True)):
            scores[rows, column] = score_alleles(
                model, sequence, alleles, horizon_bp=horizon_bp, reverse=reverse, progress=lambda n: advance(n, total)
            )
    return scores


def _info_rows(table: AlleleTable, scores: np.ndarray, horizon_bp: int) -> Iterator[dict[str, Any]]:
    """Yield the INFO values of every record."""
    row = 0
    for count in table.rows_per_record:
        part = scores[row : row + count]
        yield {
            "TD_LLR": part.mean(1),
            "TD_LLR_FWD": part[:, 0],
            "TD_LLR_REV": part[:, 1],
            "TD_OUTCOME": [str(outcome) for outcome in table.outcomes[row : row + count]],
            "TD_HORIZON": horizon_bp,
        }
        row += count


def _names(fasta: Fasta, path: Path, columns: VariantColumns | None) -> dict[str, int]:
    """Return the lengths of the FASTA's contigs, by the names that the variant file uses."""
    with open_variants(path, columns) as reader:
        used = {record.contig for record in reader if record.contig}
    found = {name: fasta.contigs.resolve(name) for name in sorted(used)}
    return {name: fasta.contigs.lengths[contig] for name, contig in found.items() if contig is not None}


def _write_table(
    path: Path, output: Path, table: AlleleTable, scores: np.ndarray, columns: VariantColumns | None
) -> None:
    row = 0
    with open_variants(path, columns) as reader, TsvWriter(output, COLUMNS) as writer:
        for record, count in zip(reader, table.rows_per_record, strict=True):
            alts: Iterable[str] = record.alts or (".",)
            for alt, outcome, (forward, reverse) in zip(
                alts, table.outcomes[row : row + count], scores[row : row + count], strict=True
            ):
                values = (record.contig, record.position, record.id, record.ref, alt)
                numbers = ((forward + reverse) / 2, forward, reverse)
                writer.write(dict(zip(COLUMNS, (*values, *numbers, str(outcome)), strict=True)))
            row += count
