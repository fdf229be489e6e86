"""Three other ways to read long DNA, as small language models in plain PyTorch: what ``peers.py`` compares with.

=================  ==========================================================  ======================================
model              mixing                                                      written from
=================  ==========================================================  ======================================
``hyena``          gates around a convolution as long as the sequence, by FFT  arXiv 2302.10866, 2306.15794 (HyenaDNA)
``convolutions``   dilated convolutions over the last bases alone              doi 10.1073/pnas.2311219120 (GPN)
``selective scan`` a linear recurrence with gates that depend on the base      arXiv 2312.00752 (Mamba)
=================  ==========================================================  ======================================

Each predicts the next of four bases. The shapes are those of the small published ones (0.43 to 0.46 million weights).
GPN reads both sides of a base; here its convolutions see the past alone, so that all models answer the same question.
The last two can carry a state from piece to piece, and so read a sequence of any length in constant memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BASES = 4
REACH = 1 << 20  # bases of the longest sequence that the filters of a Hyena operator are made for
PIECE = 4096  # tokens that maps of single tokens read at once: their values then fit into a processor's cache
FFT_CHANNELS = 16  # channels that are transformed at once in inference, which bounds the memory that this needs
SCAN_TOKENS = 64  # tokens of a chunk of a scan, whose values fit into the cache too


class Read(NamedTuple):
    """The output of a block or a model."""

    values: Tensor  # (B, T, N)
    state: Any  # from which the next piece goes on; None if none can


class LanguageModel(nn.Module):
    """Blocks between an embedding of bases and a head that predicts the next base."""

    def __init__(self, width: int, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BASES, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, BASES, bias=False)

    @property
    def streams(self) -> bool:
        """Whether a sequence can be read in pieces."""
        return not any(isinstance(block, Hyena) for block in self.blocks)

    def forward(self, ids: Tensor, states: list[Any] | None = None) -> Read:
        """Return the logits (B, T, 4) of the base after each of ``ids`` (B, T), and the states after them."""
        x, after = self.embedding(ids), []
        for block, state in zip(self.blocks, states or [None] * len(self.blocks), strict=True):
            x, state = block(x, state)
            after.append(state)
        return Read(self.head(self.norm(x)), after)


def hyena(width: int = 128, layers: int = 2) -> LanguageModel:
    """Return a model of Hyena operators, with the shapes of HyenaDNA-tiny."""
    return LanguageModel(width, [Hyena(width) for _ in range(layers)])


def convolutions(width: int = 64, layers: int = 8) -> LanguageModel:
    """Return a model of dilated convolutions, whose dilations grow to 32 and begin anew, as in GPN."""
    return LanguageModel(width, [DilatedConvolution(width, 1 << layer % 6) for layer in range(layers)])


def selective_scan(width: int = 128, layers: int = 4) -> LanguageModel:
    """Return a model of selective scans, with the shapes of the small Mamba of the Caduceus paper."""
    return LanguageModel(width, [SelectiveScan(width) for _ in range(layers)])


MODELS: dict[str, Callable[[], LanguageModel]] = {
    "hyena": hyena, "convolutions": convolutions, "selective scan": selective_scan,
}  # fmt: skip


def by_pieces(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``function(x)`` of a function of single tokens; in inference piece by piece, which is faster."""
    if torch.is_grad_enabled() or x.shape[1] <= PIECE:
        return function(x)
    return torch.cat([function(piece) for piece in x.split(PIECE, 1)], 1)


class Taps(nn.Module):
    """A causal depthwise convolution over a few tokens, as a few products: faster than ``Conv1d`` on a CPU."""

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter((torch.rand(taps, width) * 2 - 1) * taps**-0.5)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, before: Tensor | None) -> Read:
        """Convolve ``x`` (B, T, N); ``before`` has the tokens before it, zeros if None."""
        taps = len(self.weight)
        whole = F.pad(x, (0, 0, taps - 1, 0)) if before is None else torch.cat([before, x], 1)
        out = self.bias + whole[:, : x.shape[1]] * self.weight[0]
        for tap in range(1, taps):
            out = torch.addcmul(out, whole[:, tap : tap + x.shape[1]], self.weight[tap])
        return Read(out, whole[:, whole.shape[1] - taps + 1 :])


