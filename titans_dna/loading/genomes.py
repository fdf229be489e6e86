"""Genomes as memory-mapped codes: a FASTA is read once, and all processes and runs share the same pages of memory.

A code is one byte per base: its id (A 0, C 1, G 2, T 3, other 4), plus 8 if the base is soft-masked. The codes are kept
in the cache (``io.disk.cache``) as a plain ``.npy``, with the checksum of the bases in a ``.json`` beside it. If the
cache cannot be written, the codes are held in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.genome.contigs import ContigTable
from titans_dna.io.disk.cache import cache_entry, try_to_store
from titans_dna.io.sequence.fasta import Fasta, open_fasta
from titans_dna.loading.lanes import MASKED
from titans_dna.tokenizers import NucleotideTokenizer, soft_mask

_LETTERS = np.frombuffer(b"ACGTNNNNacgtnnnn", np.uint8)  # letter of each code


@dataclass(frozen=True, kw_only=True)
class Genome:
    """The contigs of a FASTA as codes."""

    path: Path
    contigs: ContigTable
    codes: np.ndarray  # uint8, all contigs one after the other; may be a memory map
    offsets: dict[str, int]  # first base of every contig in ``codes``
    md5: str  # checksum of the upper-case bases of all contigs, in order

    def codes_of(self, contig: str, start: int = 0, end: int | None = None) -> np.ndarray:
        """Return the codes of a contig, or of its bases ``start`` to ``end`` (0-based half-open), as a view."""
        length = self.contigs.lengths[contig]
        at = self.offsets[contig]
        return self.codes[at + start : at + (length if end is None else min(end, length))]

    def sequence_of(self, contig: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bases, in lower case where they are masked; every ambiguity code is N."""
        return _LETTERS[self.codes_of(contig, start, end)].tobytes()

    def ids_of(self, contig: str) -> np.ndarray:
        """Return the ids of a contig's bases, as a copy without the mask."""
        return self.codes_of(contig) & np.uint8(MASKED - 1)


def open_genome(path: Path, aliases: Iterable[Sequence[str]] = ()) -> Genome:
    """Open the genome of a FASTA, from the cache if it was read before.

    Parameters
    ----------
    path
        FASTA, GenBank or EMBL.
    aliases
        Groups of names that mean the same contig.

    Raises
    ------
    InputMissing, FormatError
        If the FASTA does not exist or is malformed.
    """
    with open_fasta(path, aliases=aliases) as fasta:
        entry = cache_entry(path, ".codes.npy")
        about = entry.with_suffix(".json")
        lengths = fasta.contigs.lengths
        offsets = dict(zip(lengths, np.cumsum([0, *lengths.values()]).tolist(), strict=False))
        stored = _stored(entry, about, sum(lengths.values()))
        if stored is None:
            codes, md5 = _read(fasta, offsets)
            try_to_store(entry, lambda temporary: _save(temporary, codes))
            try_to_store(about, lambda temporary: temporary.write_text(json.dumps({"md5": md5})))
            # Read back as a memory map, so that this process too shares the pages and frees its own copy.
            stored = _stored(entry, about, len(codes)) or (codes, md5)
        return Genome(path=path, contigs=fasta.contigs, codes=stored[0], offsets=offsets, md5=stored[1])


def _save(path: Path, codes: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, codes)
        file.flush()
        os.fsync(file.fileno())


def _stored(entry: Path, about: Path, bases: int) -> tuple[np.ndarray, str] | None:
    """Return codes and checksum from the cache, or None if they are missing or incomplete."""
    try:
        values: Any = json.loads(about.read_text())
        codes = np.load(entry, mmap_mode="r")
        return (codes, values["md5"]) if codes.shape == (bases,) and codes.dtype == np.uint8 else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _read(fasta: Fasta, offsets: dict[str, int]) -> tuple[np.ndarray, str]:
    tokenizer, digest = NucleotideTokenizer(), hashlib.md5(usedforsecurity=False)
    codes = np.empty(sum(fasta.contigs.lengths.values()), dtype=np.uint8)
    for contig, length in fasta.contigs.lengths.items():
        sequence = fasta.sequence(contig)
        digest.update(sequence.upper())
        place = codes[offsets[contig] : offsets[contig] + length]
        place[:] = tokenizer.encode(sequence)
        place[soft_mask(sequence)] |= MASKED
    return codes, digest.hexdigest()
