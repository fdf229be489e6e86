"""The training loop: predict the next base, on lanes of consecutive windows that carry their memory along."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from titans_dna.errors import ConfigError
from titans_dna.inference.gates import GateStatistics
from titans_dna.loading.lanes import Batch, Contig, LaneSampler
from titans_dna.loading.recalled import with_recalled
from titans_dna.loading.word_lanes import WordContig, WordLanes
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState, concatenate, detach, select
from titans_dna.tokenizers import Tokenizer
from titans_dna.training.checkpoints import Snapshot, save_snapshot
from titans_dna.training.config import TrainingConfig
from titans_dna.training.distributed import (
    World,
    full_state,
    last_only,
    own_piece,
    piece_of_window,
    set_full_state,
    whole,
    wrap,
)
from titans_dna.training.evaluation import carried_bits, held_out_gates
from titans_dna.training.objective import NextBase
from titans_dna.training.optimizer import learning_rate, make_optimizer
from titans_dna.training.words import NUCLEOTIDES


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """One line of a run's log; ``bases``, ``skipped`` (steps) and ``seconds`` are totals since the start of the run."""

    step: int
    split: str  # "train" or "validation"
    bits_per_base: float
    learning_rate: float
    gradient_norm: float
    bases: int
    skipped: int
    seconds: float


@dataclass(kw_only=True)
class Counters:
    """Counters of a run."""

    step: int = 0  # steps done
    bases: int = 0  # bases learned, of a weight above 0
    skipped: int = 0  # steps whose gradient was not finite
    seconds: float = 0.0
    best: float = math.inf  # lowest validation bits per base


