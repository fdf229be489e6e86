"""What scores were made with, as text by key, the same in every format; shards are compared by it."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Mapping

from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference.model import SequenceModel
from titans_dna.io.fasta import Genome
from titans_dna.version import __version__

HOW = ("shard", "rows", "command")  # keys in which the shards of one run differ


def run_metadata(
    model: SequenceModel, genome: Genome, options: Mapping[str, object], shard: Shard = WHOLE
) -> dict[str, str]:
    """Return the metadata of a run; ``options`` are all that change a score.

    The sequence itself is summed up for a shard only: that reads the whole genome once.
    """
    metadata = {
        "version": __version__,
        "model": f"{model.name} sha256={model.weights_sha256}",
        "reference": f"{genome.path.name} {reference_digest(genome, sequences=not shard.whole)}",
        "options": " ".join(f"{key}={value}" for key, value in options.items()),
        "command": command_line(),
    }
    return metadata if shard.whole else {**metadata, "shard": str(shard)}


def reference_digest(genome: Genome, *, sequences: bool) -> str:
    """Return a checksum of names and lengths of all contigs, and of their sequences if asked for."""
    digest = hashlib.sha256()
    for contig, length in genome.contigs.lengths.items():
        digest.update(f"{contig}\t{length}\t{genome.md5(contig) if sequences else ''}\n".encode())
    return ("sequences" if sequences else "lengths") + f"_sha256={digest.hexdigest()}"


def describe_job(metadata: Mapping[str, str], genome: Genome, contigs: Iterable[str]) -> dict[str, str]:
    """Return what an unfinished run and one that goes on with it must share, for ``work_folder.WorkFolder``.

    That is the metadata but for the command, the bases of the contigs that are read (a FASTA may be replaced, and reads
    called otherwise), and the alias file, which decides where a record lies.
    """
    sequence = "".join(f"{contig}\t{genome.md5(contig)}\n" for contig in contigs)
    named = json.dumps(genome.contigs.aliases, sort_keys=True)
    digests = {"sequence": sequence, "alias file": named}
    job = {key: value for key, value in metadata.items() if key != "command"}
    return job | {key: hashlib.sha256(text.encode()).hexdigest() for key, text in digests.items()}


def command_line() -> str:
    """Return the command as it was typed, but for ``--resume``, which changes nothing that is written."""
    return shlex.join(["titans-dna", *(word for word in sys.argv[1:] if word != "--resume")])
