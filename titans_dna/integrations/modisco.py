"""Single-base changes of regions as what TF-MoDISco reads: one-hot sequence and hypothetical attributions.

    titans-dna mutagenesis --fasta genome.fa --bed peaks.bed --output effects.h5
    python -c "from titans_dna.integrations.modisco import export; export('effects.h5', 'ohe.npz', 'shap.npz')"
    modisco motifs -s ohe.npz -a shap.npz -n 2000 -o results.h5

All regions must be equally long. The attribution of a base at a place is its effect there (``effects``: ln P with it
less ln P of the reference) less the mean of the four bases, as is usual for in-silico mutagenesis.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError, FormatError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.hdf5_metadata import LONG
from titans_dna.io.disk.hdf5_reader import dataset, find, read_hdf5


def export(
    path: str | os.PathLike[str], sequences: str | os.PathLike[str], attributions: str | os.PathLike[str]
) -> int:
    """Write the two inputs of ``modisco motifs``; return the number of regions.

    Parameters
    ----------
    path
        HDF5 that ``titans-dna mutagenesis`` wrote.
    sequences
        ``.npz``: one-hot sequence, (regions, 4, bases) float32, rows A, C, G, T; N is zero in all rows.
    attributions
        ``.npz``: hypothetical attributions of the same shape.

    Raises
    ------
    FormatError
        If the file holds no single-base changes.
    ConfigError
        If regions are not equally long.
    """
    letters, effects = _read(Path(path))
    lengths = sorted({len(each) for each in letters})
    if len(lengths) > 1:
        raise ConfigError(
            f"{path}: regions have {lengths[0]:,} to {lengths[-1]:,} bases; TF-MoDISco takes regions of one length"
        )
    one_hot = np.stack([(each[None] == np.frombuffer(b"ACGT", np.uint8)[:, None]) for each in letters]).astype(
        np.float32
    )
    values = np.stack([each.T for each in effects]).astype(np.float32)
    values -= values.mean(1, keepdims=True)
    for target, array in ((sequences, one_hot), (attributions, np.nan_to_num(values))):
        with atomic_path(target) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, array)
    return len(letters)


def _read(path: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    with read_hdf5(path) as file:
        groups = [find(file, name) for name in file if name != LONG]
        if not groups or any(group is None or "effects" not in group for group in groups):
            raise FormatError("holds no single-base changes. Write it with `titans-dna mutagenesis`.", path=path)
        letters = [np.frombuffer(dataset(group, "reference", "S")[:].tobytes(), np.uint8) for group in groups]
        return letters, [dataset(group, "effects", "f", ndim=2)[:] for group in groups]
