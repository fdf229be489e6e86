"""The GPU path: checked, then measured, in under eight minutes; needs Python, PyTorch and Triton alone.

    python benchmarks/gpu.py

First the fused kernels are held to the dual form in float64: values and gradients, fresh random inputs. While that
fails nothing is measured. Then (a) the memory layer, beside the plain dual form, titans-pytorch and Gated DeltaNet on
the same GPU, (b) whole models, (c) variants with the context of a whole contig, (d) scores on GPU and CPU. A row that
was not measured says why: no CUDA device, a peer that is not installed, memory, or time that has run out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

import torch
from bare import CUDA
from gpu_check import checked, matmul_precision
from record import write

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig, named_config
from titans_dna.model.memory import NeuralMemory
from titans_dna.ops import MemoryForm, choose

WIDTH, HEADS, CHUNK = 256, 4, 64  # of the layer
NOT_MEASURED = "not measured"
DEVICE = "cuda" if CUDA else "cpu"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured; a rehearsal is small."""

    tokens: int = 16_384
    batch: int = 16
    large_chunk: int = 2048
    sizes: tuple[str, ...] = ("tiny", "small", "base", "large", "xl")
    contexts: tuple[int, ...] = (1 << 10, 1 << 14, 1 << 18, 1 << 21, 1 << 22)  # bases
    lanes: int = 16  # both strands of eight contigs, as one batch
    piece: int = 4096
    variants: int = 2000
    contig_bp: int = 1 << 19


REHEARSAL = Scale(
    tokens=256, batch=2, large_chunk=128, sizes=("tiny", "small"), contexts=(128,), lanes=2, piece=128, variants=2,
    contig_bp=4096,
)  # fmt: skip


class UnmeasuredError(Exception):
    """Why a row has no figure."""


class Bench:
    """The rows, and the time that is left for more."""

    def __init__(self, minutes: float, rehearsal: bool) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.scale, self.rehearsal = REHEARSAL if rehearsal else Scale(), rehearsal
        self.rows: list[list[object]] = []
        self.found: dict[str, float] = {}

    def row(self, name: str, unit: str, measure: Callable[[], float], target: str = "") -> None:
        """Measure and keep one row; a reason stands in the last column where that cannot be done."""
        value: object = NOT_MEASURED
        reason = ""
        try:
            if not CUDA and not self.rehearsal:
                raise UnmeasuredError("no CUDA device is visible to PyTorch")
            if time.monotonic() > self.end:
                raise UnmeasuredError("the time had run out")
            value = self.found[name] = measure()
        except (UnmeasuredError, ImportError) as error:
            reason = str(error)
        except torch.cuda.OutOfMemoryError:
            reason = "out of device memory"
        self.rows.append([name, value, unit, target, reason])
        if CUDA:
            torch.cuda.empty_cache()

    def ratio(self, name: str, above: str, below: str, target: str) -> None:
        """Keep the ratio of two rows."""

        def divide() -> float:
            missing = [row for row in (above, below) if row not in self.found]
            if missing:
                raise UnmeasuredError(f"{missing[0]!r} was not measured")
            return self.found[above] / self.found[below]

        self.row(name, "times", divide, target)


def wait() -> None:
    """Wait until the device is done."""
    if CUDA:
        torch.cuda.synchronize()


def seconds(step: Callable[[], object], rounds: int = 3) -> float:
    """Return the median time of a step on the device, after one that is not counted."""
    times = []
    for index in range(rounds + 1):
        wait()
        started = time.perf_counter()
        step()
        wait()
        if index:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def peak_gigabytes(step: Callable[[], object]) -> float:
    """Return the most device memory that a step takes."""
    if not CUDA:
        step()
        raise UnmeasuredError("the CPU does not count it")
    wait()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    wait()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


# (a) The layer.