class Trainer:
    """A run, step by step: model, optimiser, sampler, and the memories of the lanes.

    Parameters
    ----------
    model
        Model on the device to train on; it is trained in place.
    contigs
        Contigs to learn from.
    config
        The run.
    tokenizer
        Tokenizer that made the ids.
    world
        Place of this process among all processes of the run.

    Raises
    ------
    ConfigError
        If memories are carried from window to window, but a window ends within a chunk of the model; or if the lanes or
        the window cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        model: Backbone,
        contigs: Sequence[Contig] | Sequence[WordContig],
        config: TrainingConfig,
        *,
        tokenizer: Tokenizer = NUCLEOTIDES,
        world: World | None = None,
    ) -> None:
        self.model, self.config, self.world = model, config, world or World()
        self.tokenizer, self.bos = tokenizer, tokenizer.targets + 1
        self.contextual = config.strategy == "context" and self.world.processes > 1
        _check_windows(model, config)
        self.first, self.end = (0, config.lanes) if self.contextual else self.world.share(config.lanes)
        if (self.end - self.first) % config.accumulate:
            raise ConfigError(f"a process has {self.end - self.first} lanes, no multiple of {config.accumulate} parts")
        if self.contextual:
            piece_of_window(model.config, config.window_tokens, 0, self.world.processes)
        if model.config.recall:
            contigs = with_recalled([c for c in contigs if isinstance(c, Contig)], model.config.recall)
        # Every process draws the batches of all lanes from one seed and uses its own lanes, so the number of processes
        # does not change what is learned.
        self.sampler = _sampler(contigs, config, self.bos, model.config.targets)
        if config.precision == "bfloat16" and self.device.type == "cuda":  # the memory's products are outside autocast
            torch.set_float32_matmul_precision("medium")
        self.module = wrap(NextBase(model, config.precision), config.strategy, self.world)
        self.optimizer = make_optimizer(model, config)
        self.states: list[StreamState | None] = [None] * config.accumulate
        self.counters = Counters()

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def step(self) -> LogRow:
        """Take one step, and return its line of the log."""
        started, count = time.monotonic(), self.counters
        run = self.config
        rate = learning_rate(count.step, run.steps, run.learning_rate, warmup=run.warmup, final=run.final_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.sampler.draw(self.config.window_at(count.step))
        loss = self.world.sum(self._backward(batch))
        # The gradients are those of all processes by then, so all processes take the same branch.
        norm = _number(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip))
        if math.isfinite(norm):
            self.optimizer.step()
        else:  # what made the gradient not finite may be in the lanes' memories too, so these start anew
            count.skipped += 1
            self.states = [None if s is None else self._initial_state(s.recent.shape[0]) for s in self.states]
        self.optimizer.zero_grad(set_to_none=True)
        count.step += 1
        count.bases += int(batch.bases[batch.weights > 0].sum())
        count.seconds += time.monotonic() - started
        return self._row("train", float(loss) * _tokens_per_base(batch) / math.log(2), rate, norm)

    def _initial_state(self, lanes: int) -> StreamState:
        return replace(self.model.initial_state(lanes), recall=None)  # what is recalled comes with each batch

    def _backward(self, batch: Batch) -> Tensor:
        """Add up the gradients of this process's lanes, and return its share of the loss."""
        # The total is over all lanes and pieces, so that the shares of all processes add up to the mean loss.
        config, total = self.config, float(batch.weights.sum())
        if self.contextual:
            batch = own_piece(batch, self.model.config, self.world.rank, self.world.processes)
        each, loss = (self.end - self.first) // config.accumulate, torch.zeros((), device=self.device)
        for part in range(config.accumulate):
            start = self.first + part * each
            state = self.states[part]
            with last_only(self.module, part == config.accumulate - 1):
                # Truncated back-propagation: a state carries the memory over the border of windows, but no gradient.
                share, after = self.module(batch.rows(start, start + each), state and detach(state), total)
                # DDP and FSDP average gradients over processes, but the loss is a sum over them.
                (share * self.world.processes).backward()
            loss = loss + share.detach()
            self.states[part] = None if self.contextual else detach(after)
        return loss

    def evaluate(self, sample: Sequence[np.ndarray], row: LogRow) -> tuple[LogRow, list[GateStatistics]]:
        """Evaluate after the step of ``row``; return a line of the log, and the statistics of the memories' gates."""
        started = time.monotonic()
        self.model.eval()
        with whole(self.module):
            bits = carried_bits(self.model, sample, self.bos, tokenizer=self.tokenizer).bits
            gates = held_out_gates(self.model, sample, self.bos)
        self.model.train()
        self.counters.seconds += time.monotonic() - started
        return self._row("validation", bits, row.learning_rate, row.gradient_norm), gates

    def _row(self, split: str, bits: float, rate: float, norm: float) -> LogRow:
        count = self.counters
        return LogRow(
            step=count.step, split=split, bits_per_base=bits, learning_rate=rate, gradient_norm=norm,
            bases=count.bases, skipped=count.skipped, seconds=count.seconds,
        )  # fmt: skip

    def weights(self) -> dict[str, Tensor]:
        """Return all weights by their names in the backbone; every process must call it."""
        return _plain(full_state(self.module, self.optimizer)[0])

    def whole_model(self, weights: dict[str, Tensor]) -> Backbone:
        """Return a copy of the model with these weights, which this process can use without the others."""
        model = Backbone(self.model.config)
        model.load_state_dict(weights)
        return model.to(self.device).eval()

    def snapshot(self) -> Snapshot:
        """Return everything that the next step depends on; every process must call it."""
        weights, moments = full_state(self.module, self.optimizer)
        lanes = None
        if not self.contextual and all(state is not None for state in self.states):
            lanes = self.world.gather_rows(concatenate([detach(s) for s in self.states if s is not None]))
        run: dict[str, Any] = {**asdict(self.counters), "sampler": self.sampler.state()}
        run["best"] = None if math.isinf(self.counters.best) else self.counters.best
        return Snapshot(weights=_plain(weights), moments=moments, lanes=lanes, run=run)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, which may come from another number of processes."""
        values = {f: snapshot.run[f] for f in Counters.__dataclass_fields__}
        self.counters = Counters(**{**values, "best": math.inf if values["best"] is None else values["best"]})
        self.sampler.restore(snapshot.run["sampler"])
        groups = [{**g, "betas": tuple(g["betas"])} for g in snapshot.moments["param_groups"]]
        weights = {f"backbone.{name}": tensor for name, tensor in snapshot.weights.items()}
        set_full_state(self.module, self.optimizer, weights, {**snapshot.moments, "param_groups": groups})
        if snapshot.lanes is not None:
            own = select(snapshot.lanes, list(range(self.first, self.end)))
            each = (self.end - self.first) // self.config.accumulate
            parts = range(self.config.accumulate)
            self.states = [select(own, list(range(part * each, (part + 1) * each))) for part in parts]


def train(
    trainer: Trainer,
    held_out: Sequence[np.ndarray],
    *,
    report: Callable[[LogRow], None],
    report_gates: Callable[[int, list[GateStatistics]], None] = lambda *_: None,
    output: Path | None = None,
    improved: Callable[[dict[str, Tensor]], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Take the remaining steps; return False if the run was stopped before the last of them.

    Parameters
    ----------
    trainer
        A new run, or a restored one.
    held_out
        Token ids of the contigs to evaluate on; may be empty.
    report
        Called with every row of the log, in order.
    report_gates
        Called after each evaluation with the step, and with the statistics of the gates on held-out sequence.
    output
        Folder for checkpoints; None for no checkpoints.
    improved
        Called with the weights after each evaluation that is the best so far.
    stop
        Called after every step; if it returns True, a checkpoint is written and the run ends.
    """
    config, world = trainer.config, trainer.world
    sample = evaluation_sample(held_out, config, trainer.model.config.targets)
    trainer.model.train()
    while trainer.counters.step < config.steps:
        row = trainer.step()
        report(row)
        done = row.step == config.steps
        if sample and (row.step % config.evaluate_every == 0 or done):
            row, gates = trainer.evaluate(sample, row)
            report(row)
            report_gates(row.step, gates)
            if row.bits_per_base < trainer.counters.best:
                trainer.counters.best = row.bits_per_base
                # Outside the condition below, because all processes must take part.
                weights = trainer.weights()
                if world.leads:
                    improved(weights)
        # A signal may reach one process only. All must agree, for a snapshot is gathered from all of them.
        stopped = world.any(stop(), trainer.device)
        if output and (row.step % config.save_every == 0 or done or stopped):
            snapshot = trainer.snapshot()
            if world.leads:
                save_snapshot(output, snapshot)
        if stopped and not done:
            return False
    trainer.model.eval()
    return True


