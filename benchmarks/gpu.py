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
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch
from record import write

sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout serves; nothing has to be installed
if importlib.util.find_spec("jaxtyping") is None:  # its shapes are read by tests alone

    class _Shape:
        def __class_getitem__(cls, item: object) -> type:
            return torch.Tensor

    sys.modules["jaxtyping"] = ModuleType("jaxtyping")
    for _kind in ("Bool", "Float", "Int"):
        setattr(sys.modules["jaxtyping"], _kind, _Shape)

from titans_dna.model.backbone import Backbone
from titans_dna.model.config import BackboneConfig, named_config
from titans_dna.model.memory import NeuralMemory
from titans_dna.model.stream_graph import StreamGraph
from titans_dna.ops import Gates, MemoryForm, choose, initial_state, neural_memory
from titans_dna.ops.triton.plan import TOLERANCES

WIDTH, HEADS, CHUNK, TOKENS = 256, 4, 64, 16_384  # of the layer
SIZES = ("tiny", "small", "base", "large", "xl")
CONTEXTS = (1 << 10, 1 << 14, 1 << 18, 1 << 21, 1 << 22)  # bases
LANES, PIECE = 16, 4096  # both strands of eight contigs, as one batch
NOT_MEASURED = "not measured"
CUDA = torch.cuda.is_available()


class UnmeasuredError(Exception):
    """Why a row has no figure."""


class Bench:
    """The rows, and the time that is left for more."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.rows: list[list[object]] = []
        self.found: dict[str, float] = {}

    def row(self, name: str, unit: str, measure: Callable[[], float], target: str = "") -> None:
        """Measure and keep one row; a reason stands in the last column where that cannot be done."""
        value: object = NOT_MEASURED
        reason = ""
        try:
            if not CUDA:
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


def seconds(step: Callable[[], object], rounds: int = 3) -> float:
    """Return the median time of a step on the device, after one that is not counted."""
    times = []
    for index in range(rounds + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        step()
        torch.cuda.synchronize()
        if index:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def peak_gigabytes(step: Callable[[], object]) -> float:
    """Return the most device memory that a step takes."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e9


# The check.


def check(device: str, tokens: int, width: int, precisions: tuple[str, ...]) -> dict[str, float]:
    """Return the largest error relative to its tolerance, by precision, of values and gradients."""
    found = {}
    for precision in precisions:
        worst = 0.0
        for form in (MemoryForm(), MemoryForm.linear(), MemoryForm(written="last")):
            case = _case(form, tokens, width, device)
            ours, theirs = (_results(case, form, name, precision) for name in ("triton", "chunked"))
            for a, b, limit in zip(ours, theirs, TOLERANCES[precision], strict=True):
                worst = max(worst, *(_error(x, y) / limit for x, y in zip(a, b, strict=True)))
        found[precision] = worst
    return found


def _error(found: torch.Tensor, expected: torch.Tensor) -> float:
    error = float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))
    return error if error == error else float("inf")


def _case(form: MemoryForm, tokens: int, width: int, device: str) -> dict[str, torch.Tensor]:
    shape, gate = (1, tokens, 2, width), (1, tokens, 2, form.written_matrices)
    unit = torch.nn.functional.normalize
    case = {"q": unit(torch.randn(shape), dim=-1), "k": unit(torch.randn(shape), dim=-1), "v": torch.randn(shape)}
    case |= {"step": torch.rand(gate), "momentum": 0.9 * torch.rand(gate), "forgetting": 0.1 * torch.rand(gate)}
    case |= {f"w{i}": 0.3 * torch.randn(2, *s) for i, s in enumerate(form.shapes(width))}
    return {name: x.to(device) for name, x in (case | {"gain": torch.ones(2, width)}).items()}