def layer(chunk_tokens: int = CHUNK):
    """Return the layer as a function of features (batch, T, WIDTH)."""
    config = BackboneConfig(width=WIDTH, memory_heads=HEADS, chunk_tokens=chunk_tokens)
    module = NeuralMemory(config, config.memories[0]).to(DEVICE)

    def run(x: torch.Tensor) -> torch.Tensor:
        active = torch.ones(x.shape[:2], dtype=torch.bool, device=DEVICE)
        return module(x, module.initial_state(len(x)), active).values

    return run


def titans_pytorch():
    """Return titans-pytorch's layer with each chunk's gradients at that chunk's own weights."""
    from titans_pytorch import MemoryMLP
    from titans_pytorch import NeuralMemory as Theirs

    memory = MemoryMLP(WIDTH // HEADS, depth=2, expansion_factor=2.0)
    return Theirs(dim=WIDTH, chunk_size=CHUNK, batch_size=CHUNK, dim_head=WIDTH // HEADS, heads=HEADS, model=memory).to(
        DEVICE
    )


def gated_deltanet():
    """Return flash-linear-attention's Gated DeltaNet of the same width, heads and head width."""
    from fla.layers import GatedDeltaNet

    return GatedDeltaNet(hidden_size=WIDTH, num_heads=HEADS, head_dim=WIDTH // HEADS).to(DEVICE)


def forward_products(chunk_tokens: int) -> int:
    """Count the multiplications and additions of the memory's forward pass over a token, all heads."""
    head = WIDTH // HEADS
    sides = [out + inner for out, inner in MemoryForm().shapes(head)]
    weights = sum(out * inner for out, inner in MemoryForm().shapes(head))
    per_token = weights * (1 + 0.5 + 2 + 2)  # keys, their gradient, reads of W and S, updates of both
    return round(2 * HEADS * (per_token + 2 * chunk_tokens * sum(sides)))  # grams of the bound, and the reads' scores


def layer_rows(bench: Bench) -> None:
    """Measure the layer and its peers."""
    bench.row("bf16 matrix product", "TFLOP/s", lambda: _matmul_peak(1024 if bench.rehearsal else 8192))
    bench.row("copy", "GB/s", lambda: _copy_bandwidth(1 << (18 if bench.rehearsal else 28)))
    makers = {
        "fused": layer, "fused, batched": layer, "dual form": layer,
        "large chunks": lambda: layer(bench.scale.large_chunk),
        "titans-pytorch": titans_pytorch, "Gated DeltaNet": gated_deltanet,
    }  # fmt: skip
    for name, make in makers.items():
        shape = (bench.scale.batch if name == "fused, batched" else 1, bench.scale.tokens, WIDTH)
        for mode in ("forward", "training"):
            rate = f"layer, {name}, {mode}"
            bench.row(rate, "tokens/s", lambda n=name, m=make, s=shape, o=mode: s[0] * s[1] / _layer(n, m, s, o))
        memory = f"layer, {name}, memory in training"
        bench.row(memory, "GB", lambda n=name, m=make, s=shape: _layer(n, m, s, "memory"))
    for name, chunk in (("fused", CHUNK), ("fused, batched", CHUNK), ("large chunks", bench.scale.large_chunk)):
        _shares(bench, name, chunk)
    ours, theirs = "layer, fused, training", "layer, titans-pytorch, training"
    bench.ratio("speed over titans-pytorch in training", ours, theirs, "at least 10")
    memory = ("layer, fused, memory in training", "layer, titans-pytorch, memory in training")
    bench.ratio("memory over titans-pytorch in training", *memory, "at most 0.25")
    bench.ratio("speed over Gated DeltaNet in training", ours, "layer, Gated DeltaNet, training", "at least 0.5")
    bench.ratio("speed over the dual form in training", ours, "layer, dual form, training", "")


def _shares(bench: Bench, name: str, chunk: int) -> None:
    rate = f"layer, {name}, forward"

    def share(of: str, per_token: float) -> float:
        if rate not in bench.found or of not in bench.found:
            raise UnmeasuredError(f"{rate!r} was not measured")
        return bench.found[rate] * per_token / bench.found[of]

    target = "over 0.3" if chunk > CHUNK else ""
    of_peak, of_copy = forward_products(chunk) / 1e12, 4 * 4 * WIDTH / 1e9  # q, k, v and reads, float32
    bench.row(f"{rate}, of the product", "share", lambda: share("bf16 matrix product", of_peak), target)
    bench.row(f"{rate}, of the copy", "share", lambda: share("copy", of_copy))


def _layer(name: str, make: Callable, shape: tuple[int, int, int], mode: str) -> float:
    """Return seconds of a forward pass or of a training step, or the peak memory of the latter in GB."""
    torch.manual_seed(0)
    run, x = make(), torch.randn(shape, device=DEVICE)

    def step() -> None:
        with torch.set_grad_enabled(mode != "forward"):
            out = run(x)
        if mode != "forward":
            (out[0] if isinstance(out, tuple) else out).square().mean().backward()

    plain = name in ("dual form", "large chunks")
    with ExitStack() as stack:
        stack.enter_context(matmul_precision("medium"))
        if plain:
            stack.enter_context(patch("titans_dna.ops.triton.obstacle", lambda *_: "turned off"))
        if name == "Gated DeltaNet":  # its kernels take bfloat16
            stack.enter_context(torch.autocast(DEVICE, torch.bfloat16))
        return peak_gigabytes(step) if mode == "memory" else seconds(step)


def _matmul_peak(side: int) -> float:
    a = torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16)
    return 2 * side**3 / seconds(lambda: a @ a, 10) / 1e12


def _copy_bandwidth(numbers: int) -> float:
    a = torch.empty(numbers, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * a.nbytes / seconds(lambda: b.copy_(a), 10) / 1e9


# (b) Models.


def model_of(size: str) -> Backbone:
    """Return a model of a named size with random weights."""
    torch.manual_seed(0)
    return Backbone(named_config(size)).to(DEVICE)


def train_step(model: Backbone, tokens: int) -> None:
    """Take the gradient of one sequence, in bfloat16 with float32 states."""
    ids = torch.randint(0, 4, (1, tokens + 1), device=DEVICE)
    with matmul_precision("medium"), torch.autocast(DEVICE, torch.bfloat16):
        logits = model(ids[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten()).backward()
    model.zero_grad(set_to_none=True)


def train_rate(size: str, tokens: int) -> float:
    """Return bases per second of training on one sequence."""
    model = model_of(size)
    return tokens / seconds(lambda: train_step(model, tokens))


def stream_rate(size: str, lanes: int, piece: int) -> float:
    """Return bases per second of streaming, over all lanes."""
    model = model_of(size).eval()
    ids = torch.randint(0, 4, (lanes, piece), device=DEVICE)
    with torch.inference_mode():
        state = model.initial_state(lanes)

        def step() -> None:
            nonlocal state
            state = model.stream(ids, state).state

        return lanes * piece / seconds(step, 8)


def model_rows(bench: Bench) -> None:
    """Measure training and streaming of all sizes, and memory along the context."""
    scale = bench.scale
    for size in scale.sizes:
        bench.row(f"{size}, training", "bases/s", lambda s=size: train_rate(s, scale.tokens))
        stream = f"{size}, streaming"
        bench.row(f"{stream}, one contig", "bases/s", lambda s=size: stream_rate(s, 1, scale.piece))
        bench.row(f"{stream}, both strands", "bases/s", lambda s=size: stream_rate(s, 2, scale.piece))
        bench.row(
            f"{stream}, {scale.lanes} strands", "bases/s", lambda s=size: stream_rate(s, scale.lanes, scale.piece)
        )
    bench.row("small, a strand of 100 Mb", "minutes", lambda: _minutes(bench.found), "under 5")
    for context in scale.contexts:
        target = "fits one GPU" if context == 1 << 21 else ""
        name = f"small, memory in training, {context:,} bases"
        bench.row(name, "GB", lambda c=context: _context(bench, c), target)


def _minutes(found: dict[str, float]) -> float:
    rates = [rate for name, rate in found.items() if name.startswith("small, streaming, one contig")]
    if not rates:
        raise UnmeasuredError("the streaming of small was not measured")
    return 1e8 / max(rates) / 60


def _context(bench: Bench, tokens: int) -> float:
    rate = bench.found.get("small, training", 0.0)
    if rate and tokens / rate > bench.end - time.monotonic():
        raise UnmeasuredError("the time that is left is too short for it")
    model = model_of("small")
    return peak_gigabytes(lambda: train_step(model, tokens))


# (c) Variants, (d) agreement.


def variant_rate(variants: int, contig_bp: int) -> float:
    """Return variants per second, both strands, each read from the memory of the whole contig before it."""
    if importlib.util.find_spec("numpy") is None:
        raise UnmeasuredError("NumPy is not installed")
    import numpy as np

    from titans_dna.inference.branches import Branches, read_branches
    from titans_dna.inference.strand import Strand

    model, generator = _sequence_model(), np.random.default_rng(0)
    bases = np.frombuffer(b"ACGT", np.uint8)[generator.integers(0, 4, contig_bp)].tobytes()
    strands = [Strand.of(bases, model.tokenizer, reverse=reverse) for reverse in (False, True)]
    cuts = np.sort(generator.integers(CHUNK, contig_bp - CHUNK, variants)) // CHUNK * CHUNK
    lanes = np.repeat([0, 1], 2 * variants)
    ids = generator.integers(0, 4, (4 * variants, CHUNK))
    share = np.ones(CHUNK)
    branches = Branches(
        lanes=lanes, cuts=np.tile(np.repeat(cuts, 2), 2), lengths=np.full(4 * variants, CHUNK),
        haplotype=lambda index: (ids[index], share),
    )  # fmt: skip
    started = time.perf_counter()
    read_branches(model, strands, branches)
    return variants / (time.perf_counter() - started)


def _sequence_model():
    from titans_dna.inference.model import SequenceModel
    from titans_dna.tokenizers import NucleotideTokenizer

    backbone = model_of("small").eval()
    return SequenceModel(backbone=backbone, tokenizer=NucleotideTokenizer(), name="small", weights_sha256="")


def disagreement(tokens: int, size: str = "tiny") -> float:
    """Return the largest difference of ln P of a base between GPU and CPU."""
    model = model_of(size).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    ids = torch.randint(0, 4, (1, tokens))
    with torch.inference_mode():
        on_gpu = model.stream(ids.to(DEVICE)).logits.log_softmax(-1).cpu()
        on_cpu = model.cpu().stream(ids).logits.log_softmax(-1)
    return float((on_gpu - on_cpu).abs().max())


def main() -> None:
    """Check, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.0, help="after these no further row is begun")
    parser.add_argument("--rehearse", action="store_true", help="run all code at a toy size on any machine; no figures")
    options = parser.parse_args()
    bench = Bench(options.minutes, options.rehearse)
    verdict = checked()
    layer_rows(bench)
    model_rows(bench)
    scale = bench.scale
    context = "small, variants with the context of a contig"
    bench.row(context, "variants/s", lambda: variant_rate(scale.variants, scale.contig_bp))
    bench.row("tiny, GPU against CPU, largest difference of ln P", "nats", lambda: disagreement(scale.tokens))
    if bench.rehearsal:
        print("\n".join(f"{row[0]}: {'ran' if row[0] in bench.found else row[4]}" for row in bench.rows))
        return
    implementation = ": ".join(choose("auto", DEVICE))
    write(
        "gpu", "The GPU path", ["row", "value", "unit", "target", "why not"], bench.rows,
        check=verdict, implementation=implementation,
        scale=", ".join(f"{name} {value}" for name, value in vars(scale).items()),
        layer=f"width {WIDTH}, {HEADS} heads, chunks of {CHUNK}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
