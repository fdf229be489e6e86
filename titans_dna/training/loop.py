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
from titans_dna.loading.word_lanes import WordContig, WordLanes
from titans_dna.model.backbone import Backbone
from titans_dna.model.state import StreamState, detach, where
from titans_dna.tokenizers import Tokenizer
from titans_dna.training.config import TrainingConfig
from titans_dna.training.evaluation import NUCLEOTIDES, carried_bits
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
    contigs: Sequence[Contig] | Sequence[WordContig],
    held_out: Sequence[np.ndarray],
    config: TrainingConfig,
    *,
    bos: int,
    tokenizer: Tokenizer = NUCLEOTIDES,
    report: Callable[[LogRow], None],
) -> None:
    """Train ``model`` in place.

    Parameters
    ----------
    model
        On the device to train on.
    contigs
        Training contigs; `WordContig` ones where tokens have several bases.
    held_out
        Ids of the tokens of contigs to evaluate on; may be empty.
    bos
        Id of the start token.
    tokenizer
        What the ids mean.
    report
        Called with every row of the log, in order.

    Raises
    ------
    ConfigError
        If memories are to be carried from window to window but a window ends within a chunk of the model.
    """
    _check_window(model, config)
    device = next(model.parameters()).device
    sampler = _sampler(contigs, config, bos, model.config.targets)
    optimizer = make_optimizer(model, config)
    sample = _sample(held_out, config, model.config.targets)
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
        bases += int(batch.bases[batch.weights > 0].sum())

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

        note("train", float(loss.detach()) * _tokens_per_base(batch) / math.log(2))
        if sample and ((step + 1) % config.evaluate_every == 0 or step + 1 == config.steps):
            model.eval()
            note("validation", carried_bits(model, sample, bos, tokenizer=tokenizer).bits)
            model.train()
    model.eval()


def _sampler(
    contigs: Sequence[Contig] | Sequence[WordContig], config: TrainingConfig, bos: int, targets: int
) -> LaneSampler | WordLanes:
    shape = {"lanes": config.lanes, "window_tokens": config.window_tokens, "bos": bos, "targets": targets}
    words = [contig for contig in contigs if isinstance(contig, WordContig)]
    if words:
        soft = config.soft_mask_weight
        return WordLanes(words, **shape, restart=config.restart, soft_mask_weight=soft, seed=config.seed)
    single = [contig for contig in contigs if isinstance(contig, Contig)]
    return LaneSampler(single, **shape, restart=config.restart, seed=config.seed)


def _tokens_per_base(batch: Batch) -> float:
    """Return what turns a mean loss per token into one per base."""
    return float(batch.weights.sum() / max(1e-9, (batch.weights * batch.bases).sum()))


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


def _sample(held_out: Sequence[np.ndarray], config: TrainingConfig, targets: int) -> list[np.ndarray]:
    """Return the first tokens of each held-out contig that hold no long gap, as many as an evaluation may read."""
    share = max(1, config.evaluation_bases // max(1, len(held_out)))
    pieces = []
    for ids in held_out:
        known = np.flatnonzero(ids < targets)
        if len(known):
            pieces.append(ids[known[0] : known[0] + share])
    return pieces
