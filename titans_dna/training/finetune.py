"""Trains a classifier on pooled features of a pretrained backbone, and a baseline on k-mers of the same split.

The baseline, which the classifier has to beat, is a logistic regression on k-mer frequencies.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from titans_dna.checkpoints import CLASSIFIER
from titans_dna.errors import ConfigError, OutputError, check_least
from titans_dna.inference.metrics import auroc, average_precision
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.training.labelled import LabelledData
from titans_dna.training.lora import add_adapters, merge_adapters
from titans_dna.training.optimizer import learning_rate
from titans_dna.training.run_folder import head_folder
from titans_dna.training.word_counts import words_before

MODES = ("full", "frozen", "last-layers", "lora")
LEAST_STEPS, LEAST_PASSES, MOST_PASSES = 250, 5, 50  # with fewer steps, a few hundred examples are not learned
HEAD, RESULT = "head.safetensors", CLASSIFIER
MOST_STEPS = 100  # most iterations of L-BFGS
PENALTY = 1e-3  # weight of the squared weights, relative to the mean loss


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Settings of a fine-tuning run.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    mode: str = "full"  # which weights are trained beside the head: one of MODES
    lora_rank: int = 8  # rank of the adapters that mode "lora" trains
    last_layers: int = 1  # number of last blocks that mode "last-layers" trains, together with the final norm
    epochs: int | None = None  # passes over the training examples; None for what `passes` chooses
    batch: int = 32  # examples per step
    learning_rate: float = 1e-3  # highest learning rate
    weight_decay: float = 0.01
    both_strands: bool = True  # train on the reverse complement half of the time; test on the mean of both strands
    kmer_bases: int = 6  # bases of the baseline's k-mers
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode is {self.mode!r}; choose one of {', '.join(MODES)}")
        check_least(
            1, lora_rank=self.lora_rank, last_layers=self.last_layers, epochs=self.epochs, batch=self.batch,
            kmer_bases=self.kmer_bases,
        )  # fmt: skip
        if self.kmer_bases > 8:
            raise ConfigError(f"kmer_bases is {self.kmer_bases}; choose up to 8")

    def passes(self, examples: int) -> int:
        """Return the number of passes over the training examples: ``epochs``, or 5 to 50 so as to make 250 steps."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-examples // self.batch)
        return min(MOST_PASSES, max(LEAST_PASSES, -(-LEAST_STEPS // steps)))


class Classifier(nn.Module):
    """A linear head on two features of a sequence: the mean over its known bases, and the one at its last base."""

    def __init__(self, backbone: Backbone, classes: int, bos: int) -> None:
        super().__init__()
        self.backbone, self.bos = backbone, bos
        self.head = nn.Linear(2 * backbone.config.width, classes)
        # All classes begin equally probable, so the first gradients of the backbone are small.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """Return logits (B, classes) of padded ids (B, T); padding, where ``valid`` is False, changes nothing."""
        start = torch.full_like(ids[:, :1], self.bos)
        hidden = self.backbone.stream(torch.cat([start, ids], 1)).hidden[:, 1:]
        known = (valid & (ids < self.backbone.config.targets)).unsqueeze(-1)
        count = known.sum(1).clamp_min(1)
        # The model is causal, so only the last base has seen the whole sequence; the mean adds what stood out on the
        # way.
        last = (valid.sum(1) - 1).clamp_min(0)
        pooled = torch.where(known, hidden, 0.0).sum(1) / count
        return self.head(torch.cat([pooled, hidden[torch.arange(len(ids), device=ids.device), last]], -1))


def finetune_model(
    model: SequenceModel,
    data: LabelledData,
    output: Path,
    config: FinetuneConfig,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Train a classifier, test it and the k-mer baseline, and write the classifier and both results to ``output``.

    The output is a model folder with the fine-tuned backbone, and with ``head.safetensors`` and ``finetune.json``.

    Raises
    ------
    ConfigError
        If the model's tokens have several bases.
    OutputError
        If the folder cannot be written, holds another model, or another run is writing it.
    """
    require_single_bases(model, "classifiers")
    with head_folder(output, RESULT):
        return _finetune(model, data, output, replace(config, epochs=config.passes(len(data.training))), advance)


def _finetune(
    model: SequenceModel, data: LabelledData, output: Path, config: FinetuneConfig, advance: Callable[[int], None]
) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    device = model.device
    backbone = copy.deepcopy(model.backbone)
    net = Classifier(backbone, len(data.classes), model.bos).to(device)
    started, learned = time.monotonic(), _learned(net, config)
    _fit(net, data, config, learned, advance)
    seconds = time.monotonic() - started
    if config.mode == "lora":
        merge_adapters(net.backbone)
    probabilities = classify(net, data.tested, config)
    baseline = kmer_probabilities(
        data.training, data.training_labels, data.tested, len(data.classes), config.kmer_bases
    )  # fmt: skip
    result = {
        "classes": list(data.classes),
        "rows": data.outcomes,
        "training_examples": len(data.training),
        "tested_examples": len(data.tested),
        "model": classification_metrics(probabilities, data.tested_labels),
        "kmer_baseline": classification_metrics(baseline, data.tested_labels),
        "backbone": model.name,
        "backbone_sha256": model.weights_sha256,
        "parameters_trained": sum(weight.numel() for weight in learned),
        "seconds": round(seconds, 1),
        **asdict(config),
    }
    save_checkpoint(output, backbone, model.tokenizer.to_json(), {RESULT: json.dumps(result, indent=2) + "\n"})
    try:
        with atomic_path(output / HEAD) as temporary:
            save_file({name: x.detach().cpu().clone() for name, x in net.head.state_dict().items()}, temporary)
    except OSError as error:
        raise OutputError(f"cannot write the head: {error}. Choose another --output.", path=output) from error
    return result


def _learned(net: Classifier, config: FinetuneConfig) -> list[nn.Parameter]:
    """Choose the weights that are trained, and return them."""
    net.backbone.requires_grad_(config.mode == "full")
    if config.mode == "lora":
        add_adapters(net.backbone, config.lora_rank)
    if config.mode == "last-layers":
        for part in (*net.backbone.blocks[-config.last_layers :], net.backbone.norm):
            part.requires_grad_(True)
    net.backbone.head.requires_grad_(False)  # this head predicts bases and is not used here
    return [p for p in net.parameters() if p.requires_grad]


def _fit(
    net: Classifier,
    data: LabelledData,
    config: FinetuneConfig,
    learned: list[nn.Parameter],
    advance: Callable[[int], None],
) -> None:
    random = np.random.default_rng(config.seed)
    optimizer = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=config.weight_decay)
    epochs = config.passes(len(data.training))
    steps = epochs * -(-len(data.training) // config.batch)
    step = 0
    net.train()
    for _ in range(epochs):
        order = random.permutation(len(data.training))
        for start in range(0, len(order), config.batch):
            rows = order[start : start + config.batch]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps, config.learning_rate, warmup=0.1, final=0.0)
            # A strand for each example, drawn anew in every pass.
            flips = random.integers(0, 2, len(rows)) if config.both_strands else np.zeros(len(rows))
            sequences = [_strand(data.training[row], bool(flip)) for row, flip in zip(rows, flips, strict=True)]
            logits = net(*_padded(sequences, net))
            target = torch.from_numpy(data.training_labels[rows]).to(logits.device)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(logits, target).backward()
            # One batch whose gradient is not finite must not spoil all weights.
            if math.isfinite(float(nn.utils.clip_grad_norm_(learned, 1.0))):
                optimizer.step()
            step += 1
            advance(len(rows))
    net.eval()


@torch.inference_mode()
def classify(net: Classifier, sequences: Sequence[np.ndarray], config: FinetuneConfig) -> np.ndarray:
    """Return class probabilities (n, classes), averaged over both strands if the classifier was trained on both."""
    total = np.zeros((len(sequences), net.head.out_features))
    for flip in (False, True) if config.both_strands else (False,):
        for start in range(0, len(sequences), config.batch):
            rows = [_strand(ids, flip) for ids in sequences[start : start + config.batch]]
            total[start : start + config.batch] += net(*_padded(rows, net)).softmax(-1).double().cpu().numpy()
    return total / total.sum(1, keepdims=True)


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy, MCC, AUROC and AUPRC; for more than two classes, the last two are means over the classes."""
    classes = probabilities.shape[1]
    found = probabilities.argmax(1)
    table = np.zeros((classes, classes))
    np.add.at(table, (labels, found), 1)
    n, right = table.sum(), np.trace(table)
    true, said = table.sum(1), table.sum(0)
    # Matthews correlation of several classes: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.
    spread = math.sqrt(float(n**2 - (said**2).sum())) * math.sqrt(float(n**2 - (true**2).sum()))
    asked = [1] if classes == 2 else [c for c in range(classes) if 0 < true[c] < n]
    return {
        "accuracy": float(right / n),
        "mcc": float((right * n - true @ said) / spread) if spread else 0.0,
        "auroc": float(np.mean([auroc(probabilities[:, c], labels == c) for c in asked])),
        "auprc": float(np.mean([average_precision(probabilities[:, c], labels == c) for c in asked])),
    }


def _strand(ids: np.ndarray, reverse: bool) -> np.ndarray:
    return np.where(ids < 4, 3 - ids, ids)[::-1] if reverse else ids


def _padded(sequences: Sequence[np.ndarray], net: Classifier) -> tuple[Tensor, Tensor]:
    """Return ids, padded at the end with an id that is no base, and where they are valid."""
    longest, device = max(len(ids) for ids in sequences), net.head.weight.device
    ids = torch.full((len(sequences), longest), net.backbone.config.targets, dtype=torch.long)
    valid = torch.zeros(ids.shape, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.from_numpy(sequence.astype(np.int64))
        valid[row, : len(sequence)] = True
    return ids.to(device), valid.to(device)


def kmer_frequencies(sequences: Sequence[np.ndarray], kmer_bases: int) -> np.ndarray:
    """Return the frequency of every k-mer among the k-mers without N of each sequence, (n, 4^k) float32."""
    rows = np.zeros((len(sequences), 4**kmer_bases), dtype=np.float32)
    for row, ids in zip(rows, sequences, strict=True):
        word, base = words_before(ids, kmer_bases - 1)
        row += np.bincount(word * 4 + base, minlength=len(row))
        row /= max(1, len(base))
    return rows


def fit_logistic(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (classes, m) and bias of a multinomial logistic regression with an L2 penalty."""
    x, y = torch.from_numpy(features), torch.from_numpy(labels)
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=MOST_STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight.T + bias, y) + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def kmer_probabilities(
    training: Sequence[np.ndarray], labels: np.ndarray, tested: Sequence[np.ndarray], classes: int, kmer_bases: int
) -> np.ndarray:
    """Fit the baseline on ``training`` and return its class probabilities (n, classes) of ``tested``."""
    learned, asked = kmer_frequencies(training, kmer_bases), kmer_frequencies(tested, kmer_bases)
    mean, scale = learned.mean(0), learned.std(0) + 1e-6
    weight, bias = fit_logistic((learned - mean) / scale, labels, classes)
    return (torch.from_numpy((asked - mean) / scale) @ weight.T + bias).softmax(-1).numpy()
