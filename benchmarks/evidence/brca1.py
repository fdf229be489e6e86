"""BRCA1 saturation editing with and without context: the same model, the same bases scored, other bases before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from frozen import frozen_memories

from titans_dna.inference.metrics import auroc
from titans_dna.inference.model import SequenceModel

BEFORE_BP = 128  # of a fresh window: what two layers of window attention reach
BATCH = 16


def scores_by_context(model: SequenceModel, data: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return which variants are loss of function, and ln P(ALT) - ln P(REF) of each, both strands, by context."""
    from titans_dna.inference.alleles import read_alleles
    from titans_dna.inference.score_variants import HORIZON_BP, score_strands
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.io.variants.vcf import read_variants

    vcf = data / "human/hg19_brca1_sge.vcf"
    with open_fasta(data / "human/hg19_brca1_region.fa") as fasta:
        with read_variants(vcf) as reader:
            labels = np.array([record.info()["CLASS"] == "LOF" for record in reader])
        with read_variants(vcf) as reader:
            alleles = read_alleles(reader, fasta, longest_bp=10).alleles["brca1_region"]
        sequence = fasta.sequence("brca1_region")
    carried = score_strands(model, sequence, alleles).mean(1)
    with frozen_memories(model.backbone):
        frozen = score_strands(model, sequence, alleles).mean(1)
    ids = model.tokenizer.encode(sequence)
    strands = [(ids, [(a.start, "ACGT".index(a.alt.decode())) for a in alleles])]
    strands.append((_complement(ids), [(len(ids) - 1 - at, 3 - alt) for at, alt in strands[0][1]]))
    fresh = np.mean([_fresh(model, text, places, HORIZON_BP) for text, places in strands], axis=0)
    scores = {
        "whole region before, memory carried": carried,
        "whole region before, memory frozen": frozen,
        f"{BEFORE_BP} bases before, a fresh window": fresh,
    }
    return labels[[a.row for a in alleles]], scores


def _complement(ids: np.ndarray) -> np.ndarray:
    return np.where(ids < 4, 3 - ids, ids)[::-1]


@torch.inference_mode()
def _fresh(model: SequenceModel, ids: np.ndarray, places: list[tuple[int, int]], horizon_bp: int) -> np.ndarray:
    """Score SNVs (0-based place, base) of a strand, each in a window of its own, from the variant to the horizon."""
    size = BEFORE_BP + 1 + horizon_bp
    padded = np.concatenate([np.full(BEFORE_BP, 4), ids.astype(np.int64), np.full(horizon_bp + 1, 4)])
    wanted = list(dict.fromkeys([*((at, int(ids[at])) for at, _ in places), *places]))  # a place has one REF
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(wanted), BATCH):
        group = wanted[start : start + BATCH]
        text = torch.from_numpy(np.stack([padded[at : at + size] for at, _ in group]))
        text[:, BEFORE_BP] = torch.tensor([base for _, base in group])
        inputs = torch.cat([torch.full_like(text[:, :1], model.bos), text[:, :-1]], 1)
        log_p, known = model.backbone(inputs).log_softmax(-1), text < 4
        picked = log_p.gather(-1, text.where(known, 0).unsqueeze(-1))[..., 0].where(known, 0.0)
        found.update(zip(group, picked[:, BEFORE_BP:].double().sum(1).tolist(), strict=True))
    return np.array([found[at, alt] - found[at, int(ids[at])] for at, alt in places])


def compare(labels: np.ndarray, scores: dict[str, np.ndarray], draws: int, seed: int) -> dict[str, Any]:
    """Return the AUROC of -score for loss of function with 95% intervals, and of the first against the others.

    Variants are drawn with replacement, the same ones for all scores.
    """
    random = np.random.default_rng(seed)
    samples = [random.integers(0, len(labels), len(labels)) for _ in range(draws)]
    drawn = {name: np.array([auroc(-x[s], labels[s]) for s in samples]) for name, x in scores.items()}
    first = next(iter(scores))

    def interval(values: np.ndarray) -> list[float]:
        return [float(x) for x in np.quantile(values, [0.025, 0.975])]

    return {
        "auroc": {name: [auroc(-x, labels), *interval(drawn[name])] for name, x in scores.items()},
        "gain": {name: [auroc(-scores[first], labels) - auroc(-x, labels), *interval(drawn[first] - drawn[name])]
                 for name, x in scores.items() if name != first},
        "variants": len(labels), "lof": int(labels.sum()),
    }  # fmt: skip
