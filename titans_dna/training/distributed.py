"""Several processes: who is who, how the model is wrapped, and how its full state is gathered and set.

Plain ``torch.distributed`` carries it. Lightning Fabric was weighed and left out: it takes 5 to 6 seconds to import,
wraps the same DDP and FSDP2, and its checkpoints are pickles; here states are gathered with
``torch.distributed.checkpoint.state_dict`` and stored in safetensors, so they load at any number of processes and are
never unpickled.

Every process draws the same global batch and takes its own lanes, so the losses are those of one process with the
same batch, up to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from titans_dna.errors import ConfigError
from titans_dna.model.state import map_tensors


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all of a run."""

    rank: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share(self, lanes: int) -> tuple[int, int]:
        """Return the first lane of this process, and the one after its last (0-based, end excluded).

        Raises
        ------
        ConfigError
            If the lanes cannot be shared evenly.
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
        """Return the states of all processes as one batch, in the order of ranks."""
        if self.processes == 1:
            return state

        def gather(x: Tensor) -> Tensor:
            whole = x.byte() if x.dtype == torch.bool else x
            parts = [torch.empty_like(whole) for _ in range(self.processes)]
            dist.all_gather(parts, whole.contiguous())
            return torch.cat(parts).to(x.dtype)

        return map_tensors(state, gather)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether the flag is set in any process."""
        return flag if self.processes == 1 else bool(self.sum(torch.tensor(int(flag), device=device)) > 0)


@contextmanager
def world_of_torchrun(device: torch.device) -> Iterator[World]:
    """Yield this process's place, as ``torchrun`` set it; a process of its own has no company."""
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
    """Return the module as every process is to call it."""
    if world.processes == 1:
        return module
    if strategy == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        kind = next(module.parameters()).device.type
        fully_shard(module, mesh=init_device_mesh(kind, (world.processes,)))
        return module
    from torch.nn.parallel import DistributedDataParallel

    # the word counts are the same everywhere and never change: sending them with every step would only cost
    return DistributedDataParallel(module, broadcast_buffers=False)


@contextmanager
def last_only(module: nn.Module, last: bool) -> Iterator[None]:
    """Exchange gradients after the last part of a step alone."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
    waits = isinstance(module, DistributedDataParallel) and not last
    with module.no_sync() if waits else nullcontext():  # type: ignore[operator]
        yield


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Hold all weights of a sharded module for the length of the block, to read with it."""
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
    """Set what ``full_state`` returned, under any number of processes."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    set_state_dict(
        module, optimizer, model_state_dict=weights, optim_state_dict=moments,
        options=StateDictOptions(full_state_dict=True),
    )  # fmt: skip
