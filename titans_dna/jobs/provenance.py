"""How scores were made: text by key, the same in every file format, by which shards and resumed runs are compared."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.haplotype_genome import HaplotypeGenome
from titans_dna.inference.model import SequenceModel
from titans_dna.io.sequence.fasta import Genome
from titans_dna.recall import Relatives
from titans_dna.version import __version__

HOW = ("shard", "rows", "command")  # keys in which the shards of one run differ
NAMED = 30  # relatives whose names are told
_DIGEST = "_sha256"  # ends the keys that a shard alone has, for a merge to compare


def run_metadata(
    model: SequenceModel,
    genome: Genome | None,
    options: Mapping[str, object],
    shard: Shard = WHOLE,
    inputs: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the metadata of a run.

    Parameters
    ----------
    model, genome
        The model, and the sequence that it reads; None where that is in no file.
    options
        All options that change a score.
    shard
        Part of the work.
    inputs
        SHA-256 of each further input, by a name for it. Only shards record these, and that of the alias file.
    """
    haplotypes = {}
    if isinstance(genome, HaplotypeGenome):
        # The reference and the checksum of the variants together say what the haplotypes are.
        haplotypes, genome = {"haplotypes": genome.told}, genome.reference
    metadata = {
        "version": __version__,
        "model": f"{model.name} sha256={model.weights_sha256}",
        **({"reference": f"{genome.path.name} lengths_sha256={_digest(genome, sequences=False)}"} if genome else {}),
        **({"relatives": describe_relatives(model.relatives)} if model.relatives else {}),
        **haplotypes,
        "options": " ".join(f"{key}={value}" for key, value in options.items()),
        "command": command_line(),
    }
    if shard.whole or genome is None:
        return metadata
    # Only shards pay for this checksum, which reads the whole genome once: another machine may hold another FASTA.
    digests = {"sequences": _digest(genome, sequences=True), **inputs, "aliases": _hash_aliases(genome)}
    return {**metadata, "shard": str(shard), **{f"{key}{_DIGEST}": digest for key, digest in digests.items()}}


def describe_relatives(relatives: Relatives) -> str:
    """Return what the outputs say of the relatives that were read."""
    genomes = relatives.genomes
    named = ",".join(genomes[:NAMED]) + (f",... ({len(genomes)})" if len(genomes) > NAMED else "")
    return f"{named} bases={relatives.bases} checksum={relatives.checksum}"


def metadata_of_whole(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a run without shards would have written, without the command."""
    return {key: text for key, text in metadata.items() if key not in HOW and not key.endswith(_DIGEST)}


def _digest(genome: Genome, *, sequences: bool) -> str:
    """Return a checksum of the names and lengths of all contigs and, if asked for, of their sequences."""
    digest = hashlib.sha256()
    for contig, length in genome.contigs.lengths.items():
        digest.update(f"{contig}\t{length}\t{genome.md5(contig) if sequences else ''}\n".encode())
    return digest.hexdigest()


def _hash_aliases(genome: Genome) -> str:
    source = genome.reference if isinstance(genome, HaplotypeGenome) else genome
    return hashlib.sha256(json.dumps(source.contigs.aliases, sort_keys=True).encode()).hexdigest()


def describe_job(metadata: Mapping[str, str], genome: Genome, contigs: Iterable[str]) -> dict[str, str]:
    """Return what an unfinished run and the run that resumes it must have in common (see `work_folder.WorkFolder`).

    These are the metadata without the command; the bases of the contigs that are read, since a FASTA may be replaced
    and a consensus called with other options; and the alias file, which decides on which contig a record lies.
    """
    sequence = "".join(f"{contig}\t{genome.md5(contig)}\n" for contig in contigs)
    job = {key: value for key, value in metadata.items() if key != "command"}
    return job | {"sequence": hashlib.sha256(sequence.encode()).hexdigest(), "alias file": _hash_aliases(genome)}


def command_line() -> str:
    """Return the command as it was typed, without ``--resume``: a resumed run writes the same file as one run."""
    return shlex.join(["titans-dna", *(word for word in sys.argv[1:] if word != "--resume")])
