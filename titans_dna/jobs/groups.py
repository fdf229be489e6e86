"""Groups of regions that are read together: the units that are divided among shards and kept for a later run.

Groups depend on the job alone, not on shards, workers or an earlier run, so all of these give the same numbers.

    contig      all regions of a contig: a later one needs the memory of all that stands before it
    window:N    the regions that begin in the same range of blocks
    region      about a megabase of regions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from titans_dna.genome.shard import Shard, assign
from titans_dna.inference.windows import Context

PART_BP = 1 << 20  # bases of the regions in a group, where each region is read by itself
RANGE_WINDOWS = 64  # windows in a range
BUNDLE_BP, LEAST_BP = 4096, 64  # most bases of short contigs in a bundle; each counts as the longest, or the least


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Regions of one contig that are read together."""

    contig: str
    rows: np.ndarray  # numbers of their rows in the file
    starts: np.ndarray  # 0-based half-open, on the contig
    ends: np.ndarray
    cost_bp: int  # bases that are read on each strand
    range: tuple[int, int] = (0, 0)  # bases of the contig in which the regions begin, in windows
    strands: tuple[bool, ...] = (False,)  # which strands are read: True is the reverse


def group_regions(
    contig: str,
    length_bp: int,
    regions: tuple[np.ndarray, ...],
    context: Context,
    *,
    strands: Sequence[bool] = (False,),
    everything: bool = False,
) -> Iterator[Group]:
    """Yield groups of the regions of a contig.

    Parameters
    ----------
    contig, length_bp
        Name and bases.
    regions
        Row, start and end of each, (regions,) int64; none may be empty.
    context
        What is read before a region.
    strands
        Which strands are read: True is the reverse.
    everything
        Whether every base of the contig is read, for tracks; there are then groups without regions too.
    """
    if context.kind == "contig":
        yield _contig(contig, length_bp, regions, strands, everything)
    elif context.kind == "region":
        yield from _megabases(contig, regions)
    else:
        yield from _ranges(contig, length_bp, regions, context.window_bp, everything)


def _contig(
    contig: str, length_bp: int, regions: tuple[np.ndarray, ...], strands: Sequence[bool], everything: bool
) -> Group:
    rows, starts, ends = regions
    # The forward strand is read from the contig's left up to the last region, the reverse strand from its right down
    # to the first. Both are charged with the longer of the two, so that the cost is one number.
    reach = (length_bp - int(starts.min()) if True in strands else 0, int(ends.max()) if False in strands else 0)
    return Group(
        contig=contig, rows=rows, starts=starts, ends=ends, cost_bp=length_bp if everything else max(reach)
    )  # fmt: skip


def _megabases(contig: str, regions: tuple[np.ndarray, ...]) -> Iterator[Group]:
    rows, starts, ends = regions
    order = np.lexsort((rows, starts))
    rows, starts, ends = rows[order], starts[order], ends[order]
    # A region belongs to the megabase in which its last base lies, counted over the sorted regions.
    number = (np.cumsum(ends - starts) - 1) // PART_BP
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(rows)]
    for first, last in pairwise(cuts):
        cost = int((ends[first:last] - starts[first:last]).sum())
        piece = slice(first, last)
        yield Group(contig=contig, rows=rows[piece], starts=starts[piece], ends=ends[piece], cost_bp=cost)


