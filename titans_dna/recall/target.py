"""Strands of what is scored, read ahead: copy memories of whole strands, of which a reader sees what lies before it.

    tape     64 gaps | start token, a gap | strand ... | gaps up to a multiple of 64
                     ^ 64

A memory that was read once stands ready for every place on the strand, since nothing behind a reader's position is ever
seen. The gaps in front make room for the end of a tape of relatives, over which the strand may be laid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from titans_dna.recall.form import CHUNK, RecallForm
from titans_dna.recall.memory import GAP, CopyMemory

FIRST = CHUNK  # position of the start token
PIECE = 1 << 20  # tokens that are added at once


class Ids(Protocol):
    """Token ids, read in stretches; arrays are some."""

    def __len__(self) -> int:
        """Return their number."""
        ...

    def __getitem__(self, span: slice, /) -> np.ndarray:
        """Return a stretch of them."""
        ...


def append_strand(memory: CopyMemory, ids: Ids) -> None:
    """Add the start token and a strand's ids to a memory."""
    memory.append(np.array([GAP], dtype=np.uint8))
    for start in range(0, len(ids), PIECE):
        memory.append(ids[start : start + PIECE].astype(np.uint8))


def read_strand(form: RecallForm, ids: np.ndarray) -> CopyMemory:
    """Return the memory of a whole strand, laid out as a file keeps it.

    Parameters
    ----------
    form
        Settings of the memory.
    ids
        (n,) 0 to 3 for A, C, G and T, a higher number for any other letter.
    """
    memory = CopyMemory(form)
    memory.append(np.full(FIRST, GAP, dtype=np.uint8))
    append_strand(memory, ids)
    memory.append(np.full(-memory.end % CHUNK, GAP, dtype=np.uint8))
    return memory


@dataclass(frozen=True, kw_only=True)
class TargetContig:
    """Both strands of a contig, read ahead."""

    name: str
    length_bp: int
    md5: str  # of its letters as SAM's M5, hexadecimal
    strands: tuple[CopyMemory, CopyMemory]  # forward, reverse


@dataclass(kw_only=True)
class Target:
    """Contigs that stand ready to be scored in windows."""

    form: RecallForm
    contigs: list[TargetContig] = field(default_factory=list)

    def strand(self, md5: str, *, reverse: bool, before: CopyMemory | None) -> tuple[CopyMemory, int] | None:
        """Return the memory of a contig's strand, and the position of its start token; None if it was not read ahead.

        Parameters
        ----------
        md5
            Of the contig's letters.
        reverse
            Whether the reverse complement is read.
        before
            What was read before the strand.
        """
        for contig in self.contigs:
            if contig.md5 == md5:
                memory = contig.strands[reverse]
                if before is None:
                    return memory, FIRST
                return (memory.laid_over(before), before.end) if _independent(memory, before) else None
        return None


def _independent(strand: CopyMemory, before: CopyMemory) -> bool:
    """Tell whether the strand's words are the same behind another tape as alone.

    A word is not written again soon after the same word. So the end of the other tape matters to the strand's first
    bases, where both are one tandem repeat: two telomeres.
    """
    form = strand.form
    ids = strand.ids(FIRST, min(strand.end, FIRST + form.spacing_bases + 2 * CHUNK))
    alone, behind = CopyMemory(form), before.fork(before.end)
    alone.append(np.full(FIRST, GAP, dtype=np.uint8))
    for memory in (alone, behind):
        memory.append(ids)
    mine, other = alone.arrays(), behind.arrays()
    return all(np.array_equal(mine[name], other[name]) for name in mine if name not in ("tape", "gaps"))
