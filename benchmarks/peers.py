"""What a base costs on one core: this project's models beside other ways to read long DNA, in one run.

The peers are three language models in plain PyTorch (``peer_models.py``), and the memory layer of titans-pytorch in the
same frame, where it is installed; its faithful setting takes a chunk's gradients at that chunk's own weights. Each case
is measured in a process of its own, the cases take turns, and the median of the rounds counts.

Inference predicts every base of one sequence, as a user has it: models that can carry a state read pieces of 4,096
bases, this project's by ``stream_bases``; a Hyena operator reads the whole sequence at once. A step of training is
forward, backward and the optimiser on windows of that many bases; shorter windows stand side by side, so that a step
has 8 kb at least. All weights but those of the default model are as they begin, and the sequence is made.

    pip install titans-pytorch==0.5.5
    python benchmarks/peers.py                 # about a quarter of an hour
    python benchmarks/peers.py --name peers_tiny --models default tiny hyena convolutions --bases 1024 16384 131072
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peer_models
import planted
import torch
from record import peak_megabytes, write
from torch import Tensor, nn

OURS = ("default", "nano", "tiny", "small")
THEIRS, BASE = "titans-pytorch memory", "hyena"
INFERENCE, TRAINING = "inference", "training"
WARM_BASES = 1024
LONG = 131_072  # bases from which inference is measured in its first call, for a second one would take too long
LEAST_SECONDS = 0.3  # of a measurement of less than that, which is repeated until then
NO_MEMORY = ("can't allocate memory", "not enough memory", "bad_alloc")  # what messages say where there is none
Work = Callable[[], object]


class Case(NamedTuple):
    """What is measured."""

    model: str
    mode: str  # INFERENCE or TRAINING
    bases: int  # of the sequence, or of a window


class Found(NamedTuple):
    """One measurement of a case."""

    parameters: int
    cpu: float  # microseconds a base
    wall: float
    megabytes: float  # at most, above what the process had before the model was made


class TheirMemory(nn.Module):
    """A memory layer of titans-pytorch and a map of single tokens, each on a normalised residual stream."""

    def __init__(self, width: int, heads: int = 2, chunk: int = 64) -> None:
        from titans_pytorch import MemoryMLP, NeuralMemory

        super().__init__()
        head = width // heads
        # With its default, the largest step is 1, and random weights end in nan after some hundred bases.
        self.memory = NeuralMemory(
            dim=width, chunk_size=chunk, batch_size=chunk, dim_head=head, heads=heads,
            model=MemoryMLP(head, depth=2, expansion_factor=2.0), default_step_transform_max_lr=0.1,
        )  # fmt: skip
        for weight in self.memory.parameters():  # some are views of one row, which no optimiser can move
            weight.data = weight.data.contiguous()
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def forward(self, x: Tensor, state: Any) -> peer_models.Read:
        """Read ``x`` (B, T, N) from the memory's state on."""
        read, state = self.memory(x, state=state)
        x = x + read
        return peer_models.Read(x + self.mlp(x), state)


def their_model() -> peer_models.LanguageModel:
    """Return a language model of two memory layers of titans-pytorch."""
    return peer_models.LanguageModel(128, [TheirMemory(128) for _ in range(2)])


def ours(name: str) -> Any:
    """Return a model of this project."""
    from titans_dna.inference.model import load_model
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import SIZES

    return load_model(name, "cpu").backbone if name == "default" else Backbone(SIZES[name])


def peer(name: str) -> peer_models.LanguageModel:
    """Return a peer."""
    return {**peer_models.MODELS, THEIRS: their_model}[name]()


