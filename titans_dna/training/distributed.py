"""Several processes: their ranks, how the model is wrapped for them, and how its full state is gathered and set.

Plain ``torch.distributed`` does this. Lightning Fabric takes 5 to 6 seconds to import, wraps the same DDP and FSDP2,
and writes checkpoints as pickles. Here states are gathered with ``torch.distributed.checkpoint.state_dict`` and stored
in safetensors, so they can be loaded with any number of processes and are never unpickled.

Every process draws the same global batch and takes its own lanes of it, so the losses are those of one process with the
same batch, except for the order of sums.

A long window can also be divided among the processes, for models whose memories all reset: a memory that goes back to
its initial weights every R tokens carries nothing beyond a reset. So a piece of the window that starts at a reset needs
from its left only the tokens to which attention, convolutions and words reach back. Each process reads its piece after
a halo of so many tokens, which is extended to a reset at each layer, and counts the loss of its own piece only. The
result is exact, and the processes exchange nothing but gradients.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import Batch
from titans_dna.model.config import BackboneConfig
from titans_dna.model.state import map_tensors


@dataclass(frozen=True, kw_only=True)
class World:
    """The place of this process among all processes of a run."""

    rank: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, lanes: int) -> tuple[int, int]:
        """Return the lanes of this process, as start and end (0-based half-open).

        Raises
        ------
        ConfigError
            If the lanes cannot be divided evenly.
        """
        if lanes % self.processes:
            raise ConfigError(f"lanes is {lanes}, no multiple of the {self.processes} processes; make it one")
        each = lanes // self.processes
        return self.rank * each, (self.rank + 1) * each

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.processes > 1:
            x = x.detach().clone()
            dist.all_reduce(x)
        return x

    def gather_rows(self, state: Any) -> Any:
        """Join the states of all processes to one batch, in the order of ranks."""
        if self.processes == 1:
            return state

        def gather(x: Tensor) -> Tensor:
            # Not every backend can exchange booleans.
            whole = x.byte() if x.dtype == torch.bool else x
            parts = [torch.empty_like(whole) for _ in range(self.processes)]
            dist.all_gather(parts, whole.contiguous())
            return torch.cat(parts).to(x.dtype)

        return map_tensors(state, gather)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Tell whether the flag is set in any process."""
        return flag if self.processes == 1 else bool(self.sum(torch.tensor(int(flag), device=device)) > 0)


@contextmanager
def world_of_torchrun(device: torch.device) -> Iterator[World]:
    """Yield the place of this process as ``torchrun`` set it; without ``torchrun`` it is the only one."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        yield World()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(rank=dist.get_rank(), processes=processes)
    finally:
        dist.destroy_process_group()


def wrap(module: nn.Module, strategy: str, world: World) -> nn.Module:
    """Wrap a module for several processes: replicas, or weights in shards."""
    if world.processes == 1:
        return module
    if strategy == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        kind = next(module.parameters()).device.type
        fully_shard(module, mesh=init_device_mesh(kind, (world.processes,)))
        return module
    from torch.nn.parallel import DistributedDataParallel

    # The buffers are the word counts, which are the same in every process and never change: no need to send them.
    return DistributedDataParallel(module, broadcast_buffers=False)


@contextmanager
def last_only(module: nn.Module, last: bool) -> Iterator[None]:
    """Let processes exchange gradients only with the last part of a step."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
    waits = isinstance(module, DistributedDataParallel) and not last
    with module.no_sync() if waits else nullcontext():  # type: ignore[operator]
        yield


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Hold all weights of a sharded module while the context lasts, so that it can be used for reading."""
    from torch.distributed.fsdp import FSDPModule

    if not isinstance(module, FSDPModule):
        yield
        return
    module.unshard()
    try:
        yield
    finally:
        module.reshard()


def full_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all weights, and the optimiser's state by name of parameter, on the CPU."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    return get_state_dict(module, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def set_full_state(
    module: nn.Module, optimizer: torch.optim.Optimizer, weights: dict[str, Any], moments: dict[str, Any]
) -> None:
    """Set the state that ``full_state`` returned, with any number of processes."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    set_state_dict(
        module, optimizer, model_state_dict=weights, optim_state_dict=moments,
        options=StateDictOptions(full_state_dict=True),
    )  # fmt: skip


def piece_of_window(config: BackboneConfig, window_tokens: int, rank: int, processes: int) -> tuple[int, int, int]:
    """Return the tokens at which halo and piece of a process start, and at which the piece ends (0-based half-open).

    Raises
    ------
    ConfigError
        If a memory never resets, attention sees all tokens, or the pieces would not start at resets.
    """
    resets = [layout.reset_tokens for layout in config.memories]
    if config.block == "transformer" or (config.block != "window" and not all(resets)):
        raise ConfigError(
            "a window can be cut over processes only where every memory resets; set reset_tokens of the model, "
            "or use the ddp strategy"
        )
    period = config.period_tokens
    if window_tokens % (processes * period):
        raise ConfigError(
            f"window_tokens is {window_tokens}; for {processes} processes choose a multiple of {processes * period}"
        )
    piece = window_tokens // processes
    start = halo = rank * piece
    reach = max(config.window_tokens, config.convolution_tokens)
    # Each layer reaches back from the halo of the layer above it, so the halo grows layer by layer.
    for _ in range(config.layers):
        halo = max(0, (halo - reach) // period * period)
    words = max(*config.context_orders, config.word_counts.reach if config.word_counts else 0, config.stem_tokens, 1)
    return max(0, (halo - words) // period * period), start, start + piece


def own_piece(batch: Batch, config: BackboneConfig, rank: int, processes: int) -> Batch:
    """Return the halo and the piece of this process; bases of the halo have weight 0."""
    halo, start, end = piece_of_window(config, batch.inputs.shape[1], rank, processes)
    weights = batch.weights[:, halo:end].copy()
    weights[:, : start - halo] = 0.0
    recalled = None if batch.recalled is None else batch.recalled[:, halo:end]
    return replace(
        batch, inputs=batch.inputs[:, halo:end], targets=batch.targets[:, halo:end], weights=weights, recalled=recalled
    )
