"""Scores a file of variants, and writes the same file with scores, or a table of the scores."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.alleles import AlleleTable, read_alleles
from titans_dna.inference.calibration import length_class, quantiles
from titans_dna.inference.haplotype import sample_column
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.outcomes import Outcome, count_outcomes
from titans_dna.inference.vote_variants import vote_score
from titans_dna.io.disk.atomic import disk_errors
from titans_dna.io.formats import format_of
from titans_dna.io.intervals.annotation import Annotation, read_annotation
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.variants.variant_table import VariantColumns, open_variants, read_variant_strings
from titans_dna.io.variants.vcf import VariantReader, VcfRecord
from titans_dna.io.variants.vcf_header import InfoField, VcfHeader
from titans_dna.io.variants.vcf_writer import ScoredVcfWriter
from titans_dna.jobs.background import Background, read_background
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.shards import write_ranges
from titans_dna.jobs.variant_scores import (
    Advance,
    ScoringOptions,
    ScoringRun,
    VariantScores,
    choose_records,
    score_table,
)
from titans_dna.jobs.work_folder import WorkFolder

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
        id="TD_HORIZON", number="A", type="Float", description="Bases behind the variant whose probabilities count"
    ),
)
QUANTILE = InfoField(
    id="TD_QUANTILE",
    number="A",
    type="Float",
    description="Share of background variants of the same class with a lower TD_LLR",
)
P_VALUE = InfoField(
    id="TD_P",
    number="A",
    type="Float",
    description="Share of dinucleotide-shuffled surroundings in which the change scores as low or lower",
)
JUNCTION = InfoField(
    id="TD_JUNCTION",
    number="A",
    type="Float",
    description="The part of TD_LLR in the bases behind the variant, which REF has too, averaged over both strands",
)
COLUMNS = (
    Column("contig", "text"), Column("position", "integer"), Column("id", "text"), Column("ref", "text"),
    Column("alt", "text"), Column("llr", "score"), Column("llr_forward", "score"), Column("llr_reverse", "score"),
    Column("outcome", "text"),
)  # fmt: skip
DEFAULTS = ScoringOptions()
VOTE = InfoField(
    id="TD_VOTE",
    number="A",
    type="Float",
    description="Vote of the relatives: the lower, the more of them have REF and not ALT; -0.5 if none has a say",
)
REL_REF, REL_ALT, REL_OTHER = (
    InfoField(id=f"TD_REL_{name}", number="A", type="Float", description=f"Relatives that have {base} here")
    for name, base in (("REF", "REF"), ("ALT", "ALT"), ("OTHER", "another base"))
)
TOLERANCE = InfoField(
    id="TD_TOLERANCE",
    number="A",
    type="Float",
    description="Log odds that the substitution is tolerated, by relatives and kind of change; lower: more damaging",
)
VOTES = {
    "vote": VOTE, "tolerance": TOLERANCE, "relatives_ref": REL_REF, "relatives_alt": REL_ALT,
    "relatives_other": REL_OTHER,
}  # fmt: skip
DISTANCE = InfoField(
    id="TD_GENE_DISTANCE", number="A", type="Float", description="Bases to the nearest gene: 0 in one, 1 beside it"
)
EXTRA = {"junction": JUNCTION, "quantile": QUANTILE, "p_value": P_VALUE, **VOTES, "gene_distance": DISTANCE}
TEXTS = {
    "gene": InfoField(id="TD_GENE", number="A", type="String", description="Gene that is changed, or else the nearest"),
    "feature": InfoField(
        id="TD_FEATURE", number="A", type="String", description="CDS, UTR, exon, intron, gene or intergenic"
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Results:
    """All results that are written, by row of the input."""

    table: AlleleTable
    chosen: np.ndarray  # records of this shard
    strands: np.ndarray  # (rows, 2)
    extra: dict[str, np.ndarray]  # (rows,) by column
    texts: dict[str, list[str]]  # the same of text

    def records(self, reader: VariantReader) -> Iterator[tuple[VcfRecord, slice]]:
        """Yield the records of this shard with their rows."""
        row = 0
        for record, count, mine in zip(reader, self.table.rows_per_record, self.chosen, strict=True):
            if mine:
                yield record, slice(row, row + count)
            row += count


@dataclass(frozen=True, kw_only=True)
class VariantInputs:
    """What is read beside the reference."""

    variants: Path | Sequence[str]  # VCF, BCF or table, "-" for standard input; or contig:position:ref:alt strings
    columns: VariantColumns | None = None  # names of the columns of a table; None for a VCF, or common names
    other: Genome | None = None  # another reference, for the diagnosis of mismatches
    background: Path | None = None  # common variants, scored or not, that give the quantiles; "-" too
    annotation: Path | None = None  # GTF or GFF3 that says in which gene a variant lies

    def __post_init__(self) -> None:
        if str(self.variants) == str(self.background) == "-":
            raise ConfigError("variants and background both come from standard input; give one of them as a file")

    def open(self) -> VariantReader:
        """Open the variants from the start."""
        if isinstance(self.variants, Path):
            return open_variants(self.variants, self.columns)
        return read_variant_strings(self.variants)


def score_variant_file(
    model: SequenceModel,
    fasta: Genome,
    inputs: VariantInputs | Path | Sequence[str],
    output: Path,
    *,
    options: ScoringOptions = DEFAULTS,
    shard: Shard = WHOLE,
    resume: bool = False,
    workers: int = 1,
    advance: Advance = lambda done, total: None,
) -> dict[str, int]:
    """Score every ALT of a file or of strings and write ``output``; return the number of ALTs by outcome.

    Parameters
    ----------
    model, fasta
        Model and reference.
    inputs
        Variants, or these with what stands beside them.
    output
        ``.vcf.gz``, ``.vcf``, or a table (`titans_dna.io.tables.score_table`); ``-`` is a VCF on standard output.
    options
        How to score.
    shard
        Part of the work to do.
    resume
        Go on from an unfinished run.
    workers
        Processes that score side by side in the context of windows; they change no score.
    advance
        Called with (bases streamed since the last call, bases to stream in all).

    Raises
    ------
    OutputError
        If the ending of ``output`` is not known, or it cannot be written.
    ReferenceMismatch, FormatError, InputMissing, ConfigError
        If the input cannot be used.
    """
    table_wanted = str(output) != "-" and format_of(output, verb="score-variants").holds == "scores"
    with tempfile.TemporaryDirectory() as folder:
        asked = inputs if isinstance(inputs, VariantInputs) else VariantInputs(variants=inputs)
        source = _spooled(asked, Path(folder))
        background = source.background
        told: dict[str, object] = {**asdict(options), "context": str(options.context)}
        if background:
            told["background"] = background.name if background == asked.background else "-"
        told |= {"columns": source.columns} if source.columns else {}
        told |= {"gtf": source.annotation.name} if source.annotation else {}
        read = {"input": _digest(source.variants), "background": _digest(background) if background else ""}
        if source.annotation:
            read["gtf"] = _digest(source.annotation)
            annotation = read_annotation(source.annotation, fasta.contigs)
        metadata = run_metadata(model, fasta, told, shard, read)
        with source.open() as reader:
            column = sample_column(reader.header, options.haplotype) if options.haplotype else 0
            table = read_alleles(
                reader, fasta, longest_bp=options.longest_bp, on_mismatch=options.on_mismatch,
                imprecise=options.imprecise, other=source.other, lengths=reader.header.lengths,
            )  # fmt: skip
        job = describe_job(metadata, fasta, fasta.contigs.names if background else table.alleles)
        job |= read
        with WorkFolder(output, job, model, resume=resume) as work:
            chosen = choose_records(model, fasta, table, options, shard)
            run = ScoringRun(model=model, genome=fasta, options=options, work=work, workers=workers, advance=advance)
            common = read_background(run, background) if background else None
            scores = score_table(run, table, chosen, records=source.open, sample_column=column)
            results = _results(source, table, chosen, scores, common)
            if source.annotation:
                results = _annotated(results, annotation)
            write = _write_table if table_wanted else _write_vcf
            write(source, output, results, metadata, fasta, options.horizon_bp)
    rows = np.flatnonzero(np.repeat(chosen, table.rows_per_record))
    return count_outcomes(table.outcomes[row] for row in rows)


def _spooled(inputs: VariantInputs, folder: Path) -> VariantInputs:
    """Return inputs that can be read twice."""
    variants, background = inputs.variants, inputs.background
    if isinstance(variants, Path):
        variants = _copied(variants, folder / "variants")
    if background is not None:
        background = _copied(background, folder / "background")
    return replace(inputs, variants=variants, background=background)


def _copied(source: Path, folder: Path) -> Path:
    """Return a copy of what can be read but once: standard input or a pipe, such as ``<(zcat in.vcf.gz)``."""
    stdin = str(source) == "-"
    if not stdin and (source.is_file() or source.is_dir() or not source.exists()):
        return source
    folder.mkdir()
    copy = folder / ("stdin.vcf" if stdin else source.name)
    with (
        nullcontext(sys.stdin.buffer) if stdin else source.open("rb") as stream,
        disk_errors(f"{tempfile.gettempdir()} (see TMPDIR)"),
        copy.open("wb") as target,
    ):
        shutil.copyfileobj(stream, target, 1 << 20)
    return copy


def _digest(source: Path | Sequence[str] | None) -> str:
    """Return a checksum of a file's bytes, or of strings."""
    if isinstance(source, Path) and source.is_file():
        with source.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    return hashlib.sha256(repr(source).encode()).hexdigest()


