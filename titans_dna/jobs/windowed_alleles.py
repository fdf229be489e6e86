"""Scores alleles in windows, by several processes; finished groups of blocks are kept for a later run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from titans_dna.genome.bases import Bases
from titans_dna.inference.alleles import Allele
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.score_variants import WindowedAlleles
from titans_dna.jobs.work_folder import WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for

KEPT_UNITS = 64  # blocks of a strand whose scores are kept together


@dataclass(frozen=True, kw_only=True)
class WindowScoring:
    """How alleles are scored in windows."""

    model: SequenceModel
    horizon_bp: int
    window_bp: int
    work: WorkFolder  # keeps finished groups
    workers: int = 1
    junctions: bool = False
    progress: Callable[[int], None] = lambda _: None

    def score(
        self, name: str, sequence: Bases, alleles: Sequence[Allele], wanted: np.ndarray | None = None
    ) -> np.ndarray:
        """Return ln P(ALT) - ln P(REF) of alleles, (alleles, strands) float64; nan where none of a block is wanted.

        With ``junctions`` it is (alleles, strands, 2), as `titans_dna.inference.score_variants.score_strands` says.

        Parameters
        ----------
        name
            Of the parts in the work folder.
        sequence
            The whole contig.
        alleles
            All alleles on it.
        wanted
            (alleles,) bool: those that are to be scored; None for all.
        """
        windowed = WindowedAlleles.of(
            self.model, sequence, alleles, horizon_bp=self.horizon_bp, window_bp=self.window_bp, wanted=wanted,
            junctions=self.junctions,
        )  # fmt: skip
        scores = np.full((len(alleles), 2, 2) if self.junctions else (len(alleles), 2), np.nan)
        units = range(len(windowed.units))
        groups = [units[at : at + KEPT_UNITS] for at in range(0, len(units), KEPT_UNITS)]
        kept = [self.work.part(f"{name}-group{number}") for number in range(len(groups))]
        todo = [unit for group, part in zip(groups, kept, strict=True) if part is None for unit in group]
        done = iter(map_parallel(windowed.score, todo, workers_for(self.model, self.workers)))
        for number, (group, part) in enumerate(zip(groups, kept, strict=True)):
            values = part["scores"] if part is not None else np.concatenate([next(done) for _ in group])
            if part is None:
                self.work.keep(f"{name}-group{number}", {"scores": values})
            places = [(row, windowed.units[unit][0]) for unit in group for row in windowed.rows[unit]]
            scores[tuple(np.array(places).T)] = values
            self.progress(2 * len(sequence) * len(group) // len(units))
        return scores