def _results(case: dict[str, torch.Tensor], form: MemoryForm, name: str, precision: str) -> tuple[list, list]:
    wide = name == "chunked" or precision == "float64"
    leaves = {n: x.to(torch.float64 if wide else torch.float32).requires_grad_() for n, x in case.items()}
    gates = Gates(**{n: leaves[n] for n in ("step", "momentum", "forgetting")})
    state = initial_state(tuple(x for n, x in leaves.items() if n.startswith("w")), 1, form)
    with matmul_precision("highest" if wide else precision):
        out = neural_memory(
            leaves["q"], leaves["k"], leaves["v"], gates, state,
            chunk_tokens=min(CHUNK, len(case["q"][0]) // 2), form=form, gain=leaves["gain"], implementation=name,
        )  # fmt: skip
        total = out.reads.square().sum() + out.surprise.sum() + sum(w.sum() for w in out.state.weights)
        gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    values = [out.reads, out.surprise, *out.state.weights, *out.state.momentum]
    return [x.detach() for x in values], [torch.zeros(1) if g is None else g.cpu() for g in gradients]


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Set how float32 products are made."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


# (a) The layer.


def layer(chunk_tokens: int = CHUNK, batch: int = 1):
    """Return the layer as a function of (batch, T, WIDTH)."""
    config = BackboneConfig(width=WIDTH, memory_heads=HEADS, chunk_tokens=chunk_tokens)
    module = NeuralMemory(config, config.memories[0]).cuda()
    active = torch.ones(batch, TOKENS, dtype=torch.bool, device="cuda")
    return lambda x: module(x, module.initial_state(batch), active).values


def titans_pytorch():
    """Return titans-pytorch's layer with each chunk's gradients at that chunk's own weights."""
    from titans_pytorch import MemoryMLP
    from titans_pytorch import NeuralMemory as Theirs

    memory = MemoryMLP(WIDTH // HEADS, depth=2, expansion_factor=2.0)
    return Theirs(
        dim=WIDTH, chunk_size=CHUNK, batch_size=CHUNK, dim_head=WIDTH // HEADS, heads=HEADS, model=memory
    ).cuda()


def gated_deltanet():
    """Return flash-linear-attention's Gated DeltaNet of the same width, heads and head width."""
    from fla.layers import GatedDeltaNet

    return GatedDeltaNet(hidden_size=WIDTH, num_heads=HEADS, head_dim=WIDTH // HEADS).cuda()


def forward_products(chunk_tokens: int) -> int:
    """Count the multiplications and additions of the memory's forward pass over a token, all heads."""
    head = WIDTH // HEADS
    sides = [out + inner for out, inner in MemoryForm().shapes(head)]
    weights = sum(out * inner for out, inner in MemoryForm().shapes(head))
    per_token = weights * (1 + 0.5 + 2 + 2)  # keys, their gradient, reads of W and S, updates of both
    return round(2 * HEADS * (per_token + 2 * chunk_tokens * sum(sides)))  # grams of the bound, and the reads' scores


def layer_rows(bench: Bench) -> None:
    """Measure the layer and its peers."""
    bench.row("bf16 matrix product, 8192", "TFLOP/s", _matmul_peak)
    bench.row("copy", "GB/s", _copy_bandwidth)
    makers = {
        "fused": layer, "fused, batch 16": lambda: layer(batch=16), "dual form": layer,
        "chunks of 2048": lambda: layer(2048), "titans-pytorch": titans_pytorch, "Gated DeltaNet": gated_deltanet,
    }  # fmt: skip
    for name, make in makers.items():
        batch = 16 if name.endswith("16") else 1
        for mode in ("forward", "training"):
            rate = f"layer, {name}, {mode}"
            bench.row(rate, "tokens/s", lambda n=name, m=make, b=batch, o=mode: b * TOKENS / _layer(n, m, b, o)[0])
        peak = f"layer, {name}, memory in training"
        bench.row(peak, "GB", lambda n=name, m=make, b=batch: _layer(n, m, b, "training")[1])
    for name, chunk in (("fused", CHUNK), ("fused, batch 16", CHUNK), ("chunks of 2048", 2048)):
        _shares(bench, name, chunk)
    ours, theirs = "layer, fused, training", "layer, titans-pytorch, training"
    bench.ratio("speed over titans-pytorch in training, 16k", ours, theirs, "at least 10")
    memory = ("layer, fused, memory in training", "layer, titans-pytorch, memory in training")
    bench.ratio("memory over titans-pytorch in training, 16k", *memory, "at most 0.25")
    bench.ratio("speed over Gated DeltaNet in training, 16k", ours, "layer, Gated DeltaNet, training", "at least 0.5")
    bench.ratio("speed over the dual form in training, 16k", ours, "layer, dual form, training", "")


def _shares(bench: Bench, name: str, chunk: int) -> None:
    rate = f"layer, {name}, forward"

    def share(of: str, per_token: float) -> float:
        if rate not in bench.found or of not in bench.found:
            raise UnmeasuredError(f"{rate!r} was not measured")
        return bench.found[rate] * per_token / bench.found[of]

    target = "over 0.3" if chunk > CHUNK else ""
    of_peak, of_copy = forward_products(chunk) / 1e12, 4 * 4 * WIDTH / 1e9  # q, k, v and reads, float32
    bench.row(f"{rate}, of the product", "share", lambda: share("bf16 matrix product, 8192", of_peak), target)
    bench.row(f"{rate}, of the copy", "share", lambda: share("copy", of_copy))


def _layer(name: str, make: Callable, batch: int, mode: str) -> tuple[float, float]:
    torch.manual_seed(0)
    run, x = make(), torch.randn(batch, TOKENS, WIDTH, device="cuda")

    def step() -> None:
        if mode == "forward":
            with torch.no_grad():
                run(x)
            return
        out = run(x)
        (out[0] if isinstance(out, tuple) else out).square().mean().backward()

    off = patch("titans_dna.ops.triton.obstacle", lambda *_: "turned off") if name == "dual form" else matmul_precision
    half = name == "Gated DeltaNet"  # its kernels take bfloat16
    with off("medium") if off is matmul_precision else off, torch.autocast("cuda", torch.bfloat16, enabled=half):
        return seconds(step), peak_gigabytes(step)


def _matmul_peak() -> float:
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / seconds(lambda: a @ a, 10) / 1e12


def _copy_bandwidth() -> float:
    a = torch.empty(1 << 28, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.nbytes / seconds(lambda: b.copy_(a), 10) / 1e9


# (b) Models.


def model_of(size: str) -> Backbone:
    """Return a model of a named size with random weights."""
    torch.manual_seed(0)
    return Backbone(named_config(size)).cuda()


def train_step(model: Backbone, tokens: int) -> None:
    """Take the gradient of one sequence, in bfloat16 with float32 states."""
    ids = torch.randint(0, 4, (1, tokens + 1), device="cuda")
    with matmul_precision("medium"), torch.autocast("cuda", torch.bfloat16):
        logits = model(ids[:, :-1])
    torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten()).backward()
    model.zero_grad(set_to_none=True)


def train_rate(size: str) -> float:
    """Return bases per second of training on one sequence."""
    model = model_of(size)
    return TOKENS / seconds(lambda: train_step(model, TOKENS))


def stream_rate(size: str, lanes: int, graph: bool) -> float:
    """Return bases per second of streaming, over all lanes."""
    model = model_of(size).eval()
    ids = torch.randint(0, 4, (lanes, PIECE), device="cuda")
    with torch.inference_mode():
        state = model.initial_state(lanes)
        run = StreamGraph(model, lanes, PIECE) if graph else model.stream

        def step() -> None:
            nonlocal state
            state = run(ids, state).state

        return lanes * PIECE / seconds(step, 8)


def model_rows(bench: Bench) -> None:
    """Measure training and streaming of all sizes, and memory along the context."""
    for size in SIZES:
        name, _ = choose("auto", "cuda" if CUDA else "cpu", head_width=_head(size))
        rate = f"{size} ({name}), training at 16k"
        bench.row(rate, "bases/s", lambda s=size: train_rate(s))
        bench.row(f"{size}, streaming, one contig", "bases/s", lambda s=size: stream_rate(s, 1, False))
        bench.row(f"{size}, streaming, {LANES} strands", "bases/s", lambda s=size: stream_rate(s, LANES, False))
        bench.row(f"{size}, streaming, one contig, CUDA graph", "bases/s", lambda s=size: stream_rate(s, 1, True))
    best = max(("one contig", "one contig, CUDA graph"), key=lambda n: bench.found.get(f"small, streaming, {n}", 0.0))

    def minutes() -> float:
        if f"small, streaming, {best}" not in bench.found:
            raise UnmeasuredError("the streaming of small was not measured")
        return 1e8 / bench.found[f"small, streaming, {best}"] / 60

    bench.row("small, a strand of 100 Mb", "minutes", minutes, "under 5")
    for context in CONTEXTS:
        target = "fits one GPU" if context == 1 << 21 else ""
        bench.row(f"small, memory in training, {context:,} bases", "GB", lambda c=context: _context(bench, c), target)


def _head(size: str) -> int:
    config = named_config(size)
    return config.width // config.memory_heads


def _context(bench: Bench, tokens: int) -> float:
    rate = next((v for n, v in bench.found.items() if n.startswith("small") and "training at" in n), 0.0)
    if rate and tokens / rate > bench.end - time.monotonic():
        raise UnmeasuredError("the time that is left is too short for it")
    model = model_of("small")
    return peak_gigabytes(lambda: train_step(model, tokens))


# (c) Variants, (d) agreement.


def variant_rate(variants: int = 2000, contig_bp: int = 1 << 19) -> float:
    """Return variants per second, both strands, each read from the memory of the whole contig before it."""
    if importlib.util.find_spec("numpy") is None:
        raise UnmeasuredError("NumPy is not installed")
    import numpy as np

    from titans_dna.inference.branches import Branches, read_branches
    from titans_dna.inference.strand import Strand
    from titans_dna.tokenizers import load_tokenizer  # noqa: F401  # says at once what is not installed

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


def disagreement(size: str = "tiny", tokens: int = 1 << 14) -> float:
    """Return the largest difference of ln P of a base between GPU and CPU."""
    model = model_of(size).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    ids = torch.randint(0, 4, (1, tokens))
    with torch.inference_mode():
        on_gpu = model.stream(ids.cuda()).logits.log_softmax(-1).cpu()
        on_cpu = model.cpu().stream(ids).logits.log_softmax(-1)
    return float((on_gpu - on_cpu).abs().max())


def checked() -> str:
    """Run the check where it can be run, and say with what result; end the program if it fails."""
    if importlib.util.find_spec("triton") is None:
        return "not run: Triton is not installed"
    precisions = ("highest", "high", "medium") if CUDA else ("float64",)
    if not CUDA:
        import os

        os.environ["TRITON_INTERPRET"] = "1"
    errors = check("cuda", 300, 64, precisions) if CUDA else check("cpu", 8, 6, precisions)
    if max(errors.values()) > 1.0:
        sys.exit(f"the fused kernels differ from the dual form; error over tolerance: {errors}")
    where = "on the GPU" if CUDA else "in Triton's interpreter, on CPU"
    return f"passed {where}; largest error over tolerance: " + ", ".join(f"{n} {e:.2g}" for n, e in errors.items())


def main() -> None:
    """Check, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.0, help="after these no further row is begun")
    options = parser.parse_args()
    bench = Bench(options.minutes)
    verdict = checked()
    layer_rows(bench)
    model_rows(bench)
    bench.row("small, variants with whole-contig context, 2,000 on 0.5 Mb", "variants/s", variant_rate)
    bench.row("tiny, GPU against CPU, largest difference of ln P, 16 kb", "nats", disagreement)
    implementation = ": ".join(choose("auto", "cuda" if CUDA else "cpu"))
    write(
        "gpu", "The GPU path", ["row", "value", "unit", "target", "why not"], bench.rows,
        check=verdict, implementation=implementation, layer=f"width {WIDTH}, {HEADS} heads, {TOKENS:,} tokens",
    )  # fmt: skip


if __name__ == "__main__":
    main()
