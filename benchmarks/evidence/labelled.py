"""The labelled sets at hand, as the tables that `finetune` reads, and published results for sets that are not."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
from setting import BUILD, DEMO, Setting

from titans_dna.loading.genomes import open_genome

WINDOW_BP = 160
LETTERS = np.frombuffer(b"ACGTN", np.uint8)
Span = tuple[str, int, int]  # contig, start, end (0-based, end excluded)

# Accuracy on the published test split of GenomicBenchmarks (Caduceus paper, table 1, all models under 0.5M parameters):
# rows of the test split, and CNN, HyenaDNA, Mamba, Caduceus-Ph, Caduceus-PS. Shown beside a set of just that size only.
PUBLISHED: dict[str, tuple[int, tuple[float, ...]]] = {
    "dummy_mouse_enhancers_ensembl": (242, (0.715, 0.780, 0.743, 0.754, 0.793)),
    "demo_coding_vs_intergenomic_seqs": (25_000, (0.892, 0.904, 0.904, 0.915, 0.910)),
    "demo_human_or_worm": (25_000, (0.942, 0.964, 0.967, 0.973, 0.968)),
    "human_enhancers_cohn": (6_948, (0.702, 0.729, 0.732, 0.747, 0.745)),
    "human_enhancers_ensembl": (30_970, (0.744, 0.849, 0.862, 0.893, 0.900)),
    "human_ensembl_regulatory": (57_713, (0.872, 0.869, 0.814, 0.872, 0.873)),
    "human_ocr_ensembl": (34_952, (0.698, 0.783, 0.815, 0.828, 0.818)),
    "human_nontata_promoters": (9_034, (0.861, 0.944, 0.933, 0.946, 0.945)),
}
PUBLISHED_MODELS = ("CNN", "HyenaDNA", "Mamba", "Caduceus-Ph", "Caduceus-PS")


def published(name: str, tested: int) -> dict[str, float]:
    """Return the published accuracies of a set, or none if it is another set or another split."""
    rows, values = PUBLISHED.get(name, (-1, ()))
    return dict(zip(PUBLISHED_MODELS, values, strict=True)) if rows == tested else {}


def windows(spans: list[Span], avoid: dict[str, np.ndarray] | None, margin: int) -> list[Span]:
    """Return the middle window of every span that is long enough, and touches nothing that is to be avoided."""
    found = []
    for contig, start, end in spans:
        first = (start + end - WINDOW_BP) // 2
        clear = avoid is None or not avoid[contig][max(0, first - margin) : first + WINDOW_BP + margin].any()
        if end - start >= WINDOW_BP and clear:
            found.append((contig, first, first + WINDOW_BP))
    return found


def gaps(covered: dict[str, np.ndarray]) -> list[Span]:
    """Return the stretches that nothing covers, long ones cut into pieces of two windows."""
    found = []
    for contig, mask in covered.items():
        edges = np.flatnonzero(np.diff(np.concatenate([[1], mask.astype(np.int8), [1]])))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            found += [(contig, at, min(end, at + 2 * WINDOW_BP)) for at in range(start, end, 2 * WINDOW_BP)]
    return found


def cover(lengths: dict[str, int], spans: list[Span]) -> dict[str, np.ndarray]:
    """Return which bases the spans cover."""
    masks = {contig: np.zeros(size, dtype=bool) for contig, size in lengths.items()}
    for contig, start, end in spans:
        masks[contig][start:end] = True
    return masks


def yeast_exons(setting: Setting) -> tuple[Path, list[Span], list[Span], object]:
    """Exons of yeast against what lies between; tested on chromosome XII, which the default model never saw."""
    path = setting.data / "genomes/yeast_R64-1-1.fa.gz"
    with gzip.open(setting.data / "genomes/yeast_sacCer3.gtf.gz", "rt") as lines:
        columns = [line.split("\t") for line in lines if "\texon\t" in line and not line.startswith("chrM")]
    exons = [(c[0].removeprefix("chr"), int(c[3]) - 1, int(c[4])) for c in columns]
    covered = cover(dict(open_genome(path).contigs.lengths), exons)
    covered.pop("Mito", None)
    return path, windows(exons, None, 0), windows(gaps(covered), covered, 20), lambda span: span[0] == "XII"


def ecoli_genes(setting: Setting) -> tuple[Path, list[Span], list[Span], object]:
    """Coding sequences of E. coli against what no gene covers; tested on the last fifth of the chromosome."""
    path = setting.data / "genomes/ecoli_k12_NC_000913.3.fna.gz"
    with gzip.open(setting.data / "genomes/ecoli_k12_NC_000913.3.gff.gz", "rt") as lines:
        columns = [line.split("\t") for line in lines if not line.startswith("#")]
    contig = open_genome(path).contigs.names[0]
    spans = {kind: [(contig, int(c[3]) - 1, int(c[4])) for c in columns if len(c) > 4 and c[2] == kind]
             for kind in ("CDS", "gene", "pseudogene", "mobile_genetic_element", "sequence_feature")}  # fmt: skip
    length = open_genome(path).contigs.lengths[contig]
    covered = cover({contig: length}, [span for group in spans.values() for span in group])
    return path, windows(spans["CDS"], None, 0), windows(gaps(covered), covered, 0), lambda s: s[1] > 0.8 * length


def demo_promoters(setting: Setting) -> tuple[Path, list[Span], list[Span], object]:
    """Planted promoters of the demo genome against windows that hold none; tested on chrC."""
    features = json.loads(DEMO.with_suffix(".json").read_text())["features"]
    lengths = dict(open_genome(DEMO).contigs.lengths)
    planted = [(f[0], f[1], f[2]) for f in features if f[4] == "promoter"]
    wide = [(c, (s + e - WINDOW_BP) // 2, (s + e + WINDOW_BP) // 2) for c, s, e in planted]
    inside = [w for w in wide if w[1] >= 0 and w[2] <= lengths[w[0]]]
    return DEMO, inside, windows(gaps(cover(lengths, wide)), None, 0), lambda span: span[0] == "chrC"


SETS = {
    "yeast exons": (yeast_exons, "contig XII, which the backbone never saw"),
    "E. coli coding": (ecoli_genes, "last fifth of the chromosome; the backbone saw its bases, not the labels"),
    "demo promoters": (demo_promoters, "contig chrC, which the backbone never saw"),
}


def write_set(name: str, setting: Setting, training: int, tested: int) -> Path:
    """Write a set with equal classes and a fixed split as a table; return its path.

    The rows are drawn with one fixed seed, so that all models and seeds see the same ones.
    """
    path, positive, negative, is_test = SETS[name][0](setting)
    genome, random = open_genome(path), np.random.default_rng(17)
    target = BUILD / "sets" / f"{name.replace(' ', '_')}-{training}-{tested}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sequence", "label", "split"])
        for split, size in (("train", training), ("test", tested)):
            groups = [[s for s in spans if is_test(s) == (split == "test")] for spans in (positive, negative)]
            each = min(size // 2, *(len(group) for group in groups))
            for label, group in zip(("yes", "no"), groups, strict=True):
                for at in random.permutation(len(group))[:each]:
                    contig, start, end = group[at]
                    ids = np.minimum(genome.ids_of(contig)[start:end], 4)
                    table.writerow([LETTERS[ids].tobytes().decode(), label, split])
    return target
