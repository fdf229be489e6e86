"""``titans-dna doctor``."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "titans-dna"
FOR_DEVELOPERS = ("dev", "docs")  # extras that a user does not need


@click.command("doctor")
def doctor() -> None:
    """Check versions, device, memory, default model, indexes and permissions; one line each, exit code 1 on a fault.

    A line that says FAIL ends with the remedy.
    """
    from titans_dna.version import __version__

    needed, extras = _requirements()
    good = [_line(PACKAGE, True, __version__), _python()]
    good += [_package(requirement) for requirement in needed]
    good += [_extra(extra, members) for extra, members in extras.items()]
    good += [_device(), _memory(), _copies(), _checkpoint(), _cache(), _index(), _output()]
    if not all(good):
        raise SystemExit(1)


def _line(name: str, good: bool, text: str) -> bool:
    click.echo(f"{'ok  ' if good else 'FAIL'} {name:<20} {text}")
    return good


def _python() -> bool:
    found = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    return _line("python", good, found if good else f"{found}; install Python 3.11 or newer")


def _requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """Return the dependencies that the installed package declares, and the further ones of each extra."""
    from packaging.requirements import Requirement

    declared = [Requirement(text) for text in requires(PACKAGE) or ()]
    extras = [extra for extra in metadata(PACKAGE).get_all("Provides-Extra") or () if extra not in FOR_DEVELOPERS]
    # A requirement of an extra bears a marker such as `extra == "pandas"`, which is false for the empty extra.
    needed = [r for r in declared if r.marker is None or r.marker.evaluate({"extra": ""})]
    others = [(r, r.marker) for r in declared if r.marker and r not in needed]
    return needed, {extra: [r for r, marker in others if marker.evaluate({"extra": extra})] for extra in extras}


def _package(requirement: Requirement) -> bool:
    wanted = f"'{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return _line(requirement.name, False, f"not installed; run: pip install {wanted}")
    if not requirement.specifier.contains(found, prereleases=True):
        return _line(requirement.name, False, f"{found} is not {requirement.specifier}; run: pip install {wanted}")
    return _line(requirement.name, True, found)


def _extra(extra: str, members: list[Requirement]) -> bool:
    """Name the versions of an extra. A package that is absent is no fault, but one outside its range is."""
    found = {}
    for member in members:
        try:
            found[member.name] = version(member.name)
        except PackageNotFoundError:
            text = f"without {member.name}; if you want it: pip install '{PACKAGE}[{extra}]'"
            return _line(f"[{extra}]", True, text)
    wrong = [m for m in members if not m.specifier.contains(found[m.name], prereleases=True)]
    if wrong:
        text = f"{wrong[0].name} {found[wrong[0].name]} is not {wrong[0].specifier}"
        return _line(f"[{extra}]", False, f"{text}; run: pip install '{PACKAGE}[{extra}]'")
    return _line(f"[{extra}]", True, ", ".join(f"{name} {number}" for name, number in found.items()))


def _device() -> bool:
    import torch

    if torch.cuda.is_available():
        return _line("device", True, f"cuda: {torch.cuda.get_device_name(0)}")
    if torch.version.cuda is None:
        why = "this PyTorch is built without CUDA"
    else:
        why = f"PyTorch for CUDA {torch.version.cuda} sees no GPU; see nvidia-smi and CUDA_VISIBLE_DEVICES"
    return _line("device", True, f"cpu with {torch.get_num_threads()} threads; {why}")


def _memory() -> bool:
    """Run the chosen implementation against the reference on a small input."""
    import torch

    from titans_dna.model.device import choose_device
    from titans_dna.ops import Gates, MemoryForm, choose, initial_state, neural_memory

    device = choose_device("auto")
    name, reason = choose("auto", device)
    # Kernels and loops compute in float32; the dual form is compared in float64, where only rounding in the last digits
    # may differ.
    dtype, limit = (torch.float64, 1e-9) if name == "chunked" else (torch.float32, 1e-4)
    torch.manual_seed(0)
    # Nine tokens in chunks of four: two whole chunks and a cut one, so that every branch of the code runs.
    form = MemoryForm()
    q, k, v = torch.nn.functional.normalize(torch.randn(3, 1, 9, 2, 8, dtype=dtype), dim=-1).to(device)
    gate = torch.rand(1, 9, 2, 2, dtype=dtype).to(device)
    gates = Gates(step=gate, momentum=0.9 * gate, forgetting=0.1 * gate)
    state = initial_state(tuple(torch.randn(2, *shape, dtype=dtype).to(device) for shape in form.shapes(8)), 1, form)
    reads = []
    for which in (name, "reference"):
        with torch.set_grad_enabled(which == "reference"):  # which is made of gradients
            out = neural_memory(q, k, v, gates, state, chunk_tokens=4, form=form, implementation=which)
        reads.append(out.reads.detach())
    difference = float((reads[0] - reads[1]).abs().max())
    text, good = f"{name}: {reason}; differs from the reference by {difference:.1e}", difference < limit
    return _line("memory", good, text if good else f"{text}; install torch as in constraints.txt")


def _copies() -> bool:
    """Run the compiled copy memory against the plain one on a small input."""
    import numpy as np

    from titans_dna.numba_cache import KEPT
    from titans_dna.recall import CopyMemory, RecallForm, RecallState, recall
    from titans_dna.recall.reference import ReferenceRecall

    # A random sequence twice over: the second half is a copy of the first, so that there is something to find again.
    ids = np.tile(np.random.default_rng(0).integers(0, 4, 200), 2)
    started = time.perf_counter()
    found = recall(RecallState(memory=CopyMemory(RecallForm())), ids).codes
    seconds = time.perf_counter() - started
    good = bool(found.any()) and np.array_equal(found, ReferenceRecall(RecallForm()).read(ids)[0])
    kept = "kept for the next run" if KEPT else "compiled in every run; set NUMBA_CACHE_DIR to a folder with space"
    text = f"loops ready after {seconds:.1f} s, {kept}"
    return _line("copy memory", good, text if good else f"{text}; install numba as in constraints.txt")


def _checkpoint() -> bool:
    """Score the sequence that is kept beside the default model's weights, and compare with the figure kept there."""
    from titans_dna.checkpoints import DEFAULT, model_folder
    from titans_dna.errors import TitansDNAError
    from titans_dna.training.self_test import TOLERANCE, run_self_test

    name = "checkpoint self-test"
    try:
        found, expected = run_self_test(model_folder(DEFAULT))
    except TitansDNAError as error:
        return _line(name, False, str(error))
    text, good = f"{DEFAULT}: {found:.6f} bits per base, {expected:.6f} expected", abs(found - expected) < TOLERANCE
    return _line(name, good, text if good else f"{text}; install {PACKAGE} anew")


