"""Scores of all alleles of a file, contig by contig: those of a shard, each finished part kept for a resume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.shard import Shard
from titans_dna.inference.alleles import Allele, AlleleTable
from titans_dna.inference.calibration import empirical_p, shuffled_scores
from titans_dna.inference.haplotype import ContigSites, place_on_haplotypes, read_sites
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_variants import HORIZON_BP, branch_stride, score_strands
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.jobs.shards import shard_of_records
from titans_dna.jobs.work_folder import WorkFolder

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
    first = np.concatenate([[0], np.cumsum(table.rows_per_record, dtype=np.int64)])
    counts = np.concatenate([[0], np.cumsum(scored)])
    work = each * (counts[first[1:]] - counts[first[:-1]])
    found = shard_of_records(table.contigs, table.positions, work, genome.contigs.lengths, shard.count)
    return found == shard.index


@dataclass(frozen=True, kw_only=True)
class ScoringRun:
    """What all tables that one run scores have in common."""

    model: SequenceModel
    genome: Genome
    options: ScoringOptions
    work: WorkFolder  # keeps finished parts
    advance: Advance = lambda done, total: None  # bases streamed since the last call, bases to stream in all


def score_table(
    run: ScoringRun,
    table: AlleleTable,
    chosen: np.ndarray,
    *,
    records: Callable[[], Iterable[VcfRecord]] | None = None,
    sample_column: int = 0,
    prefix: str = "",
) -> VariantScores:
    """Score the alleles of the chosen records.

    Parameters
    ----------
    run
        Model, sequence and how.
    table
        All ALTs of the file. Haplotypes can change an outcome in it.
    chosen
        Which records are scored, (records,) bool.
    records
        Reads the records again; needed for haplotypes.
    sample_column
        Column of the sample whose haplotypes are built.
    prefix
        Distinguishes the parts of several tables in one folder.
    """
    scoring = _TableScoring(run, table, np.repeat(chosen, table.rows_per_record))
    sites: dict[str, ContigSites] = {}
    if run.options.haplotype:
        assert records is not None
        sites = read_sites(records(), table, sample_column)
    for contig in scoring.contigs:
        name = f"{prefix}{run.genome.contigs.names.index(contig)}"
        if contig in sites:
            scoring.add_haplotypes(contig, name, sites[contig])
        else:
            scoring.add_contig(contig, name)
    return VariantScores(strands=scoring.strands, p_values=scoring.p_values)


class _TableScoring:
    """One call of ``score_table``: scores fill up contig by contig."""

    def __init__(self, run: ScoringRun, table: AlleleTable, rows: np.ndarray) -> None:
        self.run, self.table, self.rows = run, table, rows
        self.strands = np.full((len(rows), 2), np.nan)
        self.p_values = np.full(len(rows) if run.options.shuffles else 0, np.nan)
        self.contigs = [
            contig
            for contig in run.genome.contigs.names
            if contig in table.alleles and any(rows[allele.row] for allele in table.alleles[contig])
        ]
        passes = (4 if run.options.haplotype else 2) * (2 if run.options.shuffles else 1)
        self.total = passes * sum(run.genome.contigs.lengths[contig] for contig in self.contigs)

    def add_contig(self, contig: str, name: str) -> None:
        """Score the alleles of one contig, and the same changes in shuffled surroundings where asked for."""
        sequence, options = self.run.genome.sequence(contig), self.run.options
        alleles = self.table.alleles[contig].chosen(self.rows)
        places = [allele.row for allele in alleles]
        found = self._part(name, sequence, alleles, score_strands)
        self.strands[places] = 0.0
        np.add.at(self.strands, places, found)  # a forced allele has two readings in one row
        if options.shuffles:
            shuffled = partial(shuffled_scores, shuffles=options.shuffles, seed=options.seed)
            null = np.zeros((len(self.p_values), options.shuffles))
            np.add.at(null, places, self._part(f"{name}-shuffled", sequence, alleles, shuffled))
            self.p_values[places] = empirical_p(self.strands[places].mean(1), null[places])

    def add_haplotypes(self, contig: str, name: str, here: ContigSites) -> None:
        """Score the alleles of one contig on the haplotypes of a sample."""
        pairs = place_on_haplotypes(self.run.genome.sequence(contig), here, self.table.outcomes)
        for number, (haplotype, every) in enumerate(pairs, start=1):
            if alleles := every.chosen(self.rows):
                found = self._part(f"{name}-haplotype{number}", haplotype.sequence, alleles, score_strands)
                self.strands[[allele.row for allele in alleles]] = found

    def _part(
        self, name: str, sequence: bytes, alleles: Sequence[Allele], score: Callable[..., np.ndarray]
    ) -> np.ndarray:
        """Return signed scores (alleles, ...), read from the folder where they are finished, else finished now."""
        run, kept = self.run, self.run.work.part(name)
        if kept is None:
            scores = score(
                run.model, sequence, alleles, horizon_bp=run.options.horizon_bp, progress=self._progress,
                checkpoint=run.work.checkpoint(name),
            )  # fmt: skip
            kept = {"scores": scores}
            run.work.keep(name, kept)
        else:
            self._progress(2 * len(sequence))
        return kept["scores"] * np.array([[allele.sign] for allele in alleles])

    def _progress(self, done: int) -> None:
        self.run.advance(done, self.total)


def plain_options(options: ScoringOptions) -> ScoringOptions:
    """Return the options for a background: the same score, nothing beside it."""
    return replace(options, haplotype="", shuffles=0, on_mismatch="skip")
