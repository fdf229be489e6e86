"""Outputs as short text: what is exact stays as it is, numbers are rounded, long files are thinned."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.version import __version__

MOST_LINES = 80  # of a file; of longer ones some lines are kept, evenly
MOST_NUMBERS = 12  # of an array, beside its mean and extremes
NEAR = 3e-4  # absolute and relative; matrix products of other processors differ by 1e-6, sums of 128 of them by more
_HIDDEN = {  # what changes with the version, the hour and the processor
    rf"(version\W+|titans-dna )v?{re.escape(__version__)}(?![\w.])": r"\1<version>",
    r"\d{4}-\d\d-\d\dT[\d:+.]+": "<time>",
    r'("sha256": )"[0-9a-f]{64}"': r"\1<checksum of a file>",
    r'("seconds": )[\d.]+': r"\1<seconds>",
    r"^(\d+,(?:train|validation),.*),[\d.]+$": r"\1,<seconds>",
}
_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w])", re.IGNORECASE)


def as_text(path: Path, hidden: dict[str, str]) -> list[str]:
    """Return what a file holds as lines of text, without what changes from run to run."""
    kinds = {".h5": _hdf5, ".h5ad": _hdf5, ".bw": _bigwig, ".npy": _numpy, ".parquet": _parquet}
    kinds |= {".html": _page, ".json": _json}
    lines = [*kinds.get(path.suffix, _lines)(path)]
    return plain(lines if path.suffix == ".html" else _thinned(lines), hidden)


def plain(lines: list[str], hidden: dict[str, str]) -> list[str]:
    """Replace the version, times, and what else is hidden, by words for them."""
    found = []
    for line in lines:
        for pattern, words in _HIDDEN.items():
            line = re.sub(pattern, words, line)
        for text, word in hidden.items():
            line = line.replace(text, word)
        found.append(line.rstrip())
    return found


def differences(wanted: list[str], found: list[str]) -> list[str]:
    """Return the lines that differ: text in any sign, numbers by more than `NEAR`."""
    if len(wanted) != len(found):
        return [f"{len(found)} lines in place of {len(wanted)}", *sorted({*found} ^ {*wanted})[:10]]
    return [f"{old!r} was recorded, now {new!r}" for old, new in zip(wanted, found, strict=True) if not _same(old, new)]


def _same(old: str, new: str) -> bool:
    if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return all(x == y or _near(x.replace("−", "-"), y.replace("−", "-")) for x, y in pairs)


def _near(old: str, new: str) -> bool:
    if not re.search("[.e]", old + new):
        return False  # counts and coordinates
    digits = max(_last_digit(old), _last_digit(new))  # two roundings of one number may differ by one in the last place
    return math.isclose(float(old), float(new), rel_tol=NEAR, abs_tol=max(NEAR, 1.01 * digits))


def _last_digit(number: str) -> float:
    mantissa, _, power = number.lower().partition("e")
    return 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


def _thinned(lines: list[str]) -> list[str]:
    heads = [line for line in lines if line.startswith("#")]
    body = [line for line in lines if not line.startswith("#")]
    if len(body) <= MOST_LINES:
        return lines
    step = -(-len(body) // MOST_LINES)
    return [*heads, f"{len(body)} lines, of which every {step}th:", *body[::step]]


def _lines(path: Path) -> Iterator[str]:
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    if packed:
        yield f"packed; indexes: {sorted(p.suffix for p in path.parent.glob(path.name + '.*'))}"
    yield from (gzip.decompress(content) if packed else content).decode().splitlines()


def _json(path: Path) -> Iterator[str]:
    yield from json.dumps(json.loads(path.read_text()), indent=0).splitlines()


def _page(path: Path) -> Iterator[str]:
    """Yield the words and numbers of a page without its drawings."""
    text = re.sub(r"(?s)<(svg|style).*?</\1>", "<drawing>", path.read_text())
    text = re.sub(r"<wbr>|</?(?:b|code|span|strong|em)\b[^>]*>", "", text).replace("<drawing>", "\n(drawing)\n")
    text = re.sub(r"[\d.]+ (bytes|kB)\b|\b[0-9a-f]{64}\b", "(size or checksum)", re.sub(r"<[^>]*>", "\n", text))
    yield from (line.strip() for line in text.splitlines() if line.strip())


def _hdf5(path: Path) -> Iterator[str]:
    import h5py

    lines: list[str] = []

    def visit(name: str, item: Any) -> None:
        lines.extend(f"{name} @{key} = {_value(value)}" for key, value in _attributes(item))
        if isinstance(item, h5py.Dataset):
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            lines.append(f"{name} {_array(np.asarray(values))}")

    with h5py.File(path, "r") as file:
        visit("/", file)
        file.visititems(visit)
    yield from lines


def _attributes(item: Any) -> list[tuple[str, Any]]:
    return sorted((key, value) for key, value in item.attrs.items() if not key.startswith("encoding-"))  # of anndata


def _bigwig(path: Path) -> Iterator[str]:
    import pyBigWig

    with pyBigWig.open(str(path)) as file:
        for contig, bases in file.chroms().items():
            yield f"{contig} {_array(np.asarray(file.values(contig, 0, bases)))}"
    yield from (line for beside in path.parent.glob(path.name + ".json") for line in _json(beside))


def _numpy(path: Path) -> Iterator[str]:
    yield _array(np.load(path))


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    yield " ".join(f"{field.name}:{field.type}" for field in table.schema)
    for row in table.to_pylist():
        yield " ".join(f"{k}={_array(np.asarray(v)) if isinstance(v, list) else _value(v)}" for k, v in row.items())


def _array(values: np.ndarray) -> str:
    if values.dtype.kind == "V":
        return " ; ".join(f"{name} {_array(values[name])}" for name in values.dtype.names or ())
    flat = values.ravel()
    shown = " ".join(_value(value) for value in flat[:: -(-flat.size // MOST_NUMBERS) or 1])
    if values.dtype.kind != "f":
        return f"{values.dtype.str} {values.shape}: {shown}"
    known = flat[np.isfinite(flat)].astype(float)
    said = f"{values.dtype.str} {values.shape}, {flat.size - known.size} nan: {shown}"
    if known.size > MOST_NUMBERS:
        said += f"; mean {_value(known.mean())}, from {_value(known.min())} to {_value(known.max())}"
    return said


def _value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.5g}" if not float(value).is_integer() else f"{value:.1f}"
    if isinstance(value, bytes):
        return value.decode()
    return str(value.tolist() if isinstance(value, np.ndarray) else value)
