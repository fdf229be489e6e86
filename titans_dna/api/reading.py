"""Sequences and regions read by a model: likelihoods, scores and effects, by what the command line calls."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.frames import frame_of_file, require_pandas
from titans_dna.api.regions import iterate_regions
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
from titans_dna.jobs.mutagenesis import mutate_regions
from titans_dna.jobs.regions import RegionOutputs, RegionReading, score_region_file

if TYPE_CHECKING:
    import pandas as pd


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


def score_regions(model: SequenceModel, genome: Genome, given: Any, reading: RegionReading) -> pd.DataFrame:
    """Score regions as ``titans-dna score-regions`` does, into a frame (see `titans_dna.api.model.Model`)."""
    placed = list(iterate_regions(genome.contigs, given))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "regions.h5"
        score_region_file(model, genome, placed, RegionOutputs(table=output), reading=reading)
        return frame_of_file(output)


def read_how(genome: Genome, context: str, without: Any, workers: int) -> RegionReading:
    """Return how regions are read, from what `Model.score_regions` takes."""
    stretches = () if without is None else (usable(genome, r) for r in iterate_regions(genome.contigs, without))
    return RegionReading(context=Context.parse(context), without=tuple(stretches), workers=workers)


def trace_copies(model: SequenceModel, genome: Genome, contigs: Sequence[str] | None, least_bp: int) -> pd.DataFrame:
    """Trace where contigs come from as ``titans-dna copies`` does, into a frame."""
    chosen = genome.contigs.names if contigs is None else [genome.contigs.require(name) for name in contigs]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "copies.bedpe"
        write_copies(model, genome, chosen, output, least_bp=least_bp)
        return frame_of_file(output)


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
        found = _mutate_placed(model, genome, placed, horizon_bp, context, workers) if placed else []
    columns: dict[str, list[Any]] = {name: [] for name in _EFFECT_COLUMNS}
    for effects in found:
        for name, values in _effect_columns(effects).items():
            columns[name] += values
    return require_pandas().DataFrame(columns)


def _mutate_placed(
    model: SequenceModel, genome: Genome, placed: Sequence[Interval], horizon_bp: int, context: Context, workers: int
) -> list[RegionEffects]:
    """Return the effects in regions, in their order; one that is given twice is there twice."""
    with tempfile.TemporaryDirectory() as folder:
        each = mutate_regions(
            model, genome, placed, Path(folder) / "effects.h5", horizon_bp=horizon_bp, context=context, workers=workers
        )
    by_place = {(effects.region.contig, effects.region.start, effects.region.end): effects for effects in each}
    return [by_place[region.contig, region.start, region.end] for region in placed]


_EFFECT_COLUMNS = ("contig", "position", "ref", "alt", "llr", "llr_forward", "llr_reverse", "outcome")


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
