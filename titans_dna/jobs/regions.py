"""Regions in, a table of their scores and tracks along their contigs out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.shard import WHOLE, Shard, assign
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import CLIPPED, PlacedRegion
from titans_dna.inference.score_regions import (
    RELATIVES_KINDS,
    RegionScore,
    WindowedRegions,
    score_contig_regions,
    track_kinds,
)
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import bigwig_paths, write_tracks
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.shards import describe_track_shard, write_ranges
from titans_dna.jobs.work_folder import WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for

logger = logging.getLogger(__name__)

COLUMNS = (
    Column("contig", "text"), Column("start", "integer"), Column("end", "integer"), Column("name", "text"),
    Column("strand", "text"), Column("bases", "integer"), Column("log_likelihood", "score"),
    Column("bits_per_base", "score"), Column("memory_surprise", "score"), Column("entropy_bits", "score"),
    Column("outcome", "text"),
)  # fmt: skip
ALONE = Column("bits_without_relatives", "score")  # of a model with relatives, read in windows
KEPT_BLOCKS = 64  # whose values are kept together, that a run can go on
_FIELDS = tuple(field.name for field in fields(RegionScore))


@dataclass(frozen=True, kw_only=True)
class RegionOutputs:
    """What to write."""

    table: Path  # see `titans_dna.io.tables.score_table`; "-" for standard output
    surprise: Path | None = None  # bigWig of the memory's surprise
    tracks: Path | None = None  # all tracks; see `titans_dna.io.tables.track_set`

    def check(self, kinds: Sequence[str]) -> None:
        """Refuse what is no format of tracks, and two outputs of one name.

        Raises
        ------
        OutputError
            If the suffix of the tracks is unknown.
        ConfigError
            If two of the files to be written are one.
        """
        named = [path for path in (self.table, self.surprise) if path is not None and str(path) != "-"]
        if str(self.table) != "-":
            format_of(self.table, verb="score-regions")
        if self.surprise is not None:
            format_of(self.surprise, verb="score-regions --track")
        if self.tracks is not None:
            each = format_of(self.tracks, verb="score-regions --tracks").name == "bigWig"
            named += bigwig_paths(self.tracks, kinds).values() if each else [self.tracks]
        found: set[Path] = set()
        for path in (path.resolve() for path in named if path.is_file() or not path.exists()):
            if path in found:
                raise ConfigError(f"{path}: two of --output, --track and --tracks are this file. Choose another name.")
            found.add(path)


def score_region_file(
    model: SequenceModel,
    genome: Genome,
    regions: Sequence[PlacedRegion],
    outputs: RegionOutputs,
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    context: Context = WHOLE_CONTIG,
    workers: int = 1,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Score regions, one pass over each contig that has any; return the number of regions by outcome.

    Parameters
    ----------
    model, genome
        Model and sequence.
    regions
        In the order of the output.
    outputs
        Where to write what.
    shard
        Part of the work: whole contigs.
    resume
        Go on from an unfinished run.
    context
        What the network reads before a base.
    workers
        Processes that read side by side in the context of windows; they change no score.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    OutputError
        If an output cannot be written.
    ConfigError
        If the unfinished run is another one, or two outputs are one file.
    """
    kinds = track_kinds(model.backbone) if outputs.tracks else ("surprise",) if outputs.surprise else ()
    told_alone = model.relatives is not None and context.window_bp > 0
    kinds += RELATIVES_KINDS if outputs.tracks and told_alone else ()
    outputs.check(kinds)
    work_of = _contigs_of(regions, genome, shard)
    lengths = {contig: genome.contigs.lengths[contig] for contig in work_of}
    digest = hash_regions(regions)
    how = {"kind": "regions"} | ({"context": str(context)} if context.window_bp else {})
    metadata = run_metadata(model, genome, how, shard, {"regions": digest})
    job = describe_job(metadata, genome, work_of)
    job |= {"regions": digest, "tracks": " ".join(kinds)}
    total = sum(lengths.values())
    found: dict[int, RegionScore] = {}
    with WorkFolder(outputs.table, job, model, resume=resume) as work:
        for contig, rows in work_of.items():
            number = genome.contigs.names.index(contig)
            arrays = _arrays(work, number, kinds, lengths[contig])
            part = work.part(str(number))
            if part is None and context.window_bp:
                windowed = WindowedRegions(
                    model, genome.sequence(contig), [regions[row].placed for row in rows],
                    window_bp=context.window_bp, tracks=arrays,
                )  # fmt: skip
                _read_windows(windowed, work, number, workers, lambda done: advance(done, total))
                part = {"scores": np.array([astuple(score) for score in windowed.scores()], dtype=np.float64)}
                work.keep(str(number), part)
            elif part is None:
                scores = score_contig_regions(
                    model, genome.sequence(contig), [regions[row].placed for row in rows], tracks=arrays,
                    checkpoint=work.checkpoint(str(number)),
                    progress=lambda done: advance(done, total),
                )  # fmt: skip
                part = {"scores": np.array([astuple(score) for score in scores], dtype=np.float64)}
                work.keep(str(number), part)
            else:
                advance(lengths[contig], total)
            for row, values in zip(rows, part["scores"].tolist(), strict=True):
                found[row] = RegionScore(bases=int(values[0]), **dict(zip(_FIELDS[1:], values[1:], strict=True)))
        told = {**metadata, **_shard_of(regions, genome, work_of)} if "shard" in metadata else metadata
        _write_tracks(outputs, work, genome, lengths, kinds, told)
        mine = _rows_of(regions, work_of, shard)
        if "shard" in metadata:
            metadata["rows"] = write_ranges(mine)
        columns = (*COLUMNS[:-1], *((ALONE,) if told_alone else ()), COLUMNS[-1])
        with ScoreTableWriter(outputs.table, columns, metadata) as writer:
            outcomes: dict[str, int] = {}
            for row in np.flatnonzero(mine).tolist():
                values = table_row(regions[row], found.get(row))
                if not told_alone:
                    values.pop(ALONE.name, None)
                outcomes[values["outcome"]] = outcomes.get(values["outcome"], 0) + 1
                writer.write(values)
    return outcomes


