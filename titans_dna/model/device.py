"""Chooses the device for computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from titans_dna.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; ``auto`` is CUDA if there is a device.

    Raises
    ------
    ConfigError
        If the name is unknown, or CUDA is asked for but no device is visible.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is visible to PyTorch. Use --device cpu, or see `titans-dna doctor`.")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device is {name!r}. Choose auto, cpu or cuda.")
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread on the CPU: then a result does not depend on the machine's number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
