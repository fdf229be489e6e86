"""Vectors in two dimensions: principal components, and UMAP where umap-learn is installed."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 15  # UMAP's own default


def principal_components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the projection (n, 2) of vectors (n, width) on two principal components, and their shares of variance.

    Components come from the singular value decomposition of the centred vectors. The sign of each is chosen so that
    its largest loading is positive. Where there is one component only, or none, the missing ones are zero.
    """
    projection, explained = np.zeros((len(vectors), 2)), np.zeros(2)
    if len(vectors) > 1:
        centred = vectors - vectors.mean(axis=0)
        _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
        kept = min(2, len(lengths))
        rows = np.arange(kept)
        signs = np.sign(directions[rows, np.abs(directions[:kept]).argmax(axis=1)])
        projection[:, :kept] = centred @ (directions[:kept] * signs[:, None]).T
        total = float((lengths**2).sum())
        explained[:kept] = lengths[:kept] ** 2 / total if total else 0.0
    # Six significant digits of the largest value: the last bits depend on the machine's linear algebra, and the page
    # should not.
    digits = 6 - int(np.ceil(np.log10(max(np.abs(projection).max(initial=0), 1e-300))))
    return projection.round(digits), (float(explained[0]), float(explained[1]))


def nearest_agree(vectors: NDArray[np.float64], classes: NDArray[np.str_]) -> tuple[float, float]:
    """Return the share of vectors (n, width) whose nearest other vector has the same class, and what chance gives.

    Nearest is by the distance of the centred vectors, each divided by its length, so that the size of a vector does
    not count; nan with fewer than two vectors.
    """
    count = len(vectors)
    if count < 2:
        return np.nan, np.nan
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    likeness = (centred @ centred.T).round(6)  # rounded, for the last bits depend on the machine
    np.fill_diagonal(likeness, -np.inf)
    _, numbers = np.unique(classes, return_counts=True)
    chance = float((numbers * (numbers - 1)).sum() / (count * (count - 1)))
    return float((classes[likeness.argmax(axis=1)] == classes).mean()), chance


def umap_projection(vectors: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the projection (n, 2) of vectors (n, width) by UMAP, with its default settings and a fixed seed.

    None if umap-learn is not installed, or if there are no more vectors than UMAP takes neighbours (15).
    """
    if len(vectors) <= NEIGHBOURS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError:
            return None
        found = umap.UMAP(n_neighbors=NEIGHBOURS, random_state=0, n_jobs=1).fit_transform(vectors)
    result: NDArray[np.float64] = np.asarray(found, dtype=np.float64).round(4)
    return result
