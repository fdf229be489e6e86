"""What rounds differently, another device or another batch, must not soon grow along a contig (ops/README.md)."""

from __future__ import annotations

import numpy as np
import torch

from titans_dna.inference.model import load_model
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.state import map_tensors

DISTURBED = 1e-5  # relative change of every number of the state, some hundred times what float32 rounds
BASES, PIECE = 16_384, 2048


def test_a_disturbed_state_of_the_default_model_gives_the_same_scores_after_many_bases(project):
    model = load_model("default", "cpu")
    with open_fasta(project / "data/demo.fa") as demo:
        bases = demo.fetch(demo.contigs.names[0], 0, BASES)
    ids = torch.from_numpy(model.tokenizer.encode(bases).astype(np.int64))[None]
    random = torch.Generator().manual_seed(1)

    def disturb(x: torch.Tensor) -> torch.Tensor:
        return x * (1 + DISTURBED * torch.randn(x.shape, generator=random)) if x.is_floating_point() else x

    stream = model.backbone.stream
    with torch.inference_mode():
        state = stream(ids[:, :PIECE]).state
        state, apart = model.backbone.join([state, map_tensors(state, disturb)]), []
        for start in range(PIECE, BASES, PIECE):
            out = stream(ids[:, start : start + PIECE].expand(2, -1), state)
            state, log_p = out.state, out.logits.log_softmax(-1)
            apart.append(float((log_p[0] - log_p[1]).abs().max()))
    assert apart[0] > 0  # it was disturbed
    assert max(apart) < 1e-3
