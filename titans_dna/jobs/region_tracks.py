"""Tracks along the contigs of regions: arrays in the work folder while they are made, and then files.

On a sample's haplotypes a track runs along the haplotype. It is written on the reference, as ``KIND_haplotype1`` and
``KIND_haplotype2``: deleted bases have no value, and the values of inserted bases are left out
(`titans_dna.genome.lift.Lift.on_reference`). Where both are read, ``KIND_difference`` is the second minus the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from titans_dna.inference.haplotype_genome import BOTH, HaplotypeGenome
from titans_dna.io.formats import format_of
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.bigwig import BigWigTrack
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.jobs.groups import Group
from titans_dna.jobs.shards import describe_track_shard
from titans_dna.jobs.work_folder import WorkFolder

logger = logging.getLogger(__name__)


class RegionTracks:
    """The tracks of one run.

    Parameters
    ----------
    genome
        What is read.
    work
        Folder of the run.
    kinds
        Names of the tracks, as the model makes them.
    """

    def __init__(self, genome: Genome, work: WorkFolder, kinds: Sequence[str]) -> None:
        self.genome, self.work, self.kinds = genome, work, tuple(kinds)

    def array(self, contig: str) -> np.ndarray:
        """Return the array on disk of all tracks of a contig that is read, (kinds, bases) float32."""
        number = self.genome.contigs.names.index(contig)
        return self.work.array(f"tracks-{number}", (len(self.kinds), self.genome.contigs.lengths[contig]))

    def made(self, contig: str) -> dict[str, np.ndarray]:
        """Return the arrays on disk of all tracks of a contig that is read, by kind."""
        return dict(zip(self.kinds, self.array(contig), strict=True)) if self.kinds else {}

    def lengths(self, read: Sequence[str]) -> dict[str, int]:
        """Return the contigs that are written, and their bases, of those that are read."""
        return written_lengths(self.genome, read)

    def arrays(self, contig: str, kinds: Sequence[str]) -> dict[str, np.ndarray]:
        """Return tracks of a contig as they are written, by the name of the track."""
        if not isinstance(self.genome, HaplotypeGenome):
            return {kind: self.made(contig)[kind] for kind in kinds}
        found: dict[str, np.ndarray] = {}
        for number in self.genome.which:
            name = f"{contig}/{number}"
            made, lift = self.made(name), self.genome.lifts[name]
            found |= {f"{kind}_haplotype{number}": lift.on_reference(made[kind]) for kind in kinds}
        if self.genome.which == BOTH:
            found |= {f"{kind}_difference": found[f"{kind}_haplotype2"] - found[f"{kind}_haplotype1"] for kind in kinds}
        return found

    def of_shard(self, every: Sequence[str], mine: Sequence[Group]) -> dict[str, str]:
        """Return what tracks of a shard say of the whole (see `titans_dna.io.tables.track_set_reader`)."""
        lengths = self.lengths(every)
        if isinstance(self.genome, HaplotypeGenome):
            held = [(contig, 0, lengths[contig]) for contig in self.lengths([group.contig for group in mine])]
        else:  # a group without a range is a contig
            held = [(g.contig, g.range[0], g.range[1] or lengths[g.contig]) for g in mine]
        return describe_track_shard(lengths, held)

    def write(
        self, surprise: Path | None, tracks: Path | None, lengths: Mapping[str, int], metadata: Mapping[str, str]
    ) -> None:
        """Write the files that are asked for.

        Parameters
        ----------
        surprise, tracks
            bigWig of the surprise alone, and a file of all tracks; None for none.
        lengths
            The contigs, from `lengths`.
        metadata
            How the tracks were made.
        """
        is_shard = "shard" in metadata
        if surprise is not None and self._worth(surprise, ["surprise"], lengths, is_shard):
            (name,) = written_kinds(self.genome, ["surprise"])
            with BigWigTrack(surprise, lengths, {**metadata, "tracks": name} if is_shard else metadata) as bigwig:
                for contig in lengths:
                    bigwig.add_contig(contig, self.arrays(contig, ["surprise"])[name])
        if tracks is not None and self._worth(tracks, self.kinds, lengths, is_shard):
            with write_tracks(tracks, lengths, written_kinds(self.genome, self.kinds), metadata) as written:
                for contig in lengths:
                    written.add(contig, self.arrays(contig, self.kinds))

    def _worth(self, path: Path, kinds: Sequence[str], lengths: Mapping[str, int], is_shard: bool) -> bool:
        """Tell whether there is a track to write; a shard writes an empty one too, because merge counts shards."""
        if is_shard:
            return True
        may_be_empty = format_of(path, holds="tracks").name != "bigWig"
        valued = bool(lengths) and (may_be_empty or all(self._has_values(lengths, kind) for kind in kinds))
        if not valued:
            logger.warning("%s is not written: no base of the regions' contigs has a value", path)
        return valued

    def _has_values(self, lengths: Mapping[str, int], kind: str) -> bool:
        """Tell whether every track of a kind has a number anywhere."""
        found: dict[str, bool] = {}
        for contig, bases in lengths.items():
            for name, values in self.arrays(contig, [kind]).items():
                pieces = (values[start : start + (1 << 18)] for start in range(0, bases, 1 << 18))
                found[name] = found.get(name, False) or any(np.isfinite(piece).any() for piece in pieces)
        return all(found.values())


def written_lengths(genome: Genome, read: Iterable[str]) -> dict[str, int]:
    """Return the contigs that are written, and their bases, of those that are read."""
    if isinstance(genome, HaplotypeGenome):
        read, genome = [genome.origins[name] for name in read], genome.reference
    return {contig: genome.contigs.lengths[contig] for contig in dict.fromkeys(read)}


def read_kinds(genome: Genome, kinds: Sequence[str]) -> list[str]:
    """Return the names of tracks as they are written, without those of differences."""
    if not isinstance(genome, HaplotypeGenome):
        return list(kinds)
    return [f"{kind}_haplotype{number}" for number in genome.which for kind in kinds]


def written_kinds(genome: Genome, kinds: Sequence[str]) -> list[str]:
    """Return the names of tracks as they are written."""
    both = isinstance(genome, HaplotypeGenome) and genome.which == BOTH
    return read_kinds(genome, kinds) + [f"{kind}_difference" for kind in kinds if both]