def _cache() -> bool:
    from titans_dna.io.disk.cache import cache_folder

    folder = cache_folder()
    # The folder is made when it is first needed; until then the nearest folder above it must allow that.
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    good = nearest.is_dir() and os.access(nearest, os.W_OK)
    return _line("cache", good, f"{folder}" + ("" if good else " cannot be written; set TITANS_DNA_CACHE"))


def _index() -> bool:
    """Index a FASTA and a VCF, and read out of their middle."""
    import pysam

    from titans_dna.errors import TitansDNAError
    from titans_dna.io import open_fasta

    try:
        with tempfile.TemporaryDirectory() as name:
            fasta, vcf = Path(name, "a.fa"), Path(name, "a.vcf")
            fasta.write_text(">a\nACGT\nTTGC\n")
            columns, row = "#CHROM POS ID REF ALT QUAL FILTER INFO", "a 5 . T A . . ."
            vcf.write_text(f"##fileformat=VCFv4.2\n{columns}\n{row}\n".replace(" ", "\t"))
            with open_fasta(fasta) as source:
                # These three bases stand on both sides of the line break, which the index must count right.
                bases = source.fetch("a", 3, 6)
            with pysam.TabixFile(pysam.tabix_index(str(vcf), preset="vcf")) as table:
                rows = sum(1 for _ in table.fetch("a", 4, 5))
    except (TitansDNAError, OSError, ValueError) as error:
        return _line("index", False, f"{error}; set TMPDIR and TITANS_DNA_CACHE to folders with space")
    good = (bases, rows) == (b"TTT", 1)
    text = "FASTA (.fai) and VCF (.tbi) are indexed and read"
    remedy = "what is read is wrong; run: pip install --force-reinstall pysam"
    return _line("index", good, text if good else remedy)


def _output() -> bool:
    """Try whether a file can be written into the current folder."""
    try:
        with tempfile.TemporaryFile(dir="."):
            return _line("output", True, f"{Path.cwd()} can be written")
    except OSError as error:
        remedy = "go to another folder, or give --output with its path"
        return _line("output", False, f"{Path.cwd()} cannot be written ({error.strerror}); {remedy}")
