"""``titans-dna doctor``."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

import click

PACKAGES = ("torch", "numpy", "pysam", "pyfaidx", "biopython", "h5py", "click", "safetensors", "pyBigWig")


@click.command("doctor", short_help="Check the installation, one line each.")
def doctor() -> None:
    """Check versions, device, memory, default model and cache folder; one line each, exit code 1 on a fault."""
    from titans_dna.version import __version__

    faults = [
        not _line("titans-dna", True, __version__),
        not _line("python", sys.version_info >= (3, 11), sys.version.split()[0]),
    ]
    faults += [not _package(name) for name in PACKAGES]
    faults += [not _device(), not _memory(), not _checkpoint(), not _cache()]
    if any(faults):
        raise SystemExit(1)


def _line(name: str, good: bool, text: str) -> bool:
    click.echo(f"{'ok  ' if good else 'FAIL'} {name:<20} {text}")
    return good


def _package(name: str) -> bool:
    try:
        return _line(name, True, version(name))
    except PackageNotFoundError:
        return _line(name, False, f"not installed; run: pip install {name}")


def _device() -> bool:
    import torch

    if torch.cuda.is_available():
        return _line("device", True, f"cuda: {torch.cuda.get_device_name(0)}")
    return _line("device", True, f"cpu with {torch.get_num_threads()} threads; no CUDA device is visible to PyTorch")


def _memory() -> bool:
    """Run the chosen implementation against the reference on a small input."""
    import torch

    from titans_dna.model.device import choose_device
    from titans_dna.ops import Gates, MemoryForm, choose, initial_state, neural_memory

    device = choose_device("auto")
    name, reason = choose("auto", device)
    dtype, limit = (torch.float32, 1e-4) if name == "triton" else (torch.float64, 1e-9)
    torch.manual_seed(0)
    form = MemoryForm()
    q, k, v = torch.nn.functional.normalize(torch.randn(3, 1, 9, 2, 8, dtype=dtype), dim=-1).to(device)
    gate = torch.rand(1, 9, 2, 2, dtype=dtype).to(device)
    gates = Gates(step=gate, momentum=0.9 * gate, forgetting=0.1 * gate)
    state = initial_state(tuple(torch.randn(2, *shape, dtype=dtype).to(device) for shape in form.shapes(8)), 1, form)
    reads = [
        neural_memory(q, k, v, gates, state, chunk_tokens=4, form=form, implementation=which).reads.detach()
        for which in (name, "reference")
    ]
    difference = float((reads[0] - reads[1]).abs().max())
    return _line("memory", difference < limit, f"{name}: {reason}; differs from the reference by {difference:.1e}")


def _checkpoint() -> bool:
    """Read the sequence that is kept beside the default model's weights."""
    from titans_dna.checkpoints import DEFAULT, model_folder
    from titans_dna.errors import TitansDNAError
    from titans_dna.training.self_test import TOLERANCE, run_self_test

    name = "checkpoint self-test"
    try:
        found, expected = run_self_test(model_folder(DEFAULT))
    except TitansDNAError as error:
        return _line(name, False, str(error))
    text = f"{DEFAULT}: {found:.6f} bits per base, {expected:.6f} expected"
    return _line(name, abs(found - expected) < TOLERANCE, text)


def _cache() -> bool:
    import os

    from titans_dna.io.cache import cache_folder

    folder = cache_folder()
    writable = os.access(folder if folder.exists() else folder.parent, os.W_OK)
    return _line("cache", writable, f"{folder}" + ("" if writable else " is not writable; set TITANS_DNA_CACHE"))
