"""Genomes of relatives, read into the copy memory of a model."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from titans_dna.api.sequences import opened
from titans_dna.inference.model import SequenceModel
from titans_dna.loading.relatives import RelativesChoice, open_targets, read_relatives

logger = logging.getLogger(__name__)


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
