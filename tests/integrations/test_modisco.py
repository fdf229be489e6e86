"""TF-MoDISco itself finds a motif again that effects were planted for."""

from __future__ import annotations

import numpy as np
import pytest

from titans_dna.genome.interval import Interval
from titans_dna.inference.mutagenesis import RegionEffects
from titans_dna.integrations.modisco import export
from titans_dna.jobs.mutagenesis import _write_effects

modiscolite = pytest.importorskip("modiscolite", reason="tfmodisco-lite is not installed")

MOTIF, BASES, REGIONS = b"TGACTCAGCA", 120, 150


def planted(number: int, random: np.random.Generator) -> RegionEffects:
    """A random region with the motif in it, each of whose bases costs 3 nats to change; all others next to nothing."""
    letters = random.choice(np.frombuffer(b"ACGT", np.uint8), BASES)
    at = int(random.integers(20, BASES - 20 - len(MOTIF)))
    letters[at : at + len(MOTIF)] = np.frombuffer(MOTIF, np.uint8)
    effects = random.normal(0, 0.05, (BASES, 4, 2))
    effects[at : at + len(MOTIF)] -= 3
    effects[letters[:, None] == np.frombuffer(b"ACGT", np.uint8)] = 0  # the base of the reference changes nothing
    region = Interval("chrA", number * BASES, (number + 1) * BASES)
    return RegionEffects(region=region, reference=letters.tobytes(), strands=effects.astype(np.float32))


def test_a_planted_motif_is_found(tmp_path):
    random = np.random.default_rng(0)
    effects, ohe, shap = tmp_path / "effects.h5", tmp_path / "ohe.npz", tmp_path / "shap.npz"
    _write_effects(effects, [planted(number, random) for number in range(REGIONS)], {"options": "kind=mutagenesis"})
    assert export(effects, ohe, shap) == REGIONS
    one_hot, attributions = (np.load(path)["arr_0"].transpose(0, 2, 1) for path in (ohe, shap))
    found, _ = modiscolite.tfmodisco.TFMoDISco(
        hypothetical_contribs=attributions.astype(np.float32), one_hot=one_hot.astype(np.float32),
        max_seqlets_per_metacluster=2000,
    )  # fmt: skip
    pattern = found[0].sequence  # (bases, 4): shares of the bases
    sure = bytes(b"ACGT"[base] for base in pattern[pattern.max(1) > 0.9].argmax(1))
    assert sure in (MOTIF, MOTIF.translate(bytes.maketrans(b"ACGT", b"TGCA"))[::-1])
