"""Scores the alleles of a file, or of a shard of it, contig by contig; finished parts are kept for a later run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.bases import Bases
from titans_dna.genome.shard import Shard
from titans_dna.inference.alleles import Allele, AlleleList, AlleleTable
from titans_dna.inference.calibration import empirical_p, shuffled_scores
from titans_dna.inference.haplotype import Site, phase_sets, place_on_haplotypes, read_sites
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_variants import HORIZON_BP, branch_stride, score_strands
from titans_dna.inference.vote_variants import vote_on_alleles
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.variants.vcf import VcfRecord
from titans_dna.jobs.shards import shard_of_records
from titans_dna.jobs.windowed_alleles import WindowScoring
from titans_dna.jobs.work_folder import WorkFolder

logger = logging.getLogger(__name__)
BRANCH_DISCOUNT = 0.6  # a base read in a batch costs so much of a base that is streamed
Advance = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """The options that change a score.

    Raises
    ------
    ConfigError
        If haplotypes are asked for together with shuffles, or with ``swap`` or ``force``, or the context does not fit.
    """

    horizon_bp: int = HORIZON_BP  # bases after the variant whose probabilities count
    longest_bp: int = 1000  # longest allele to score
    imprecise: bool = False  # whether structural variants that are imprecise are scored as if they were exact
    junctions: bool = False  # whether the bases behind each variant are summed by themselves too
    on_mismatch: str = "skip"  # see `titans_dna.inference.alleles.read_alleles`
    haplotype: str = ""  # sample whose phased variants are applied first
    shuffles: int = 0  # shuffled surroundings for an empirical p-value; 0 for none
    seed: int = 0  # of the shuffles
    context: Context = WHOLE_CONTIG  # what the network reads before a variant

    def __post_init__(self) -> None:
        if self.context.kind == "region":
            raise ConfigError("a variant is read behind what stands before it; choose --context contig or window:N")
        if self.context.window_bp and self.shuffles:
            raise ConfigError("--shuffles needs the context of the contig; leave it out, or use --context contig")
        if self.haplotype and (self.shuffles or self.on_mismatch not in ("skip", "error")):
            raise ConfigError("--haplotype excludes --shuffles, and --on-mismatch swap and force; leave one out")


@dataclass(frozen=True, kw_only=True)
class VariantScores:
    """Scores, one row for each ALT of the file; nan where an ALT has no score."""

    strands: np.ndarray  # (rows, 2) ln P(ALT) - ln P(REF), forward and reverse
    junctions: np.ndarray  # (rows, 2) the part of it behind the variant; empty where it was not asked for
    p_values: np.ndarray  # (rows,) empty where no shuffles were asked for
    votes: np.ndarray  # (rows, 4) relatives with REF, ALT, another base, and tolerance; empty where none were read


def choose_records(
    model: SequenceModel, genome: Genome, table: AlleleTable, options: ScoringOptions, shard: Shard
) -> np.ndarray:
    """Tell which records belong to a shard, (records,) bool."""
    if shard.count == 1:
        return np.ones(len(table.rows_per_record), dtype=bool)
    # Each strand reads the horizon, and before it half a stride on average, from the place where the haplotype leaves.
    each = BRANCH_DISCOUNT * 2 * (options.horizon_bp + branch_stride(model.backbone.config) / 2)
    scored = np.zeros(len(table.outcomes), dtype=bool)
    for alleles in table.alleles.values():
        scored[[allele.row for allele in alleles]] = True
    first = np.concatenate([[0], np.cumsum(table.rows_per_record, dtype=np.int64)])
    counts = np.concatenate([[0], np.cumsum(scored)])
    numbers = counts[first[1:]] - counts[first[:-1]]
    work, lengths = each * numbers, dict(genome.contigs.lengths)
    if window := options.context.window_bp:
        # A window costs the same wherever it lies, and its variants share it; no contig need be read as a whole.
        place = [(contig, at // window) for contig, at in zip(table.contigs, table.positions, strict=True)]
        held = Counter(at for at, number in zip(place, numbers.tolist(), strict=True) if number)
        work += [4 * window / held[at] if number else 0 for at, number in zip(place, numbers.tolist(), strict=True)]
        lengths = {}
    found = shard_of_records(table.contigs, table.positions, work, lengths, shard.count)
    return found == shard.index


@dataclass(frozen=True, kw_only=True)
class ScoringRun:
    """What is common to all tables that one run scores: its variants and its background."""

    model: SequenceModel
    genome: Genome
    options: ScoringOptions
    work: WorkFolder  # keeps finished parts
    workers: int = 1  # processes, in the context of windows
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
        Model, sequence, options and work folder.
    table
        All ALTs of the file. With haplotypes, outcomes in it may be changed to ``haplotype_conflict``.
    chosen
        Which records to score, (records,) bool.
    records
        Function that reads the records again; needed for haplotypes.
    sample_column
        Column of the sample whose haplotypes are built.
    prefix
        Prefix of the names of parts, where several tables share one work folder.
    """
    sites: dict[str, list[Site]] = {}
    if run.options.haplotype:
        assert records is not None
        sites = read_sites(records(), table, sample_column, run.genome)
    scoring = _TableScoring(run, table, np.repeat(chosen, table.rows_per_record), sites)
    for contig in scoring.contigs:
        name = f"{prefix}{run.genome.contigs.names.index(contig)}"
        if contig in sites:
            scoring.add_haplotypes(contig, name, sites[contig])
        else:
            scoring.add_contig(contig, name)
    return VariantScores(
        strands=scoring.strands, junctions=scoring.junctions, p_values=scoring.p_values, votes=scoring.votes
    )


