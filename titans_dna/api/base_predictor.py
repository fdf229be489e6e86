"""Heads that predict classes or values of every base, for notebooks; the same code serves ``finetune --targets``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.api.frames import require_pandas
from titans_dna.api.reading import usable
from titans_dna.api.regions import iterate_regions, on_haplotypes
from titans_dna.api.sequences import opened
from titans_dna.errors import ConfigError
from titans_dna.inference.base_features import BothStrands
from titans_dna.inference.haplotype_genome import HaplotypeGenome
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import PlacedRegion
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.region_tracks import written_kinds
from titans_dna.training.base_heads import RESULT, BaseHeadConfig, TrainedBaseHead, train_base_head
from titans_dna.training.base_heads import load_base_head as load_trained
from titans_dna.training.base_targets import read_targets

if TYPE_CHECKING:
    import pandas as pd


class BasePredictor:
    """A head that predicts classes or values of every base; made by `Model.finetune_bases` or `load_base_predictor`.

    Attributes
    ----------
    names
        Classes, or tracks.
    result
        How it was trained, and its figures on what was held out (``model``) beside those of the same head that sees
        bases alone (``bases_alone``).
    """

    def __init__(self, trained: TrainedBaseHead, result: dict[str, Any]) -> None:
        self._trained, self.names, self.result = trained, trained.names, result

    def __repr__(self) -> str:
        return f"BasePredictor({', '.join(self.names)})"

    def predict(self, regions: Any, fasta: Any, *, haplotypes: Any = None) -> pd.DataFrame:
        """Return probabilities of the classes, or values of the tracks, of every base of regions.

        Parameters
        ----------
        regions
            As in `Model.score_regions`; None for whole contigs.
        fasta
            The genome.
        haplotypes
            ``("phased.vcf.gz", "NA1")``: the haplotypes of this sample are read in place of the genome; with a third
            entry, 1 or 2, only that one.

        Returns
        -------
        pandas.DataFrame
            A row for each base, in the order of the regions: contig, start (0-based) and a column for each name; nan
            where the base is unknown. With ``haplotypes`` the rows are still the bases of the genome, and for each name
            there are ``NAME_haplotype1`` and ``NAME_haplotype2``, nan where a base is deleted, and ``NAME_difference``,
            the second minus the first. What is said of inserted bases is left out.

        Raises
        ------
        ConfigError
            If pandas is not installed, or the sample's haplotypes are not known.
        ContigUnknown, FormatError, InputMissing
            If a region does not lie on the genome, or a file cannot be read.
        """
        pandas = require_pandas()
        with opened(fasta) as genome:
            placed = list(iterate_regions(genome.contigs, regions))
            for region in placed:
                usable(genome, region)
            own, rows = on_haplotypes(genome, haplotypes, placed)
            values = self._read(own, rows)
        kinds = written_kinds(own, self.names)
        if isinstance(own, HaplotypeGenome):
            values = [_of_both(own, region, values[len(own.which) * n :]) for n, region in enumerate(placed)]
        frames = []
        for region, found in zip(placed, values, strict=True):
            frame = pandas.DataFrame(found, columns=kinds)
            frame.insert(0, "start", np.arange(region.start, region.end))
            frame.insert(0, "contig", region.contig)
            frames.append(frame)
        empty = pandas.DataFrame(columns=["contig", "start", *kinds])
        return pandas.concat(frames, ignore_index=True) if frames else empty

    def _read(self, genome: Genome, rows: Sequence[PlacedRegion]) -> list[np.ndarray]:
        """Return what is said of each region, (bases, names) float32; every contig is opened once."""
        config, found = self._trained.config, [np.zeros((0, len(self.names)), np.float32)] * len(rows)
        for contig in dict.fromkeys(row.contig for row in rows if row.usable):
            sequence = genome.sequence(contig)
            strands = BothStrands(self._trained.model, sequence, config.layers, config.window_bp)
            unknown = np.isin(np.frombuffer(sequence.upper(), np.uint8), np.frombuffer(b"ACGTU", np.uint8), invert=True)
            for number, row in enumerate(rows):
                if row.usable and row.contig == contig:
                    found[number] = self._trained.predict(strands, row.start, row.end)
                    found[number][unknown[row.start : row.end]] = np.nan
        return found


def _of_both(genome: HaplotypeGenome, region: PlacedRegion, values: Sequence[np.ndarray]) -> np.ndarray:
    """Return what is said of a region's haplotypes, and how they differ if there are two, at the reference's bases."""
    lifts = [genome.lifts[f"{region.contig}/{number}"] for number in genome.which]
    found = [
        np.stack([lift.on_reference(row, region.start, region.end) for row in each.T], 1)
        for lift, each in zip(lifts, values[: len(lifts)], strict=True)
    ]
    return np.concatenate([*found, found[1] - found[0]] if len(found) > 1 else found, 1)


def finetune_bases(
    model: SequenceModel, targets: Any, fasta: Any, holdout: Any, folder: Any, chosen: tuple[Iterable[str], bool],
    settings: dict[str, Any],
) -> BasePredictor:  # fmt: skip
    """Train a head (see `titans_dna.api.model.Model.finetune_bases`)."""
    known = {field.name for field in fields(BaseHeadConfig)}
    if unknown := settings.keys() - known:
        raise ConfigError(
            f"finetune_bases has no setting {sorted(unknown)[0]!r}; choose from {', '.join(sorted(known))}"
        )
    if "layers" in settings:
        given = settings["layers"]
        names = (given,) if isinstance(given, str | int) else tuple(given)
        settings = {**settings, "layers": tuple(map(str, names))}
    config = BaseHeadConfig(**settings)
    paths = [Path(path) for path in ([targets] if isinstance(targets, str | os.PathLike) else targets)]
    with ExitStack() as stack:
        genome = stack.enter_context(opened(fasta))
        aside = [usable(genome, region) for region in iterate_regions(genome.contigs, holdout)]
        found = read_targets(paths, genome.contigs, tuple(chosen[0]), one_class=chosen[1])
        output = Path(folder) if folder is not None else Path(stack.enter_context(tempfile.TemporaryDirectory())) / "h"
        result = train_base_head(model, genome, found, aside, output, config)
        return BasePredictor(load_trained(output, str(model.device).partition(":")[0]), result)


def load_base_predictor(folder: str | os.PathLike[str], device: str = "auto") -> BasePredictor:
    """Load a head that `Model.finetune_bases` or ``titans-dna finetune --targets`` wrote.

    Parameters
    ----------
    folder
        Its folder.
    device
        ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    InputMissing
        If the folder has no such head.
    CheckpointError
        If a file is damaged.
    """
    trained = load_trained(Path(folder), device)
    return BasePredictor(trained, json.loads((Path(folder) / RESULT).read_text()))