def reading(name: str, net: Any) -> Callable[[np.ndarray], Work]:
    """Return a function from a sequence to what reads it: ln P of every base."""
    from titans_dna.inference.streaming import PIECE_TOKENS, stream_bases
    from titans_dna.training.words import NUCLEOTIDES

    net.eval()

    @torch.inference_mode()
    def read(ids: np.ndarray) -> list[np.ndarray]:
        if name in OURS:
            return [piece.log_probabilities for piece in stream_bases(net, ids, NUCLEOTIDES.targets + 1)]
        whole, states, found = torch.from_numpy(ids.astype(np.int64))[None], None, []
        inputs, targets = whole[:, :-1], whole[:, 1:]
        piece = PIECE_TOKENS if net.streams else len(ids)
        for x, y in zip(inputs.split(piece, 1), targets.split(piece, 1), strict=True):
            logits, states = net(x, states)
            found.append(logits.log_softmax(-1).gather(-1, y[..., None]).numpy())
        return found

    return lambda ids: lambda: read(ids)


def training(name: str, net: Any, step_bases: int) -> Callable[[np.ndarray], Work]:
    """Return a function from a window to what takes a step of training on it, or on several of its length."""
    from titans_dna.loading.lanes import Contig
    from titans_dna.training.config import TrainingConfig
    from titans_dna.training.loop import Trainer

    net.train().requires_grad_(True)

    def prepare(ids: np.ndarray) -> Work:
        lanes = max(1, step_bases // len(ids))
        if name in OURS:
            run = TrainingConfig(steps=10, lanes=lanes, window_tokens=len(ids), restart=1.0)
            return Trainer(net, [Contig(codes=ids)], run).step
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
        whole = torch.from_numpy(ids.astype(np.int64)).expand(lanes, -1)

        def step() -> None:
            logits = net(whole[:, :-1]).values
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), whole[:, 1:].flatten()).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step

    return prepare


def measure(case: Case, ids: np.ndarray, step_bases: int) -> Found:
    """Measure a case in this process."""
    torch.manual_seed(0)
    before = peak_megabytes()
    net = ours(case.model) if case.model in OURS else peer(case.model)
    prepare = reading(case.model, net) if case.mode == INFERENCE else training(case.model, net, step_bases)
    ids = ids[: case.bases]
    prepare(ids[:WARM_BASES])()
    work = prepare(ids)
    if case.mode == INFERENCE and case.bases < LONG:
        work()
    bases = case.bases if case.mode == INFERENCE else max(case.bases, step_bases)
    cpu, wall, calls = time.process_time(), time.perf_counter(), 0
    while not calls or time.process_time() - cpu < LEAST_SECONDS:
        work()
        calls += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    each = 1e6 / (calls * bases)
    parameters = sum(weight.numel() for weight in net.parameters())
    return Found(parameters, cpu * each, wall * each, peak_megabytes() - before)


def in_fork(case: Case, ids: np.ndarray, options: argparse.Namespace) -> Found | str:
    """Measure a case in a copy of this process, which has loaded everything; return why not, if it could not."""

    def child(answer: Connection) -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limit = used + int(options.most_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        most = math.ceil(options.most_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))  # of the processor, for others may use it too
        try:
            answer.send(measure(case, ids, options.step_bases))
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not any(said in str(error) for said in NO_MEMORY):
                raise
            answer.send(f"over {options.most_gb:g} GB")
        except ModuleNotFoundError as error:
            answer.send(f"no {error.name}")

    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=child, args=(there,))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:  # it ended without a word
        process.join()
        if process.exitcode == -signal.SIGXCPU:
            return f"over {options.most_seconds:g} s"
        if process.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"{case} failed; its error stands above") from None
        return f"over {options.most_gb:g} GB"  # the system had no more
    finally:
        process.kill()
        process.join()


def rounds(cases: list[Case], options: argparse.Namespace, ids: np.ndarray) -> Iterator[tuple[Case, Found | str]]:
    """Yield measurements; a case whose rounds together take too long has fewer of them."""
    spent, each = dict.fromkeys(cases, 0.0), dict.fromkeys(cases, 0.0)
    refused: dict[tuple[str, str], tuple[int, str]] = {}  # bases that a model could not do, nor any longer sequence
    for number in range(options.rounds):
        for case in cases:
            if number and spent[case] + each[case] > options.seconds:
                continue
            bases, why = refused.get(case[:2], (case.bases + 1, ""))
            if case.bases >= bases:
                if not number:
                    yield case, why
                continue
            before = sum(os.times()[2:4])  # of processes that have ended
            found = in_fork(case, ids, options)
            each[case] = sum(os.times()[2:4]) - before
            spent[case] += each[case]
            if isinstance(found, str):
                refused[case[:2]] = case.bases, found
            print(f"round {number + 1}, {case.mode} of {case.bases:,} bases, {case.model}: {found}", flush=True)
            yield case, found


