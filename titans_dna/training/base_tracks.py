"""What a head at base resolution says of whole contigs: tracks, and the stretches of each class as BED."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.inference.base_features import BothStrands
from titans_dna.inference.streaming import flush
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.region_tracks import RegionTracks, read_kinds, written_kinds, written_lengths
from titans_dna.jobs.work_folder import WorkFolder
from titans_dna.jobs.workers import map_parallel, workers_for
from titans_dna.training.base_heads import TrainedBaseHead


@dataclass(frozen=True, kw_only=True)
class BedOutput:
    """Where the stretches of classes are written, and what counts as one.

    Raises
    ------
    ConfigError
        If the threshold is no probability.
    """

    path: Path
    threshold: float = 0.5  # least probability of every base of a stretch

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; choose a probability above 0, up to 1")


def predict_base_tracks(
    trained: TrainedBaseHead,
    genome: Genome,
    contigs: Sequence[str],
    output: Path,
    *,
    bed: BedOutput | None = None,
    resume: bool = False,
    workers: int = 1,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write what a head says of every base of contigs; return the number of bases.

    Parameters
    ----------
    trained
        Head and model.
    genome, contigs
        Sequence, and the contigs to read, in any order; they are written in the order of the sequence. Those of a
        sample's haplotypes are written on the reference (see `titans_dna.jobs.region_tracks`).
    output
        Tracks in any format of `titans_dna.io.tables.track_set`, one for each class or target.
    bed
        Also write stretches whose bases are likely of a class; None for none.
    resume
        Go on from an unfinished run.
    workers
        Processes that read blocks side by side; they change no number.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    ConfigError
        If stretches are asked of a regression, or the unfinished run was another one.
    OutputError
        If the ending of the output is unknown, or it cannot be written.
    """
    if bed is not None and trained.regression:
        raise ConfigError("a regression has values and no classes; leave --bed-output out")
    lengths = {name: genome.contigs.lengths[name] for name in genome.contigs.names if name in set(contigs)}
    total = sum(lengths.values())
    progress = lambda done: advance(done, total)  # noqa: E731
    options = {"kind": "base-head", "names": ",".join(trained.names), "window_bp": trained.config.window_bp}
    metadata = run_metadata(trained.model, genome, options)
    places = {contig: place for place, contig in enumerate(genome.contigs.names)}
    # Opened first: an ending that cannot be written is refused before anything is read.
    written = written_lengths(genome, lengths)
    tracks = write_tracks(output, written, written_kinds(genome, trained.names), metadata)
    with WorkFolder(output, describe_job(metadata, genome, lengths), resume=resume) as work:
        made = RegionTracks(genome, work, trained.names)
        for contig, length in lengths.items():
            reading = partial(_fill, trained, genome, contig, made.array(contig), workers, progress)
            work.once(str(places[contig]), reading, partial(progress, length))
        with ExitStack() as stack:
            stack.enter_context(tracks)
            rows = stack.enter_context(stack.enter_context(atomic_path(bed.path)).open("w")) if bed else None
            for contig in written:
                found = made.arrays(contig, trained.names)
                tracks.add(contig, found)
                if bed and rows:  # a difference is no probability, so it has no stretches
                    likely = {kind: found[kind] for kind in read_kinds(genome, trained.names)}
                    rows.writelines(_bed_lines(contig, likely, bed.threshold))
    return total


def _fill(
    trained: TrainedBaseHead, genome: Genome, contig: str, out: np.ndarray, workers: int,
    progress: Callable[[int], None],
) -> dict[str, np.ndarray]:  # fmt: skip
    sequence = genome.sequence(contig)
    strands = BothStrands(trained.model, sequence, trained.config.layers, trained.config.window_bp)
    size = strands.block_bp
    unknown = np.isin(np.frombuffer(sequence.upper(), np.uint8), np.frombuffer(b"ACGTU", np.uint8), invert=True)

    def block(number: int) -> tuple[int, np.ndarray]:
        start, end = number * size, min((number + 1) * size, len(sequence))
        if unknown[start:end].all():
            return start, np.full((end - start, len(trained.names)), np.nan, np.float32)
        return start, trained.predict(strands, start, end)

    for start, found in map_parallel(block, range(-(-len(sequence) // size)), workers_for(trained.model, workers)):
        here = slice(start, start + len(found))
        out[:, here] = np.where(unknown[here], np.nan, found.T)
        progress(len(found))
    flush(out)
    return {}  # the numbers are in the array on disk; an empty part marks them as complete


def _bed_lines(contig: str, values: Mapping[str, np.ndarray], threshold: float) -> Iterator[str]:
    """Yield a line for each stretch: 0-based, end excluded; the score is the mean probability in thousandths."""
    lines = []
    for name, row in values.items():
        likely = np.concatenate([[False], np.asarray(row) >= threshold, [False]])  # nan is not
        edges = np.flatnonzero(likely[1:] != likely[:-1])
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            score = round(1000 * float(np.mean(row[start:end])))
            lines.append((start, end, f"{contig}\t{start}\t{end}\t{name}\t{score}\t.\n"))
    yield from (line for *_, line in sorted(lines))
