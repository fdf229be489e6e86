"""However a strand is cut, every base gets the same log-probability, surprise and features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna.inference.streaming import stream_bases
from titans_dna.model.state import state_numbers

BASES = 150


@pytest.fixture(scope="module")
def ids(model, random_bases):
    sequence = bytearray(random_bases(BASES, 21))
    sequence[70:80] = b"N" * 10
    return model.tokenizer.encode(bytes(sequence))


@pytest.fixture(scope="module")
def direct(model, ids):
    """Log-probabilities, surprise and features of a single call."""
    inputs = torch.from_numpy(np.concatenate([[model.bos], ids]).astype(np.int64))[None]
    with torch.inference_mode():
        out = model.backbone.stream(inputs)
    log_p = out.logits[0, :-1].log_softmax(-1).numpy()
    known = ids < 4
    picked = np.where(known, log_p[np.arange(BASES), np.where(known, ids, 0)], np.nan)
    return picked, np.where(known, out.surprise[0, 1:].numpy(), np.nan), out.hidden[0, 1:].numpy()


def joined(pieces):
    log_p = np.concatenate([p.log_probabilities for p in pieces])
    return log_p, np.concatenate([p.surprise for p in pieces]), np.concatenate([p.hidden.numpy() for p in pieces])


@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(-3, BASES + 5), max_size=6), piece=st.sampled_from([1000, 64, 33, 8]))
def test_any_cuts_equal_one_call(model, ids, direct, cuts, piece):
    pieces = list(stream_bases(model.backbone, ids, model.bos, cuts=cuts, piece_tokens=piece, hidden=True))
    for found, wanted in zip(joined(pieces), direct, strict=True):
        assert np.array_equal(np.isnan(found), np.isnan(wanted))
        assert np.nan_to_num(found) == pytest.approx(np.nan_to_num(wanted), abs=1e-5)
    predicted, read = 0, 0
    for part in pieces:
        assert part.start == predicted
        assert part.read_start == read
        assert len(part.surprise) == len(part.hidden)
        predicted, read = predicted + len(part.log_probabilities), read + len(part.surprise)
        assert part.next_input == min(predicted, BASES) + (part is pieces[-1])
        assert part.state.position_tokens == part.next_input
        assert max(len(part.surprise), len(part.log_probabilities)) <= piece
    assert predicted == read == BASES
    assert {cut for cut in cuts if 0 < cut <= BASES} <= {part.next_input for part in pieces}


def test_a_piece_of_one_base_each(model, ids, direct):
    pieces = list(stream_bases(model.backbone, ids[:40], model.bos, piece_tokens=1, hidden=True))
    assert joined(pieces)[0] == pytest.approx(direct[0][:40], abs=1e-5)


def test_unknown_bases_are_not_predicted_and_others_are(direct, model, ids):
    (piece,) = list(stream_bases(model.backbone, ids, model.bos))
    assert np.isnan(piece.log_probabilities[70:80]).all()
    assert np.isfinite(np.delete(piece.log_probabilities, range(70, 80))).all()
    assert piece.hidden is None
    assert np.nansum(piece.log_probabilities) == pytest.approx(np.nansum(direct[0]), abs=1e-3)


def test_an_empty_strand_and_one_base(model):
    (piece,) = list(stream_bases(model.backbone, np.zeros(0, np.uint8), model.bos, hidden=True))
    assert len(piece.log_probabilities) == len(piece.surprise) == len(piece.hidden) == 0
    pieces = list(stream_bases(model.backbone, np.array([2], np.uint8), model.bos))
    assert sum(len(p.log_probabilities) for p in pieces) == 1


def test_the_state_does_not_grow(model, random_bases):
    long = model.tokenizer.encode(random_bases(32 * 40 + 8 * 8, 1))
    sizes = {
        state_numbers(p.state)
        for p in stream_bases(model.backbone, long, model.bos, piece_tokens=64)
        if p.next_input % 64 == 0
    }
    assert len(sizes) == 1


def test_a_memory_is_carried_over_n_to_the_bit(model, ids):
    def weights(gap_bases: int) -> list[np.ndarray]:
        gap = np.full(gap_bases, 4, dtype=ids.dtype)
        *_, last = stream_bases(model.backbone, np.concatenate([ids, gap]), model.bos, piece_tokens=64)
        memories = [memory.memory for block in last.state.blocks for memory in block.memories]
        return [weight.numpy() for memory in memories for weight in memory.weights]

    short, long, none = weights(100), weights(4100), weights(0)
    assert all(np.array_equal(a, b) for a, b in zip(short, long, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(weights(100), none, strict=True))  # the last base is written
