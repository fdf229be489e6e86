"""Where a sequence comes from: stretches that the copy memory foretold from an earlier place, as BEDPE.

BEDPE is bedtools' format of pairs (https://bedtools.readthedocs.io/en/latest/content/general-usage.html): 0-based, end
excluded; genome browsers draw it as arcs. The first place is the stretch, the second what it was foretold from.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.tsv import TsvWriter
from titans_dna.jobs.provenance import run_metadata
from titans_dna.recall.copies import Copy, find_copies

COLUMNS = (
    "#chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1", "strand2", "identity",
    "genome2", "bits_saved",
)  # fmt: skip


def write_copies(
    model: SequenceModel,
    genome: Genome,
    contigs: Sequence[str],
    output: Path,
    *,
    least_bp: int = 32,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the copies along contigs; return how many there are.

    Parameters
    ----------
    model
        With a copy memory, and relatives in it if they are to be found too.
    genome, contigs
        What is read.
    output
        Table; gzip-compressed if it ends in ``.gz``.
    least_bp
        Shortest copy.
    advance
        Called with (bases read since the last call, bases to read in all).

    Raises
    ------
    ConfigError
        If the model has no copy memory.
    """
    require_single_bases(model, "copies")
    model.backbone.config.require_recall(model.name)
    count, total = 0, sum(genome.contigs.lengths[contig] for contig in contigs)
    metadata = run_metadata(model, genome, {"kind": "copies", "least_bp": least_bp})
    with TsvWriter(output, COLUMNS, metadata) as writer:
        for contig in contigs:
            for row in copies_of(model, contig, genome.sequence(contig), least_bp):
                count += 1
                writer.write({**row, "name": f"copy{count}"})
            advance(genome.contigs.lengths[contig], total)
    return count


def copies_of(model: SequenceModel, contig: str, sequence: bytes, least_bp: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each copy along a contig; only a hundredth of the work of reading it with the network."""
    recall = model.backbone.initial_state(1).recall
    assert recall is not None
    state = recall.streams[0]
    first = state.position + 1  # of the contig's bases, behind the start token
    # A list in place of the start token would make eight bytes of every one.
    ids = np.concatenate([np.array([model.bos], dtype=np.uint8), model.tokenizer.encode(sequence)])
    read = model.relatives.contigs if model.relatives else []
    starts = [each.start for each in read]
    for copy in find_copies(state, ids, least_bp):
        length = copy.end - copy.start
        name, genome, origin = contig, "", first
        if copy.source < state.position:
            source = read[bisect_right(starts, copy.source) - 1]
            name, genome, origin = source.name, source.genome, source.start
        yield {
            "#chrom1": contig, "start1": copy.start - first, "end1": copy.end - first,
            "chrom2": name, "start2": copy.source - origin, "end2": copy.source - origin + length,
            "score": round(1000 * copy.identity), "strand1": "+", "strand2": _strand(copy),
            "identity": copy.identity, "genome2": genome, "bits_saved": copy.bits_saved,
        }  # fmt: skip


def _strand(copy: Copy) -> str:
    return "-" if copy.inverted else "+"
