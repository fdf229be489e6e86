"""Likelihoods, scores and effects of sequences and regions, computed by the functions that the command line calls."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.frames import frame_of, require_pandas
from titans_dna.api.regions import iterate_regions, on_haplotypes
from titans_dna.api.sequences import opened
from titans_dna.errors import ContigUnknown, FormatError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.mutagenesis import BASES, RegionEffects, mutate_region
from titans_dna.inference.placing import PlacedRegion
from titans_dna.inference.score_regions import score_contig_regions
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.copies import write_copies
from titans_dna.jobs.haplotypes import left_out
from titans_dna.jobs.mutagenesis import mutate_regions
from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file
from titans_dna.loading.relatives import RelativesChoice, open_targets, read_relatives

if TYPE_CHECKING:
    import pandas as pd

_EFFECT_COLUMNS = ("contig", "position", "ref", "alt", "llr", "llr_forward", "llr_reverse", "outcome")
logger = logging.getLogger(__name__)


def base_likelihoods(model: SequenceModel, sequence: bytes, strands: Sequence[bool]) -> np.ndarray:
    """Return ln P of every base of a sequence, (bases,) float32, averaged over strands; nan where it is unknown."""
    found = []
    for reverse in strands:
        values = np.full(len(sequence), np.nan, np.float32)
        read = reverse_complement(sequence) if reverse else sequence
        if read:
            score_contig_regions(model, read, [], tracks={"log_likelihood": values})
        found.append(values[::-1] if reverse else values)
    return found[0].copy() if len(found) == 1 else np.mean(found, axis=0)


def score_regions(
    model: SequenceModel, genome: Genome, given: Any, reading: RegionReading, haplotypes: Any = None
) -> pd.DataFrame:
    """Score regions as ``titans-dna score-regions`` does, into a frame (see `titans_dna.api.model.Model`)."""
    genome, placed = on_haplotypes(genome, haplotypes, list(iterate_regions(genome.contigs, given)))
    reading = replace(reading, without=left_out(genome, reading.without))
    return frame_of(
        "regions.h5",
        lambda output: score_region_file(model, genome, placed, RegionOutputs(table=output), reading=reading),
    )


def read_how(genome: Genome, context: str, without: Any, workers: int, strand: str) -> RegionReading:
    """Return how regions are read, from what `Model.score_regions` takes."""
    stretches = () if without is None else (usable(genome, r) for r in iterate_regions(genome.contigs, without))
    return RegionReading(context=Context.parse(context), without=tuple(stretches), workers=workers, strand=strand)


def trace_copies(model: SequenceModel, genome: Genome, contigs: Sequence[str] | None, least_bp: int) -> pd.DataFrame:
    """Trace where contigs come from as ``titans-dna copies`` does, into a frame."""
    chosen = genome.contigs.names if contigs is None else [genome.contigs.require(name) for name in contigs]
    return frame_of("copies.bedpe", lambda output: write_copies(model, genome, chosen, output, least_bp=least_bp))


def mutate(
    model: SequenceModel, genome: Genome | None, given: Any, horizon_bp: int, context: Context = WHOLE_CONTIG,
    workers: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Score the changes of regions as ``titans-dna mutagenesis`` does; of sequences where there is no genome."""
    if genome is None:
        pairs = [(bases, Interval(f"sequence{number}", 0, len(bases))) for number, bases in enumerate(given)]
        found = [mutate_region(model, bases, region, horizon_bp=horizon_bp) for bases, region in pairs if bases]
    else:
        placed = [usable(genome, region) for region in iterate_regions(genome.contigs, given)]
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "effects.h5"
            each = mutate_regions(
                model, genome, placed, output, horizon_bp=horizon_bp, context=context, workers=workers
            ) if placed else []  # fmt: skip
        by_place = {str(effects.region): effects for effects in each}
        found = [by_place[str(region)] for region in placed]  # one that is given twice is there twice
    columns: dict[str, list[Any]] = {name: [] for name in _EFFECT_COLUMNS}
    for effects in found:
        for name, values in _effect_columns(effects).items():
            columns[name] += values
    return require_pandas().DataFrame(columns)


def _effect_columns(effects: RegionEffects) -> dict[str, list[Any]]:
    """Return the effects as rows: a base, and what it is changed to."""
    letters = np.frombuffer(effects.reference, np.uint8)
    base, change = np.nonzero(letters[:, None] != np.frombuffer(BASES, np.uint8)[None])
    strands = effects.strands[base, change]
    known = np.isfinite(strands).all(1)
    return {
        "contig": [effects.region.contig] * len(base),
        "position": (effects.region.start + 1 + base).tolist(),
        "ref": [chr(letter) for letter in letters[base]],
        "alt": [chr(BASES[column]) for column in change],
        "llr": effects.mean[base, change].tolist(),
        "llr_forward": strands[:, 0].tolist(),
        "llr_reverse": strands[:, 1].tolist(),
        "outcome": np.where(known, "scored", "reference_n").tolist(),
    }


def usable(genome: Genome, region: PlacedRegion) -> Interval:
    """Return where a region lies.

    Raises
    ------
    ContigUnknown, FormatError
        If it is not on the genome.
    """
    if region.usable:
        return region.placed
    if region.outcome == "contig_unknown":
        raise ContigUnknown(
            f"no contig of {genome.path.name} has the name or alias {region.asked.contig!r}; it has "
            f"{', '.join(genome.contigs.names[:5])}. Check the genome."
        )
    what = region.asked.name if region.outcome == "malformed" else f"{region.asked} is {region.outcome}"
    raise FormatError(f"{what}. Give a region that lies on {genome.path.name}.")


def remember(model: SequenceModel, genomes: Any, target: Any, *, one_vote_per: str, allow_self: bool) -> SequenceModel:
    """Return a model as it reads with relatives in its copy memory (see `titans_dna.api.model.Model.remember`)."""
    paths = [Path(path) for path in ([genomes] if isinstance(genomes, str | os.PathLike) else genomes)]
    form = model.backbone.config.require_recall(model.name)
    read_ahead, memories = open_targets([path for path in paths if path.suffix == ".tdm"], form)
    if read_ahead is not None:
        model = model.scoring(read_ahead)
    choice = RelativesChoice(
        fastas=tuple(path for path in paths if path.suffix != ".tdm"), memories=tuple(memories),
        one_vote_per=one_vote_per, allow_self=allow_self,
    )  # fmt: skip
    if read_ahead is not None and not choice:
        return model
    with opened(target) if target is not None else nullcontext() as genome:
        found, left_out = read_relatives(choice, form, genome)
    for name in left_out:
        logger.warning("%s is the target itself and was left out", name)
    return model.behind(found)
