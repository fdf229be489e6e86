"""Memory files (``.tdm``): a copy memory of relatives, written once, mapped into memory by whoever reads it.

The file is a safetensors file (https://github.com/huggingface/safetensors): a header in JSON that says where each array
lies, then the arrays. Its metadata hold the settings, the contigs and a CRC-32 of every array; they stand under one
key, for the order of several would differ from run to run. The file holds no code.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.recall import CopyMemory, ReadContig, RecallForm, Relatives

KEY, FORMAT = "titans_dna_memory", 1
CHECKED_BYTES = 1 << 30  # a larger file is checked whole by `info` alone
DTYPES = {"U32": np.uint32, "U64": np.uint64}
TUPLES = ("words", "sample_every")  # of a form; lists in JSON


def save_memory(path: Path, relatives: Relatives) -> None:
    """Write a memory; the file appears whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in relatives.memory.arrays().items()}
    about = {
        "format": FORMAT,
        "form": asdict(relatives.memory.form),
        "tokens": relatives.memory.end,
        "entries": relatives.memory.entries,
        "ids_crc32": relatives.memory.checksum(relatives.memory.end),
        "contigs": [list(asdict(contig).values()) for contig in relatives.contigs],
        "crc32": {name: _crc(array) for name, array in sorted(arrays.items())},
    }
    with atomic_path(path) as partial:
        save_file(arrays, partial, metadata={KEY: json.dumps(about)})


def open_memory(path: Path, *, whole: bool = False) -> Relatives:
    """Open a memory; its arrays stay on the disk and are read as they are needed, by any number of processes.

    Parameters
    ----------
    path
        File of ``save_memory``.
    whole
        Whether to compare the checksums of all arrays also of a file of more than a gigabyte.

    Raises
    ------
    InputMissing
        If there is no such file.
    FormatError
        If it is no memory file, damaged, or of another version.
    """
    if not path.is_file():
        raise InputMissing("there is no such memory file. Make one with titans-dna remember.", path=path)
    try:
        with safe_open(path, "np") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {}).get(KEY, "{}"))
        if about.get("format") != FORMAT:
            found = f"a memory file of version {about['format']}" if "format" in about else "another kind of file"
            raise FormatError(
                f"is {found}; version {FORMAT} is needed. Make it again with titans-dna remember.", path=path
            )
        arrays = _mapped(path)
        if whole or path.stat().st_size <= CHECKED_BYTES:
            for name, crc in about["crc32"].items():
                if _crc(arrays[name]) != crc:
                    raise ValueError(f"the checksum of {name} differs")
        values: dict[str, Any] = {n: tuple(v) if n in TUPLES else v for n, v in about["form"].items()}
        form = RecallForm(**values)
        memory = CopyMemory.of_arrays(form, int(about["tokens"]), about["entries"], arrays, int(about["ids_crc32"]))
        return Relatives(memory=memory, contigs=_contigs(about["contigs"], memory.end))
    except SafetensorError as error:
        raise FormatError(
            f"is no memory file, or damaged ({error}). Make it again with titans-dna remember.", path=path
        ) from None
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, ConfigError) as error:
        raise FormatError(f"is damaged ({error}). Make it again with titans-dna remember.", path=path) from None


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file whose header was found to be sound, mapped and private to the process."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(size))
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, _ = entry["data_offsets"]
        mapped = np.memmap(path, DTYPES[entry["dtype"]], "c", 8 + size + start, tuple(entry["shape"]))
        arrays[name] = np.asarray(mapped).view(np.ndarray)
    return arrays


def _contigs(rows: list[list[Any]], tokens: int) -> list[ReadContig]:
    contigs = [
        ReadContig(name=str(name), genome=str(genome), start=int(start), length_bp=int(length), md5=str(md5))
        for name, genome, start, length, md5 in rows
    ]
    end = 0
    for contig in contigs:
        if contig.start <= end or contig.length_bp < 0:
            raise ValueError("its contigs overlap")
        end = contig.start + contig.length_bp
    if end >= tokens or not contigs:
        raise ValueError("its contigs are not those of its tape")
    return contigs


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(array.view(np.uint8).data)
