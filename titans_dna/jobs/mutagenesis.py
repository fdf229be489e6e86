"""Writes the effects of single-base changes to HDF5, and the predictions for every base to a table, bigWigs or HDF5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard, assign
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.mutagenesis import RegionEffects, mutate_region, predict_bases
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_metadata import write_metadata
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.snv_table import SnvTableWriter
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.jobs.provenance import describe_job, run_metadata
from titans_dna.jobs.shards import describe_track_shard
from titans_dna.jobs.work_folder import WorkFolder

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
    advance: Advance = lambda done, total: None,
) -> list[RegionEffects]:
    """Score all single-base changes of regions and write them to HDF5.

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
    metadata = run_metadata(model, genome, {"kind": "mutagenesis", "horizon_bp": horizon_bp})
    job = describe_job(metadata, genome, dict.fromkeys(region.contig for region in regions))
    job["regions"] = " ".join(map(str, regions))
    total = 2 * sum(genome.contigs.lengths[region.contig] for region in regions)
    found = []
    with WorkFolder(output, job, model, resume=resume) as work:
        for number, region in enumerate(regions):
            part = work.part(str(number))
            if part is None:
                effects = mutate_region(
                    model, genome.sequence(region.contig), region, horizon_bp=horizon_bp,
                    checkpoint=work.checkpoint(str(number)),
                    progress=lambda done: advance(done, total),
                )  # fmt: skip
                work.keep(str(number), {"strands": effects.strands})
            else:
                advance(2 * genome.contigs.lengths[region.contig], total)
                bases = genome.fetch(region.contig, region.start, region.end).upper().replace(b"U", b"T")
                effects = RegionEffects(region=region, reference=bases, strands=part["strands"])
            found.append(effects)
        _write_effects(output, found, metadata)
    return found


def _write_effects(output: Path, found: Sequence[RegionEffects], metadata: dict[str, str]) -> None:
    with atomic_path(output) as temporary, new_hdf5(temporary) as file:
        write_metadata(file, metadata)
        for effects in found:
            group = file.create_group(str(replace(effects.region, name="")))
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
        Part of the work to do; a shard takes whole contigs.
    resume
        Go on from an unfinished run.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    OutputError
        If the suffix of the output is unknown.
    ConfigError
        If the unfinished run beside the output is of another job.
    """
    made = format_of(output, verb="mutagenesis --all-snvs")
    chosen = {contig: genome.contigs.lengths[contig] for contig in genome.contigs.names if contig in set(contigs)}
    parts = assign([float(bases) for bases in chosen.values()], shard.count)
    mine = np.array([part == shard.index for part in parts], dtype=bool)
    lengths = {contig: bases for (contig, bases), used in zip(chosen.items(), mine, strict=True) if used}
    metadata = run_metadata(model, genome, {"kind": "all-snvs", "strands": "".join("+-"[s] for s in strands)}, shard)
    job = describe_job(metadata, genome, lengths) | {"contigs": " ".join(chosen)}
    if "shard" in metadata:
        metadata |= describe_track_shard(chosen, mine)
    total = len(strands) * sum(lengths.values())
    progress = lambda done: advance(done, total)  # noqa: E731
    with WorkFolder(output, job, model, resume=resume) as work:
        arrays = {}
        for contig, length in lengths.items():
            for reverse in strands:
                name = f"{genome.contigs.names.index(contig)}-{'-' if reverse else '+'}"
                array = arrays[contig, reverse] = work.array(name, (4, length))
                if work.part(name) is None:
                    predict_bases(
                        model, genome.sequence(contig), array, reverse=reverse, progress=progress,
                        checkpoint=work.checkpoint(name),
                    )  # fmt: skip
                    # The numbers are in the array on disk; an empty part marks them as complete.
                    work.keep(name, {})
                else:
                    progress(length)

        def mean(contig: str) -> np.ndarray:
            parts = [arrays[contig, reverse] for reverse in strands]
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
