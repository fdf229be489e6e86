"""Ranking metrics of scores against binary truth; numpy only.

A higher score speaks for the positive class. The order in which tied scores are given never matters: a tie counts
half in the area under the ROC curve, and all members of a tie enter a curve in one step.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the probability that a positive outscores a negative, ties counting half.

    Parameters
    ----------
    scores
        Finite numbers, shape (n,).
    labels
        True (or 1) for a positive, False (or 0) for a negative, shape (n,).

    Returns
    -------
    float
        Between 0 and 1; nan when one of the two classes is empty.

    Raises
    ------
    ValueError
        If the shapes differ, a score is not finite, or a label is neither 0 nor 1.

    Examples
    --------
    >>> auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    positive, negative = _split(scores, labels)
    if not positive.size or not negative.size:
        return float("nan")
    return float(placements(positive, negative).mean())


def auroc_interval(scores: ArrayLike, labels: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return DeLong's confidence interval of the area under the ROC curve, clipped to [0, 1].

    Parameters
    ----------
    scores, labels
        As for `auroc`.
    level
        Confidence, between 0 and 1, both excluded.

    Returns
    -------
    tuple of float
        Lower and upper bound; (nan, nan) when a class has fewer than two members.

    Raises
    ------
    ValueError
        As for `auroc`, or if `level` is outside (0, 1).

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44, 837-845.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a number between 0 and 1")
    positive, negative = _split(scores, labels)
    if min(positive.size, negative.size) < 2:
        return float("nan"), float("nan")
    of_positives = placements(positive, negative)
    of_negatives = placements(negative, positive)
    # DeLong et al. 1988: the variance of the area is the sum of those of the two kinds of placements, over their
    # numbers.
    deviation = np.sqrt(of_positives.var(ddof=1) / positive.size + of_negatives.var(ddof=1) / negative.size)
    half = NormalDist().inv_cdf(0.5 + level / 2) * float(deviation)
    area = float(of_positives.mean())
    return max(0.0, area - half), min(1.0, area + half)


def share_interval(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's confidence interval of a share.

    Parameters
    ----------
    hits, trials
        How often something came about, in how many trials.
    level
        Confidence, between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        If there are no trials, or more hits than trials.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    Examples
    --------
    >>> low, high = share_interval(20, 20)
    >>> round(low, 3), high
    (0.839, 1.0)
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"{hits} hits of {trials} trials; give at least one trial, and no more hits than trials")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, weight = hits / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / weight
    half = z / weight * float(np.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)))
    return max(0.0, middle - half), min(1.0, middle + half)


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates from (0, 0) to (1, 1), one step per distinct score.

    Parameters
    ----------
    scores, labels
        As for `auroc`.

    Returns
    -------
    tuple of arrays
        False positive rate and true positive rate, each of shape (distinct scores + 1,).

    Raises
    ------
    ValueError
        As for `auroc`, or if one of the two classes is empty.
    """
    true_positives, false_positives = _cumulative(scores, labels)
    if not true_positives[-1] or not false_positives[-1]:
        raise ValueError("a ROC curve needs at least one positive and one negative")
    return false_positives / false_positives[-1], true_positives / true_positives[-1]


def precision_recall_curve(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision and recall from the highest distinct score downwards.

    Parameters
    ----------
    scores, labels
        As for `auroc`.

    Returns
    -------
    tuple of arrays
        Precision and recall, each of shape (distinct scores,).

    Raises
    ------
    ValueError
        As for `auroc`, or if there is no positive.
    """
    true_positives, false_positives = _cumulative(scores, labels)
    if not true_positives[-1]:
        raise ValueError("a precision-recall curve needs at least one positive")
    called, found = (true_positives + false_positives)[1:], true_positives[1:]
    return found / called, found / found[-1]


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean precision over the steps in recall, without interpolation.

    Parameters
    ----------
    scores, labels
        As for `auroc`.

    Returns
    -------
    float
        Between 0 and 1 (by chance about the share of positives); nan when there is no positive.

    Raises
    ------
    ValueError
        As for `auroc`.

    Examples
    --------
    >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
    0.8333
    """
    positive, _ = _split(scores, labels)
    if not positive.size:
        return float("nan")
    precision, recall = precision_recall_curve(scores, labels)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores as float64 and labels as bool; raise ValueError if they are not fit for it."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"scores of shape {values.shape} and labels of shape {truth.shape}; both must be (n,)")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite; leave such records out first")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("a label is neither 0 nor 1")
    return values, truth.astype(bool)


def _split(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of the positives and those of the negatives."""
    values, truth = _checked(scores, labels)
    return values[truth], values[~truth]


def placements(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each value of `of`, the share of `among` that is below it, ties counting half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, of, side="left")
    not_above = np.searchsorted(ordered, of, side="right")
    return (below + not_above) / (2.0 * among.size)


def _cumulative(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of true and false positives, from 0, with one step per distinct score, highest first."""
    values, truth = _checked(scores, labels)
    order = np.argsort(-values, kind="stable")
    # Only the last of equal scores ends a step, so ties enter together.
    ends = np.append(np.diff(values[order]) != 0, True)[: values.size]
    hits = np.cumsum(truth[order])[ends]
    misses = np.cumsum(~truth[order])[ends]
    return np.concatenate([[0], hits]), np.concatenate([[0], misses])
