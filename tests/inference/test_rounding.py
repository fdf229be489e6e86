"""What rounds differently, another device or another batch, must not grow along a contig (ops/README.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_dna import ops
from titans_dna.inference.model import load_model
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.state import map_tensors

DISTURBED = 1e-5  # relative change of every number of the state, some hundred times what float32 rounds
BASES, PIECE = 16_384, 2048


def test_a_disturbed_state_of_the_default_model_is_forgotten_where_the_memory_begins_anew(project):
    model = load_model("default", "cpu")
    with open_fasta(project / "data/demo.fa") as demo:
        bases = demo.fetch(demo.contigs.names[0], 0, BASES)
    ids = torch.from_numpy(model.tokenizer.encode(bases).astype(np.int64))[None]
    random = torch.Generator().manual_seed(1)

    def disturb(x: torch.Tensor) -> torch.Tensor:
        return x * (1 + DISTURBED * torch.randn(x.shape, generator=random)) if x.is_floating_point() else x

    stream, anew = model.backbone.stream, model.backbone.config.reset_tokens
    with torch.inference_mode():
        state = stream(ids[:, :PIECE]).state
        state, apart = model.backbone.join([state, map_tensors(state, disturb)]), []
        for start in range(PIECE, BASES, PIECE):
            out = stream(ids[:, start : start + PIECE].expand(2, -1), state)
            state, log_p = out.state, out.logits.log_softmax(-1)
            apart.append((log_p[0] - log_p[1]).abs().amax(-1))
    found = torch.cat(apart)
    assert 0 < found.max() < 1e-3
    reach = model.backbone.config.layers * model.backbone.config.window_tokens
    assert found[anew - PIECE + reach :].max() == 0  # not a bit is left of it


@pytest.mark.parametrize("file", ["human/hg19_chr20_1Mb.fa.gz", "genomes/ecoli_k12_NC_000913.3.fna.gz"])
def test_two_ways_of_rounding_stay_together_along_real_sequence(shared_data, file, monkeypatch):
    model = load_model("default", "cpu")
    with open_fasta(shared_data / file) as fasta:
        ids = model.tokenizer.encode(fasta.fetch(fasta.contigs.names[0], 200_000, 265_536).upper())
    choose, found = ops.choose, []
    for way in ("compiled", "chunked"):
        monkeypatch.setattr(
            ops, "choose", lambda *given, way=way, **known: (way, "") if given[0] == "auto" else choose(*given, **known)
        )
        pieces = stream_bases(model.backbone, ids, model.bos)
        found.append(np.concatenate([piece.log_probabilities for piece in pieces]))
    apart = np.abs(found[0] - found[1])
    assert 0 < apart.mean() < 1e-5
    assert apart.max() < 1e-2
