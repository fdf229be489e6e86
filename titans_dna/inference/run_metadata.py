"""What scores were made with, as text by key, the same in every format; shards are compared by it."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping

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


def command_line() -> str:
    """Return the command as it was typed, but for ``--resume``, which changes nothing that is written."""
    return shlex.join(["titans-dna", *(word for word in sys.argv[1:] if word != "--resume")])
