"""The training objective: the weighted loss of the next base, on windows that go on from a state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titans_dna.loading.lanes import Batch
from titans_dna.model.backbone import Backbone, Recalled
from titans_dna.model.state import StreamState, where


class NextBase(nn.Module):
    """The share of some lanes in the loss of a step; it is a module, so that DDP and FSDP can wrap it."""

    def __init__(self, backbone: Backbone, precision: str = "float32") -> None:
        super().__init__()
        self.backbone, self.precision = backbone, precision

    def forward(self, batch: Batch, state: StreamState | None, total_weight: float) -> tuple[Tensor, StreamState]:
        """Return the weighted loss in nats divided by ``total_weight``, and the lanes' states after their windows."""
        device = next(self.backbone.parameters()).device
        fresh = torch.from_numpy(batch.fresh).to(device)
        initial = self.backbone.initial_state(len(batch.fresh))
        if batch.recalled is not None:  # it was computed before training, so the state needs no copy memory
            initial = replace(initial, recall=None)
        state = initial if state is None or batch.fresh.all() else where(fresh, initial, state)
        inputs, weights = torch.from_numpy(batch.inputs).to(device), torch.from_numpy(batch.weights).to(device)
        # Ids without a logit, such as N, would be an error in the loss. They have weight 0, so any id serves.
        targets = torch.from_numpy(batch.targets).to(device).where(weights > 0, 0)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        ahead = None
        if batch.recalled is not None:
            codes = torch.from_numpy(batch.recalled.view(np.int32)).to(device)
            ahead = Recalled(codes, None)
        counts, versions = self.backbone.counts, None
        if counts is not None and counts.versions > 1:  # each lane reads a version that has not counted its contig
            versions = torch.from_numpy(batch.versions).to(device)
        with autocast:
            out = self.backbone.stream(inputs, state, recalled=ahead, versions=versions)
        loss = F.cross_entropy(out.logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(weights)
        return (loss * weights).sum() / max(total_weight, 1.0), out.state