def _ranges(
    contig: str, length_bp: int, regions: tuple[np.ndarray, ...], window_bp: int, everything: bool
) -> Iterator[Group]:
    rows, starts, ends = regions
    range_bp = RANGE_WINDOWS * window_bp
    number = starts // range_bp
    for which in range(-(-length_bp // range_bp)) if everything else np.unique(number).tolist():
        held = np.flatnonzero(number == which)
        low, high = which * range_bp, min((which + 1) * range_bp, length_bp)
        windows = np.unique(np.concatenate([
            np.arange(start // window_bp, (end - 1) // window_bp + 1)
            for start, end in zip(starts[held].tolist(), ends[held].tolist(), strict=True)
        ])) if len(held) else np.zeros(0, int)  # fmt: skip
        cost = max(len(windows) * window_bp, high - low if everything else 0)
        yield Group(
            contig=contig, rows=rows[held], starts=starts[held], ends=ends[held], cost_bp=cost, range=(low, high)
        )


def bundles(numbers: Sequence[int], short_bp: Sequence[int]) -> Iterator[list[int]]:
    """Yield groups that are read at once: those of short contigs that follow one another, every other by itself.

    Parameters
    ----------
    numbers
        Of the groups, in order.
    short_bp
        Of every group, the length of its contig if that is short, else 0.
    """
    bundle: list[int] = []
    for number in numbers:
        longest = max(LEAST_BP, *(short_bp[other] for other in (*bundle, number)))
        if bundle and (not short_bp[number] or longest * (len(bundle) + 1) > BUNDLE_BP):
            yield bundle
            bundle = []
        bundle.append(number)
        if not short_bp[number]:
            yield bundle
            bundle = []
    if bundle:
        yield bundle


def stretches_of_contig(length_bp: int, context: Context) -> list[tuple[int, int]]:
    """Return what a contig that is read from end to end is divided into: ranges of windows, or all of it in one."""
    range_bp = RANGE_WINDOWS * context.window_bp or max(1, length_bp)
    return [(start, min(start + range_bp, length_bp)) for start in range(0, max(1, length_bp), range_bp)]


def group_all(
    regions: Mapping[str, Sequence[Sequence[int]]],
    lengths: Mapping[str, int],
    context: Context,
    *,
    strands: Sequence[bool] = (False,),
    everything: bool = False,
) -> list[Group]:
    """Return the groups of several contigs, in their order (see `group_regions`).

    Parameters
    ----------
    regions
        By contig, the rows, starts and ends of its regions; and where each is read on a strand of its own, a fourth
        column, which is 1 for the reverse strand. The two strands then have groups of their own.
    lengths
        Bases of each contig.
    context, strands, everything
        How regions are read.
    """
    groups: list[Group] = []
    for contig, columns in regions.items():
        if len(columns[0]):
            rows, starts, ends, *own = (np.asarray(column, np.int64) for column in columns)
            for read, chosen in _by_strand(own[0]) if own else [(tuple(strands), slice(None))]:
                arrays = (rows[chosen], starts[chosen], ends[chosen])
                made = group_regions(contig, lengths[contig], arrays, context, strands=read, everything=everything)
                groups += [replace(group, strands=read) for group in made]
    return groups


def _by_strand(own: np.ndarray) -> list[tuple[tuple[bool, ...], Any]]:
    """Return the strands that regions lie on, each with which of the regions lie on it."""
    return [((reverse,), own == reverse) for reverse in (False, True) if (own == reverse).any()]


def rows_of(rows: int, groups: Sequence[Group], numbers: Sequence[int], shard: Shard) -> np.ndarray:
    """Tell which rows a shard writes, (rows,) bool.

    These are the rows of its groups, and in shard 1 also those of the regions that cannot be read.
    """
    mine = np.full(rows, shard.index == 1)
    for group in groups:
        mine[group.rows] = False
    for number in numbers:
        mine[groups[number].rows] = True
    return mine


def of_shard(groups: Sequence[Group], shard: Shard, together: Mapping[str, str] = MappingProxyType({})) -> list[int]:
    """Return the numbers of the groups that a shard reads, of all groups of the job.

    Contigs that have the same value in ``together``, such as two haplotypes, are all read by one shard.
    """
    units: dict[object, list[int]] = {}
    for number, group in enumerate(groups):
        units.setdefault(together.get(group.contig, number), []).append(number)
    parts = assign([float(sum(groups[n].cost_bp for n in unit)) for unit in units.values()], shard.count)
    return sorted(n for unit, part in zip(units.values(), parts, strict=True) for n in unit if part == shard.index)
