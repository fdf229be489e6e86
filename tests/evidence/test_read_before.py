"""A stream that begins behind what the copy memory alone has read recalls as if the network had read it too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from read_before import state_after
from toy import CONFIG

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.streaming import stream_bases
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import select
from titans_dna.ops.state import map_tensors
from titans_dna.recall import RecallForm
from titans_dna.tokenizers import NucleotideTokenizer

SETTLED = 200  # bases after which no place is followed that was found before the network began


def made(**changes) -> SequenceModel:
    torch.manual_seed(11)
    backbone = Backbone(replace(CONFIG, vocabulary=len(NucleotideTokenizer().vocabulary), **changes))
    torch.nn.init.normal_(backbone.head.weight, std=0.5)
    backbone.eval().requires_grad_(False)
    return SequenceModel(backbone=backbone, tokenizer=NucleotideTokenizer(), name="toy", weights_sha256="0" * 64)


@pytest.fixture(scope="module")
def model():
    return made(recall=RecallForm(index_bits=16))


@pytest.fixture(scope="module")
def contig():
    """Random bases; the last 500 repeat the first, and the 300 before them are the same on the other strand."""
    ids = np.random.default_rng(3).integers(0, 4, 5000).astype(np.uint8)
    return np.concatenate([ids, 3 - ids[700:1000][::-1], ids[:500]])


def tensors(state) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(state, lambda x: found.append(x) or x)
    return found


def streamed(model, ids):
    *_, last = stream_bases(model.backbone, ids, model.bos)
    return last.state


@pytest.mark.parametrize("more", [0, 1, 1000])
def test_a_context_of_the_whole_contig_is_streaming_it(model, contig, more):
    whole, after = streamed(model, contig), state_after(model, [contig], context_tokens=len(contig) + more)
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole), tensors(after), strict=True))
    assert after.position_tokens == whole.position_tokens == len(contig) + 1
    (own,), (other,) = after.recall.streams, whole.recall.streams
    assert own.position == other.position
    assert np.array_equal(own.places, other.places)


@pytest.mark.parametrize("context", [0, 63, 64, 300, 1000])
def test_where_the_network_begins(model, contig, context):
    after = state_after(model, [contig], context_tokens=context)
    (reader,) = after.recall.streams
    assert reader.position == reader.memory.end == len(contig) + 1
    assert (reader.position - after.position_tokens) % 64 == 0
    assert context <= after.position_tokens < context + 64


def test_the_same_is_recalled_as_by_a_stream_that_read_everything(model, contig):
    cut = len(contig) - 500
    begun = state_after(model, [contig[:cut]], context_tokens=0)
    codes = [
        model.backbone.recall(torch.from_numpy(contig[None, cut:].astype(np.int64)), state).codes[0].numpy()
        for state in (begun, streamed(model, contig[:cut]))
    ]
    assert np.array_equal(*(np.sort(found[SETTLED:], axis=1) for found in codes))
    assert (codes[0][SETTLED:] != 0).any(1).all()


def test_relatives_are_read_apart_and_the_next_contig_recalls_them(model, contig):
    relatives = [contig[:1500], contig[1500:1531], contig[2000:2700]]
    state = state_after(model, relatives)
    (reader,) = state.recall.streams
    assert reader.position == reader.memory.end == 1536 + 64 + 704
    assert state.position_tokens == 0
    tape = reader.memory.ids(0, reader.memory.end)
    for start, ids in zip((0, 1536, 1600), relatives, strict=True):
        assert np.array_equal(tape[start + 1 : start + 1 + len(ids)], ids)
        tape[start + 1 : start + 1 + len(ids)] = 9
    assert set(tape.tolist()) == {4, 9}  # what stands between them is no base
    pieces = list(stream_bases(model.backbone, contig[300:800], model.bos, state=state))
    assert pieces[-1].state.position_tokens == 501
    assert len(pieces[-1].state.recall.streams[0].places)
    alone = list(stream_bases(model.backbone, contig[300:800], model.bos))
    assert not len(alone[-1].state.recall.streams[0].places)


def test_a_state_can_be_asked_twice(model, contig):
    state = state_after(model, [contig[:3000]], context_tokens=128)
    rows = torch.from_numpy(np.stack([contig[100:200], contig[900:1000]]).astype(np.int64))
    logits = [model.backbone.stream(rows, select(state, [0, 0])).logits for _ in range(2)]
    assert torch.equal(*logits)


def test_nothing_read_before_is_a_stream_at_its_start(model, contig):
    (start,) = state_after(model, []).recall.streams
    assert (start.position, len(start.places)) == (0, 0)
    assert len(state_after(model, [contig[:0]], context_tokens=5).recall.streams) == 1


def test_a_model_without_a_copy_memory_is_refused(contig):
    with pytest.raises(ConfigError, match="toy has no copy memory"):
        state_after(made(), [contig])
