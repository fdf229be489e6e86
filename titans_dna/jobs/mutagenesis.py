"""Writes the effects of single-base changes to HDF5, and the predictions for every base to a table, bigWigs or HDF5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.bases import Bases
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard, assign
from titans_dna.inference.alleles import Allele
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.mutagenesis import RegionEffects, changes_of, effects_of, predict_bases, predict_block
from titans_dna.inference.score_variants import score_strands
from titans_dna.inference.streaming import flush
from titans_dna.inference.windows import WHOLE_CONTIG, Context, WindowedStrand
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import group_name, write_metadata
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.snv_table import SnvTableWriter
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.jobs.groups import stretches_of_contig
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.shards import describe_track_shard
from titans_dna.jobs.windowed_alleles import WindowScoring
from titans_dna.jobs.work_folder import StreamCheckpoint, WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for

Advance = Callable[[int, int], None]
_BASES = 1 << 18  # bases averaged at once


def mutate_regions(
    model: SequenceModel,
    genome: Genome,
    regions: Sequence[Interval],
    output: Path,
    *,
    horizon_bp: int,
    resume: bool = False,
    context: Context = WHOLE_CONTIG,
    workers: int = 1,
    advance: Advance = lambda done, total: None,
) -> list[RegionEffects]:
    """Score all single-base changes of regions and write them to HDF5, in one pass over each strand of each contig.

    `titans_dna.io.tables.mutagenesis` describes the layout. A region that is given twice is written once.

    Raises
    ------
    OutputError
        If the output is not ``.h5``.
    ConfigError
        If there is no region, or the unfinished run beside the output is of another job.
    """
    format_of(output, verb="mutagenesis")
    if not regions:
        raise ConfigError("there is no region to change. Give --region or --bed.")
    # The exons of a gene's isoforms repeat under different names; a group of the file is named after its place alone.
    regions = list({str(replace(region, name="")): region for region in regions}.values())
    how = {"kind": "mutagenesis", "horizon_bp": horizon_bp, **context.told()}
    metadata = run_metadata(model, genome, how)
    contigs = dict.fromkeys(region.contig for region in regions)
    job = describe_job(metadata, genome, contigs)
    job["regions"] = " ".join(map(str, regions))
    total = 2 * sum(genome.contigs.lengths[contig] for contig in contigs)
    found: dict[str, RegionEffects] = {}
    with WorkFolder(output, job, model, resume=resume) as work:
        scoring = _Scoring(
            model=model, horizon_bp=horizon_bp, context=context, work=work, workers=workers,
            progress=lambda done: advance(done, total),
        )  # fmt: skip
        for contig in contigs:
            here = [region for region in regions if region.contig == contig]
            for effects in scoring.effects(str(genome.contigs.names.index(contig)), genome.bases(contig), here):
                found[str(effects.region)] = effects
        ordered = [found[str(region)] for region in regions]
        _write_effects(output, ordered, metadata)
    return ordered


@dataclass(frozen=True, kw_only=True)
class _Scoring:
    """How the changes of a contig's regions are scored."""

    model: SequenceModel
    horizon_bp: int
    context: Context
    work: WorkFolder
    workers: int
    progress: Callable[[int], None]

    def effects(self, name: str, sequence: Bases, regions: Sequence[Interval]) -> list[RegionEffects]:
        """Return the effects in regions of one contig, from the work folder if they are there."""
        changes: list[list[Allele]] = []
        for region in regions:
            changes.append(changes_of(sequence, region, row=sum(map(len, changes))))
        part = self.work.once(
            name, lambda: {"scores": self._score(name, sequence, regions, list(chain.from_iterable(changes)))},
            lambda: self.progress(2 * len(sequence)),
        )  # fmt: skip
        scores = np.split(part["scores"], np.cumsum([len(each) for each in changes])[:-1])
        return [effects_of(sequence, *each) for each in zip(regions, changes, scores, strict=True)]

    def _score(self, name: str, sequence: Bases, regions: Sequence[Interval], changes: list[Allele]) -> np.ndarray:
        if self.context.kind == "contig":
            return score_strands(
                self.model, sequence, changes, horizon_bp=self.horizon_bp, checkpoint=self.work.checkpoint(name),
                progress=self.progress,
            )  # fmt: skip
        if self.context.kind == "window":
            scoring = WindowScoring(
                model=self.model, horizon_bp=self.horizon_bp, window_bp=self.context.window_bp, work=self.work,
                workers=self.workers, progress=self.progress,
            )  # fmt: skip
            return scoring.score(name, sequence, changes)
        found = []
        for region in regions:
            alone = sequence[region.start : region.end]
            own = changes_of(alone, Interval(region.contig, 0, len(alone)))
            found.append(score_strands(self.model, alone, own, horizon_bp=self.horizon_bp))
        self.progress(2 * len(sequence))
        return np.concatenate(found)


def _write_effects(output: Path, found: Sequence[RegionEffects], metadata: dict[str, str]) -> None:
    with atomic_path(output) as temporary, new_hdf5(temporary) as file:
        write_metadata(file, metadata)
        for effects in found:
            group = file.create_group(group_name(str(replace(effects.region, name=""))))
            values = {
                "effects": effects.mean,
                "effects_forward": effects.strands[..., 0],
                "effects_reverse": effects.strands[..., 1],
                "reference": np.frombuffer(effects.reference, "S1"),
            }
            for name, data in values.items():
                group.create_dataset(name, data=data, track_times=False)
            region = effects.region
            group.attrs.update({"contig": region.contig, "start": region.start, "end": region.end, "columns": "ACGT"})