def _sampler(
    contigs: Sequence[Contig] | Sequence[WordContig], config: TrainingConfig, bos: int, targets: int
) -> LaneSampler | WordLanes:
    words = [contig for contig in contigs if isinstance(contig, WordContig)]
    single = [contig for contig in contigs if isinstance(contig, Contig)]
    named = ("lanes", "window_tokens", "restart", "random_lanes", "both_strands", "soft_mask_weight", "seed")
    settings: Any = {"bos": bos, "targets": targets, **{name: getattr(config, name) for name in named}}
    recall: Any = {"without_recall": config.without_recall, "cut_recall": config.cut_recall}
    return WordLanes(words, **settings) if words else LaneSampler(single, **settings, **recall)


def _tokens_per_base(batch: Batch) -> float:
    """Return the factor from a mean loss per token to one per base."""
    return float(batch.weights.sum() / max(1e-9, (batch.weights * batch.bases).sum()))


def _check_windows(model: Backbone, config: TrainingConfig) -> None:
    """Refuse windows that end within a chunk: lanes that start anew and lanes that go on could not be one batch."""
    form = model.config
    for window in {config.window_at(step) for step in range(config.steps)} | {config.window_tokens}:
        if config.restart < 1 and (form.block == "transformer" or window % form.chunk_period_tokens):
            raise ConfigError(
                f"window_tokens is {window}, which ends within a chunk or segment of the model; choose a "
                f"multiple of its chunk_tokens ({form.chunk_tokens}) and segments, or restart every lane"
            )
    if config.strategy == "context" and config.restart < 1:
        raise ConfigError(f"restart is {config.restart}; a window cut over processes starts anew: set restart to 1")


def _number(norm: Tensor) -> float:
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by their names in the backbone."""
    return {name.removeprefix("backbone."): tensor for name, tensor in weights.items()}


def evaluation_sample(held_out: Sequence[np.ndarray], config: TrainingConfig, targets: int) -> list[np.ndarray]:
    """Return the tokens of each held-out contig from its first known base on, as many as an evaluation may read."""
    share = max(1, config.evaluation_bases // max(1, len(held_out)))
    pieces = []
    for ids in held_out:
        known = np.flatnonzero(ids < targets)
        if len(known):
            pieces.append(ids[known[0] : known[0] + share])
    return pieces