def _results(
    source: VariantInputs, table: AlleleTable, chosen: np.ndarray, scores: VariantScores, common: Background | None
) -> _Results:
    extra: dict[str, np.ndarray] = {}
    if len(scores.junctions):
        extra["junction"] = scores.junctions.mean(1)
    if common is not None:
        classes = ["" for _ in table.outcomes]
        row = 0
        with source.open() as reader:
            for record, count in zip(reader, table.rows_per_record, strict=True):
                for place in range(len(record.alts)):
                    classes[row + place] = length_class(*table.lengths(row + place, record, place))
                row += count
        extra["quantile"] = quantiles(scores.strands.mean(1), classes, common)
    if len(scores.p_values):
        extra["p_value"] = scores.p_values
    if len(scores.votes):
        extra |= _vote_columns(scores.votes)
    return _Results(table=table, chosen=chosen, strands=scores.strands, extra=extra, texts={})


def _annotated(results: _Results, annotation: Annotation) -> _Results:
    """Return the results with where each scored allele lies; others have no place."""
    rows = len(results.table.outcomes)
    genes, features, distances = [""] * rows, [""] * rows, np.full(rows, np.nan)
    for contig, alleles in results.table.alleles.items():
        for allele in alleles:
            place = annotation.place(contig, allele.start, allele.end)
            genes[allele.row], features[allele.row] = place.gene, place.feature
            distances[allele.row] = place.distance_bp
    return replace(
        results, extra={**results.extra, "gene_distance": distances}, texts={"gene": genes, "feature": features}
    )


