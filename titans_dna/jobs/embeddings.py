"""The whole job: regions of many contigs to one file, or to a shard of it, in finished parts that a kill cannot undo.

A part is one strand of one contig (context "contig"), or one strand of about a megabase of regions (context "region").
Its vectors lie in the work folder as they come; on the way along a contig the place of the stream is saved with them.
Parts depend on the job alone, not on shards or on what an earlier run has done; so one run, a resumed one, and shards
that are merged give the same numbers. A strand of a contig is never split between shards: a later range needs the
memory of all before it, so a second machine would read the same bases again.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.genome.shard import WHOLE, Shard, assign
from titans_dna.inference.embed import EmbedOptions, Progress, Spans, embed_strand, vector_attributes
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import PlacedRegion
from titans_dna.inference.pooling import have_vectors
from titans_dna.io.embeddings.parts import PartVectors, VectorFile
from titans_dna.io.embeddings.writer import EMBEDDED, EmbeddingWriter, Outline
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.region_spool import ROWS, RegionSpool
from titans_dna.jobs.work_folder import Arrays, WorkFolder
from titans_dna.model.state import StreamState

PART_BP = 1 << 20  # of regions in a part, in the context of the region
BLOCK_BYTES = 4 << 20  # of vectors put into the file at once


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How the vectors are stored, and which of them."""

    dtype: str = "float32"
    compression: str = "none"
    shard: Shard = WHOLE
    resume: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Regions of one contig that are read together."""

    contig: str
    rows: np.ndarray  # in the file
    starts: np.ndarray  # 0-based half-open, on the contig
    ends: np.ndarray
    cost_bp: int  # bases that are read, per strand


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingPlan:
    """What is to be read for the regions of a job."""

    options: EmbedOptions
    regions: RegionSpool  # usable or not, in the order of the file
    groups: tuple[Group, ...]  # contigs in the order of the FASTA
    offsets: np.ndarray | None  # (rows + 1,) first vector of every region; ragged jobs only

    @property
    def rows(self) -> int:
        """Regions, usable or not."""
        return self.regions.rows

    @property
    def bins(self) -> int:
        """Vectors of a region; of one base in a ragged job."""
        return self.options.pooling.bins

    @property
    def contigs(self) -> tuple[str, ...]:
        """Contigs that are read."""
        return tuple(dict.fromkeys(group.contig for group in self.groups))

    @property
    def targets(self) -> int:
        """Vectors of the whole job."""
        return self.rows * self.bins if self.offsets is None else int(self.offsets[-1])

    def first_target(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the first vector of each row."""
        if self.offsets is not None:
            return self.offsets[rows]
        return rows if self.bins == 1 else rows * self.bins

    def of_shard(self, shard: Shard) -> list[int]:
        """Return the numbers of the groups that a shard reads."""
        parts = assign([group.cost_bp for group in self.groups], shard.count)
        return [number for number, part in enumerate(parts) if part == shard.index]

    def rows_of(self, shard: Shard) -> np.ndarray:
        """Tell which rows a shard writes: those that it reads; the first one also those that cannot be read."""
        mine = np.full(self.rows, shard.index == 1)
        for group in self.groups:
            mine[group.rows] = False
        for number in self.of_shard(shard):
            mine[self.groups[number].rows] = True
        return mine


def plan_embeddings(
    regions: Iterable[PlacedRegion], contigs: Mapping[str, int], options: EmbedOptions
) -> EmbeddingPlan:
    """Go through the regions once and say what is to be read; 24 bytes per region are kept in memory.

    Parameters
    ----------
    regions
        In the order of the file.
    contigs
        Lengths in the order of the FASTA.
    options
        Context and pooling decide what is read together.
    """
    columns = {contig: (array("q"), array("q"), array("q")) for contig in contigs}
    counts, spool, stream = array("q"), RegionSpool(), iter(regions)
    while block := list(islice(stream, ROWS)):
        for row, region in enumerate(block, spool.rows):
            if region.usable:
                for column, value in zip(columns[region.contig], (row, region.start, region.end), strict=True):
                    column.append(value)
            if options.pooling.ragged:
                counts.append(region.end - region.start if region.usable else 0)
        spool.append(block)
    groups: list[Group] = []
    for contig, found in columns.items():
        if found[0]:
            rows, starts, ends = (np.frombuffer(column, np.int64) for column in found)
            groups += _groups(contig, contigs[contig], rows, starts, ends, options)
    offsets = np.concatenate([[0], np.cumsum(np.frombuffer(counts, np.int64))]) if counts else np.zeros(1, np.int64)
    return EmbeddingPlan(
        options=options,
        regions=spool,
        groups=tuple(groups),
        offsets=offsets if options.pooling.ragged else None,
    )


