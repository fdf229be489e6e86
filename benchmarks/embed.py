"""Embeddings: one pass against a call per region, the writer against raw h5py, compression, and memory.

    python benchmarks/embed.py                    # all of it
    python benchmarks/embed.py --regions 300 --calls 4 --rows 20000 --bases 30100 --few 300 --many 30000   # a try

Speed: exons of yeast, the shortest contigs first, on a model of random weights (the speed does not depend on them),
with the memory of the whole contig. The slow way gets the same vectors from one call per region, which reads the contig
from its start to the region's end; it is timed on ``--calls`` regions drawn at random, and must agree. Writing: the
same array to one contiguous dataset by h5py, and as a job writes it, from its finished part on the disk to a file with
coordinates; both have it on the disk (fsync) before the clock stops. Memory: tiles of one contig, 10,000 and 1,000,000
rows, whole job in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from record import in_child, peak_megabytes, write

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does; before torch is loaded
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "genomes"
COMPRESSIONS = ("none", "lzf", "gzip", "blosc2")


def toy_model(size: str = "nano"):
    """A named size with random weights."""
    import torch

    from titans_dna.inference.model import SequenceModel
    from titans_dna.model.backbone import Backbone
    from titans_dna.model.config import named_config
    from titans_dna.tokenizers import NucleotideTokenizer

    torch.manual_seed(0)
    backbone = Backbone(named_config(size)).eval().requires_grad_(False)
    return SequenceModel(backbone=backbone, tokenizer=NucleotideTokenizer(), name=size, weights_sha256="0" * 64)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def embed_job(model, fasta: Path, regions, output: Path) -> None:
    """The job of the command line, without its options."""
    from titans_dna.inference.embed import EmbedOptions
    from titans_dna.io.sequence.fasta import open_fasta
    from titans_dna.jobs.embeddings import Storage, embedding_attributes, plan_embeddings, write_embeddings

    options, storage = EmbedOptions(), Storage()
    with open_fasta(fasta) as genome:
        plan = plan_embeddings(regions(genome), genome.contigs.lengths, options)
        attributes = embedding_attributes(model, plan, storage.shard)
        write_embeddings(output, model, genome, plan, attributes, storage)


def regions_per_second(regions: int, calls: int, folder: Path) -> list[list[Any]]:
    """One pass per contig against one call per region."""
    import torch

    from titans_dna.inference.placing import place_interval
    from titans_dna.inference.streaming import stream_bases
    from titans_dna.io.embeddings.reader import open_embeddings
    from titans_dna.io.intervals.bed import read_intervals
    from titans_dna.io.sequence.fasta import open_fasta

    model, fasta = toy_model(), DATA / "yeast_R64-1-1.fa.gz"
    with open_fasta(fasta) as genome:
        placed = [place_interval(genome.contigs, r) for r in read_intervals(DATA / "yeast_sacCer3.gtf.gz")]
        chosen = sorted(placed, key=lambda r: genome.contigs.lengths[r.contig])[:regions]
        contigs = sorted({region.contig for region in chosen})
        bases = sum(max(r.end for r in chosen if r.contig == contig) for contig in contigs)
        seconds, _ = timed(lambda: embed_job(model, fasta, lambda _: chosen, folder / "e.h5"))
        rows = np.random.default_rng(0).choice(len(chosen), calls, replace=False)
        slow, differences = 0.0, []
        with open_embeddings(folder / "e.h5") as found:
            for row in rows.tolist():
                region = chosen[row]
                sequence = genome.fetch(region.contig, 0, region.end)

                def call(sequence: bytes = sequence, start: int = region.start) -> np.ndarray:
                    ids = model.tokenizer.encode(sequence)
                    pieces = stream_bases(model.backbone, ids, model.bos, hidden=True)
                    return torch.cat([piece.hidden for piece in pieces])[start:].double().mean(0).numpy()  # type: ignore[misc]

                spent, vector = timed(call)
                slow += spent
                differences.append(float(np.abs(vector - found[row]).max()))
    fast, each = len(chosen) / seconds, calls / slow
    print(f"{bases / seconds:,.0f} bases/s", file=sys.stderr)
    assert max(differences) < 1e-4, differences
    return [
        ["one pass per contig, regions/s", round(fast, 1), ""],
        ["one call per region, regions/s", round(each, 4), ""],
        ["ratio (at least 10)", round(fast / each, 1), f"largest difference {max(differences):.1e}"],
    ]


def durable(path: Path) -> None:
    """Have a file on the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def write_raw(path: Path, values: np.ndarray) -> None:
    """The plainest way."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("embeddings", data=values)
    durable(path)


def finished_part(values: np.ndarray, path: Path):
    """The plan of a job of as many tiles, and its one part, as they are when the last contig has been read."""
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.embed import EmbedOptions
    from titans_dna.inference.placing import PlacedRegion, tiled
    from titans_dna.io.embeddings.parts import VectorFile
    from titans_dna.jobs.embeddings import plan_embeddings

    bases = 10 * len(values)
    whole = PlacedRegion(asked=Interval("chr1", 0, bases), contig="chr1", start=0, end=bases, outcome="ok")
    plan = plan_embeddings(tiled([whole], 10, 10), {"chr1": bases}, EmbedOptions())
    with VectorFile(path, values.shape[1]) as file:
        file.append(np.arange(len(values)), values)
        file.flush()
    return plan


def write_own(path: Path, plan, part: Path, width: int, dtype: str, compression: str) -> None:
    """Ours: from the part to a file with coordinates, as `write_embeddings` ends."""
    from titans_dna.genome.shard import Shard
    from titans_dna.io.embeddings.parts import PartVectors
    from titans_dna.io.embeddings.writer import EmbeddingWriter, Outline
    from titans_dna.jobs.embeddings import assemble

    vectors, outline = [PartVectors([part], width, plan.targets)], Outline(text_bytes=plan.regions.text_bytes)
    contigs = {"chr1": (10 * plan.rows, "0" * 32)}
    with EmbeddingWriter(path, width, contigs, {}, dtype, compression=compression, outline=outline) as writer:
        assemble(writer, plan, vectors, Shard())


def afresh(path: Path, function: Callable[[], Any]) -> float:
    """Seconds of writing a file that is not there, nothing else waiting for the disk."""
    path.unlink(missing_ok=True)
    os.sync()
    return timed(function)[0]


def pooled_features(rows: int, width: int) -> np.ndarray:
    """Vectors (rows, width) float32 as a model makes them, a little noise upon each."""
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.embed import embed_contig_regions

    letters = np.random.default_rng(1).choice(list(b"ACGT"), 20_000).astype(np.uint8).tobytes()
    base = embed_contig_regions(toy_model(), letters, [Interval("c", at, at + 50) for at in range(0, 19_900, 10)])
    random = np.random.default_rng(2)
    values = base[random.integers(0, len(base), rows)][:, np.arange(width) % base.shape[1]]
    for first in range(0, rows, 65_536):
        values[first : first + 65_536] += random.normal(0, 0.01, values[first : first + 65_536].shape)
    return values


def megabytes_per_second(rows: int, width: int, rounds: int, folder: Path) -> list[list[Any]]:
    """Raw against ours, and the compressions, on pooled features."""
    from titans_dna.io.embeddings.reader import open_embeddings

    values, path, part = pooled_features(rows, width), folder / "w.h5", folder / "part"
    plan, table, random = finished_part(values, part), [], np.random.default_rng(3)
    for dtype in ("float32", "float16"):
        cast = values.astype(dtype, copy=False)
        megabytes = cast.nbytes / 1e6
        raw: list[float] = []
        seconds: dict[str, list[float]] = {name: [] for name in COMPRESSIONS}
        sizes, reads, single = {}, {}, {}
        for _ in range(rounds):
            for name in COMPRESSIONS:
                raw.append(afresh(path, partial(write_raw, path, cast)))
                seconds[name].append(afresh(path, partial(write_own, path, plan, part, width, dtype, name)))
                sizes[name] = path.stat().st_size / cast.nbytes
                with open_embeddings(path) as found:
                    reads[name] = megabytes / timed(found.vectors)[0]
                    picked = random.integers(0, rows, 200).tolist()
                    single[name] = 1e3 * timed(lambda: [found[row] for row in picked])[0] / 200  # noqa: B023
        plain = statistics.median(raw)
        table.append([f"raw h5py, {dtype}", round(megabytes / plain), 1.0, 1.0, "", ""])
        for name in COMPRESSIONS:
            spent = statistics.median(seconds[name])
            table.append([f"{name}, {dtype}", round(megabytes / spent), round(plain / spent, 2),
                          round(sizes[name], 3), round(reads[name]), round(single[name], 3)])  # fmt: skip
    return table


def child(rows: int, bases: int) -> None:
    """Tile a contig into so many windows, and print the peak memory."""
    from titans_dna.genome.interval import Interval
    from titans_dna.inference.placing import place_interval, tiled

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["TITANS_DNA_CACHE"] = name
        letters = np.random.default_rng(1).choice(list(b"ACGT"), bases).astype(np.uint8).tobytes()
        (folder / "x.fa").write_bytes(b">c\n" + letters + b"\n")
        stride = (bases - 100) // rows

        def regions(genome):
            return tiled([place_interval(genome.contigs, Interval("c", 0, bases, name="c"))], 100 + stride, stride)

        embed_job(toy_model(), folder / "x.fa", regions, folder / "e.h5")
        megabytes = (folder / "e.h5").stat().st_size / 1e6
    print(json.dumps({"megabytes": peak_megabytes(), "file": megabytes}))


def main() -> None:
    """Run all of it and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, default=6000)
    parser.add_argument("--calls", type=int, default=12)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--bases", type=int, default=1_000_100, help="of the contig that is tiled for the memory")
    parser.add_argument("--only", choices=["speed", "writing", "memory"])
    parser.add_argument("--child", type=int)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.bases)
        return
    with tempfile.TemporaryDirectory() as name:
        if options.only in (None, "speed"):
            rows = regions_per_second(options.regions, options.calls, Path(name))
            write("embed_speed", "Embeddings of yeast exons, memory of the whole contig", ["what", "value", "note"],
                  rows, regions=options.regions, calls=options.calls)  # fmt: skip
        if options.only in (None, "writing"):
            rows = megabytes_per_second(options.rows, options.width, options.rounds, Path(name))
            columns = ["vectors", "MB/s written", "ratio to raw", "size", "MB/s read", "ms a row"]
            write("embed_writing", "Embeddings to HDF5 with coordinates, on the disk", columns, rows,
                  rows_written=options.rows, width=options.width, rounds=options.rounds)  # fmt: skip
    if options.only in (None, "memory"):
        found = [
            (rows, in_child(__file__, "--child", str(rows), "--bases", str(options.bases)))
            for rows in (options.few, options.many)
        ]
        rows = [[number, round(values["megabytes"]), round(values["file"])] for number, values in found]
        write("embed_memory", "Peak memory of embed over the number of rows", ["rows", "peak MB", "file MB"], rows,
              bases=options.bases)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
