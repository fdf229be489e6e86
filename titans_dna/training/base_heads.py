"""Trains a head at base resolution on features of both strands, and tests it beside the same head on bases alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from titans_dna.checkpoints import BASE_HEAD
from titans_dna.errors import CheckpointError, ConfigError, InputMissing, OutputError
from titans_dna.genome.interval import Interval
from titans_dna.inference.base_features import BothStrands, mirrored
from titans_dna.inference.metrics import auroc, average_precision
from titans_dna.inference.model import SequenceModel, load_model, require_single_bases
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.sequence.fasta import Genome
from titans_dna.model.base_head import REACH_BP, BaseHead
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.device import one_thread
from titans_dna.tokenizers import base_ids
from titans_dna.training.base_targets import BaseTargets
from titans_dna.training.optimizer import learning_rate
from titans_dna.training.run_folder import head_folder

HEAD, RESULT = "base_head.safetensors", BASE_HEAD
PIECE_BP = 1024  # bases of an example; a batch has 16 of them
BATCH = 16
LETTERS = 5  # A, C, G, T and any other letter


@dataclass(frozen=True, kw_only=True)
class BaseHeadConfig:
    """Settings of a head.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    layers: tuple[str, ...] = ("final",)  # features of a base
    window_bp: int = 4096  # bases that the network reads before a block
    bases: int = 2_000_000  # most bases to learn from, in blocks drawn at random
    test_bases: int = 1_000_000  # most bases to test on, in blocks drawn at random
    epochs: int = 4  # passes over the bases
    learning_rate: float = 2e-3  # highest learning rate
    weight_decay: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("window_bp", "bases", "test_bases", "epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 < self.learning_rate < float("inf") or self.weight_decay < 0:
            raise ConfigError("learning_rate must be above 0, and weight_decay 0 or more")


@dataclass(frozen=True, kw_only=True)
class TrainedBaseHead:
    """A head that is ready to use, and the model whose features it reads."""

    model: SequenceModel
    head: BaseHead
    names: tuple[str, ...]
    regression: bool
    config: BaseHeadConfig

    def predict(self, strands: BothStrands, start: int, end: int) -> np.ndarray:
        """Return probabilities of classes, or values, of bases ``start`` to ``end``, (bases, names) float32."""
        low, high = max(0, start - REACH_BP), min(strands.length_bp, end + REACH_BP)
        with one_thread():
            found = _outputs(self.head, strands.read(low, high), self.regression)
        return found[start - low : end - low]


@dataclass(frozen=True, kw_only=True)
class _Examples:
    """Blocks of bases, one behind the other: their features, and the targets to be predicted."""

    features: np.ndarray  # (bases, columns) float16
    letters: np.ndarray  # (bases, 2 x LETTERS) float16: one-hot, of both strands
    targets: np.ndarray  # (bases, names) float32; nan for what is not known
    lengths: list[int]  # of the blocks

    def pieces(self) -> list[tuple[int, int]]:
        """Return stretches of at most `PIECE_BP` bases, none over the border of two blocks."""
        found, at = [], 0
        for length in self.lengths:
            found += [(at + low, at + min(low + PIECE_BP, length)) for low in range(0, length, PIECE_BP)]
            at += length
        return found


@one_thread()
def train_base_head(
    model: SequenceModel,
    genome: Genome,
    targets: BaseTargets,
    holdout: Sequence[Interval],
    output: Path,
    config: BaseHeadConfig,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Train a head, test it on contigs that are held out, and write it with the model to ``output``.

    The model itself is not changed. Beside the head stands a baseline: a head of the same form that sees bases alone.

    Parameters
    ----------
    model
        With one token per base.
    genome, targets
        The sequence, and the targets that the head learns to predict.
    holdout
        Regions or whole contigs to test on, under the genome's names; 0-based half-open.
    output
        Folder: a model with ``base_head.safetensors`` and ``base_head.json``.
    config
        Settings.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    ConfigError
        If nothing is held out or left to learn from, or the model's tokens have several bases.
    OutputError
        If the folder cannot be written, holds another model, or another run is writing it.
    """
    require_single_bases(model, "heads at base resolution")
    with head_folder(output, RESULT):
        return _train(model, genome, targets, holdout, output, config, advance)


def _train(
    model: SequenceModel, genome: Genome, targets: BaseTargets, holdout: Sequence[Interval], output: Path,
    config: BaseHeadConfig, advance: Callable[[int, int], None],
) -> dict[str, Any]:  # fmt: skip
    random = np.random.default_rng(config.seed)
    learned, tested = _divided(genome, holdout, config.window_bp)
    chosen = [_draw(learned, config.bases, random), _draw(tested, config.test_bases, random)]
    if not all(chosen):
        raise ConfigError("name contigs or regions to test on with --holdout, and leave something to learn from")
    total = sum(end - start for part in chosen for _, start, end in part)
    started = time.monotonic()
    train, test = (_read(model, genome, targets, part, config, lambda done: advance(done, total)) for part in chosen)
    if not np.isfinite(train.targets).any() or not np.isfinite(test.targets).any():
        raise ConfigError("the targets have no value where bases were drawn; check the contigs, or raise --bases")
    heads = {"model": train.features, "bases_alone": train.letters}
    seen = {"model": test.features, "bases_alone": test.letters}
    result: dict[str, Any] = {
        "names": list(targets.names), "regression": targets.regression, "holdout": list(map(str, holdout)),
        "bases_learned": len(train.targets), "bases_tested": len(test.targets),
    }  # fmt: skip
    for name in heads:
        head = _fit(heads[name], train, targets.regression, config)
        found = _outputs_of(head, seen[name], test, targets.regression)
        result[name] = metrics(found, test.targets, targets)
        if name == "model":
            kept = head
    weights = save({name: x.detach().cpu().clone() for name, x in kept.state_dict().items()})
    result |= {
        "head_sha256": hashlib.sha256(weights).hexdigest(),
        "backbone": model.name, "backbone_sha256": model.weights_sha256,
        "seconds": round(time.monotonic() - started, 1), **asdict(config),
    }  # fmt: skip
    text = json.dumps(result, indent=2) + "\n"
    save_checkpoint(output, model.backbone, model.tokenizer.to_json(), {RESULT: text})
    try:
        with atomic_path(output / HEAD) as temporary:
            temporary.write_bytes(weights)
    except OSError as error:
        raise OutputError(f"cannot write the head: {error}. Choose another --output.", path=output) from error
    return result


def holds_base_head(folder: Path) -> bool:
    """Tell whether a folder holds a head at base resolution."""
    return (folder / RESULT).is_file()


def load_base_head(folder: Path, device: str = "auto") -> TrainedBaseHead:
    """Load the folder of a head.

    Raises
    ------
    InputMissing
        If the folder holds no head.
    CheckpointError
        If a file is damaged, or the head does not fit the model.
    """
    model = load_model(folder, device)
    for name in (HEAD, RESULT):
        if not (folder / name).is_file():
            raise InputMissing(f"has no {name}. Make it with `titans-dna finetune --targets`.", path=folder)
    try:
        told: dict[str, Any] = json.loads((folder / RESULT).read_text())
        values = {f.name: told[f.name] for f in fields(BaseHeadConfig)}
        config = BaseHeadConfig(**{**values, "layers": tuple(values["layers"])})
        names, regression = tuple(map(str, told["names"])), bool(told["regression"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"is damaged ({error!r}). Restore the file.", path=folder / RESULT) from error
    weights = (folder / HEAD).read_bytes()
    if hashlib.sha256(weights).hexdigest() != told.get("head_sha256"):  # of another run, or damaged
        raise CheckpointError(f"is not the head that {RESULT} tells of. Train it again.", path=folder / HEAD)
    head = BaseHead(2 * len(config.layers) * model.backbone.config.width, len(names))
    try:
        head.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"does not fit the model ({reason}). Restore the file.", path=folder / HEAD) from error
    return TrainedBaseHead(
        model=model, head=head.to(model.device).eval(), names=names, regression=regression, config=config
    )


def metrics(found: np.ndarray, wanted: np.ndarray, targets: BaseTargets) -> dict[str, dict[str, float]]:
    """Return figures by name: AUPRC, AUROC and share of a class, or the correlation of a track; nan where undefined."""
    out: dict[str, dict[str, float]] = {}
    for number, name in enumerate(targets.names):
        known = np.isfinite(wanted[:, number])
        said, true = found[known, number].astype(np.float64), wanted[known, number]
        if targets.regression:
            spread = len(true) > 1 and said.std() > 0 and true.std() > 0
            out[name] = {"correlation": float(np.corrcoef(said, true)[0, 1]) if spread else float("nan")}
            continue
        labels = true > 0.5
        both = 0 < labels.sum() < len(labels)
        out[name] = {
            "auprc": average_precision(said, labels) if both else float("nan"),
            "auroc": auroc(said, labels) if both else float("nan"),
            "share": float(labels.mean()) if len(labels) else float("nan"),
        }
    return out


def _divided(
    genome: Genome, holdout: Sequence[Interval], size: int
) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """Return stretches of a window each: those to learn from, and those to test on; others touch what is held out."""
    learned, tested = [], []
    for contig, length in genome.contigs.lengths.items():
        aside = [(each.start, each.end) for each in holdout if each.contig == contig]
        for start in range(0, length, size):
            end = min(start + size, length)
            if any(low <= start and end <= high for low, high in aside):
                tested.append((contig, start, end))
            elif not any(low < end and start < high for low, high in aside):
                learned.append((contig, start, end))
    return learned, tested


def _draw(every: Sequence[tuple[str, int, int]], most: int, random: np.random.Generator) -> list[tuple[str, int, int]]:
    """Return stretches of so many bases together, drawn without repetition, in the order of the genome."""
    chosen, taken = [], 0
    for number in random.permutation(len(every)).tolist():
        if taken >= most:
            break
        chosen.append(number)
        taken += every[number][2] - every[number][1]
    return [every[number] for number in sorted(chosen)]


def _read(
    model: SequenceModel, genome: Genome, targets: BaseTargets, chosen: Sequence[tuple[str, int, int]],
    config: BaseHeadConfig, advance: Callable[[int], None],
) -> _Examples:  # fmt: skip
    parts: dict[str, list[np.ndarray]] = {"features": [], "letters": [], "targets": []}
    strands, held, sequence = None, "", b""
    for contig, start, end in chosen:
        if contig != held:
            held, sequence = contig, genome.sequence(contig)
            strands = BothStrands(model, sequence, config.layers, config.window_bp)
        assert strands is not None
        parts["features"].append(strands.read(start, end).astype(np.float16))
        letters = np.eye(LETTERS, dtype=np.float16)[np.minimum(base_ids(sequence[start:end]), 4)]
        # Of the other strand each base has its complement, as features of the reverse strand have.
        parts["letters"].append(np.concatenate([letters, letters[:, [3, 2, 1, 0, 4]]], 1))
        values = targets.values(contig, start, end)
        values[letters[:, 4] > 0] = np.nan
        parts["targets"].append(values)
        advance(end - start)
    joined: Mapping[str, np.ndarray] = {name: np.concatenate(each) for name, each in parts.items()}
    return _Examples(**joined, lengths=[end - start for _, start, end in chosen])


def _fit(features: np.ndarray, examples: _Examples, regression: bool, config: BaseHeadConfig) -> BaseHead:
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    head = BaseHead(features.shape[1], examples.targets.shape[1])
    sample = features[:: max(1, len(features) // 200_000)].astype(np.float32)
    head.mean.copy_(torch.from_numpy(sample.mean(0)))
    head.scale.copy_(torch.from_numpy(1 / (sample.std(0) + 1e-3)))
    if regression:
        head.target_mean.copy_(torch.from_numpy(np.nanmean(examples.targets, 0)))
        head.target_scale.copy_(torch.from_numpy(np.nanstd(examples.targets, 0) + 1e-6))
    else:  # begins with the share of each class
        share = np.clip(np.nanmean(examples.targets, 0), 1e-4, 1 - 1e-4)
        head.out.bias.data.copy_(torch.from_numpy(np.log(share / (1 - share))))
    pieces = examples.pieces()
    steps = config.epochs * -(-len(pieces) // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = 0
    for _ in range(config.epochs):
        order = random.permutation(len(pieces))
        for first in range(0, len(order), BATCH):
            rows = [pieces[number] for number in order[first : first + BATCH]]
            flips = random.integers(0, 2, len(rows)).astype(bool)
            x, y = _batch(features, examples.targets, rows, flips)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, config.learning_rate, warmup=0.05, final=0.0)
            loss = _loss(head, x, y, regression)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if torch.isfinite(nn.utils.clip_grad_norm_(head.parameters(), 1.0)):
                optimizer.step()
            step += 1
    return head.eval()


def _batch(
    features: np.ndarray, targets: np.ndarray, rows: Sequence[tuple[int, int]], flips: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Return features and targets of pieces, padded at their ends; flipped ones are those of the other strand."""
    longest = max(end - start for start, end in rows)
    x = np.zeros((len(rows), longest, features.shape[1]), np.float32)
    y = np.full((len(rows), longest, targets.shape[1]), np.nan, np.float32)
    for row, ((start, end), flip) in enumerate(zip(rows, flips, strict=True)):
        part, wanted = features[start:end].astype(np.float32), targets[start:end]
        x[row, : end - start] = mirrored(part) if flip else part
        y[row, : end - start] = wanted[::-1] if flip else wanted
    return torch.from_numpy(x), torch.from_numpy(y)


def _loss(head: BaseHead, x: Tensor, y: Tensor, regression: bool) -> Tensor:
    out, known = head(x), torch.isfinite(y)
    y = torch.where(known, y, 0.0)
    each = (
        (out - (y - head.target_mean) / head.target_scale) ** 2
        if regression
        else F.binary_cross_entropy_with_logits(out, y, reduction="none")
    )
    return (each * known).sum() / known.sum().clamp_min(1)


@torch.inference_mode()
def _outputs(head: BaseHead, features: np.ndarray, regression: bool) -> np.ndarray:
    """Return what a head says of bases (bases, names) float32, the mean of both directions of reading."""
    total = np.zeros((len(features), head.out.out_features), np.float32)
    device = head.out.weight.device
    for turned in (False, True):
        x = mirrored(features) if turned else features
        out = head(torch.from_numpy(np.ascontiguousarray(x, np.float32))[None].to(device))[0]
        out = out * head.target_scale + head.target_mean if regression else out.sigmoid()
        found = out.cpu().numpy()
        total += found[::-1] if turned else found
    return total / 2


def _outputs_of(head: BaseHead, features: np.ndarray, examples: _Examples, regression: bool) -> np.ndarray:
    """Return what a head says of examples, block by block."""
    edges = np.cumsum([0, *examples.lengths])
    return np.concatenate([
        _outputs(head, features[start:end].astype(np.float32), regression)
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ])  # fmt: skip
