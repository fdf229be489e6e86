"""Four-way log-probabilities of every base as text: bgzip-compressed, with a tabix index.

Columns: contig, position (1-based), reference base, ln P of A, C, G and T. Lines that begin with ``#`` say how the
numbers were made, and name the columns. Unknown bases have no line.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.errors import FormatError
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.io.disk.bgzf import TBI_LIMIT, drop_indexes, require_end
from titans_dna.io.disk.contexts import Opening
from titans_dna.io.tables.tsv import metadata_lines

_LINES = 1 << 14  # lines made at once


class SnvTableWriter(Opening):
    """Write contigs in order; a context manager, and only its clean end makes the files appear.

    Parameters
    ----------
    path
        Output, ``.tsv.gz``; the index is ``PATH.tbi``, or ``PATH.csi`` where a contig is longer than 512 Mb.
    metadata
        What the numbers were made with.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
        self.path, self.metadata, self._longest = Path(path), dict(metadata), 0

    def open(self, stack: ExitStack) -> None:
        """Open the file, and write what stands above the rows."""
        import pysam

        self._temporary = stack.enter_context(atomic_path(self.path))
        self._index = self._temporary.with_name(self._temporary.name + ".index")
        stack.callback(self._index.unlink, missing_ok=True)
        self._file = pysam.BGZFile(str(self._temporary), "wb", index=None)
        stack.push(self._finish)
        for line in metadata_lines(self.metadata):
            self._file.write(f"{line}\n".encode())
        self._file.write(b"#contig\tposition\tref\tA\tC\tG\tT\n")

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._file.close()
        if kind is None:
            self._place_index()

    def add(self, contig: str, sequence: bytes, values: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Write one contig: its bases, and ln P of A, C, G and T, (4, bases)."""
        self._reach(len(sequence))
        letters = sequence.upper().decode("ascii")
        for start in range(0, len(sequence), _LINES):
            part = np.asarray(values[:, start : start + _LINES]).T
            lines = [
                f"{contig}\t{place + 1}\t{letters[place]}\t{a:.4f}\t{c:.4f}\t{g:.4f}\t{t:.4f}\n"
                for place, (a, c, g, t) in enumerate(part.tolist(), start=start)
                if a == a  # not nan, which stands where ln P is unknown
            ]
            self._file.write("".join(lines).encode())

    def copy(self, lines: Iterable[bytes], bases: int) -> None:
        """Write the lines of one contig, as `read_lines` yields them."""
        self._reach(bases)
        for line in lines:
            self._file.write(line)

    def _reach(self, bases: int) -> None:
        self._longest = max(self._longest, bases)

    def _place_index(self) -> None:
        import pysam

        csi = self._longest > TBI_LIMIT
        pysam.tabix_index(
            str(self._temporary), force=True, seq_col=0, start_col=1, end_col=1, csi=csi, index=str(self._index)
        )
        drop_indexes(self.path)
        self._index.replace(self.path.with_name(self.path.name + (".csi" if csi else ".tbi")))


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, in order; the index is not needed.

    Raises
    ------
    FormatError
        If the file is damaged or cut off.
    """
    require_end(path)
    try:
        with gzip.open(path) as stream:
            yield from (line for line in stream if not line.startswith(b"#"))
    except (EOFError, OSError, zlib.error) as error:
        raise FormatError(f"is damaged or cut off ({error}). Copy it again.", path=path) from None
