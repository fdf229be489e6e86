"""A small run, written from known numbers in the formats that the other verbs write."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyBigWig
import pysam
import pytest

from titans_dna.genome.interval import Interval
from titans_dna.io.embeddings.writer import EmbeddingWriter
from titans_dna.report.gather import ReportInputs

HEADER = """##fileformat=VCFv4.3
##contig=<ID=chrA,length=60000>
##INFO=<ID=TRUTH,Number=1,Type=String,Description="Planted truth">
##INFO=<ID=TD_LLR,Number=A,Type=Float,Description="log-likelihood ratio">
##INFO=<ID=TD_LLR_FWD,Number=A,Type=Float,Description="forward">
##INFO=<ID=TD_LLR_REV,Number=A,Type=Float,Description="reverse">
##INFO=<ID=TD_QUANTILE,Number=A,Type=Float,Description="quantile">
##INFO=<ID=TD_P,Number=A,Type=Float,Description="p-value">
##INFO=<ID=TD_OUTCOME,Number=A,Type=String,Description="outcome">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""

#: Alleles of `vcf_lines` by outcome.
EXPECTED_OUTCOMES = {
    "scored": 82,
    "ref_mismatch": 1,
    "spanning_deletion": 1,
    "symbolic": 1,
    "no_alt": 1,
    "contig_unknown": 1,
}


def write_variants(path: Path, lines: list[str]) -> None:
    """A bgzipped VCF of these records, without an index."""
    plain = path.with_suffix("")
    plain.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    pysam.tabix_compress(str(plain), str(path), force=True)


def vcf_lines() -> list[str]:
    """40 breaking and 40 neutral records, and one record of each special kind."""
    random = np.random.default_rng(7)
    lines = []
    for number in range(80):
        truth = "breaking" if number % 2 else "neutral"
        score = random.normal(-4.0 if number % 2 else -0.4, 1.6)
        forward, reverse = score + random.normal(0, 0.4, 2)
        ref, alt = ("A", "G") if number % 3 else ("AT", "A") if number % 2 else ("A", "ATT")
        info = f"TRUTH={truth};TD_LLR={score:.4f};TD_LLR_FWD={forward:.4f};TD_LLR_REV={reverse:.4f};TD_OUTCOME=scored"
        lines.append(f"chrA\t{100 + 500 * number}\tv{number}\t{ref}\t{alt}\t.\tPASS\t{info}")
    lines += [
        "chrA\t50000\t.\tA\tC,G\t.\t.\tTD_LLR=-1.5,0.5;TD_OUTCOME=scored,scored",
        "chrA\t50010\t.\tA\tC,*\t.\t.\tTD_LLR=.,.;TD_OUTCOME=ref_mismatch,spanning_deletion",
        "chrA\t50020\t.\tA\t<DEL>\t.\t.\tTD_OUTCOME=symbolic",
        "chrA\t50030\t.\tA\t.\t.\t.\t.",
        "chrA\t50040\t.\tA\tT\t.\t.\tTD_OUTCOME=contig_unknown",
    ]
    return lines


def write_model(folder: Path) -> None:
    """A model directory after 200 steps of training."""
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"width": 64, "memory": {"depth": 2, "chunk_tokens": 64}, "tied": True})
    )
    (folder / "model.safetensors").write_bytes(b"weights")
    training = {
        "command": "titans-dna pretrain --fasta demo.fa --holdout chrC --steps 200 --seed 1 --output model",
        "seed": 1,
        "steps": 200,
        "fasta": ["/somewhere/demo.fa"],
        "fasta_md5": {"/somewhere/demo.fa": "d41d8cd98f00b204e9800998ecf8427e"},
        "train_contigs": ["chrA", "chrB"],
        "holdout_contigs": ["chrC"],
        "lanes": 16,
        "window_tokens": 1024,
        "learning_rate": 0.003,
        "parameters": 412345,
        "model": "tiny",
        "torch_version": "2.13.0",
        "package_version": "0.1.0",
        "seconds": 83.2,
        "bits_by_position": [
            {"start": 0, "end": 16, "bases": 900, "bits_per_base": 1.95},
            {"start": 16, "end": 1024, "bases": 60000, "bits_per_base": 1.87},
        ],
    }
    (folder / "training.json").write_text(json.dumps(training))
    random = np.random.default_rng(3)
    rows = ["step,split,bits_per_base,learning_rate,gradient_norm,bases,seconds"]
    for step in range(1, 201):
        value = 1.78 + 0.3 * np.exp(-step / 40)
        rows.append(f"{step},train,{value + random.normal(0, 0.02):.5f},0.001,0.7,{step * 8192},{step * 0.4:.1f}")
        if step % 20 == 0:
            rows.append(f"{step},validation,{value + 0.01:.5f},,,{step * 8192},{step * 0.4:.1f}")
    (folder / "log.csv").write_text("\n".join(rows) + "\n")


