"""The neural memory as a module: it makes queries, keys, values and gates, and calls ``titans_dna.ops``.

A gate in [0, 1] can be exactly 0 and 1, and training can always bring it back from there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from titans_dna.model.config import BackboneConfig, MemoryLayout
from titans_dna.model.norm import wide
from titans_dna.model.state import NeuralMemoryState, where
from titans_dna.ops import GROUP_CHUNKS, Gates, MemoryOutput, MemoryState, initial_state, neural_memory
from titans_dna.ops.network import read_weights

STRETCH = 0.1  # a gate is clamp((1 + 2 * STRETCH) * sigmoid(x) - STRETCH, 0, 1): it reaches 0 and 1 exactly
END = STRETCH / (1.0 + 2.0 * STRETCH)  # value of the sigmoid at which the gate is 0; at 1 - END it is 1
END_SLOPE = (1.0 + 2.0 * STRETCH) * END * (1.0 - END)  # derivative of the stretched sigmoid at these ends
KEPT_PIECES = 12  # last pieces whose values are kept in training; those of earlier ones are computed again
DEVICE_PIECE_TOKENS = 4096  # fewest tokens of a piece on a device other than CPU, where many short launches are slow
# Initial forgetting of the slowest and the fastest head, relative to the step; a single head takes the middle.
FORGETTING_RANGE = (1e-5, 1e-3)
OTHER_TAPS = 0.2  # factor for the convolution's initial weights, besides the tap that an induction needs


def stretched_sigmoid(x: Tensor) -> Tensor:
    """Return a gate in [0, 1] that can be exactly 0 and 1.

    Between the ends the gradient is that of the formula. At an end it is 0 if descent would lead further out, but not
    if descent leads back inside.
    """
    return _StretchedSigmoid.apply(x)


def inverse_gate(gate: float) -> float:
    """Return the input at which the gate has a value in [0, 1]."""
    return math.log((gate + STRETCH) / (1.0 + STRETCH - gate))


class _StretchedSigmoid(torch.autograd.Function):
    """The gate and its gradient.

    A clamp passes no gradient at its ends, so a memory whose step gate is 0 at every token could never open again. Here
    the gradient beyond an end is the one at that end, since the sigmoid's own falls as exp(-|x|), so that the way back
    takes as many steps as the way out.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(x)
        ctx.save_for_backward(sigmoid)
        return ((1.0 + 2.0 * STRETCH) * sigmoid - STRETCH).clamp(0.0, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (sigmoid,) = ctx.saved_tensors
        gate = (1.0 + 2.0 * STRETCH) * sigmoid - STRETCH
        shut, open_ = gate <= 0.0, gate >= 1.0
        slope = torch.where(shut | open_, END_SLOPE, (1.0 + 2.0 * STRETCH) * sigmoid * (1.0 - sigmoid))
        outwards = (shut & (gradient > 0)) | (open_ & (gradient < 0))
        return torch.where(outwards, 0.0, gradient * slope)


class MemoryRead(NamedTuple):
    """The output of ``NeuralMemory``."""

    values: Float[Tensor, "B T N"]
    state: NeuralMemoryState
    surprise: Float[Tensor, "B T H"]  # loss of the memory at each token, before the token is written


Tokens = tuple[Tensor, Tensor, Tensor, Gates]  # q, k, v (B, T, H, D) and gates of the same tokens


def _cut(tokens: Tokens, start: int, end: int, pieces: int) -> Tokens:
    """Return tokens ``start`` to ``end`` (half-open), cut into ``pieces`` that become rows of the batch."""
    *vectors, gates = tokens

    def fold(x: Tensor) -> Tensor:
        x = x[:, start:end]
        return x if pieces == 1 else x.unflatten(1, (pieces, -1)).flatten(0, 1)

    q, k, v = (fold(x) for x in vectors)
    folded = Gates(step=fold(gates.step), momentum=fold(gates.momentum), forgetting=fold(gates.forgetting))
    return q, k, v, folded


class CausalConvolution(nn.Module):
    """A depthwise convolution over the last ``taps`` tokens, as a few products: faster than ``Conv1d`` on CPU."""

    def __init__(self, features: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter((torch.rand(taps, features) * 2 - 1) * taps**-0.5)

    def forward(self, x: Float[Tensor, "B S N"]) -> Float[Tensor, "B T N"]:
        """Return the outputs of the last T = S - taps + 1 tokens; the last tap is the token itself."""
        taps = self.weight.shape[0]
        tokens = x.shape[1] - taps + 1
        out = x[:, :tokens] * self.weight[0]
        for tap in range(1, taps):
            out = torch.addcmul(out, x[:, tap : tap + tokens], self.weight[tap])
        return out


class NeuralMemory(nn.Module):
    """The long-term memory of Titans: a network that is trained while it reads (arXiv 2501.00663, section 3).

    Queries, keys and values come from linear maps, a causal depthwise convolution and SiLU (section 4.4 of the paper);
    queries and keys are normalised. Forgetting is tied to writing: a token that writes nothing erases nothing.
    """

    def __init__(self, config: BackboneConfig, layout: MemoryLayout) -> None:
        super().__init__()
        self.form, self.chunk_tokens, self.reset_tokens = config.memory, layout.chunk_tokens, layout.reset_tokens
        self.heads, self.width = layout.heads, config.width
        self.head_width, self.tail = config.width // layout.heads, config.convolution_tokens - 1
        self.project = nn.Linear(config.width, 3 * config.width, bias=False)
        self.convolution = CausalConvolution(3 * config.width, config.convolution_tokens) if self.tail else None
        self.gates = nn.Linear(config.width, 3 * self.heads * self.form.written_matrices)
        self.weights = nn.ParameterList(
            torch.randn(self.heads, *shape) * shape[1] ** -0.5 for shape in self.form.shapes(self.head_width)
        )
        self.gain = nn.Parameter(torch.full((self.heads, self.head_width), 0.1))
        self.out_gain = nn.Parameter(torch.ones(self.heads, self.head_width))
        self._reset_gates(config.initial_step)

    @torch.no_grad()
    def _reset_gates(self, initial_step: float) -> None:
        # Small weights: before training, all tokens have nearly the gates that the biases set.
        self.gates.weight.mul_(0.1)
        step, momentum, forgetting = self.gates.bias.view(3, self.heads, -1)
        step.fill_(inverse_gate(initial_step))
        momentum.fill_(0.0)
        low, high = (math.log(x) for x in FORGETTING_RANGE)
        spread = torch.linspace(low, high, self.heads) if self.heads > 1 else torch.tensor([(low + high) / 2])
        rates = spread.exp()
        forgetting.copy_(torch.logit(rates).unsqueeze(-1).expand_as(forgetting))

    @torch.no_grad()
    def start_as_induction(self) -> None:
        """Start with keys that are like queries, but one token late; values and queries are of the token itself.

        A read at a token then recalls what was written after the same words: an induction head (arXiv 2209.11895).
        Attention finds these by itself in training. A memory hardly does, because it has to write before reading can
        help.
        """
        assert self.convolution is not None
        query, key, _ = self.project.weight.chunk(3)
        key.copy_(query)
        taps = self.convolution.weight.mul_(OTHER_TAPS)
        for part, back in zip(taps.chunk(3, 1), (1, 2, 1), strict=True):
            part[-back] += 1.0

    def initial_state(self, batch: int) -> NeuralMemoryState:
        """Return the state before the first token: the learned initial weights."""
        return NeuralMemoryState(
            memory=self._initial_memory(batch),
            tail=self.gain.new_zeros(batch, self.tail, 3 * self.width),
            since_reset=self.gain.new_zeros(batch, dtype=torch.int64),
        )

    def forward(self, x: Float[Tensor, "B T N"], state: NeuralMemoryState, active: Bool[Tensor, "B T"]) -> MemoryRead:
        """Read and write the memory along ``x``; tokens that are not ``active`` do not change it.

        Long inputs are read in pieces, whose intermediate values fit into a processor's cache. In training, earlier
        pieces are computed again in the backward pass, so that only their inputs and states have to be kept.
        """
        pieces, parts = self._piece_tokens(x.shape[1], state), []
        recomputed = max(0, len(pieces) - KEPT_PIECES) if torch.is_grad_enabled() else 0
        for index, (piece, mask) in enumerate(zip(x.split(pieces, 1), active.split(pieces, 1), strict=True)):
            if index < recomputed:
                out = checkpoint(self._read_piece, piece, state, mask, use_reentrant=False, preserve_rng_state=False)
            else:
                out = self._read_piece(piece, state, mask)
            parts.append(out)
            state = out.state
        if len(parts) == 1:
            return parts[0]
        values, surprise = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("values", "surprise"))
        return MemoryRead(values, state, surprise)

    def _piece_tokens(self, tokens: int, state: NeuralMemoryState) -> list[int]:
        """Return the lengths of the pieces: groups of whole chunks, but one piece if the memory resets (see `_run`)."""
        on_cpu = self.gain.device.type == "cpu"
        chunks = GROUP_CHUNKS if on_cpu else max(GROUP_CHUNKS, DEVICE_PIECE_TOKENS // self.chunk_tokens)
        group = chunks * self.chunk_tokens
        if self.reset_tokens or tokens <= group:
            return [tokens]
        # The first piece ends where a chunk ends, so that no later piece begins within a chunk.
        first = group - state.memory.chunk_position
        whole, rest = divmod(tokens - first, group)
        return [first, *[group] * whole, *[rest] * (rest > 0)]

    def _read_piece(self, x: Tensor, state: NeuralMemoryState, active: Tensor) -> MemoryRead:
        mixed = torch.cat([state.tail, self.project(x) * active.unsqueeze(-1)], 1)
        # Counted from the start, because [-0:] would keep all tokens if there is no convolution.
        tail = mixed[:, mixed.shape[1] - self.tail :]
        mixed = F.silu(mixed if self.convolution is None else self.convolution(mixed))
        # In float32 at least, and outside autocast below: a memory sums up many small steps, which 16 bits would lose.
        q, k, v = wide(mixed).unflatten(-1, (3, self.heads, self.head_width)).unbind(2)
        tokens = (F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, self.gate(x))
        # Without a mask the memory is faster. Only on CPU: to look at the mask, the processor would wait for a GPU.
        everything = None if active.device.type == "cpu" and bool(active.all()) else active
        with torch.autocast(x.device.type, enabled=False):
            reads, memory, surprise, since = self._run(tokens, everything, state)
        after = NeuralMemoryState(memory=memory, tail=tail, since_reset=since)
        return MemoryRead(self._normalise(reads).to(x.dtype), after, surprise)

    def recall(self, queries: Float[Tensor, "B T N"], weights: tuple[Tensor, ...]) -> Float[Tensor, "B T N"]:
        """Read fixed ``weights`` of a state, one memory per sample, with queries; nothing is written."""
        q = F.normalize(wide(queries).unflatten(-1, (self.heads, self.head_width)), dim=-1)
        with torch.autocast(queries.device.type, enabled=False):
            reads = read_weights(q.transpose(1, 2), weights, wide(self.gain).unsqueeze(1), self.form).transpose(1, 2)
        return self._normalise(reads).to(queries.dtype)

    def _normalise(self, reads: Tensor) -> Tensor:
        return (F.rms_norm(reads, reads.shape[-1:], eps=1e-6) * self.out_gain).flatten(2)

    def _initial_memory(self, batch: int) -> MemoryState:
        return initial_state(tuple(wide(w) for w in self.weights), batch, self.form)

    def _run(
        self, tokens: Tokens, active: Tensor | None, state: NeuralMemoryState
    ) -> tuple[Tensor, MemoryState, Tensor, Tensor]:
        """Run the memory; stretches between resets do not depend on each other, so they are read as one batch.

        In training, lanes start at different times, so each has its own resets; all fall on borders of chunks.
        """
        total, period = tokens[0].shape[1], self.reset_tokens
        if not period:
            out = self._call(tokens, active, state.memory)
            return out.reads, out.state, out.surprise, state.since_reset
        outputs, memory, start, since = [], state.memory, 0, state.since_reset.tolist()
        batch = tokens[0].shape[0]
        while start < total:
            # Whole periods begin and end with a reset, so they can stand side by side in the batch.
            whole = 0 if any(since) else (total - start) // period
            if whole > 1:
                end = start + whole * period
                folded = _cut(tokens, start, end, whole)
                mask = None if active is None else active[:, start:end].unflatten(1, (whole, period)).flatten(0, 1)
                out = self._call(folded, mask, self._initial_memory(batch * whole))
                parts = (x.unflatten(0, (batch, whole)).flatten(1, 2) for x in (out.reads, out.surprise))
                outputs.append(tuple(parts))
                memory, start = self._initial_memory(batch), end
                continue
            end = min(total, start + period - max(since))
            out = self._call(_cut(tokens, start, end, 1), None if active is None else active[:, start:end], memory)
            outputs.append((out.reads, out.surprise))
            since = [(tokens_since + end - start) % period for tokens_since in since]
            memory, start = out.state, end
            if not any(since):
                memory = self._initial_memory(batch)
            elif not all(since):
                ended = torch.tensor(since, device=self.gain.device) == 0
                memory = where(ended, self._initial_memory(batch), memory)
        reads, surprise = (torch.cat(parts, 1) for parts in zip(*outputs, strict=True))
        return reads, memory, surprise, torch.tensor(since, device=self.gain.device)

    def _call(self, tokens: Tokens, active: Tensor | None, memory: MemoryState) -> MemoryOutput:
        q, k, v, gates = tokens
        return neural_memory(
            q, k, v, gates, memory,
            chunk_tokens=self.chunk_tokens, form=self.form, gain=wide(self.gain), active=active,
        )  # fmt: skip

    def gate(self, x: Float[Tensor, "B T N"]) -> Gates:
        """Return the gates of every token, head and written matrix."""
        raw = wide(self.gates(x)).unflatten(-1, (3, self.heads, self.form.written_matrices))
        step, momentum, forgetting = raw.unbind(2)
        step = stretched_sigmoid(step)
        return Gates(
            step=step,
            momentum=self.form.momentum_limit * stretched_sigmoid(momentum),
            forgetting=step * torch.sigmoid(forgetting),
        )