def write_embeddings(
    output: Path,
    model: SequenceModel,
    genome: Genome,
    plan: EmbeddingPlan,
    attributes: Mapping[str, Any],
    storage: Storage,
    *,
    progress: Progress = lambda _: None,
) -> dict[str, int]:
    """Read what the plan says, write the file, and return the number of regions by outcome.

    Parameters
    ----------
    output
        HDF5 file; its finished parts lie beside it until it is complete.
    model, genome
        What reads, and what is read.
    plan
        Of the regions.
    attributes
        What is said of them in the file.
    storage
        Type, compression, shard, and whether to go on with the parts of an earlier run.
    progress
        Called with the number of bases read since the last call.

    Raises
    ------
    OutputError
        If the file cannot be written, the disk is full, or another run is at work.
    ConfigError
        If the unfinished run that is to go on is another one.
    FormatError
        If a feature does not fit the type of the file.
    """
    format_of(output, verb="embed")
    contigs = {contig: (genome.contigs.lengths[contig], genome.md5(contig)) for contig in plan.contigs}
    columns = plan.options.columns(model)
    job = {
        **{key: value for key, value in attributes.items() if key not in ("command", "fasta")},
        "contigs": hashlib.sha256(json.dumps(contigs).encode()).hexdigest(),
        "regions": plan.regions.digest,
    }
    with WorkFolder(output, job, model, resume=storage.resume) as work:
        parts = _read_parts(work, model, genome, plan, storage.shard, progress)
        vectors = [PartVectors(paths, columns, plan.targets) for paths in parts]
        outline = Outline(shard=not storage.shard.whole, text_bytes=plan.regions.text_bytes)
        with EmbeddingWriter(
            output, columns * plan.bins, contigs, attributes, storage.dtype, compression=storage.compression,
            ragged=plan.options.pooling.ragged, outline=outline,
        ) as writer:  # fmt: skip
            return assemble(writer, plan, vectors, storage.shard)


def embedding_attributes(model: SequenceModel, plan: EmbeddingPlan, shard: Shard) -> dict[str, Any]:
    """Return what the file says of its vectors, but for the command."""
    said = {**vector_attributes(model, plan.options), "rows": plan.rows}
    return said if shard.whole else {**said, "shard": str(shard), "regions_sha256": plan.regions.digest}


def _groups(
    contig: str, length_bp: int, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, options: EmbedOptions
) -> Iterator[Group]:
    """Yield the regions of a contig as they are to be read together."""
    if options.context == "contig":
        reach = (length_bp - int(starts.min()) if True in options.strands else 0, int(ends.max()))
        yield Group(contig=contig, rows=rows, starts=starts, ends=ends, cost_bp=max(reach))
        return
    order = np.lexsort((rows, starts))
    rows, starts, ends = rows[order], starts[order], ends[order]
    number = (np.cumsum(ends - starts) - 1) // PART_BP
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(rows)]
    for first, last in pairwise(cuts):
        cost = int((ends[first:last] - starts[first:last]).sum())
        piece = slice(first, last)
        yield Group(contig=contig, rows=rows[piece], starts=starts[piece], ends=ends[piece], cost_bp=cost)


