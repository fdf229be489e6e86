"""Regions in, a table of their scores and tracks along their contigs out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.embed import OWN_STRAND
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.placing import CLIPPED, PlacedRegion
from titans_dna.inference.region_sums import RegionScore
from titans_dna.inference.score_regions import (
    reads_side_by_side,
    score_alone,
    score_contig_regions,
    score_short_contigs,
    track_kinds,
)
from titans_dna.inference.windowed_regions import OTHERS, RELATIVES_KINDS, WindowedRegions, other_bits
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.score_table import Column, ScoreTableWriter
from titans_dna.io.tables.track_set import bigwig_paths
from titans_dna.jobs.groups import Group, bundles, group_all, of_shard, rows_of
from titans_dna.jobs.haplotypes import BITS_DIFFERENCE, differences, place_columns, place_on_haplotype, together
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.region_tracks import RegionTracks, written_kinds
from titans_dna.jobs.shards import write_ranges
from titans_dna.jobs.work_folder import WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for

STRANDS = ("forward", "reverse", OWN_STRAND)
COLUMNS = (
    Column("contig", "text"), Column("start", "integer"), Column("end", "integer"), Column("name", "text"),
    Column("strand", "text"), Column("bases", "integer"), Column("log_likelihood", "score"),
    Column("bits_per_base", "score"), Column("memory_surprise", "score"), Column("entropy_bits", "score"),
    Column("outcome", "text"),
)  # fmt: skip
DIFFERENCE = "bits_from_stretch"  # what the copy memory had from the stretches that are left out
_FIELDS = tuple(field.name for field in fields(RegionScore))


@dataclass(frozen=True, kw_only=True)
class RegionOutputs:
    """What to write."""

    table: Path  # see `titans_dna.io.tables.score_table`; "-" for standard output
    surprise: Path | None = None  # bigWig of the memory's surprise
    tracks: Path | None = None  # all tracks; see `titans_dna.io.tables.track_set`

    def check(self, kinds: Sequence[str]) -> None:
        """Refuse names that are not those of a format of tracks, and two outputs of one name.

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


@dataclass(frozen=True, kw_only=True)
class RegionReading:
    """Which strand of a region is read, what the model reads before it, and which further readings are made.

    Raises
    ------
    ConfigError
        If the strand is unknown, or stretches are left out in another context than windows.
    """

    context: Context = WHOLE_CONTIG
    without: tuple[Interval, ...] = ()  # stretches that the copy memory does not hold, for bits read a second time
    workers: int = 1  # processes that read side by side; they change no score
    strand: str = "forward"  # "forward", "reverse", or "region": each region's own

    def __post_init__(self) -> None:
        if self.strand not in STRANDS:
            raise ConfigError(f"strand is {self.strand!r}; choose {', '.join(STRANDS[:-1])} or {STRANDS[-1]}")
        if self.without and self.context.kind != "window":
            raise ConfigError("--without needs windows, for it reads each of them twice; add --context window:8192")

    def told(self) -> dict[str, str]:
        """Return what an output says of it."""
        told = self.context.told() | ({"without": ",".join(map(str, self.without))} if self.without else {})
        return told if self.strand == "forward" else {**told, "strand": self.strand}

    def reads_reverse(self, region: PlacedRegion) -> bool:
        """Tell whether a region is read on the reverse strand."""
        return self.strand == "reverse" or (self.strand == OWN_STRAND and region.asked.strand == "-")


PLAIN = RegionReading()


