"""Reads damaged HDF5: run by `test_hostile_hdf5.py` for some files, or by hand for as many as wanted.

    python tests/io/fuzz_hdf5.py RUNS [SEED]

Small files of every layout that titans-dna writes are made; then each run changes some bytes of one, and reads it by
all its readers. Anything but what the file says or an error of the tree in one line, an end of the process, more than
5 seconds or more than 2 GB is a fault; faults are printed, and the exit code is 1.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from titans_dna.errors import TitansDNAError
from titans_dna.genome import Interval
from titans_dna.inference.mutagenesis import RegionEffects
from titans_dna.io import EmbeddingWriter, open_embeddings
from titans_dna.io.embeddings import writer as embedding_writer
from titans_dna.io.embeddings.convert import convert_embeddings
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.io.embeddings.writer import Outline
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.io.tables.track_set_reader import open_track_shard
from titans_dna.jobs.mutagenesis import _write_effects

SECONDS, BYTES = 5, 2 << 30
OF_ONE_CHILD = 500  # inputs that one process reads, so that a crash costs little
CONTIGS = {"chrA": (100, "0" * 32), "chrB": (50, "1" * 32)}
COLUMNS = [Column("contig", "text"), Column("position", "integer"), Column("llr", "score"), Column("outcome", "text")]


def make_seeds(folder: Path) -> list[Path]:
    """Write a small file of each layout, whose chunks are so small that most bytes matter."""
    embedding_writer.CHUNK_BYTES, embedding_writer.CHUNK_ROWS = 64, 8
    regions = [Interval("chrA" if i % 2 else "chrB", i, i + 5, "+-."[i % 3], f"n{i}") for i in range(12)]
    vectors = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    made = []
    for name, options in {"plain": {}, "gzip": {"compression": "gzip"}, "blosc": {"compression": "blosc2"}}.items():
        with EmbeddingWriter(folder / f"{name}.h5", 3, CONTIGS, {"model": "tiny"}, **options) as writer:
            writer.append(regions, vectors)
        made.append(folder / f"{name}.h5")
    with EmbeddingWriter(folder / "ragged.h5", 3, CONTIGS, {}, ragged=True) as writer:
        writer.append(regions[:3], vectors, counts=np.array([5, 0, 7]))
    said = {"model": "tiny", "rows": 12}
    for number in (1, 2):
        with EmbeddingWriter(
            folder / f"shard{number}.h5", 3, CONTIGS, {**said, "shard": f"{number}/2"}, outline=Outline(shard=True)
        ) as writer:
            writer.append(regions[number - 1 :: 2], vectors[number - 1 :: 2], rows=np.arange(number - 1, 12, 2))
    merge_embeddings([folder / "shard1.h5", folder / "shard2.h5"], folder / "virtual.h5", virtual=True)
    convert_embeddings(folder / "plain.h5", folder / "vectors.h5ad")
    for name in ("scores.h5", "scores.h5ad"):
        with ScoreTableWriter(folder / name, COLUMNS, {"model": "tiny", "long": "x" * 61_000}) as table:
            for i in range(20):
                table.write({"contig": "chrA", "position": i, "llr": i / 7, "outcome": "scored"})
    told = {"options": "kind=regions", "shard": "1/2", "contigs": '{"chrA": 100, "chrB": 50}', "rows": "0-1"}
    with write_tracks(folder / "tracks.h5", {"chrA": 100, "chrB": 50}, ["surprise", "bits"], told) as tracks:
        for contig, bases in (("chrA", 100), ("chrB", 50)):
            tracks.add(contig, {kind: np.arange(bases, dtype=np.float32) for kind in ("surprise", "bits")})
    effects = RegionEffects(region=Interval("chrA", 5, 9), reference=b"ACGT", strands=np.zeros((4, 4, 2), np.float32))
    _write_effects(folder / "effects.h5", [effects], {"options": "kind=mutagenesis"})
    return [*made, *(folder / f"{name}.h5" for name in ("ragged", "shard1", "virtual", "scores", "tracks", "effects")),
            folder / "vectors.h5ad", folder / "scores.h5ad"]  # fmt: skip


def damage(data: bytes, generator: random.Random) -> bytes:
    """Return a copy with bytes changed, numbers made large, stretches emptied, or its end cut off."""
    changed = bytearray(data)
    # Most bytes of a small file are metadata; a table's long text is not.
    at = lambda: generator.randrange(len(changed))  # noqa: E731
    for _ in range(generator.randint(1, 4)):
        kind = generator.randrange(12)
        if kind == 0:
            del changed[max(8, at()) :]
        elif kind == 1:
            place = at()
            changed[place : place + 8] = generator.choice((2**40, 2**31, 2**63, 2**64 - 1, 0)).to_bytes(8, "little")
        elif kind == 2:
            place = at()
            changed[place : place + 16] = bytes(len(changed[place : place + 16]))
        elif kind == 3:
            place, source = at(), at()
            changed[place : place + 32] = changed[source : source + 32]
        else:
            changed[at()] = generator.randrange(256)
    return bytes(changed)


def read_all(path: Path) -> None:
    """Read a file by everything that would read it."""
    found = sniff(path)
    if found is None:
        return
    if found.holds == "embeddings":
        _read_embeddings(path) if found.name == "HDF5" else convert_embeddings(path, path.with_name("back.h5"))
        return
    for _ in open_scores(path):
        pass
    if found.holds == "tracks":
        shard = open_track_shard(path)
        for contig, bases in shard.lengths.items():
            shard.check(contig)
            shard.fill(contig, 0, bases, {kind: np.zeros(bases, np.float32) for kind in shard.kinds})


def _read_embeddings(path: Path) -> None:
    with open_embeddings(path) as embeddings:
        _ = embeddings.contigs, embeddings.attributes, embeddings.counts(), embeddings.shard_rows
        for name in embeddings.columns:
            embeddings.column(name)
        list(embeddings.batches(5))
        embeddings.select(region="chrA:1-20").numpy()
        ragged, shard = embeddings.ragged, embeddings.shard_rows is not None
    if shard:
        merge_embeddings([path, path.with_name("shard2.h5")], path.with_name("merged.h5"))
    else:
        convert_embeddings(path, path.with_name("out.parquet" if ragged else "out.npy"))


def _one(path: Path) -> str:
    """Read one file; return how it ended."""
    try:
        read_all(path)
    except TitansDNAError as error:
        return "refused" if "\n" not in str(error) else f"an error of several lines: {error!r}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in where if "titans_dna" in f.filename]
        return f"{type(error).__name__}: {str(error)[:100]} at {ours[-1] if ours else '?'}"
    return "read"


def _child(folder: Path, originals: dict[Path, bytes], seed: int, runs: range, say: Callable[[str], None]) -> None:
    peak = 0
    for number in runs:
        generator = random.Random(seed * 1_000_003 + number)
        source = generator.choice(list(originals))
        # The same name suffices: no reader keeps anything of an earlier file.
        path = folder / f"damaged{source.suffix}"
        path.write_bytes(damage(originals[source], generator))
        say(f"{number}\t{source.name}\tbegun\n")
        started = time.process_time()  # other work on the machine does not count
        signal.setitimer(signal.ITIMER_PROF, 4 * SECONDS)  # of the processor: other work must not end it
        ended = _one(path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if time.process_time() - started > SECONDS:
            ended = f"took {time.process_time() - started:.0f} s"
        peak, before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, peak
        if peak > BYTES > before:
            ended = f"took {peak / 1e9:.1f} GB"
        say(f"{number}\t{source.name}\t{ended}\n")


def fuzz(runs: int, seed: int = 1) -> Counter[str]:
    """Return how often each end came; all but ``read`` and ``refused`` are faults."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = {path: path.read_bytes() for path in make_seeds(folder)}
        for path in originals:
            assert _one(path) == "read", (path, _one(path))
        at = 0
        while at < runs:
            log = folder / "log"
            process = os.fork()
            if not process:
                with log.open("w", buffering=1) as stream:
                    _child(folder, originals, seed, range(at, min(at + OF_ONE_CHILD, runs)), stream.write)
                os._exit(0)
            status = os.waitpid(process, 0)[1]
            lines = [line.split("\t", 2) for line in log.read_text().splitlines()]
            for number, source, end in lines:
                if end not in ("begun", "read", "refused"):
                    sys.stderr.write(f"seed {seed} input {number} of {source}: {end}\n")
                ends[end] += end != "begun"
            at = min(at + OF_ONE_CHILD, runs)
            if status and lines:
                number, source, _ = lines[-1]
                sys.stderr.write(f"seed {seed} input {number} of {source}: ended by signal {status & 127}\n")
                ends[f"ended by signal {status & 127}"] += 1
                at = int(number) + 1
    return +ends


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sys.stdout.writelines(f"{count:,}\t{end}\n" for end, count in found.most_common())
    raise SystemExit(bool(found.keys() - {"read", "refused"}))