def write_all_snvs(
    model: SequenceModel,
    genome: Genome,
    contigs: Sequence[str],
    output: Path,
    *,
    strands: Sequence[bool] = (False, True),
    shard: Shard = WHOLE,
    resume: bool = False,
    context: Context = WHOLE_CONTIG,
    workers: int = 1,
    advance: Advance = lambda done, total: None,
) -> None:
    """Write ln P of A, C, G and T at every base of contigs, from one pass over each strand, averaged over the strands.

    Parameters
    ----------
    model, genome
        Model and sequence.
    contigs
        Names, in any order; they are written in the order of the sequence.
    output
        ``.tsv.gz`` (bgzip with a tabix index), or a format of `io.tables.track_set` (``NAME.A.bw``, ...; ``.h5``).
    strands
        False reads forward, True the reverse complement.
    shard
        Part of the work to do: whole contigs, or in windows ranges of them.
    resume
        Go on from an unfinished run.
    context, workers
        The whole contig or windows, and how many processes read these.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    OutputError
        If the suffix of the output is unknown.
    ConfigError
        If the unfinished run beside the output is of another job, or regions by themselves are the context.
    """
    if context.kind == "region":
        raise ConfigError("--all-snvs reads whole contigs; choose --context contig or window:N")
    made = format_of(output, verb="mutagenesis --all-snvs")
    chosen = {contig: genome.contigs.lengths[contig] for contig in genome.contigs.names if contig in set(contigs)}
    pieces = [(contig, *piece) for contig, bases in chosen.items() for piece in stretches_of_contig(bases, context)]
    parts = assign([float(end - start) for _, start, end in pieces], shard.count)
    mine = [piece for piece, part in zip(pieces, parts, strict=True) if part == shard.index]
    lengths = {contig: chosen[contig] for contig, _, _ in mine}
    metadata = run_metadata(model, genome, {"kind": "all-snvs", "strands": "".join("+-"[s] for s in strands),
                                           **context.told()}, shard)  # fmt: skip
    job = describe_job(metadata, genome, lengths) | {"contigs": " ".join(chosen)}
    if "shard" in metadata:
        metadata |= describe_track_shard(chosen, mine)
    total = len(strands) * sum(end - start for _, start, end in mine)
    progress = lambda done: advance(done, total)  # noqa: E731
    with WorkFolder(output, job, model, resume=resume) as work:
        places = {contig: place for place, contig in enumerate(genome.contigs.names)}

        def numbers(contig: str, reverse: bool) -> tuple[str, np.ndarray]:
            # Mapped anew each time: an open map of every contig would take more files than a process may open.
            name = f"{places[contig]}-{'-' if reverse else '+'}"
            return name, work.array(name, (4, lengths[contig]))

        for contig in lengths:
            held = [(start, end) for name, start, end in mine if name == contig]
            for reverse in strands:
                reader = _StrandReader(model, genome.bases(contig), reverse, context, workers, progress)
                name, array = numbers(contig, reverse)
                for start, end in held:
                    part = f"{name}-{start}"
                    read = partial(reader.fill, array, start, end, work.checkpoint(part))
                    work.once(part, read, partial(progress, end - start))

        def mean(contig: str) -> np.ndarray:
            parts = [numbers(contig, reverse)[1] for reverse in strands]
            if len(parts) == 1:
                return parts[0]
            # On disk, because the mean of a chromosome may not fit into memory.
            whole = work.array("mean", parts[0].shape)
            for start in range(0, lengths[contig], _BASES):
                whole[:, start : start + _BASES] = np.mean([part[:, start : start + _BASES] for part in parts], axis=0)
            return whole

        if made.holds == "all-SNVs":
            told = metadata | ({"tracks": "A C G T"} if "shard" in metadata else {})
            with SnvTableWriter(output, told) as table:
                for contig in lengths:
                    table.add(contig, genome.sequence(contig), mean(contig))
        else:
            with write_tracks(output, lengths, tuple("ACGT"), metadata) as tracks:
                for contig in lengths:
                    tracks.add(contig, dict(zip("ACGT", mean(contig), strict=True)))


class _StrandReader:
    """Predicts the bases of stretches of a strand; the copy memory of windows is filled when it is first needed."""

    def __init__(
        self, model: SequenceModel, sequence: Bases, reverse: bool, context: Context, workers: int,
        progress: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.model, self.sequence, self.reverse, self.context = model, sequence, reverse, context
        self.workers, self.progress = workers_for(model, workers), progress
        self._windowed: WindowedStrand | None = None

    def fill(
        self, out: np.ndarray, start: int, end: int, checkpoint: StreamCheckpoint
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Fill bases ``start`` to ``end`` of an array on disk, all of it where the contig is the context."""
        if self.context.kind == "window":
            self._fill_windows(out, start, end)
        else:
            predict_bases(
                self.model, self.sequence, out, reverse=self.reverse, progress=self.progress, checkpoint=checkpoint
            )
        return {}  # the numbers are in the array on disk; an empty part marks them as complete

    def _fill_windows(self, out: np.ndarray, start: int, end: int) -> None:
        if self._windowed is None:
            self._windowed = WindowedStrand(
                self.model, self.sequence, reverse=self.reverse, window_bp=self.context.window_bp
            )  # fmt: skip
            self._windowed.remember_to(len(self.sequence))
        windowed, size = self._windowed, self._windowed.block_tokens
        first, last = windowed.strand.span(start, end)
        blocks = range(first // size, -(-last // size))
        for at, values in map_parallel(partial(predict_block, windowed), blocks, self.workers):
            low, high = max(at, start), min(at + values.shape[1], end)
            out[:, low:high] = values[:, low - at : high - at]
            self.progress(high - low)
        flush(out)
