"""The training loop: next base, on lanes of consecutive windows that carry their memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from titans_dna.errors import ConfigError
from titans_dna.loading.lanes import Batch, Contig, LaneSampler
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState, detach, where
from titans_dna.training.config import TrainingConfig
from titans_dna.training.evaluation import carried_bits
from titans_dna.training.optimizer import learning_rate, make_optimizer


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """One line of a run's log; ``seconds`` since its start, ``bases`` learned so far."""

    step: int
    split: str  # "train" or "validation"
    bits_per_base: float
    learning_rate: float
    gradient_norm: float
    bases: int
    seconds: float


def train(
    model: Backbone,
    contigs: Sequence[Contig],
    held_out: Sequence[np.ndarray],
    config: TrainingConfig,
    *,
    bos: int,
    report: Callable[[LogRow], None],
) -> None:
    """Train ``model`` in place.

    Parameters
    ----------
    model
        On the device to train on.
    contigs
        Training contigs.
    held_out
        Ids of the bases of contigs to evaluate on; may be empty.
    bos
        Id of the start token.
    report
        Called with every row of the log, in order.

    Raises
    ------
    ConfigError
        If memories are to be carried from window to window but a window ends within a chunk of the model.
    """
    _check_window(model, config)
    device = next(model.parameters()).device
    sampler = LaneSampler(
        contigs, lanes=config.lanes, window_tokens=config.window_tokens, bos=bos, targets=model.config.targets,
        restart=config.restart, seed=config.seed,
    )  # fmt: skip
    optimizer = make_optimizer(model, config)
    sample = _sample(held_out, config)
    started, bases, state = time.monotonic(), 0, model.initial_state(config.lanes)
    model.train()
    for step in range(config.steps):
        rate = learning_rate(step, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = sampler.draw()
        loss, state = _loss(model, batch, detach(state), device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip))
        if math.isfinite(norm):
            optimizer.step()
        else:  # a step that cannot be taken must not poison the lanes' memories either
            state = model.initial_state(config.lanes)
        bases += int((batch.weights > 0).sum())

        def note(
            split: str, bits: float, step: int = step, rate: float = rate, norm: float = norm, bases: int = bases
        ) -> None:
            seconds = time.monotonic() - started
            report(
                LogRow(
                    step=step + 1,
                    split=split,
                    bits_per_base=bits,
                    learning_rate=rate,
                    gradient_norm=norm,
                    bases=bases,
                    seconds=seconds,
                )
            )

        note("train", float(loss.detach()) / math.log(2))
        if sample and ((step + 1) % config.evaluate_every == 0 or step + 1 == config.steps):
            model.eval()
            note("validation", carried_bits(model, sample, bos).bits)
            model.train()
    model.eval()


def _check_window(model: Backbone, config: TrainingConfig) -> None:
    """Refuse windows after which a lane that starts anew could not be read together with one that goes on."""
    if config.restart < 1 and model.config.phase(config.window_tokens):
        raise ConfigError(
            f"window_tokens is {config.window_tokens}, which ends within a chunk or segment of the model; choose a "
            f"multiple of its chunk_tokens ({model.config.chunk_tokens}) and segments, or restart every lane"
        )


def _loss(model: Backbone, batch: Batch, state: StreamState, device: torch.device) -> tuple[torch.Tensor, StreamState]:
    """Return the weighted mean loss in nats, and the lanes' states after their windows."""
    fresh = torch.from_numpy(batch.fresh).to(device)
    initial = model.initial_state(len(batch.fresh))
    state = initial if batch.fresh.all() else where(fresh, initial, state)
    out = model.stream(torch.from_numpy(batch.inputs).to(device), state)
    weights = torch.from_numpy(batch.weights).to(device)
    targets = torch.from_numpy(batch.targets).to(device).where(weights > 0, 0)
    loss = F.cross_entropy(out.logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(weights)
    return (loss * weights).sum() / weights.sum().clamp_min(1.0), out.state


def _sample(held_out: Sequence[np.ndarray], config: TrainingConfig) -> list[np.ndarray]:
    """Return the first bases of each held-out contig that hold no long gap, as many as an evaluation may read."""
    share = max(1, config.evaluation_bases // max(1, len(held_out)))
    pieces = []
    for ids in held_out:
        known = np.flatnonzero(ids < 4)
        if len(known):
            pieces.append(ids[known[0] : known[0] + share])
    return pieces