def _read_parts(
    work: WorkFolder,
    model: SequenceModel,
    genome: Genome,
    plan: EmbeddingPlan,
    shard: Shard,
    progress: Progress,
) -> list[list[Path]]:
    """Make the parts of a shard that are not there yet; return the files of all of them, by strand."""
    options = plan.options
    found: list[list[Path]] = [[] for _ in options.strands]
    for number in plan.of_shard(shard):
        group = plan.groups[number]
        spans = Spans(starts=group.starts, ends=group.ends, targets=plan.first_target(group.rows))
        for strand, reverse in enumerate(options.strands):
            name = f"{number:05d}-{'reverse' if reverse else 'forward'}"
            found[strand].append(work.path / name)
            if work.part(name) is not None:
                progress(group.cost_bp)
                continue
            part = _Part(work, name, options.columns(model))
            with part.file as file:
                for targets, values in embed_strand(
                    model, lambda start, end, c=group.contig: genome.fetch(c, start, end),  # type: ignore[misc]
                    genome.contigs.lengths[group.contig], spans, options, reverse=reverse, progress=progress,
                    checkpoint=part,
                ):  # fmt: skip
                    file.append(targets, values)
                file.flush()
                work.keep(name, {"vectors": np.array(file.count)})
    return found


class _Part:
    """The vectors of a part and the place of its stream, saved together; see `branches.Checkpoint`."""

    def __init__(self, work: WorkFolder, name: str, width: int) -> None:
        self._place = work.checkpoint(name)
        self._saved = self._place.load()
        self.file = VectorFile(work.path / name, width, int(self._saved[2]["written"]) if self._saved else 0)

    def load(self) -> tuple[int, StreamState, Arrays] | None:
        return self._saved

    def due(self) -> bool:
        return self._place.due()

    def save(self, position: int, state: StreamState, arrays: Arrays) -> None:
        self.file.flush()
        self._place.save(position, state, {**arrays, "written": np.array(self.file.count)})


def assemble(
    writer: EmbeddingWriter, plan: EmbeddingPlan, vectors: Sequence[PartVectors], shard: Shard
) -> dict[str, int]:
    """Put the vectors of the strands beside their regions, in the order of the input; count the outcomes."""
    counts, mine = dict[str, int](), plan.rows_of(shard)
    for first, last, columns in _blocks(plan, writer.width):
        rows = np.arange(first, last)
        kept = mine[first:last]
        if not kept.any():
            continue
        values, numbers = _vectors(plan, vectors, rows, kept, writer.width)
        columns = {key: column[kept] for key, column in columns.items()}
        columns["outcome"] = _outcomes(columns["outcome"], values, numbers)
        for outcome, number in zip(*np.unique(columns["outcome"], return_counts=True), strict=True):
            counts[outcome.decode()] = counts.get(outcome.decode(), 0) + int(number)
        writer.append_columns(columns, values, counts=numbers, rows=None if shard.whole else rows[kept])
    return counts


def _blocks(plan: EmbeddingPlan, width: int) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield first row, last row and columns of regions whose vectors fill about `BLOCK_BYTES`."""
    most = max(1, BLOCK_BYTES // (4 * width))
    for start, columns in plan.regions.blocks():
        first, end = start, start + len(columns["start"])
        while first < end:
            if plan.offsets is None:
                last = first + most
            else:
                last = int(np.searchsorted(plan.offsets, plan.offsets[first] + most, side="right")) - 1
            last = min(max(first + 1, last), end)
            yield first, last, {key: column[first - start : last - start] for key, column in columns.items()}
            first = last


def _vectors(
    plan: EmbeddingPlan, parts: Sequence[PartVectors], rows: np.ndarray, kept: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the vectors of a block, the mean of the strands, and how many each region has if that differs."""
    first, last = int(rows[0]), int(rows[-1]) + 1
    low, high = (
        (first * plan.bins, last * plan.bins)
        if plan.offsets is None
        else (int(plan.offsets[first]), int(plan.offsets[last]))
    )
    found = [part.read(low, high) for part in parts]
    values = found[0] if len(found) == 1 else (found[0] + found[1]) / 2
    if plan.offsets is None:
        return values.reshape(len(rows), width)[kept], None
    numbers = np.diff(plan.offsets[first : last + 1])
    return values[np.repeat(kept, numbers)], numbers[kept]


def _outcomes(placed: np.ndarray, values: np.ndarray, numbers: np.ndarray | None) -> np.ndarray:
    """Return what became of each region, as UTF-8."""
    known = np.where(have_vectors(values, numbers), EMBEDDED.encode(), b"reference_n")
    found: np.ndarray = np.where(placed == b"ok", known, placed)
    return found
