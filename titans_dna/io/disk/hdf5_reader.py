"""Reads HDF5 files that may be damaged, or made to do harm: every fault is one `FormatError`.

HDF5 can point out of its file in three ways. External links and external storage (any file of the system, read as
numbers) are refused. A virtual dataset may point to files in its own folder or below, by relative paths, as
``titans-dna merge --virtual`` writes them. What a header claims is compared with what the file holds, before memory is
taken for it. Not checked: checksums of the data, which HDF5 verifies only in files that were written with them.

The global heaps, in which text lies, are checked first, for HDF5 itself never returns from some damaged ones. A heap is
``GCOL``, version 1, three zeros, its size (8 bytes, little-endian, itself included), and then objects: number
(2 bytes), references (2), zeros (4), size (8), and the bytes padded to a multiple of 8. Object 0 is the free space at
the end, and its size includes its own 16 bytes (HDF5 File Format Specification 3.0, section III.E). HDF5 steps from
object to object by these sizes, and where one is 0 it steps no further, and no signal of Python interrupts it. An
object may also be the map of a virtual dataset: version 0 or 1, which no text begins with, and at its end a checksum of
all before. HDF5 compares the checksum only after it has used the map, which can end the process.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from titans_dna.errors import FormatError, InputMissing, TitansDNAError

_MOST_ATTRIBUTE = 1 << 16  # bytes that HDF5 allows an attribute
_UNWRITTEN = 1 << 20  # bytes that need no place in a file, because nothing was written to them
_MOST_CHUNK = 1 << 28  # bytes of one chunk; ours have 256 kB, or one vector
_MOST_RATIO = 10_000  # bytes that one byte of a file may stand for; deflate reaches 1,032, blosc2 a few thousand
_TEXT, _WHOLE, _FRACTION = "OSU", "iu", "f"
KINDS = {"text": _TEXT, "integer": _WHOLE, "score": _FRACTION}  # letters of NumPy's kinds
_HEAD = b"GCOL\x01\0\0\0"  # of a global heap, as the next three
_WORD = 0xFFFFFFFF
_OBJECT = 16  # bytes in front of each object, and of the head with the size
_MOST_BYTES = 1 << 28  # of a longer file only so many bytes at either end are looked through, where heaps usually lie


@contextmanager
def damage_said(path: str | os.PathLike[str], remedy: str = "Copy it again, or make it again.") -> Iterator[None]:
    """Turn every error of reading HDF5 into one line.

    Raises
    ------
    FormatError
        In place of the error of a read.
    """
    try:
        yield
    except TitansDNAError:
        raise
    # HDF5, h5py and anndata raise nearly every class of error, some of their own, where bytes are damaged.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise FormatError(f"is damaged, or not as titans-dna writes it ({first}). {remedy}", path=path) from error


@contextmanager
def read_hdf5(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file for reading, and yield its h5py.File; an error in the block is said as damage of the file.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    import h5py

    with damage_said(path):
        check_heaps(path)
        with h5py.File(path, "r") as file:
            check_attributes(file)
            yield file


def find(group: Any, name: str) -> Any:
    """Return a group or dataset inside the file, or None if there is none of this name.

    Raises
    ------
    FormatError
        If a link leads to it.
    """
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise FormatError(f"{part!r} is a link. Links are not followed; put the data into it.", path=_path(group))
        group = group[part]
    check_attributes(group)
    return group


def dataset(group: Any, name: str, kinds: str = "", ndim: int = 1) -> Any:
    """Return a dataset whose type, shape and place are as expected.

    Parameters
    ----------
    group
        The group or file that has it.
    name
        Its name there.
    kinds
        Letters of NumPy's kinds that it may have; all if empty.
    ndim
        Number of its axes.

    Raises
    ------
    FormatError
        If there is none, it is of another type or shape, lies outside of the file, or claims more than the file holds.
    InputMissing
        If it points to a file that is not there.
    """
    import h5py

    found = find(group, name)
    path = _path(group)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"lacks {name!r}. Make it again with titans-dna.", path=path)
    if found.shape is None or found.ndim != ndim or (kinds and found.dtype.kind not in kinds):
        what = f"{found.shape} of {found.dtype}"
        raise FormatError(f"{name!r} has an unexpected shape or type, {what}. Make it again.", path=path)
    check_place(found)
    return found


def check_place(found: Any) -> None:
    """Refuse a dataset that lies outside of its file, or claims more than the file holds.

    Raises
    ------
    FormatError
        If the dataset does either.
    InputMissing
        If it points to a file that is not there.
    """
    from h5py import h5t

    path, name = _path(found), found.name
    if found.id.get_type().get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM):
        raise FormatError(f"{name!r} is no text or numbers. Make it again.", path=path)
    settings = found.id.get_create_plist()
    if settings.get_external_count():
        raise FormatError(f"{name!r} lies in another file. External storage is not read; put it into it.", path=path)
    if not found.size:
        return
    claimed = math.prod(found.shape) * found.id.get_type().get_size()
    held = _virtual_bytes(found) if found.is_virtual else _held_bytes(found)
    if claimed > max(held, _UNWRITTEN):
        raise FormatError(f"{name!r} claims {claimed:,} bytes, but holds {held:,}. Copy it again.", path=path)


def check_tree(file: Any) -> None:
    """Refuse a file (with few objects) if a link or dataset in it points to another file.

    Raises
    ------
    FormatError
        If a link or dataset points to another file.
    """
    import h5py

    links: list[str] = []
    file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else links.append(name))
    if links:
        raise FormatError(f"{links[0]!r} is a link. Links are not followed; put the data into it.", path=_path(file))
    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item))
    for item in found:
        check_attributes(item)
        if isinstance(item, h5py.Dataset):
            check_place(item)


def check_attributes(item: Any) -> None:
    """Refuse attributes other than text, numbers and lists of them: some damaged ones make HDF5 end the process.

    Raises
    ------
    FormatError
        If there is such an attribute.
    """
    from h5py import h5a, h5t

    plain = (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM)
    for number in range(h5a.get_num_attrs(item.id)):
        found = h5a.open(item.id, index=number)
        claimed = math.prod(found.shape or ()) * found.get_type().get_size()
        if found.get_type().get_class() not in plain or claimed > _MOST_ATTRIBUTE:
            raise FormatError("has an attribute that is no text or number. Copy it again.", path=_path(item))


def _held_bytes(found: Any) -> int:
    """Return how many bytes a dataset can have by what is stored for it."""
    whole = os.path.getsize(_path(found))  # noqa: PTH202
    if found.chunks is None:
        return min(int(found.id.get_storage_size()), whole)
    one = math.prod(found.chunks) * found.id.get_type().get_size()
    return min(found.id.get_num_chunks() * one, whole * _MOST_RATIO) if one <= _MOST_CHUNK else 0


def _virtual_bytes(found: Any) -> int:
    """Return how many bytes the sources of a virtual dataset have, all of which must lie in its folder or below."""
    path = _path(found)
    held = 0
    for file, name in sorted({(source.file_name, source.dset_name) for source in found.virtual_sources()}):
        place = PurePosixPath(file)
        if place.is_absolute() or ".." in place.parts or "%" in file:
            what = f"points to {file!r}. Only files in its own folder or below are read; put them there"
            raise FormatError(f"{what}, and merge again.", path=path)
        beside = Path(path).absolute().parent / place
        if not beside.is_file():
            raise InputMissing(f"points to {file!r}, which is not there. Put it back, or merge again.", path=path)
        with read_hdf5(beside) as other:
            source = dataset(other, name, ndim=found.ndim)
            if source.is_virtual:
                raise FormatError(f"points to {file!r}, which points to others. Merge the shards again.", path=path)
            held += source.size * found.id.get_type().get_size()
    return held


def _path(item: Any) -> str:
    """Return the path of the file that an object of h5py is in."""
    name = item.file.filename
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Refuse a file with a global heap whose objects do not fill it.

    Raises
    ------
    FormatError
        If there is such a heap.
    """
    with Path(path).open("rb") as file:
        if not (whole := os.fstat(file.fileno()).st_size):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for start, end in _stretches(whole):
                while (start := data.find(_HEAD, start, end)) >= 0:
                    if not _filled(data, start, whole):
                        raise FormatError(
                            f"is damaged: its heap at byte {start:,} is broken. Copy it again.", path=path
                        )
                    start += len(_HEAD)


