"""Embeds the regions of many contigs into one file, or into a shard of it, in parts that survive a kill.

A part is one strand of one group of regions (`titans_dna.jobs.groups`). Its vectors are written to the work folder as
they are made; along a contig, the state of the stream is saved with them. In the context "contig" a strand is never
split between shards: a later range needs the memory of all that stands before it, so a second machine would have to
read the same bases again.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.genome.bases import Bases, FetchedBases
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.embed import (
    EmbedOptions,
    Progress,
    Spans,
    embed_strand,
    embed_windows,
    vector_attributes,
)
from titans_dna.inference.haplotype_genome import BOTH, HaplotypeGenome
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import CLIPPED, OK, PlacedRegion
from titans_dna.inference.pooling import Emitted, have_vectors
from titans_dna.inference.windows import WindowedStrand
from titans_dna.io.embeddings.parts import PartVectors, VectorFile
from titans_dna.io.embeddings.writer import EMBEDDED, EmbeddingWriter, Outline, vector_blocks
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.groups import Group, group_all, of_shard, rows_of
from titans_dna.jobs.provenance import describe_relatives
from titans_dna.jobs.region_spool import ROWS, RegionSpool
from titans_dna.jobs.work_folder import Arrays, WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for
from titans_dna.model.state import StreamState

DISTANCE = "haplotype_distance"  # 1 - cosine of the angle between the vectors of two haplotypes


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How vectors are stored and made: which shard, whether to go on with an unfinished run, by how many processes."""

    dtype: str = "float32"
    compression: str = "none"
    shard: Shard = WHOLE
    resume: bool = False
    workers: int = 1  # processes, in the context of windows; they change no vector


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingPlan:
    """The regions of a job, and how they are grouped for reading."""

    options: EmbedOptions
    regions: RegionSpool  # usable or not, in the order of the file
    groups: tuple[Group, ...]  # contigs in the order of the FASTA
    offsets: np.ndarray | None  # (rows + 1,) first vector of every region; ragged jobs only
    haplotypes: HaplotypeGenome | None = None  # where the regions are those of a sample's haplotypes

    @property
    def rows(self) -> int:
        """Number of regions, usable or not."""
        return self.regions.rows

    @property
    def bins(self) -> int:
        """Number of vectors per region; in a ragged job, per base."""
        return self.options.pooling.bins

    @property
    def contigs(self) -> tuple[str, ...]:
        """Names of the contigs that are read."""
        return tuple(dict.fromkeys(group.contig for group in self.groups))

    @property
    def targets(self) -> int:
        """Number of vectors of the whole job."""
        return self.rows * self.bins if self.offsets is None else int(self.offsets[-1])

    def first_target(self, rows: np.ndarray) -> np.ndarray:
        """Return the number of the first vector of each row."""
        if self.offsets is not None:
            return self.offsets[rows]
        return rows if self.bins == 1 else rows * self.bins

    def of_shard(self, shard: Shard) -> list[int]:
        """Return the numbers of the groups that a shard reads."""
        return of_shard(self.groups, shard, self.haplotypes.origins if self.haplotypes else {})

    @property
    def compared(self) -> bool:
        """Whether the vectors of two haplotypes are compared; not where these are many vectors for each."""
        return self.haplotypes is not None and self.haplotypes.which == BOTH and self.offsets is None


