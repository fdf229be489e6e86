"""The models that speed is compared with compute what their papers say, and none of them sees the future."""

from __future__ import annotations

import peer_models
import pytest
import torch
from torch.autograd import gradcheck

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import SIZES

NAMES = list(peer_models.MODELS)


def model(name):
    torch.manual_seed(0)
    return peer_models.MODELS[name]().double().eval()


def count(module):
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_future_changes_nothing_before(name):
    net, ids = model(name), torch.randint(0, 4, (2, 150))
    other = ids.clone()
    other[:, 100:] = 3 - ids[:, 100:]
    with torch.no_grad():
        one, two = net(ids).values, net(other).values
    torch.testing.assert_close(one[:, :100], two[:, :100], rtol=0, atol=1e-9)  # an FFT rounds all alike
    assert (one[:, 100:] != two[:, 100:]).any(-1).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hyena"])
def test_pieces_are_the_whole(name):
    net, ids = model(name), torch.randint(0, 4, (2, 300))
    assert net.streams
    parts, states = [], None
    with torch.no_grad():
        whole = net(ids).values
        for piece in ids.split([1, 70, 129, 100], 1):
            values, states = net(piece, states)
            parts.append(values)
    torch.testing.assert_close(torch.cat(parts, 1), whole)


@pytest.mark.parametrize("name", NAMES)
def test_inference_and_training_agree(name, monkeypatch):
    for piece in ("PIECE", "FFT_CHANNELS"):
        monkeypatch.setattr(peer_models, piece, 7)
    net, ids = model(name), torch.randint(0, 4, (1, 40))
    with torch.no_grad():
        said = net(ids).values
    torch.testing.assert_close(net(ids).values, said)


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_are_about_that_of_tiny(name):
    assert count(model(name)) == pytest.approx(count(Backbone(SIZES["tiny"])), rel=0.1)


@pytest.mark.parametrize("tokens", [1, 5, 64])
def test_convolution_by_fft_is_the_sum(tokens):
    x, filters = torch.randn(2, 3, tokens).double(), torch.randn(3, tokens).double()
    expected = torch.zeros_like(x)
    for t in range(tokens):
        for back in range(t + 1):
            expected[..., t] += filters[:, back] * x[..., t - back]
    torch.testing.assert_close(peer_models.convolve(x, filters), expected)


def test_a_dilated_convolution_is_the_sum():
    torch.manual_seed(0)
    block, x = peer_models.DilatedConvolution(2, dilation=3, taps=2).double(), torch.randn(1, 8, 2).double()
    past = torch.cat([torch.zeros(1, 3, 2), x[:, :5]], 1)
    weight = block.convolution.weight
    mixed = past @ weight[..., 0].mT + x @ weight[..., 1].mT + block.convolution.bias
    mixed = x + block.norm(torch.nn.functional.gelu(mixed))
    torch.testing.assert_close(block(x, None).values, mixed + block.mlp(mixed))


def test_the_recurrence_is_the_loop_and_so_is_its_gradient():
    decay, values = torch.rand(2, 6, 3, 2).double(), torch.randn(2, 6, 3, 2).double()
    start = torch.randn(2, 3, 2).double()
    found, h = peer_models.recurrence(decay, values, start), start
    for t in range(6):
        h = decay[:, t] * h + values[:, t]
        torch.testing.assert_close(found[:, t], h)
    inputs = [x.requires_grad_() for x in (decay, values, start)]
    assert gradcheck(peer_models.recurrence, inputs)


def test_a_selective_scan_is_that_of_its_paper():
    """Equations 1a, 2a and algorithm 2 of arXiv 2312.00752, one token and one state at a time."""
    torch.manual_seed(0)
    block, x = peer_models.SelectiveScan(16, states=2).double(), torch.randn(1, 5, 16).double()
    mixed, gate = block.enter(block.norm(x)).chunk(2, -1)
    mixed = torch.nn.functional.silu(block.taps(mixed, None).values)
    low, write, read = block.select(mixed).split([1, 2, 2], -1)
    step, rate = torch.nn.functional.softplus(block.step(low)), -torch.exp(block.log_rate)
    y = torch.zeros_like(mixed)
    for channel in range(mixed.shape[-1]):
        for state in range(2):
            h = 0.0
            for t in range(5):
                h = torch.exp(step[0, t, channel] * rate[channel, state]) * h
                h = h + step[0, t, channel] * write[0, t, state] * mixed[0, t, channel]
                y[0, t, channel] += read[0, t, state] * h
    expected = x + block.leave((y + block.skip * mixed) * torch.nn.functional.silu(gate))
    torch.testing.assert_close(block(x, None).values, expected)
