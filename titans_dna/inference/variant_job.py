"""Scores of all alleles of a file, contig by contig: those of a shard, each finished part kept for a resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.shard import Shard
from titans_dna.inference.alleles import Allele, AlleleTable
from titans_dna.inference.branches import Checkpoint
from titans_dna.inference.calibration import empirical_p, shuffled_scores
from titans_dna.inference.haplotype import ContigSites, place_on_haplotypes, read_sites
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_variants import HORIZON_BP, branch_stride, score_strands
from titans_dna.inference.shards import shard_of_records
from titans_dna.inference.work_folder import WorkFolder
from titans_dna.io.fasta import Genome
from titans_dna.io.vcf import VcfRecord

BRANCH_DISCOUNT = 0.6  # a base read in a batch costs so much of a base that is streamed
Advance = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """All that changes a score, beside the model, the sequence and the variants."""

    horizon_bp: int = HORIZON_BP  # bases behind the variant whose probabilities count
    longest_bp: int = 1000  # longest allele to score
    on_mismatch: str = "skip"  # see `titans_dna.inference.alleles.read_alleles`
    haplotype: str = ""  # sample whose phased variants are applied first
    shuffles: int = 0  # shuffled surroundings for an empirical p-value; 0 for none
    seed: int = 0  # of the shuffles

    def __post_init__(self) -> None:
        if self.haplotype and (self.shuffles or self.on_mismatch not in ("skip", "error")):
            raise ConfigError("--haplotype goes neither with --shuffles nor with --on-mismatch swap or force; drop one")


@dataclass(frozen=True, kw_only=True)
class VariantScores:
    """Results, one row for each ALT of the file; nan where there is none."""

    strands: np.ndarray  # (rows, 2) ln P(ALT) - ln P(REF), forward and reverse
    p_values: np.ndarray  # (rows,) empty where no shuffles were asked for


def choose_records(
    model: SequenceModel, genome: Genome, table: AlleleTable, horizon_bp: int, shard: Shard
) -> np.ndarray:
    """Return which records a shard has, (records,) bool."""
    if shard.count == 1:
        return np.ones(len(table.rows_per_record), dtype=bool)
    each = BRANCH_DISCOUNT * 2 * (horizon_bp + branch_stride(model.backbone.config) / 2)
    scored = np.zeros(len(table.outcomes), dtype=bool)
    for alleles in table.alleles.values():
        scored[[allele.row for allele in alleles]] = True
    first = np.concatenate([[0], np.cumsum(table.rows_per_record)])
    counts = np.concatenate([[0], np.cumsum(scored)])
    work = each * (counts[first[1:]] - counts[first[:-1]])
    found = shard_of_records(table.contigs, table.positions, work, genome.contigs.lengths, shard.count)
    return found == shard.index


def score_table(
    model: SequenceModel,
    genome: Genome,
    table: AlleleTable,
    chosen: np.ndarray,
    options: ScoringOptions,
    work: WorkFolder,
    *,
    records: Callable[[], Iterable[VcfRecord]] | None = None,
    sample_column: int = 0,
    prefix: str = "",
    advance: Advance = lambda done, total: None,
) -> VariantScores:
    """Score the alleles of the chosen records.

    Parameters
    ----------
    model, genome
        Model and sequence.
    table
        All ALTs of the file. Haplotypes can change an outcome in it.
    chosen
        Which records are scored, (records,) bool.
    options
        How.
    work
        Keeps finished parts.
    records
        Reads the records again; needed for haplotypes.
    sample_column
        Column of the sample whose haplotypes are built.
    prefix
        Distinguishes the parts of several tables in one folder.
    advance
        Called with (bases streamed since the last call, bases to stream in all).
    """
    rows = np.repeat(chosen, table.rows_per_record)
    strands = np.full((len(rows), 2), np.nan)
    p_values = np.full(len(rows) if options.shuffles else 0, np.nan)
    sites: dict[str, ContigSites] = {}
    if options.haplotype:
        assert records is not None
        sites = read_sites(records(), table, sample_column)
    contigs = [
        contig
        for contig in genome.contigs.names
        if contig in table.alleles and any(rows[allele.row] for allele in table.alleles[contig])
    ]
    passes = (4 if options.haplotype else 2) * (2 if options.shuffles else 1)
    total = passes * sum(genome.contigs.lengths[contig] for contig in contigs)
    progress = lambda done: advance(done, total)  # noqa: E731
    for contig in contigs:
        name = f"{prefix}{genome.contigs.names.index(contig)}"
        if contig in sites:
            _score_haplotypes(model, genome, contig, sites[contig], table, rows, strands, options, work, name, progress)
            continue
        alleles = table.alleles[contig].chosen(rows)
        places = [allele.row for allele in alleles]
        found = _part(model, genome.sequence(contig), alleles, options, work, name, progress)
        strands[places] = 0.0
        np.add.at(strands, places, found)
        if options.shuffles:
            null = _null(model, genome.sequence(contig), alleles, options, work, name, progress)
            sums = np.zeros((len(p_values), options.shuffles)) if len(set(places)) < len(places) else None
            if sums is not None:  # forced alleles: two readings of one row
                np.add.at(sums, places, null)
                null = sums[places]
            p_values[places] = empirical_p(strands[places].mean(1), null)
    return VariantScores(strands=strands, p_values=p_values)


def _part(
    model: SequenceModel,
    sequence: bytes,
    alleles: Sequence[Allele],
    options: ScoringOptions,
    work: WorkFolder,
    name: str,
    progress: Callable[[int], None],
) -> np.ndarray:
    """Return signed scores (alleles, 2), read from the folder where they are finished."""

    def compute(checkpoint: Checkpoint) -> np.ndarray:
        return score_strands(
            model, sequence, alleles, horizon_bp=options.horizon_bp, checkpoint=checkpoint, progress=progress
        )

    found = _finished(work, model, name, compute, lambda: progress(2 * len(sequence)))
    return found * np.array([[allele.sign] for allele in alleles])


def _null(
    model: SequenceModel,
    sequence: bytes,
    alleles: Sequence[Allele],
    options: ScoringOptions,
    work: WorkFolder,
    name: str,
    progress: Callable[[int], None],
) -> np.ndarray:
    """Return signed scores in shuffled surroundings (alleles, shuffles)."""

    def compute(checkpoint: Checkpoint) -> np.ndarray:
        return shuffled_scores(
            model, sequence, alleles, horizon_bp=options.horizon_bp, shuffles=options.shuffles, seed=options.seed,
            checkpoint=checkpoint, progress=progress,
        )  # fmt: skip

    found = _finished(work, model, f"{name}-shuffled", compute, lambda: progress(2 * len(sequence)))
    return found * np.array([[allele.sign] for allele in alleles])


def _finished(
    work: WorkFolder,
    model: SequenceModel,
    name: str,
    compute: Callable[[Checkpoint], np.ndarray],
    skipped: Callable[[], None],
) -> np.ndarray:
    """Return a part that is finished, or finish it."""
    part = work.part(name)
    if part is not None:
        skipped()
        return part["scores"]
    scores = compute(work.checkpoint(name, model.weights_sha256))
    work.keep(name, {"scores": scores})
    return scores


def _score_haplotypes(
    model: SequenceModel,
    genome: Genome,
    contig: str,
    here: ContigSites,
    table: AlleleTable,
    rows: np.ndarray,
    strands: np.ndarray,
    options: ScoringOptions,
    work: WorkFolder,
    name: str,
    progress: Callable[[int], None],
) -> None:
    """Score the alleles of one contig on the haplotypes of a sample."""
    pairs = place_on_haplotypes(genome.sequence(contig), here, table.outcomes)
    for number, (haplotype, every) in enumerate(pairs, start=1):
        alleles = every.chosen(rows)
        if alleles:
            found = _part(model, haplotype.sequence, alleles, options, work, f"{name}-haplotype{number}", progress)
            strands[[allele.row for allele in alleles]] = found


def plain_options(options: ScoringOptions) -> ScoringOptions:
    """Return the options for a background: the same score, nothing beside it."""
    return replace(options, haplotype="", shuffles=0, on_mismatch="skip")
