"""Logistic regression on k-mer frequencies: the baseline that a fine-tuned model has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

MOST_STEPS = 100  # most iterations of L-BFGS
PENALTY = 1e-3  # weight of the squared weights, relative to the mean loss


def kmer_frequencies(sequences: Sequence[np.ndarray], kmer_bases: int) -> np.ndarray:
    """Return the frequency of every k-mer among the k-mers without N of each sequence, (n, 4^k) float32."""
    rows = np.zeros((len(sequences), 4**kmer_bases), dtype=np.float32)
    for row, ids in zip(rows, sequences, strict=True):
        size = max(0, len(ids) - kmer_bases + 1)
        word, known = np.zeros(size, dtype=np.int64), np.ones(size, dtype=bool)
        for at in range(kmer_bases):
            piece = ids[at : at + size]
            known &= piece < 4
            word = word * 4 + (piece & 3)
        row += np.bincount(word[known], minlength=len(row))
        row /= max(1, known.sum())
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
