"""The streaming step as a CUDA graph: a piece is one launch instead of thousands.

A graph replays the same kernels on the same memory, so pieces have one shape and start where the memories' chunks,
resets and segments do; then the state has the same shape before and after a piece. It is an option: `Backbone.stream`
gives the same, piece by piece. What a copy memory recalls is found outside the graph and copied into a buffer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from titans_dna.errors import ConfigError
from titans_dna.model.backbone import Backbone, Recalled, StreamOutput
from titans_dna.model.state import StreamState
from titans_dna.ops.state import map_tensors, note

WARM_UP_STEPS = 3  # before a capture, for kernels that compile or tune themselves when first used


class StreamGraph:
    """``Backbone.stream`` for pieces of ``tokens`` tokens of ``batch`` streams, without gradients.

    On a device other than CUDA the same buffers are used and the step is run as it is.

    Raises
    ------
    ConfigError
        If a piece does not end where all chunks, resets and segments do, or the block's state grows with the stream.
    """

    def __init__(self, model: Backbone, batch: int, tokens: int) -> None:
        if model.config.phase(tokens):
            raise ConfigError(
                f"pieces of {tokens} tokens do not end at a border of all chunks, resets and segments; "
                "choose a multiple of them, and a block other than transformer"
            )
        self.model, self.tokens = model, tokens
        start = replace(model.initial_state(batch), recall=None)
        self._state = map_tensors(start, lambda x: x.detach().clone())
        device = next(model.parameters()).device
        self._recalled: Recalled | None = None
        if model.config.recall:
            codes = torch.zeros(batch, tokens, model.config.recall.places, dtype=torch.int32, device=device)
            self._recalled = Recalled(codes, None, every_slot=True)
        self._ids = torch.zeros(batch, tokens, dtype=torch.long, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._out: StreamOutput | None = None

    @torch.inference_mode()
    def __call__(self, ids: Tensor, state: StreamState) -> StreamOutput:
        """Read a piece; the same as ``Backbone.stream`` of the same arguments.

        Raises
        ------
        ConfigError
            If ids or state have not the shape that the graph was made for.
        """
        if ids.shape != self._ids.shape or self.model.config.phase(state.position_tokens):
            raise ConfigError(
                f"ids have shape {tuple(ids.shape)} at token {state.position_tokens}; this graph reads "
                f"{tuple(self._ids.shape)} from a border of all chunks"
            )
        self._ids.copy_(ids)
        for kept, new in zip(_tensors(self._state), _tensors(state), strict=True):
            kept.copy_(new)
        recalled = self.model.recall(ids, state)
        if self._recalled is not None and recalled is not None:
            self._recalled.codes.copy_(recalled.codes)
        out = self._replay()
        after = replace(
            map_tensors(out.state, Tensor.clone), position_tokens=state.position_tokens + self.tokens,
            recall=recalled and recalled.lanes,
        )  # fmt: skip
        return StreamOutput(out.logits.clone(), after, out.hidden.clone(), out.surprise.clone())

    def _step(self) -> StreamOutput:
        return self.model.stream(self._ids, self._state, recalled=self._recalled)

    def _replay(self) -> StreamOutput:
        if self._ids.device.type != "cuda":
            return self._step()
        if self._graph is None or self._out is None:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_STEPS):
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._out = self._step()
        self._graph.replay()
        return self._out


def _tensors(state: StreamState) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(state, partial(note, found=found))
    return found