def row(case: Case, found: dict[Case, list[Found | str]]) -> list[Any]:
    """Return what the table says of a case, or why it says nothing."""
    good = [one for one in found[case] if isinstance(one, Found)]
    if not good:
        return [case.mode, f"{case.bases:,}", case.model, "-", f"- ({found[case][0]})", *"----"]
    base = [one for one in found.get(case._replace(model=BASE), []) if isinstance(one, Found)]
    ratios = [one.cpu / other.cpu for one, other in zip(good, base, strict=False)]  # those of the same rounds
    cpu = [one.cpu for one in good]
    middle = [
        statistics.median(values) for values in (cpu, [one.wall for one in good], [one.megabytes for one in good])
    ]
    told = [f"{middle[0]:.1f}", f"{min(cpu):.1f} to {max(cpu):.1f}" if len(cpu) > 1 else "one round"]
    told += [f"{middle[1]:.1f}", f"{statistics.median(ratios):.2f}" if ratios else "-", f"{middle[2]:,.0f}"]
    return [case.mode, f"{case.bases:,}", case.model, f"{good[0].parameters:,}", *told]


def main() -> None:
    """Run all cases, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["default", "nano", "tiny", *peer_models.MODELS, THEIRS])
    parser.add_argument("--bases", type=int, nargs="*", default=[1024, 16_384, 131_072, 1_048_576])
    parser.add_argument("--most-training", type=int, default=131_072, help="bases of a window of training")
    parser.add_argument("--step-bases", type=int, default=8192, help="of a step of training at least")
    parser.add_argument("--rounds", type=int, default=3, help="at most")
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="of the processor, for all rounds of a case after the first"
    )
    parser.add_argument("--most-seconds", type=float, default=300.0, help="of the processor, for one measurement")
    parser.add_argument("--most-gb", type=float, default=12.0, help="that a case may ask for")
    parser.add_argument("--output", type=Path, help="folder of the results; by default benchmarks/results")
    parser.add_argument("--name", default="peers", help="of the result")
    parser.add_argument("--quick", action="store_true", help="short sequences and one round, to try the script")
    options = parser.parse_args()
    if options.quick:
        options.bases, options.step_bases, options.rounds = [256], 256, 1
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    ids = planted.plant(rng, rng.integers(0, 4, 1 << 20, dtype=np.uint8), max(options.bases))
    cases = [
        Case(model, mode, bases)
        for bases in options.bases
        for mode in (INFERENCE, TRAINING)
        for model in options.models
        if mode == INFERENCE or bases <= options.most_training
    ]
    found: dict[Case, list[Found | str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TITANS_DNA_CACHE"] = folder  # of what the copy memory recalls in training
        reading("nano", ours("nano"))(ids[:WARM_BASES])()  # compiles the loop of the memory, once for all
        for case, one in rounds(cases, options, ids):
            found.setdefault(case, []).append(one)
    order = sorted(cases, key=lambda case: (case.mode, case.bases))
    columns = ["what", "bases", "model", "parameters", "CPU us a base", "range", "wall us a base"]
    columns += [f"CPU against {BASE}", "peak MB"]
    write(
        options.name, "What a base costs on one core, beside other models", columns,
        [row(case, found) for case in order],
        folder=options.output, threads=1, rounds=options.rounds, bases_of_a_training_step=options.step_bases,
        most_processor_seconds=options.most_seconds, most_gb=options.most_gb,
    )  # fmt: skip


if __name__ == "__main__":
    main()
