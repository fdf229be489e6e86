"""Decides which rows of an input each shard scores, and puts the rows of all shards back into one order.

The work of a shard is to stream both strands of every contig on which it has variants, and to read the haplotypes of
its alleles. A contig goes to one shard as a whole. Only if its alleles cost more than a fair part of all work, its
records are divided by position among several shards, each of which then streams the contig.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from titans_dna.errors import FormatError
from titans_dna.genome.shard import Shard, assign


def shard_of_records(
    contigs: Sequence[str],
    positions: Sequence[int],
    work: Sequence[float],
    lengths: Mapping[str, int],
    count: int,
) -> np.ndarray:
    """Return the shard (1 to ``count``) of every record; every machine finds the same.

    Parameters
    ----------
    contigs
        Contig of each record, as the sequence names it; "" if it has no such contig.
    positions
        Position of each record, 1-based.
    work
        Bases to read for the alleles of each record; 0 where nothing is scored.
    lengths
        Length of each contig in bases.
    count
        Number of shards.
    """
    places, costs = np.asarray(positions), np.asarray(work, dtype=float)
    names, codes = np.unique(np.asarray(contigs, dtype=object).astype(str), return_inverse=True)
    streamed = [2.0 * lengths.get(str(name), 0) if costs[codes == code].any() else 0.0
                for code, name in enumerate(names)]  # fmt: skip
    fair = (sum(streamed) + costs.sum()) / count
    pieces: list[np.ndarray] = []
    prices: list[float] = []
    for code, stream in enumerate(streamed):
        rows = np.flatnonzero(codes == code)
        rows = rows[np.argsort(places[rows], kind="stable")]
        total = costs[rows].sum()
        parts = min(count, max(1, math.ceil(total / fair))) if total else 1
        done = np.cumsum(costs[rows])
        # A record belongs to the part in which the middle of its work falls: all parts cost about the same, and
        # rounding can never put a record outside of them.
        piece = np.minimum((done - costs[rows] / 2) * parts // max(total, 1e-9), parts - 1).astype(int)
        for part in range(parts):
            pieces.append(rows[piece == part])
            prices.append(stream + costs[pieces[-1]].sum())
    found = np.zeros(len(places), dtype=np.int64)
    for rows, part in zip(pieces, assign(prices, count), strict=True):
        found[rows] = part
    return found


def write_ranges(mask: np.ndarray) -> str:
    """Write a mask as text: its length, and where it is true, as ``total:start-end,...``, 0-based half-open.

    Examples
    --------
    >>> write_ranges(np.array([True, True, False, True]))
    '4:0-2,3-4'
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return f"{len(mask)}:" + ",".join(f"{a}-{b}" for a, b in zip(edges[::2], edges[1::2], strict=True))


def read_ranges(text: str) -> tuple[int, list[tuple[int, int]]]:
    """Read what ``write_ranges`` wrote: the length of the mask, and the ranges where it is true.

    Raises
    ------
    FormatError
        If the text does not have this form.
    """
    total, _, rest = text.partition(":")
    try:
        pairs = [part.split("-") for part in rest.split(",") if part]
        return int(total), [(int(a), int(b)) for a, b in pairs]
    except ValueError:
        raise FormatError(
            f"rows of the shard are {text[:60]!r}, not total:start-end,... Make the shard again"
        ) from None


def describe_track_shard(lengths: Mapping[str, int], held: Iterable[tuple[str, int, int]]) -> dict[str, str]:
    """Return the metadata by which tracks of a shard can be merged (see `titans_dna.io.tables.track_set_reader`).

    Parameters
    ----------
    lengths
        Length in bases of every contig of the run, in order.
    held
        Stretches of these contigs that the shard holds: contig, start and end, half-open.
    """
    firsts = dict(zip(lengths, np.cumsum([0, *lengths.values()]).tolist(), strict=False))
    spans: list[list[int]] = []
    for start, end in sorted((firsts[contig] + start, firsts[contig] + end) for contig, start, end in held):
        if start == end:  # a contig without bases
            continue
        if spans and spans[-1][1] == start:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    rows = f"{sum(lengths.values())}:" + ",".join(f"{start}-{end}" for start, end in spans)
    return {"contigs": json.dumps(dict(lengths)), "rows": rows}


def stretches_of(order: Sequence[tuple[int, int]], lengths: Mapping[str, int]) -> dict[str, list[tuple[int, int, int]]]:
    """Return where the bases of every contig are: shards (their places), start and end of stretches, in order.

    Parameters
    ----------
    order
        What ``merge_order`` makes of the bases that ``describe_track_shard`` names.
    lengths
        Length in bases of every contig of the run, in order.

    Raises
    ------
    FormatError
        If the bases are not those of the contigs.
    """
    if sum(count for _, count in order) != sum(lengths.values()):
        raise FormatError("the shards' rows are not the bases of their contigs. Make the shards again")
    found: dict[str, list[tuple[int, int, int]]] = {}
    rest = iter(order)
    place, left = -1, 0
    for contig, bases in lengths.items():
        found[contig], at = [], 0
        while at < bases:
            if not left:
                place, left = next(rest)
            end = min(bases, at + left)
            found[contig].append((place, at, end))
            at, left = end, left - (end - at)
    return found


def merge_order(texts: Sequence[str], counts: Sequence[str]) -> list[tuple[int, int]]:
    """Return the order of the merged rows: pairs of a shard (its place in ``texts``) and how many of its rows follow.

    Parameters
    ----------
    texts
        The rows of each shard, as ``write_ranges`` wrote them.
    counts
        Which shard each of them is, as ``i/n``.

    Raises
    ------
    FormatError
        If a shard or a row is missing or given twice.
    """
    shards = [Shard.parse(text) for text in counts]
    totals = {shard.count for shard in shards}
    if len(totals) != 1 or len(shards) > max(totals):
        raise FormatError(f"shards are {', '.join(counts) or 'none'}. Give each shard of one run once")
    (total,) = totals
    if missing := set(range(1, total + 1)) - {shard.index for shard in shards}:
        raise FormatError(f"shard {min(missing)}/{total} is missing. Give all {total} shards")
    read = [read_ranges(text) for text in texts]
    spans = sorted((start, end, place) for place, (_, ranges) in enumerate(read) for start, end in ranges)
    at = 0
    for start, end, _ in spans:
        if start != at:
            raise FormatError(f"rows from {min(at, start) + 1} on are given twice or missing. Make the shards again")
        at = end
    if {rows for rows, _ in read} != {at}:
        raise FormatError(f"the shards hold {at:,} rows of {read[0][0]:,}. Make them again from one input")
    return [(place, end - start) for start, end, place in spans]
