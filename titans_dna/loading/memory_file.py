"""Memory files (``.tdm``): copy memories, written once, mapped into memory by every process that reads them.

A file holds one memory of relatives, or two of every contig that is to be scored, one a strand.

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
from titans_dna.recall import CopyMemory, ReadContig, RecallForm, Relatives, Target, TargetContig
from titans_dna.recall.target import FIRST

TARGET, STRANDS = "target", "+-"
KEY, FORMAT = "titans_dna_memory", 1
CHECKED_BYTES = 1 << 30  # a larger file is checked whole by `info` alone
DTYPES = {"U32": np.uint32, "U64": np.uint64}
TUPLES = ("words", "sample_every")  # of a form; lists in JSON


def save_memory(path: Path, relatives: Relatives) -> None:
    """Write a memory of relatives; the file appears whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    about = {
        "form": asdict(relatives.memory.form),
        **_sizes(relatives.memory),
        "ids_crc32": relatives.memory.checksum(relatives.memory.end),
        "contigs": [list(asdict(contig).values()) for contig in relatives.contigs],
    }
    _save(path, about, relatives.memory.arrays())


def save_target(path: Path, target: Target) -> None:
    """Write contigs that stand ready to be scored, both strands of each; the file appears whole or not at all.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    arrays = {
        f"{number}{sign}/{name}": array
        for number, contig in enumerate(target.contigs)
        for sign, strand in zip(STRANDS, contig.strands, strict=True)
        for name, array in strand.arrays().items()
    }
    contigs = [[c.name, c.length_bp, c.md5, [_sizes(strand) for strand in c.strands]] for c in target.contigs]
    _save(path, {"holds": TARGET, "form": asdict(target.form), "contigs": contigs}, arrays)


def _save(path: Path, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sums = {name: _crc(array) for name, array in sorted(arrays.items())}
    with atomic_path(path) as partial:
        save_file(arrays, partial, metadata={KEY: json.dumps({"format": FORMAT, **about, "crc32": sums})})


def _sizes(memory: CopyMemory) -> dict[str, Any]:
    return {"tokens": memory.end, "entries": memory.entries}


def open_memory(path: Path, *, whole: bool = False) -> Relatives | Target:
    """Open a memory; its arrays stay on the disk and are read as they are needed, by any number of processes.

    Parameters
    ----------
    path
        File of ``save_memory`` or ``save_target``.
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
        about = _about(path)
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
        if about.get("holds") == TARGET:
            return Target(form=form, contigs=_target_contigs(about["contigs"], form, arrays))
        memory = _memory(form, about, arrays, checksum=int(about["ids_crc32"]))
        return Relatives(memory=memory, contigs=_contigs(about["contigs"], memory.end))
    except SafetensorError as error:
        raise FormatError(
            f"is no memory file, or damaged ({error}). Make it again with titans-dna remember.", path=path
        ) from None
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, ConfigError) as error:
        raise FormatError(f"is damaged ({error}). Make it again with titans-dna remember.", path=path) from None


def holds_target(path: Path) -> bool:
    """Tell whether a memory file holds contigs that are to be scored, not relatives; False also if it is damaged."""
    try:
        about = _about(path)
        return isinstance(about, dict) and about.get("holds") == TARGET
    except (SafetensorError, OSError, ValueError, RecursionError):
        return False


def _about(path: Path) -> Any:
    """Return what the header of a memory file says, unchecked."""
    with safe_open(path, "np") as file:
        return json.loads((file.metadata() or {}).get(KEY, "{}"))


def _memory(form: RecallForm, sizes: dict[str, Any], arrays: dict[str, np.ndarray], checksum: int = 0) -> CopyMemory:
    return CopyMemory.of_arrays(form, int(sizes["tokens"]), sizes["entries"], arrays, checksum)


def _target_contigs(rows: list[list[Any]], form: RecallForm, arrays: dict[str, np.ndarray]) -> list[TargetContig]:
    by_strand: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        strand, _, name = key.partition("/")
        by_strand.setdefault(strand, {})[name] = array
    found = []
    for number, (name, length, md5, sizes) in enumerate(rows):
        forward, reverse = (
            _memory(form, size, by_strand[f"{number}{sign}"]) for sign, size in zip(STRANDS, sizes, strict=True)
        )
        if min(forward.end, reverse.end) < FIRST + 1 + int(length):
            raise ValueError("a strand is shorter than its contig")
        found.append(TargetContig(name=str(name), length_bp=int(length), md5=str(md5), strands=(forward, reverse)))
    if not found:
        raise ValueError("it holds no contig")
    return found


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