def _read_windows(
    windowed: WindowedRegions, work: WorkFolder, number: int, workers: int, progress: Callable[[int], None]
) -> None:
    """Read all blocks of a contig, but for those that are kept from a run before."""
    blocks, workers = range(len(windowed.blocks)), workers_for(windowed.model, workers)
    groups = [blocks[at : at + KEPT_BLOCKS] for at in range(0, len(blocks), KEPT_BLOCKS)]
    names = [f"{number}-group{group}" for group in range(len(groups))]
    kept = [work.part(name) for name in names]
    todo = [block for group, part in zip(groups, kept, strict=True) if part is None for block in group]
    done = map_parallel(windowed.read, todo, workers)
    length = len(windowed.sequence)
    for name, group, part in zip(names, groups, kept, strict=True):
        if part is None:
            part = {str(block): next(done) for block in group}
            work.keep(name, part)
        for block in group:
            windowed.add(block, part[str(block)])
        progress(length * len(group) // len(blocks))
    for block, values in zip(
        windowed.vote_blocks, map_parallel(windowed.vote, windowed.vote_blocks, workers), strict=True
    ):
        windowed.add_votes(block, values)


def hash_regions(regions: Sequence[PlacedRegion]) -> str:
    """Return a checksum of the regions asked for."""
    digest = hashlib.sha256()
    for region in regions:
        digest.update(repr(region.asked).encode())
    return digest.hexdigest()


def table_row(region: PlacedRegion, score: RegionScore | None) -> dict[str, Any]:
    """Return one row of the table."""
    asked = region.asked
    scored = CLIPPED if region.outcome == CLIPPED else "scored"
    outcome = scored if score and score.bases else "reference_n" if score else region.outcome
    numbers = {name: getattr(score, name) for name in _FIELDS} if score else {"bases": 0}
    place = {"contig": region.contig or asked.contig, "start": asked.start, "end": asked.end}
    return {**place, "name": asked.name, "strand": asked.strand, **numbers, "outcome": outcome}


def _used(regions: Sequence[PlacedRegion], genome: Genome) -> list[str]:
    """Return the contigs that have usable regions, in the order of the sequence."""
    found = {region.contig for region in regions if region.usable}
    return [contig for contig in genome.contigs.names if contig in found]


def _shard_of(regions: Sequence[PlacedRegion], genome: Genome, mine: Mapping[str, list[int]]) -> dict[str, str]:
    """Return what tracks of a shard say of the whole (see `titans_dna.io.tables.track_set_reader`)."""
    used = _used(regions, genome)
    lengths = {contig: genome.contigs.lengths[contig] for contig in used}
    held = np.array([contig in mine for contig in used], dtype=bool)
    return describe_track_shard(lengths, held)


def _contigs_of(regions: Sequence[PlacedRegion], genome: Genome, shard: Shard) -> dict[str, list[int]]:
    """Return the rows of usable regions on each contig of this shard, contigs in the order of the sequence."""
    used = _used(regions, genome)
    rows: dict[str, list[int]] = {contig: [] for contig in used}
    for row, region in enumerate(regions):
        if region.usable:
            rows[region.contig].append(row)
    parts = assign([float(genome.contigs.lengths[contig]) for contig in used], shard.count)
    return {contig: rows[contig] for contig, part in zip(used, parts, strict=True) if part == shard.index}


def _rows_of(regions: Sequence[PlacedRegion], work_of: Mapping[str, list[int]], shard: Shard) -> np.ndarray:
    """Return which rows this shard writes; those that cannot be scored are the first shard's."""
    mine = np.array([not region.usable and shard.index == 1 for region in regions], dtype=bool)
    for rows in work_of.values():
        mine[rows] = True
    return mine


def _arrays(work: WorkFolder, number: int, kinds: Sequence[str], bases: int) -> dict[str, np.ndarray]:
    """Return the arrays on disk of all tracks of one contig."""
    if not kinds:
        return {}
    return dict(zip(kinds, work.array(f"tracks-{number}", (len(kinds), bases)), strict=True))


def _write_tracks(
    outputs: RegionOutputs,
    work: WorkFolder,
    genome: Genome,
    lengths: Mapping[str, int],
    kinds: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    def arrays(contig: str) -> dict[str, np.ndarray]:
        return _arrays(work, genome.contigs.names.index(contig), kinds, lengths[contig])

    is_shard = "shard" in metadata
    told = {**metadata, "tracks": "surprise"} if is_shard else metadata

    def worth(path: Path | None, kinds: Sequence[str]) -> bool:
        """Tell whether there is anything to write; a shard without anything is written too, for a merge to count."""
        if path is None or is_shard:
            return path is not None
        may_be_empty = format_of(path, holds="tracks").name != "bigWig"
        valued = bool(lengths) and (may_be_empty or all(_has_values(lengths, arrays, kind) for kind in kinds))
        if not valued:
            logger.warning("%s is not written: no base of the regions' contigs has a value", path)
        return valued

    if outputs.surprise and worth(outputs.surprise, ["surprise"]):
        with BigWigTrack(outputs.surprise, lengths, told) as bigwig:
            for contig in lengths:
                bigwig.add_contig(contig, arrays(contig)["surprise"])
    if outputs.tracks and worth(outputs.tracks, kinds):
        with write_tracks(outputs.tracks, lengths, kinds, metadata) as tracks:
            for contig in lengths:
                tracks.add(contig, arrays(contig))


def _has_values(lengths: Mapping[str, int], arrays: Callable[[str], dict[str, np.ndarray]], kind: str) -> bool:
    """Tell whether a track has a number anywhere."""
    return any(
        np.isfinite(arrays(contig)[kind][start : start + (1 << 18)]).any()
        for contig, bases in lengths.items()
        for start in range(0, bases, 1 << 18)
    )
