"""Watches the gates of the memories on held-out sequence during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from titans_dna.inference.gates import GateStatistics, gate_statistics
from titans_dna.model.backbone import Backbone

GATE_TOKENS = 4096  # most tokens to read, so that an evaluation costs hardly more
GATE_CONTIGS = 64  # most contigs from which they are taken


def held_out_gates(model: Backbone, sample: Sequence[np.ndarray], bos: int) -> list[GateStatistics]:
    """Return the statistics of every memory on the first tokens of the contigs of a sample, read side by side.

    Parameters
    ----------
    model
        Model to watch.
    sample
        Token ids of held-out contigs; if there are none, nothing is returned.
    bos
        Id of the start token. The next id is padding, which is never written to a memory.
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