def _vote_columns(votes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of the relatives' votes (rows, 4)."""
    ref, alt, other, tolerance = votes.T
    return dict(zip(VOTES, (vote_score(votes[:, :3]), tolerance, ref, alt, other), strict=True))


def _write_vcf(
    source: VariantInputs, output: Path, results: _Results, metadata: dict[str, str], fasta: Genome, horizon: int
) -> None:
    fields = [*FIELDS, *(EXTRA[name] for name in results.extra), *(TEXTS[name] for name in results.texts)]
    lines = dict(metadata)
    if "shard" in metadata:
        good = np.array([outcome is not Outcome.MALFORMED for outcome in _first_outcomes(results.table)], dtype=bool)
        lines["rows"] = write_ranges(results.chosen[good])
    header = [f"##titans_dna_{key}={value}" for key, value in lines.items()]
    with source.open() as reader:
        declared = reader.header.lengths
        used = dict.fromkeys(record.contig for record in reader if not record.problem)
    found = {name: fasta.contigs.resolve(name, declared.get(name)) for name in sorted(used)}
    lengths = {name: fasta.contigs.lengths[contig] for name, contig in found.items() if contig is not None}
    with (
        source.open() as reader,
        ScoredVcfWriter(
            output,
            _without_ours(reader.header),
            fields,
            contig_lengths=lengths,
            header_lines=header,
            dropped=[field.id for field in (*FIELDS, *EXTRA.values(), *TEXTS.values())],
        ) as writer,
    ):
        for record, rows in results.records(reader):
            part = results.strands[rows]
            values: dict[str, Any] = {
                "TD_LLR": part.mean(1),
                "TD_LLR_FWD": part[:, 0],
                "TD_LLR_REV": part[:, 1],
                "TD_OUTCOME": [str(outcome) for outcome in results.table.outcomes[rows]],
                "TD_HORIZON": np.full(len(part), float(horizon)),
            }
            values |= {EXTRA[name].id: column[rows] for name, column in results.extra.items()}
            for name, column in results.texts.items():
                values[TEXTS[name].id] = [text or "." for text in column[rows]]
            writer.write(record, values)


def _without_ours(header: VcfHeader) -> VcfHeader:
    """Return the header without what an earlier run said of itself."""
    return replace(header, lines=tuple(line for line in header.lines if not line.startswith("##titans_dna_")))


def _first_outcomes(table: AlleleTable) -> Iterator[Outcome]:
    row = 0
    for count in table.rows_per_record:
        yield table.outcomes[row]
        row += count


def _write_table(
    source: VariantInputs, output: Path, results: _Results, metadata: dict[str, str], fasta: Genome, horizon: int
) -> None:
    told = dict(metadata)
    if "shard" in metadata:
        told["rows"] = write_ranges(np.repeat(results.chosen, results.table.rows_per_record))
    columns = [*COLUMNS[:-1], *(Column(name, "score") for name in results.extra)]
    columns += [*(Column(name, "text") for name in results.texts), COLUMNS[-1]]
    with source.open() as reader, ScoreTableWriter(output, columns, told) as writer:
        for record, rows in results.records(reader):
            for row, alt in zip(range(rows.start, rows.stop), record.alts or (".",), strict=True):
                forward, reverse = results.strands[row].tolist()
                numbers = {"llr": (forward + reverse) / 2, "llr_forward": forward, "llr_reverse": reverse}
                numbers |= {name: float(column[row]) for name, column in results.extra.items()}
                texts = {name: column[row] or None for name, column in results.texts.items()}
                place = {"contig": record.contig, "position": record.position, "id": record.id, "ref": record.ref}
                writer.write({**place, "alt": alt, **numbers, **texts, "outcome": str(results.table.outcomes[row])})
