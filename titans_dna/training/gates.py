"""The gates of the memories on held-out sequence, watched while training goes on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from titans_dna.inference.gates import GateStatistics, gate_statistics
from titans_dna.model.backbone import Backbone

GATE_TOKENS = 4096  # read at most, so that an evaluation costs hardly more than without
GATE_CONTIGS = 64  # of which they are taken at most


def held_out_gates(model: Backbone, sample: Sequence[np.ndarray], bos: int) -> list[GateStatistics]:
    """Return the statistics of every memory on the first tokens of the contigs of a sample, read side by side.

    Parameters
    ----------
    model
        The model.
    sample
        Ids of the tokens of held-out contigs; without any, nothing is returned.
    bos
        Id of the token before the first base; the one after it stands for padding, which no memory is written by.
    """
    contigs = sample[:GATE_CONTIGS]
    if not contigs:
        return []
    share = GATE_TOKENS // len(contigs)
    rows = np.full((len(contigs), 1 + min(share, max(map(len, contigs)))), bos + 1, dtype=np.int64)
    rows[:, 0] = bos
    for row, ids in zip(rows, contigs, strict=True):
        row[1 : 1 + len(ids[:share])] = ids[:share]
    return gate_statistics(model, torch.from_numpy(rows).to(next(model.parameters()).device))