def write_regions(path: Path, names: list[str]) -> None:
    """One region of 300 bases per name on chrA; the last is not scored."""
    random = np.random.default_rng(5)
    rows = ["contig\tstart\tend\tname\tstrand\tbases\tlog_likelihood\tbits_per_base\tmemory_surprise\toutcome"]
    for number, name in enumerate(names):
        start = number * 900
        bits = {"r": 1.2, "g": 1.75}.get(name[:1], 1.9) + random.normal(0, 0.08)
        rows.append(
            f"chrA\t{start}\t{start + 300}\t{name}\t+\t300\t{-bits * 208:.3f}\t{bits:.4f}\t{bits / 3:.4f}\tscored"
        )
    rows.append("chrZ\t5\t50\tlost\t+\t0\t\t\t\tcontig_unknown")
    path.write_text("\n".join(rows) + "\n")


def write_track(path: Path) -> None:
    """60 kb of chrA without its last tenth, and a shorter chrB."""
    random = np.random.default_rng(11)
    values = 1.9 + 0.2 * np.sin(np.arange(54_000) / 3_000) + random.normal(0, 0.3, 54_000)
    with pyBigWig.open(str(path), "w") as track:
        track.addHeader([("chrB", 1_000), ("chrA", 60_000)])
        track.addEntries("chrB", 0, values=[1.0, 2.0], span=1, step=1)
        track.addEntries("chrA", 0, values=values.astype(np.float32).tolist(), span=1, step=1)


def write_vectors(path: Path, names: list[str], vectors: np.ndarray) -> None:
    """Embeddings of regions with these names."""
    intervals = [Interval("chrA", 10 * number, 10 * number + 5, "+", name) for number, name in enumerate(names)]
    attributes = {"pooling": "mean", "layer": -1, "context": 2048, "tokenizer": "nucleotide"}
    with EmbeddingWriter(path, vectors.shape[1], {"chrA": (60_000, "0" * 32)}, attributes) as writer:
        writer.append(intervals, vectors)


def write_embeddings(path: Path, names: list[str]) -> None:
    """Vectors of 16 values in one cloud per first letter."""
    random = np.random.default_rng(13)
    centres = {name[:1]: random.normal(0, 3, 16) for name in sorted(names)}
    write_vectors(path, names, np.array([centres[name[:1]] + random.normal(0, 1, 16) for name in names]))


@pytest.fixture
def make() -> SimpleNamespace:
    """The functions and expected numbers of this file."""
    return SimpleNamespace(**globals())


@pytest.fixture
def names() -> list[str]:
    """Names of 60 regions in three classes."""
    return [f"{('gene', 'repeat', 'promoter')[number % 3]}_{number}" for number in range(60)]


@pytest.fixture
def inputs(tmp_path: Path, names: list[str]) -> ReportInputs:
    """All inputs of a report."""
    write_model(tmp_path / "model")
    evaluation = {
        "contigs": ["chrC"],
        "bases": 250_000,
        "bits_per_base": 1.8012,
        "bits_per_base_memory_reset": 1.8531,
        "baselines": [
            {"name": "order-2", "bits_per_base": 1.9312},
            {"name": "order-6", "bits_per_base": 1.9044},
            {"name": "order-12", "bits_per_base": 1.8654},
        ],
        "baseline_contigs": ["chrA", "chrB"],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    write_variants(tmp_path / "variants.scored.vcf.gz", vcf_lines())
    write_regions(tmp_path / "regions.scored.tsv", names)
    write_track(tmp_path / "surprise.bw")
    write_embeddings(tmp_path / "embeddings.h5", names)
    return ReportInputs(
        model=tmp_path / "model",
        evaluation=tmp_path / "evaluation.json",
        variants=tmp_path / "variants.scored.vcf.gz",
        truth_field="TRUTH",
        regions=tmp_path / "regions.scored.tsv",
        track=tmp_path / "surprise.bw",
        embeddings=tmp_path / "embeddings.h5",
    )