def score_region_file(
    model: SequenceModel,
    genome: Genome,
    regions: Sequence[PlacedRegion],
    outputs: RegionOutputs,
    *,
    shard: Shard = WHOLE,
    resume: bool = False,
    reading: RegionReading = PLAIN,
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
        Part of the work: whole contigs where these are the context, else ranges of contigs.
    resume
        Go on from an unfinished run.
    reading
        What is read before a region, and by how many processes.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    OutputError
        If an output cannot be written.
    ConfigError
        If the unfinished run is another one, two outputs are one file, or tracks are asked of regions by themselves or
        of the reverse strand.
    """
    kinds = _kinds(model, outputs, reading)
    outputs.check(written_kinds(genome, kinds))
    others = other_bits(model, bool(reading.without)) if reading.context.kind == "window" else ()
    groups = _groups(regions, genome, reading, bool(kinds))
    numbers = of_shard(groups, shard, together(genome))
    lengths = {name: genome.contigs.lengths[name] for name in dict.fromkeys(groups[n].contig for n in numbers)}
    digest = hash_regions(regions)
    metadata = run_metadata(model, genome, {"kind": "regions", **reading.told()}, shard, {"regions": digest})
    job = describe_job(metadata, genome, lengths)
    job |= {"regions": digest, "tracks": " ".join(kinds)}
    with WorkFolder(outputs.table, job, model, resume=resume) as work:
        tracks = RegionTracks(genome, work, kinds)
        made = _Reading(model, genome, regions, reading, tracks, work)
        total = sum(groups[number].cost_bp for number in numbers)
        found = made.scores(groups, numbers, lambda done: advance(done, total))
        mine = [groups[number] for number in numbers]
        told = {**metadata, **tracks.of_shard(_used(regions, genome), mine)} if "shard" in metadata else metadata
        tracks.write(outputs.surprise, outputs.tracks, tracks.lengths(list(lengths)), told)
        rows = rows_of(len(regions), groups, numbers, shard)
        if "shard" in metadata:
            metadata["rows"] = write_ranges(rows)
        more = (*others, DIFFERENCE) if reading.without else others
        further = (*(Column(name, "score") for name in more), *place_columns(genome))
        with ScoreTableWriter(outputs.table, (*COLUMNS[:-1], *further, COLUMNS[-1]), metadata) as writer:
            return _write_rows(writer, regions, np.flatnonzero(rows).tolist(), found, others)


def _write_rows(
    writer: ScoreTableWriter, regions: Sequence[PlacedRegion], rows: Sequence[int], found: Mapping[int, RegionScore],
    others: Sequence[str],
) -> dict[str, int]:  # fmt: skip
    """Write rows of the table, and return the number of regions by outcome."""
    outcomes: dict[str, int] = {}
    differs: list[float] = []
    if any(column.name == BITS_DIFFERENCE for column in writer.columns):
        differs = differences([found[row].bits_per_base if row in found else math.nan for row in range(len(regions))])
    for row in rows:
        values = table_row(regions[row], found.get(row), others)
        if differs:
            values[BITS_DIFFERENCE] = differs[row]
        outcomes[values["outcome"]] = outcomes.get(values["outcome"], 0) + 1
        writer.write(values)
    return outcomes


def _kinds(model: SequenceModel, outputs: RegionOutputs, reading: RegionReading) -> tuple[str, ...]:
    """Return the tracks to be made."""
    context = reading.context
    if outputs.tracks or outputs.surprise:
        if context.kind == "region":
            raise ConfigError("tracks run along whole contigs; leave them out, or use --context contig or window:N")
        if reading.strand != "forward":
            raise ConfigError("tracks run along the forward strand; leave them out, or use --strand forward")
    kinds = track_kinds(model.backbone) if outputs.tracks else ("surprise",) if outputs.surprise else ()
    told_alone = model.relatives is not None and context.kind == "window"
    return kinds + (RELATIVES_KINDS if outputs.tracks and told_alone else ())


class _Reading:
    """Scores groups of regions, or takes their scores from a run before."""

    def __init__(
        self, model: SequenceModel, genome: Genome, regions: Sequence[PlacedRegion], reading: RegionReading,
        tracks: RegionTracks, work: WorkFolder,
    ) -> None:  # fmt: skip
        self.model, self.genome, self.regions, self.reading = model, genome, regions, reading
        self.tracks, self.work, self.workers = tracks, work, workers_for(model, reading.workers)

    def scores(
        self, groups: Sequence[Group], numbers: Sequence[int], progress: Callable[[int], None]
    ) -> dict[int, RegionScore]:
        """Return the scores of the regions of groups, by row."""
        found: dict[int, RegionScore] = {}
        windowed: WindowedRegions | None = None

        def made(members: Sequence[Group], name: str) -> dict[str, np.ndarray]:
            nonlocal windowed
            group = members[0]
            scores: Sequence[RegionScore]
            if self._short_bp(group):
                scores = self._side_by_side(members)
                progress(sum(member.cost_bp for member in members))
            else:
                tracks, context = self.tracks.made(group.contig), self.reading.context
                if context.kind == "window" and (windowed is None or not windowed.reads(*_strand_of(group))):
                    alike = [groups[n] for n in numbers if _strand_of(groups[n]) == _strand_of(group)]
                    windowed = self._windowed(alike, tracks)
                scores = self._score(group, name, windowed, tracks, progress)
            return {"scores": np.array([astuple(score) for score in scores], dtype=np.float64)}

        for bundle in bundles(numbers, [self._short_bp(group) for group in groups]):
            members, name = [groups[number] for number in bundle], "-".join(map(str, sorted({bundle[0], bundle[-1]})))
            cost_bp = sum(member.cost_bp for member in members)
            part = self.work.once(name, partial(made, members, name), partial(progress, cost_bp))
            rows = [row for member in members for row in member.rows.tolist()]
            for row, values in zip(rows, part["scores"].reshape(-1, len(_FIELDS)).tolist(), strict=True):
                found[row] = RegionScore(bases=int(values[0]), **dict(zip(_FIELDS[1:], values[1:], strict=True)))
        return found

    def _short_bp(self, group: Group) -> int:
        """Return the length of a contig that is read side by side with others, 0 of one that is read by itself."""
        length = self.genome.contigs.lengths[group.contig]
        whole = self.reading.context.kind == "contig" and not self.tracks.kinds
        return length if whole and reads_side_by_side(self.model, length) else 0

    def _side_by_side(self, members: Sequence[Group]) -> list[RegionScore]:
        contigs = [
            (self.genome.bases(group.contig), [self.regions[row].placed for row in group.rows.tolist()],
             _strand_of(group)[1])
            for group in members
        ]  # fmt: skip
        return [score for scores in score_short_contigs(self.model, contigs) for score in scores]

    def _windowed(self, groups: Sequence[Group], tracks: Mapping[str, np.ndarray]) -> WindowedRegions:
        """Return the strand that all of these groups lie on, with a copy memory that reaches as far as they do."""
        stretches, (contig, reverse) = self.reading.without, _strand_of(groups[0])
        length = self.genome.contigs.lengths[contig]
        reaches = (
            length - group.starts.min(initial=length) if reverse else group.ends.max(initial=0) for group in groups
        )
        return WindowedRegions(
            self.model, contig, self.genome.bases(contig), window_bp=self.reading.context.window_bp,
            reach_bp=int(max(reaches)), tracks=tracks, reverse=reverse,
            without=[(s.start, s.end) for s in stretches if s.contig == contig] if stretches else None,
        )  # fmt: skip

    def _score(
        self, group: Group, name: str, windowed: WindowedRegions | None, tracks: Mapping[str, np.ndarray],
        progress: Callable[[int], None],
    ) -> Sequence[RegionScore]:  # fmt: skip
        placed = [self.regions[row].placed for row in group.rows.tolist()]
        if windowed is not None:
            return windowed.score(
                placed, group.range, lambda do, units: map_parallel(do, units, self.workers), progress
            )
        sequence, (_, reverse) = self.genome.bases(group.contig), _strand_of(group)
        if self.reading.context.kind == "contig":
            return score_contig_regions(
                self.model, sequence, placed, reverse=reverse, tracks=tracks,
                checkpoint=self.work.checkpoint(name), progress=progress,
            )  # fmt: skip
        alone = lambda place: score_alone(self.model, sequence, placed[place], reverse=reverse)  # noqa: E731
        found = []
        for place, score in zip(placed, map_parallel(alone, range(len(placed)), self.workers), strict=True):
            found.append(score)
            progress(place.end - place.start)
        return found


def _strand_of(group: Group) -> tuple[str, bool]:
    """Return contig and direction of the one strand that a group is read on."""
    (reverse,) = group.strands
    return group.contig, reverse


def hash_regions(regions: Sequence[PlacedRegion]) -> str:
    """Return a checksum of the regions asked for."""
    digest = hashlib.sha256()
    for region in regions:
        digest.update(repr(region.asked).encode())
    return digest.hexdigest()


def table_row(region: PlacedRegion, score: RegionScore | None, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return one row of the table; ``others`` are fields of a score that the table has besides."""
    asked = region.asked
    scored = CLIPPED if region.outcome == CLIPPED else "scored"
    outcome = scored if score and score.bases else "reference_n" if score else region.outcome
    told = (*(name for name in _FIELDS if name not in OTHERS), *others)
    numbers: dict[str, Any] = {name: getattr(score, name) for name in told} if score else {"bases": 0}
    if score and "bits_without_stretch" in others:
        numbers[DIFFERENCE] = score.bits_without_stretch - score.bits_per_base
    place = {"contig": region.written_contig, "start": asked.start, "end": asked.end}
    named = {"name": asked.name, "strand": asked.strand, **place_on_haplotype(region)}
    return {**place, **named, **numbers, "outcome": outcome}


def _used(regions: Sequence[PlacedRegion], genome: Genome) -> list[str]:
    """Return the contigs that have usable regions, in the order of the sequence."""
    found = {region.contig for region in regions if region.usable}
    return [contig for contig in genome.contigs.names if contig in found]


def _groups(regions: Sequence[PlacedRegion], genome: Genome, reading: RegionReading, everything: bool) -> list[Group]:
    """Return the groups of all usable regions, contigs in the order of the sequence."""
    columns: dict[str, list[list[int]]] = {contig: [[], [], [], []] for contig in _used(regions, genome)}
    for row, region in enumerate(regions):
        if region.usable:
            values = (row, region.start, region.end, reading.reads_reverse(region))
            for column, value in zip(columns[region.contig], values, strict=True):
                column.append(value)
    return group_all(columns, genome.contigs.lengths, reading.context, everything=everything)