def plan_embeddings(
    regions: Iterable[PlacedRegion], contigs: Mapping[str, int], options: EmbedOptions,
    haplotypes: HaplotypeGenome | None = None,
) -> EmbeddingPlan:  # fmt: skip
    """Go through the regions once and group them for reading; 24 bytes per region are kept in memory, or 25.

    Parameters
    ----------
    regions
        The regions in the order of the file.
    contigs
        Length of each contig in bases, in the order of the FASTA.
    options
        Context and pooling decide what is read together.
    haplotypes
        Genome of the regions, if they are those of a sample's haplotypes.
    """
    kinds = "qqqb" if options.stranded else "qqq"
    columns: dict[str, list[array[int]]] = {contig: [array(kind) for kind in kinds] for contig in contigs}
    counts, spool, stream = array("q"), RegionSpool(), iter(regions)
    while block := list(islice(stream, ROWS)):
        for row, region in enumerate(block, spool.rows):
            if region.usable:
                values = (row, region.start, region.end, region.asked.strand == "-")
                for column, value in zip(columns[region.contig], values, strict=False):
                    column.append(value)
            if options.pooling.ragged:
                counts.append(region.end - region.start if region.usable else 0)
        spool.append(block)
    offsets = np.concatenate([[0], np.cumsum(np.frombuffer(counts, np.int64))]) if counts else np.zeros(1, np.int64)
    return EmbeddingPlan(
        options=options,
        regions=spool,
        groups=tuple(group_all(columns, contigs, options.context, strands=options.strands)),
        offsets=offsets if options.pooling.ragged else None,
        haplotypes=haplotypes,
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
    """Embed the regions of a plan, write the file, and return the number of regions by outcome.

    Parameters
    ----------
    output
        HDF5 file; finished parts lie beside it, in ``OUTPUT.work``, until it is complete.
    model, genome
        The model, and the sequence that it reads.
    plan
        What `plan_embeddings` returned.
    attributes
        Attributes of the file.
    storage
        Type, compression, shard, and whether to go on with the parts of an earlier run.
    progress
        Called with the number of bases read since the last call.

    Raises
    ------
    OutputError
        If the file cannot be written, the disk is full, or another run is at work.
    ConfigError
        If the unfinished run beside the output is of another job.
    FormatError
        If a feature is too large for the number format of the file.
    """
    format_of(output, verb="embed")
    # Coordinates are those of the reference, so are the contigs of the file.
    source = plan.haplotypes.reference if plan.haplotypes else genome
    named = dict.fromkeys(plan.haplotypes.origins[name] if plan.haplotypes else name for name in plan.contigs)
    contigs = {contig: (source.contigs.lengths[contig], source.md5(contig)) for contig in named}
    columns = plan.options.columns(model)
    job = {
        **{key: value for key, value in attributes.items() if key not in ("command", "fasta")},
        "contigs": hashlib.sha256(json.dumps(contigs).encode()).hexdigest(),
        "regions": plan.regions.digest,
    }
    with WorkFolder(output, job, model, resume=storage.resume) as work:
        parts = _Reading(model, genome, plan, storage, progress).parts(work)
        vectors = [PartVectors(paths, columns, plan.targets) for paths in parts]
        further = (*plan.regions.further, *((DISTANCE,) if plan.compared else ()))
        outline = Outline(
            shard=not storage.shard.whole, text_bytes=plan.regions.text_bytes, further=further
        )  # fmt: skip
        with EmbeddingWriter(
            output, columns * plan.bins, contigs, attributes, storage.dtype, compression=storage.compression,
            ragged=plan.options.pooling.ragged, outline=outline,
        ) as writer:  # fmt: skip
            return assemble(writer, plan, vectors, storage.shard)


def embedding_attributes(model: SequenceModel, plan: EmbeddingPlan, shard: Shard) -> dict[str, Any]:
    """Return the attributes of the file, without the command."""
    said = {**vector_attributes(model, plan.options), "rows": plan.rows}
    said |= {"relatives": describe_relatives(model.relatives)} if model.relatives else {}
    said |= {"haplotypes": plan.haplotypes.told} if plan.haplotypes else {}
    return said if shard.whole else {**said, "shard": str(shard), "regions_sha256": plan.regions.digest}


class _Reading:
    """Reads the groups of a plan that have no part yet, group by group."""

    def __init__(
        self, model: SequenceModel, genome: Genome, plan: EmbeddingPlan, storage: Storage, progress: Progress
    ) -> None:
        self.model, self.genome, self.plan, self.storage, self.progress = model, genome, plan, storage, progress
        self.numbers = plan.of_shard(storage.shard)
        self._strands: dict[tuple[str, bool], WindowedStrand] = {}  # of the contig that is being read

    def parts(self, work: WorkFolder) -> list[list[Path]]:
        """Make those parts that do not exist yet, and return the files of all parts, by the reading of a region."""
        found: list[list[Path]] = [[] for _ in self.plan.options.strands]
        for number in self.numbers:
            group = self.plan.groups[number]
            for reading, reverse in enumerate(group.strands):
                name = f"{number:05d}-{'reverse' if reverse else 'forward'}"
                found[reading].append(work.path / name)
                work.once(name, partial(self._make, work, name, group, reverse), partial(self.progress, group.cost_bp))
        return found

    def _make(self, work: WorkFolder, name: str, group: Group, reverse: bool) -> dict[str, np.ndarray]:
        part = _Part(work, name, self.plan.options.columns(self.model))
        with part.file as file:
            for targets, values in self._embed(group, reverse, part):
                file.append(targets, values)
            # The vectors must be on disk before the part is marked as finished.
            file.flush()
            return {"vectors": np.array(file.count)}

    def _embed(self, group: Group, reverse: bool, part: _Part) -> Iterator[Emitted]:
        spans = Spans(starts=group.starts, ends=group.ends, targets=self.plan.first_target(group.rows))
        if self.plan.options.context.kind == "window":
            workers = workers_for(self.model, self.storage.workers)
            return embed_windows(
                self._windowed(group.contig, reverse), spans, self.plan.options, progress=self.progress,
                each=lambda work, blocks: map_parallel(work, blocks, workers),
            )  # fmt: skip
        if self.plan.options.context.kind == "contig":
            sequence: Bases = self.genome.bases(group.contig)
        else:
            length_bp = self.genome.contigs.lengths[group.contig]
            sequence = FetchedBases(partial(self.genome.fetch, group.contig), length_bp)
        return embed_strand(
            self.model, sequence, spans, self.plan.options, reverse=reverse, progress=self.progress, checkpoint=part
        )

    def _windowed(self, contig: str, reverse: bool) -> WindowedStrand:
        """Return a strand whose copy memory is filled once for all groups of a contig."""
        if (contig, reverse) not in self._strands:
            self._strands = {key: strand for key, strand in self._strands.items() if key[0] == contig}
            sequence = self.genome.bases(contig)
            window_bp = self.plan.options.context.window_bp
            made = WindowedStrand(self.model, sequence, reverse=reverse, window_bp=window_bp)
            groups = map(self.plan.groups.__getitem__, self.numbers)
            mine = [group for group in groups if group.contig == contig and reverse in group.strands]
            first, last = min(int(g.starts.min()) for g in mine), max(int(g.ends.max()) for g in mine)
            made.remember_to(len(sequence) - first if reverse else last)
            self._strands[contig, reverse] = made
        return self._strands[contig, reverse]


class _Part:
    """The vectors of a part and the state of its stream, saved together (see `branches.Checkpoint`)."""

    def __init__(self, work: WorkFolder, name: str, width: int) -> None:
        self._place = work.checkpoint(name)
        self._saved = self._place.load()
        # Vectors beyond the saved count were written after the last save. They are dropped, since the stream makes them
        # again from there.
        self.file = VectorFile(work.path / name, width, int(self._saved[2]["written"]) if self._saved else 0)

    def load(self) -> tuple[int, StreamState, Arrays] | None:
        return self._saved

    def due(self) -> bool:
        return self._place.due()

    def save(self, position: int, state: StreamState, arrays: Arrays) -> None:
        # Vectors first: a saved state that counts vectors which a crash has lost could not be taken up.
        self.file.flush()
        self._place.save(position, state, {**arrays, "written": np.array(self.file.count)})


def assemble(
    writer: EmbeddingWriter, plan: EmbeddingPlan, vectors: Sequence[PartVectors], shard: Shard
) -> dict[str, int]:
    """Write the regions and their vectors in the order of the input, and return the number of regions by outcome."""
    counts, mine = dict[str, int](), rows_of(plan.rows, plan.groups, plan.of_shard(shard), shard)
    for first, last, columns in _blocks(plan, writer.width):
        rows = np.arange(first, last)
        kept = mine[first:last]
        if not kept.any():
            continue
        values, numbers = _vectors(plan, vectors, rows, kept, writer.width)
        columns = {key: column[kept] for key, column in columns.items()}
        columns["outcome"] = _outcomes(columns["outcome"], values, numbers)
        if plan.compared:
            columns[DISTANCE] = _distances(plan, vectors, first, last, writer.width)[kept]
        for outcome, number in zip(*np.unique(columns["outcome"], return_counts=True), strict=True):
            counts[outcome.decode()] = counts.get(outcome.decode(), 0) + int(number)
        writer.append_columns(columns, values, counts=numbers, rows=None if shard.whole else rows[kept])
    return counts


def _blocks(plan: EmbeddingPlan, width: int) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield stretches of rows whose vectors can be held together, as first and last row, and their columns."""
    for start, columns in plan.regions.blocks():
        for first, last in vector_blocks(start, start + len(columns["start"]), width, plan.offsets):
            yield first, last, {key: column[first - start : last - start] for key, column in columns.items()}


def _vectors(
    plan: EmbeddingPlan, parts: Sequence[PartVectors], rows: np.ndarray, kept: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the vectors of a block, averaged over the strands, and in a ragged job how many each region has."""
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


def _distances(
    plan: EmbeddingPlan, parts: Sequence[PartVectors], first: int, last: int, width: int
) -> np.ndarray:  # fmt: skip
    """Return for each row of a block how far the vectors of its region's two haplotypes are from each other."""
    low, high = first - first % 2, last + last % 2  # a block may begin or end between the two
    rows = np.arange(low, high)
    values, _ = _vectors(plan, parts, rows, np.ones(len(rows), bool), width)
    one, two = values[::2].astype(np.float64), values[1::2].astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.maximum(1 - (one * two).sum(1) / norms, 0)
    found[(one == two).all(1)] = 0  # equal vectors are not to differ by rounding
    return np.repeat(found, 2)[first - low : last - low]


def _outcomes(placed: np.ndarray, values: np.ndarray, numbers: np.ndarray | None) -> np.ndarray:
    """Return the outcome of each region, as UTF-8."""
    usable, clipped = np.isin(placed, [OK.encode(), CLIPPED.encode()]), placed == CLIPPED.encode()
    known = np.where(have_vectors(values, numbers), np.where(clipped, placed, EMBEDDED.encode()), b"reference_n")
    return np.where(usable, known, placed)