class _TableScoring:
    """One call of ``score_table``; its arrays are filled contig by contig."""

    def __init__(self, run: ScoringRun, table: AlleleTable, rows: np.ndarray, sites: Mapping[str, list[Site]]) -> None:
        self.run, self.table, self.rows = run, table, rows
        self.strands = np.full((len(rows), 2), np.nan)
        self.junctions = np.full((len(rows) if run.options.junctions else 0, 2), np.nan)
        self.score = partial(score_strands, junctions=run.options.junctions)
        self.p_values = np.full(len(rows) if run.options.shuffles else 0, np.nan)
        self.votes = np.full((len(rows) if run.model.relatives else 0, 4), np.nan)
        self.contigs = [
            contig
            for contig in run.genome.contigs.names
            if contig in table.alleles and any(rows[allele.row] for allele in table.alleles[contig])
        ]
        # For the progress bar only: two strands, of two haplotypes of each phase set if asked for, and once more with
        # shuffled surroundings.
        self.total = 0
        for contig in self.contigs:
            haplotypes = 2 * len(phase_sets(sites[contig])) if contig in sites else 1
            passes = 2 * haplotypes * (2 if run.options.shuffles else 1)
            self.total += passes * run.genome.contigs.lengths[contig]

    def add_contig(self, contig: str, name: str) -> None:
        """Score the alleles of one contig and, if asked for, the same changes in shuffled surroundings."""
        sequence, options = self.run.genome.bases(contig), self.run.options
        every = self.table.alleles[contig]
        alleles = every.chosen(self.rows)
        places = [allele.row for allele in alleles]
        found = self._part(name, sequence, every, self.score)
        self._note(places, found)
        self._vote(name, sequence, alleles)
        if options.shuffles:
            shuffled = partial(shuffled_scores, shuffles=options.shuffles, seed=options.seed)
            null = np.zeros((len(self.p_values), options.shuffles))
            np.add.at(null, places, self._part(f"{name}-shuffled", sequence, alleles, shuffled))
            self.p_values[places] = empirical_p(self.strands[places].mean(1), null[places])

    def add_haplotypes(self, contig: str, name: str, here: list[Site]) -> None:
        """Score the alleles of one contig on the haplotypes of a sample."""
        if (count := len(phase_sets(here))) > 1:
            logger.warning("%s: %d phase sets; the haplotypes of each are read by themselves", contig, count)
        pairs = place_on_haplotypes(self.run.genome.bases(contig), here, self.table.outcomes)
        for number, (haplotype, every) in enumerate(pairs, start=1):
            if alleles := every.chosen(self.rows):
                found = self._part(f"{name}-haplotype{number}", haplotype.sequence, every, self.score)
                self._note([allele.row for allele in alleles], found)
                self._vote(f"{name}-haplotype{number}", haplotype.sequence, alleles)

    def _note(self, places: list[int], found: np.ndarray) -> None:
        """Write scores (alleles, strands), or with junctions (alleles, strands, 2), to their rows."""
        found = found.reshape(len(places), 2, -1)
        # A forced allele is two readings, ALT and REF with opposite signs, that add up in one row; plain indexing would
        # keep only the second.
        self.strands[places] = 0.0
        np.add.at(self.strands, places, found[..., 0])
        if self.run.options.junctions:
            self.junctions[places] = 0.0
            np.add.at(self.junctions, places, found[..., 1])

    def _part(self, name: str, sequence: Bases, every: AlleleList, score: Callable[..., np.ndarray]) -> np.ndarray:
        """Return signed scores of the chosen alleles, (alleles, ...): from the work folder if they are there, else new.

        ``every`` are all alleles of the contig.
        """
        run, alleles = self.run, every.chosen(self.rows)

        def made() -> dict[str, np.ndarray]:
            if run.options.context.kind != "window":
                scores = score(
                    run.model, sequence, alleles, horizon_bp=run.options.horizon_bp, progress=self._progress,
                    checkpoint=run.work.checkpoint(name),
                )  # fmt: skip
                return {"scores": scores}
            scoring = WindowScoring(
                model=run.model, horizon_bp=run.options.horizon_bp, window_bp=run.options.context.window_bp,
                work=run.work, workers=run.workers, junctions=run.options.junctions, progress=self._progress,
            )  # fmt: skip
            # The alleles of a block are read together, so a shard reads those of the others in its blocks too: the size
            # of a batch changes its rounding.
            wanted = np.array([bool(self.rows[allele.row]) for allele in every], dtype=bool)
            return {"scores": scoring.score(name, sequence, list(every), wanted)[wanted]}

        kept = run.work.once(name, made, lambda: self._progress(2 * len(sequence)))
        scores, signs = kept["scores"], np.array([allele.sign for allele in alleles])
        return scores * signs.reshape(-1, *(1 for _ in scores.shape[1:]))

    def _vote(self, name: str, sequence: Bases, alleles: Sequence[Allele]) -> None:
        """Let the relatives vote on alleles, or read what they said in a run before."""
        relatives = self.run.model.relatives
        if relatives is None:
            return
        kept = self.run.work.once(f"{name}-votes", lambda: {"votes": vote_on_alleles(relatives, sequence, alleles)})
        rows = [allele.row for allele in alleles]
        once = np.bincount(rows)[rows] == 1  # of a forced allele neither reading has the reference's base
        signs = np.array([allele.sign for allele in alleles])
        found = np.where(signs[:, None] < 0, kept["votes"][:, [1, 0, 2, 3]], kept["votes"])
        found[signs < 0, 3] = np.nan  # the kind of change was that of the swapped alleles
        self.votes[rows] = np.where(once[:, None], found, np.nan)

    def _progress(self, done: int) -> None:
        self.run.advance(done, self.total)


def plain_options(options: ScoringOptions) -> ScoringOptions:
    """Return the options for scoring a background: the same score, without haplotypes, shuffles, swap or force."""
    return replace(options, haplotype="", shuffles=0, on_mismatch="skip", junctions=False)
