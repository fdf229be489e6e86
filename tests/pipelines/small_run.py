"""A small genome with two samples and the settings for it, and what two runs of the workflow must have in common."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pysam
import yaml

CONTIGS = {"one": 24_000, "two": 16_000, "three": 9_000}

SETTINGS: dict[str, Any] = {
    "samples": "samples.tsv", "results": "out", "device": "cpu", "seed": 3,
    "genome": {"fasta": "genome.fa", "holdout": ["three"]},
    "pretrain": {
        "config": "nano", "steps": 40, "lanes": 4, "window_tokens": 512, "evaluate_every": 20, "save_every": 4,
        "threads": 1,
    },
    "finetune": {"data": "labelled.bed", "mode": "frozen", "epochs": 1},
    "score_genome": {"wanted": True},
}  # fmt: skip


def write_run(folder: Path) -> None:
    """Write genome, variants, regions, sample sheet and `my.yaml`; the same bytes every time."""
    random = np.random.default_rng(5)
    sequences = {name: "".join(random.choice(list("ACGT"), size).tolist()) for name, size in CONTIGS.items()}
    folder.mkdir(parents=True)
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in sequences.items()))
    header = "##fileformat=VCFv4.3\n" + "".join(f"##contig=<ID={name}>\n" for name in CONTIGS)
    records = []
    for name, bases in sequences.items():
        for position in range(500, len(bases), 2500):
            ref = bases[position - 1]
            records.append(f"{name}\t{position}\t.\t{ref}\t{'CA'[ref == 'C']}\t.\t.\t.\n")
    (folder / "variants.vcf").write_text(header + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(records))
    write_second(folder, sequences["two"])
    labelled = [f"one\t{start}\t{start + 80}\t{'ab'[start % 2]}\n" for start in range(0, 20_000, 501)]
    (folder / "labelled.bed").write_text("".join(labelled))
    (folder / "samples.tsv").write_text(
        "sample\tfasta\tvcf\tbed\treads\nfirst\t\tvariants.vcf\t\t\nsecond\tsecond.fa\t\tsecond.bed\tsecond.bam\n"
    )
    (folder / "my.yaml").write_text(yaml.safe_dump(SETTINGS))


def write_second(folder: Path, bases: str) -> None:
    """A sample with a genome of its own, of two contigs, regions on it, and reads that differ from it in one base."""
    half = len(bases) // 2
    contigs = {"x": bases[:half], "y": bases[half:]}
    (folder / "second.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    rows = [f"{name}\t{start}\t{start + 300}\tgene_{start}\n" for name in contigs for start in range(200, half, 1900)]
    (folder / "second.bed").write_text("".join(rows))
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": n, "LN": len(s)} for n, s in contigs.items()]}
    with pysam.AlignmentFile(folder / "second.bam", "wb", header=header) as bam:
        for number, start in enumerate(range(1000, 4000, 50)):
            read = pysam.AlignedSegment(bam.header)
            read.query_name, read.reference_id, read.reference_start, read.cigarstring = f"r{number}", 0, start, "100M"
            sequence = bases[start : start + 100]
            read.query_sequence = sequence[:50] + ("C" if sequence[50] == "A" else "A") + sequence[51:]
            read.mapping_quality = 60
            bam.write(read)
    pysam.index(str(folder / "second.bam"))


def write_relatives_run(folder: Path, demo: Path, *, shards: int = 1) -> None:
    """Write a piece of the demo genome; its relative is the same piece with one base in twenty changed.

    The one variant changes the piece's base to the relative's.
    """
    from titans_dna.io.sequence.fasta import open_fasta

    folder.mkdir(parents=True, exist_ok=True)
    with open_fasta(demo) as genome:
        piece = np.frombuffer(genome.fetch("chrC", 0, 12_000).upper(), dtype=np.uint8)
    random = np.random.default_rng(7)
    drawn = random.random(len(piece)) < 0.05
    other = np.where(drawn, random.choice(np.frombuffer(b"ACGT", np.uint8), len(piece)), piece)
    for name, bases in (("target", piece), ("relative", other.astype(np.uint8))):
        (folder / f"{name}.fa").write_text(f">{name}\n{bases.tobytes().decode()}\n")
    changed = int(np.flatnonzero(piece != other)[90])  # in no repeat
    record = f"target\t{changed + 1}\t.\t{chr(piece[changed])}\t{chr(other[changed])}\t.\t.\t."
    head = "##fileformat=VCFv4.3\n##contig=<ID=target>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "a.vcf").write_text(f"{head}{record}\n")
    (folder / "a.bed").write_text("target\t5000\t6000\tpart\n")
    (folder / "samples.tsv").write_text("sample\tvcf\tbed\none\ta.vcf\ta.bed\n")
    settings = {
        "samples": "samples.tsv", "results": "out", "device": "cpu", "model": "default",
        "genome": {"fasta": "target.fa"},
        "relatives": {"fasta": ["relative.fa"]}, "context": "window:2048", "workers": 2,
        **{section: {"shards": shards} for section in ("score_variants", "score_regions", "embed")},
    }  # fmt: skip
    (folder / "my.yaml").write_text(yaml.safe_dump(settings))


def contents(out: Path) -> dict[str, Any]:
    """Everything that two runs of the same settings must agree in, by path below the folder of results.

    Times, and checksums of files that hold one, are left out.
    """
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or name.split("/")[0] in ("logs", "benchmarks", "runs") or path.name.startswith("."):
            continue
        if name.startswith("model/") and path.name not in ("model.safetensors", "config.json", "splits.bed"):
            continue  # training.json, log.csv and checkpoints tell how long it took
        found[name] = _content(path)
    return found


def _content(path: Path) -> Any:
    if path.suffix == ".h5":
        return _hdf5(path)
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.name == "statistics.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "files"}
    if path.name in ("evaluation.json", "finetune.json"):
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}
    if path.suffix == ".html":
        return "report" if "</html>" in path.read_text() else "no report"  # it names checksums
    return path.read_bytes()


def _hdf5(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        found.update({f"@{key}": str(value) for key, value in file.attrs.items() if key != "created"})
        file.visititems(lambda name, item: found.update({name: _values(item)} if hasattr(item, "dtype") else {}))
    return found


def _values(dataset: h5py.Dataset) -> Any:
    """The numbers as bytes, for nan equals nothing; text as it is, for its bytes are addresses."""
    values = dataset[()]
    return values.tolist() if values.dtype.hasobject else values.tobytes()