def _stretches(whole: int) -> list[tuple[int, int]]:
    if whole <= 2 * _MOST_BYTES:
        return [(0, whole)]
    return [(0, _MOST_BYTES), (whole - _MOST_BYTES, whole)]


def _filled(data: mmap.mmap, start: int, whole: int) -> bool:
    """Tell whether the objects of a heap lead from its head to its end."""
    end = start + int.from_bytes(data[start + 8 : start + 16], "little")
    if end > whole:
        return True  # HDF5 refuses this by itself, and these bytes may be a number of some table
    place = start + _OBJECT
    while place + _OBJECT <= end:
        number, size = (int.from_bytes(data[place + at : place + at + n], "little") for at, n in ((0, 2), (8, 8)))
        step = _OBJECT + -(-size // 8) * 8 if number else size
        if step < _OBJECT or place + step > end:
            return False
        block = data[place + _OBJECT : place + _OBJECT + size] if number else b""
        if block[:1] in (b"\0", b"\1") and lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
            return False
        place += step
    return True


def lookup3(data: bytes) -> int:
    """Return the checksum by which HDF5 protects metadata: Bob Jenkins' lookup3 (``hashlittle``), begun with 0.

    Examples
    --------
    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    a = b = c = 0xDEADBEEF + len(data) & _WORD
    if not data:
        return c
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data + bytes(-len(data) % 12))
    for at in range(0, len(words) - 3, 3):
        a, b, c = a + words[at] & _WORD, b + words[at + 1] & _WORD, c + words[at + 2] & _WORD
        for turn in (4, 6, 8, 16, 19, 4):
            a = (a - c & _WORD) ^ _rotate(c, turn)
            a, b, c = b, c + b & _WORD, a
    a, b, c = a + words[-3] & _WORD, b + words[-2] & _WORD, c + words[-1] & _WORD
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotate(b, turn) & _WORD
        a, b, c = b, c, a
    return b


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _WORD