class Hyena(nn.Module):
    """A Hyena operator of order 2 and a map of single tokens, each on a normalised residual stream."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm, self.enter, self.taps = nn.LayerNorm(width), nn.Linear(width, 3 * width), Taps(3 * width, 3)
        self.filter, self.skip = ImplicitFilter(width), nn.Parameter(torch.randn(width))
        self.leave = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )

    def forward(self, x: Tensor, state: None = None) -> Read:
        """Read a whole sequence; there is no state that another piece could go on from."""
        assert state is None, "a Hyena operator reads a sequence at once"
        mixed = self.taps(by_pieces(lambda piece: self.enter(self.norm(piece)), x), None).values
        gate, second, values = mixed.chunk(3, -1)
        values = (values * second).mT
        long = convolve(values, self.filter(x.shape[1])) + values * self.skip.unsqueeze(-1)
        x = x + by_pieces(self.leave, gate * long.mT)
        return Read(x + by_pieces(self.mlp, x), None)


class ImplicitFilter(nn.Module):
    """A filter as long as the sequence: a small network of the position, under a decay that each channel has."""

    def __init__(self, width: int, hidden: int = 64, bands: int = 2, frequency: float = 10.0) -> None:
        super().__init__()
        self.bands = bands
        sizes = (1 + 2 * bands, hidden, hidden, hidden)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.frequency = nn.Parameter(torch.full((hidden,), frequency))
        self.last = nn.Linear(hidden, width, bias=False)
        # The slowest channel has fallen to 0.01 after 1.5 times the reach, the fastest after 0.3 times.
        self.register_buffer("decay", torch.linspace(math.log(100) / 1.5, math.log(100) / 0.3, width))

    def forward(self, tokens: int) -> Tensor:
        """Return the first ``tokens`` values of all filters, (N, T)."""
        place = torch.arange(tokens, dtype=self.decay.dtype, device=self.decay.device)[None, :, None] / REACH
        return by_pieces(self._values, place)[0].mT

    def _values(self, place: Tensor) -> Tensor:
        angle = 2 * math.pi * place * torch.linspace(1e-4, self.bands - 1, self.bands).to(place)
        x = torch.cat([place, angle.cos(), angle.sin()], -1)
        for layer in self.layers:
            x = torch.sin(self.frequency * layer(x))
        return self.last(x) * torch.exp(-place * self.decay)


def convolve(x: Tensor, filters: Tensor) -> Tensor:
    """Return the causal convolution of ``x`` (B, N, T) with ``filters`` (N, T), by FFT."""
    tokens = x.shape[-1]
    width = 1 << (2 * tokens - 1).bit_length()  # twice the length, so that the end does not reach round to the start

    def run(x: Tensor, filters: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(x, width) * torch.fft.rfft(filters, width)
        return torch.fft.irfft(spectrum, width)[..., :tokens]

    if torch.is_grad_enabled():
        return run(x, filters)
    parts = zip(x.split(FFT_CHANNELS, 1), filters.split(FFT_CHANNELS, 0), strict=True)
    return torch.cat([run(*part) for part in parts], 1)


class DilatedConvolution(nn.Module):
    """A dilated causal convolution and a map of single tokens, each normalised and added to the residual stream."""

    def __init__(self, width: int, dilation: int, taps: int = 9, expansion: int = 2) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, taps, dilation=dilation)
        self.halo = (taps - 1) * dilation
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width), nn.LayerNorm(width)
        )

    def forward(self, x: Tensor, before: Tensor | None) -> Read:
        """Read ``x`` (B, T, N); ``before`` has the tokens before it, zeros if None."""
        whole = F.pad(x, (0, 0, self.halo, 0)) if before is None else torch.cat([before, x], 1)
        x = x + self.norm(F.gelu(self.convolution(whole.mT).mT))
        return Read(x + self.mlp(x), whole[:, whole.shape[1] - self.halo :])


class SelectiveScan(nn.Module):
    """A selective state space with a gate (Mamba), on a normalised residual stream."""

    def __init__(self, width: int, states: int = 16, expansion: int = 2) -> None:
        super().__init__()
        inner, self.states, self.rank = expansion * width, states, width // 16
        self.norm, self.enter = nn.LayerNorm(width), nn.Linear(width, 2 * inner, bias=False)
        self.taps = Taps(inner, 4)
        self.select = nn.Linear(inner, self.rank + 2 * states, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_rate = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.skip, self.leave = nn.Parameter(torch.ones(inner)), nn.Linear(inner, width, bias=False)
        with torch.no_grad():  # steps between 0.001 and 0.1 before training
            step = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(0.1)))
            self.step.bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> Read:
        """Read ``x`` (B, T, N) from the convolution's tokens and the scan's state before it."""
        before, h = state or (None, x.new_zeros(x.shape[0], len(self.skip), self.states))
        mixed, gate = self.enter(self.norm(x)).chunk(2, -1)
        mixed, before = self.taps(mixed, before)
        mixed = F.silu(mixed)
        parts = []
        for piece in mixed.split(SCAN_TOKENS, 1):
            # Like the kernel of the paper, training keeps the states between chunks alone and computes a chunk again.
            if torch.is_grad_enabled():
                y, h = checkpoint(self._chunk, piece, h, use_reentrant=False, preserve_rng_state=False)
            else:
                y, h = self._chunk(piece, h)
            parts.append(y)
        y = torch.cat(parts, 1) + self.skip * mixed
        return Read(x + self.leave(y * F.silu(gate)), (before, h))

    def _chunk(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        low, write, read = self.select(x).split([self.rank, self.states, self.states], -1)
        step = F.softplus(self.step(low)).unsqueeze(-1)
        decay = torch.exp(step * -torch.exp(self.log_rate))  # (B, T, inner, states)
        found = recurrence(decay, step * x.unsqueeze(-1) * write.unsqueeze(-2), h)
        # A copy of the last state, for a view would keep all states of the chunk.
        return (found @ read.unsqueeze(-1)).squeeze(-1), found[:, -1].clone()


def recurrence(decay: Tensor, values: Tensor, start: Tensor) -> Tensor:
    """Return all ``h_t = decay_t h_{t-1} + values_t``, (B, T, ...), from ``start`` (B, ...) on."""
    return _Recurrence.apply(decay, values, start)


class _Recurrence(torch.autograd.Function):
    """The recurrence token by token, within a chunk that lies in the cache.

    A scan in two levels, by blocks of 8 to 32 tokens side by side, took about twice the time: it goes over everything
    three times, and on a CPU a token of 4,096 states is work enough for one call.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, values: Tensor, start: Tensor) -> Tensor:
        out = torch.empty_like(values)
        last = start
        for a, b, h in zip(decay.unbind(1), values.unbind(1), out.unbind(1), strict=True):
            last = torch.addcmul(b, a, last, out=h)
        ctx.save_for_backward(decay, out, start)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The same recurrence from the last token to the first, for a state passes on to the next what it received.
        decay, out, start = ctx.saved_tensors
        values_ = torch.empty_like(out)
        after = torch.zeros_like(start)
        rows = zip(decay.unbind(1), gradient.unbind(1), values_.unbind(1), strict=True)
        for a, g, h_ in reversed(list(rows)):
            torch.add(g, after, out=h_)
            after = a * h_
        before = torch.cat([start.unsqueeze(1), out[:, :-1]], 1)
        return values_ * before, values_, after
