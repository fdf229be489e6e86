"""GenBank and EMBL flat files, read by Biopython: their sequences are written as FASTA to the cache.

What stands before the first record, as in the releases of GenBank, is skipped; EMBL may be that of IMGT/HLA, whose ID
line has one part less. A contig is named by accession and version (NC_000913.3). Features are not read. A record
without sequence (a CONTIG line in its place) is refused by name.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import TextIO

from titans_dna.errors import FormatError
from titans_dna.genome.alphabet import is_nucleotides
from titans_dna.io.disk.cache import cache_entry, store
from titans_dna.io.disk.text import unpacked_blocks

logger = logging.getLogger(__name__)
_LINE_BP = 60


def convert_to_fasta(path: Path) -> Path:
    """Write the sequences of a flat file as FASTA into the cache, once, and return that file.

    Raises
    ------
    FormatError
        If the file is damaged, or a record has no sequence or a name that was there before.
    OutputError
        If the cache cannot be written.
    """
    plain = cache_entry(path, ".flat.fa")
    if not plain.is_file():
        store(plain, lambda temporary: _convert(path, temporary))
    return plain


def _convert(path: Path, fasta: Path) -> None:
    """Write every record as FASTA."""
    # The scanner of IMGT reads EMBL as well.
    from Bio.GenBank.Scanner import GenBankScanner, _ImgtScanner

    seen: set[str] = set()
    stream = _open(path)
    with stream, fasta.open("w", encoding="ascii") as output, warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        genbank = not stream.read(4096).lstrip().startswith("ID   ")
        stream.seek(0)
        scanner = GenBankScanner() if genbank else _ImgtScanner()
        while True:
            try:
                record = scanner.parse(stream, do_features=False)
            except (ValueError, AssertionError, AttributeError, KeyError, IndexError) as error:
                message = f"is no readable flat file ({error}) after {len(seen)} records. Download it again."
                raise FormatError(message, path=path) from None
            if record is None:
                break
            name, sequence = _sequence(record, path)
            if name in seen:
                raise FormatError(f"record {name!r} is there twice. Drop one.", path=path)
            seen.add(name)
            output.write(f">{name}\n")
            output.writelines(sequence[at : at + _LINE_BP] + "\n" for at in range(0, len(sequence), _LINE_BP))
    for note in notes:
        text = " ".join(str(note.message).split())
        # Biopython only warns if a sequence is shorter or longer than its LOCUS line says, as in a download that was
        # cut off.
        if "sequence length" in text:
            raise FormatError(f"{text[:200]}: bases are missing or too many. Download it again.", path=path)
        logger.info("%s: %s", path, text)
    if not seen:
        raise FormatError("holds no record. Download it again.", path=path)


def _sequence(record: object, path: Path) -> tuple[str, str]:
    """Return name and sequence of a record."""
    from Bio.Seq import UndefinedSequenceError

    name = str(getattr(record, "id", "") or "")
    if not name or any(c.isspace() for c in name) or not name.isascii() or name == "<unknown id>":
        raise FormatError(f"a record has no accession, or one that cannot be read ({name!r}). Correct it.", path=path)
    try:
        sequence = str(getattr(record, "seq", ""))
    except UndefinedSequenceError:
        sequence = ""
    if not sequence:
        raise FormatError(f"record {name!r} has no sequence. Download it in full (GenBank, not CONTIG).", path=path)
    if not sequence.isascii() or not is_nucleotides(sequence.encode()):
        raise FormatError(f"record {name!r} is no nucleotide sequence. Give DNA or RNA.", path=path)
    return name, sequence


def _open(path: Path) -> TextIO:
    """Open a file as text, decompressed; the whole text is kept in memory because such files are small."""
    data = b"".join(unpacked_blocks(path))
    return io.StringIO(data.decode("utf-8-sig", "replace"))
