"""Converts embeddings to AnnData (.h5ad), Parquet and NumPy (.npy), and back from the two that keep everything.

    .h5ad      X: the vectors; obs: contig, start, end, strand, name, outcome (index: name or place); uns["titans_dna"]:
               the attributes; uns["contigs"]: name, length, md5
    .parquet   the same columns and ``embedding``, a list of numbers (a list of lists in a ragged file); attributes and
               contigs as JSON in the schema's metadata under "titans_dna". Row groups of about 4 MB of vectors
    .npy       the vectors alone, in the order of rows, the attributes beside it (`titans_dna.io.disk.beside`); so there
               is no way back from it

A ragged file fits neither AnnData nor a plain matrix, so it can only become Parquet. Vectors are copied block by block,
so memory does not grow with them. A file can also be read into memory, as a pandas frame or as AnnData. AnnData and
Parquet need an extra: pip install 'titans-dna[convert]'.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.io.disk.atomic import atomic_path, disk_errors
from titans_dna.io.disk.beside import write_beside
from titans_dna.io.disk.hdf5_file import new_hdf5
from titans_dna.io.disk.hdf5_reader import KINDS, check_tree, dataset, read_hdf5
from titans_dna.io.embeddings.reader import Embeddings, open_embeddings
from titans_dna.io.embeddings.writer import COLUMNS, HAPLOTYPE_COLUMNS, EmbeddingWriter, Outline, vector_blocks
from titans_dna.io.formats import FORMATS, Format, endings_of, format_of, require_package, sniff

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd

    from titans_dna.io.embeddings.reader import Embeddings


KEY = b"titans_dna"


def convert_embeddings(source: Path, target: Path) -> int:
    """Convert a file of embeddings, as the endings of both names say; return the number of regions.

    Raises
    ------
    ConfigError
        If there is no such conversion, the source is a shard, or the target cannot hold a vector per base.
    FormatError, InputMissing
        If the source does not exist, or is not of the format that its ending says.
    OutputError
        If the target cannot be written, or a package is not installed.
    """
    made, read = format_of(target, verb="convert"), _format_read(source)
    if read.name == "HDF5" and made.name != "HDF5":
        with open_embeddings(source) as embeddings, atomic_path(target) as temporary, disk_errors(target):
            if embeddings.shard_rows is not None:
                raise ConfigError(f"{source}: is shard {embeddings.attributes['shard']}. Merge the shards first.")
            if embeddings.ragged and made.name != "Parquet":
                raise ConfigError(f"{source}: has one vector per base, which only .parquet can hold. Convert to that.")
            made.load_writer()(embeddings, temporary)
            if made.name == "NumPy":
                write_beside(target, embeddings.attributes)
            return len(embeddings)
    if not read.reader:
        raise ConfigError(f"{source}: holds vectors without their regions, so no .h5 can be made of it.")
    if read.name == made.name or made.name != "HDF5":
        raise ConfigError(f"{source}: no conversion from {read.name} to {made.name}. Convert to .h5 or from it.")
    if not source.is_file():
        raise InputMissing("there is no such file. Check the path.", path=source)
    require_package(read, source)
    return read.load_reader()(source, target)


@contextmanager
def as_hdf5(path: Path) -> Iterator[Embeddings]:
    """Open embeddings in any format; those that are not HDF5 are first converted to a file in a temporary folder.

    Raises
    ------
    ConfigError, FormatError, InputMissing, OutputError
        As in `convert_embeddings`.
    """
    found = sniff(path)
    with tempfile.TemporaryDirectory() as folder:
        if found is not None and found.holds == "embeddings" and found.name != "HDF5":
            copy = Path(folder) / "embeddings.h5"
            convert_embeddings(path, copy)
            path = copy
        with open_embeddings(path) as embeddings:
            yield embeddings


def _format_read(source: Path) -> Format:
    """Return the format that the name of a source asks for."""
    found = [each for each in FORMATS if each.holds == "embeddings" and each.fits(source)]
    if not found:
        known = ", ".join(endings_of(holds="embeddings"))
        raise ConfigError(f"{source}: no conversion from such a name. Give one of {known}.")
    return found[0]


def _blocks(embeddings: Embeddings) -> Iterator[tuple[int, int]]:
    """Yield stretches of rows whose vectors can be held together."""
    counts = embeddings.counts()
    offsets = None if counts is None else np.concatenate([[0], np.cumsum(counts)])
    return vector_blocks(0, len(embeddings), embeddings.width, offsets)


def write_npy(embeddings: Embeddings, path: Path) -> None:
    """Write the vectors block by block, after a header of NumPy's format."""
    shape = (len(embeddings), embeddings.width)
    dtype = embeddings.vectors(0, 0).dtype
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        # `np.save` would need the whole array in memory.
        np.lib.format.write_array_header_1_0(stream, header)
        for start, end in _blocks(embeddings):
            stream.write(np.ascontiguousarray(embeddings.vectors(start, end)).tobytes())


def write_h5ad(embeddings: Embeddings, path: Path) -> None:
    """Write AnnData: tables through anndata itself, and the vectors block by block into an array of its layout."""
    import anndata.io as elements

    empty: dict[str, Any] = {key: {} for key in ("layers", "obsm", "varm", "obsp", "varp")}
    with new_hdf5(path) as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for key, value in {**anndata_parts(embeddings), **empty}.items():
            elements.write_elem(file, key, value)
        shape, dtype = (len(embeddings), embeddings.width), embeddings.vectors(0, 0).dtype
        data = file.create_dataset("X", shape, dtype)
        data.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start, end in _blocks(embeddings):
            data[start:end] = embeddings.vectors(start, end)
            file.check_disk()


def read_h5ad(source: Path, target: Path) -> int:
    """Read what `write_h5ad` wrote, and write it as HDF5; return the number of regions."""
    import anndata.io as elements

    with read_hdf5(source) as file:
        check_tree(file)
        attributes = {key: _plain(value) for key, value in elements.read_elem(file["uns/titans_dna"]).items()}
        found, table = elements.read_elem(file["uns/contigs"]), elements.read_elem(file["obs"])
        contigs = {
            str(name): (int(length), str(md5))
            for name, length, md5 in zip(found.index, found["length"], found["md5"], strict=True)
        }
        data = dataset(file, "X", KINDS["score"], ndim=2)
        outline = Outline(further=[key for key in HAPLOTYPE_COLUMNS if key in table])
        with EmbeddingWriter(target, data.shape[1], contigs, attributes, str(data.dtype), outline=outline) as writer:
            for start, end in vector_blocks(0, len(data), data.shape[1]):
                block = {key: table[key].iloc[start:end].to_numpy() for key in (*COLUMNS, *outline.further)}
                writer.append_columns(block, data[start:end])
        return len(data)


def write_parquet(embeddings: Embeddings, path: Path) -> None:
    """Write Parquet with one row per region."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    number = arrow.from_numpy_dtype(embeddings.vectors(0, 0).dtype)
    vector = arrow.list_(number, embeddings.width)
    kinds = [arrow.int64() if key in ("start", "end") else arrow.string() for key in COLUMNS]
    kinds += [arrow.from_numpy_dtype(np.dtype(HAPLOTYPE_COLUMNS[key])) for key in embeddings.further]
    names = (*COLUMNS, *embeddings.further)
    fields = [arrow.field(key, kind) for key, kind in zip(names, kinds, strict=True)]
    fields.append(arrow.field("embedding", arrow.list_(vector) if embeddings.ragged else vector))
    said = json.dumps({"attributes": embeddings.attributes, "contigs": embeddings.contigs})
    schema = arrow.schema(fields, metadata={KEY: said.encode()})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start, end in _blocks(embeddings):
            flat = arrow.array(np.ascontiguousarray(embeddings.vectors(start, end)).ravel(), number)
            vectors = arrow.FixedSizeListArray.from_arrays(flat, embeddings.width)
            counts = embeddings.counts(start, end)
            if counts is not None:
                offsets = arrow.array(np.concatenate([[0], np.cumsum(counts)]), arrow.int32())
                vectors = arrow.ListArray.from_arrays(offsets, vectors)
            columns = [arrow.array(embeddings.column(key, start, end)) for key in names]
            writer.write_batch(arrow.record_batch([*columns, vectors], schema=schema))


def read_parquet(source: Path, target: Path) -> int:
    """Read what `write_parquet` wrote, and write it as HDF5; return the number of regions."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(source)
        said = json.loads(file.schema_arrow.metadata[KEY])
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FormatError("is no Parquet file made of embeddings.", path=source) from error
    kind = file.schema_arrow.field("embedding").type
    ragged = arrow.types.is_list(kind)
    vector = kind.value_type if ragged else kind
    contigs = {name: (int(pair[0]), str(pair[1])) for name, pair in said["contigs"].items()}
    dtype = str(np.dtype(vector.value_type.to_pandas_dtype()))
    outline = Outline(further=[key for key in HAPLOTYPE_COLUMNS if key in file.schema_arrow.names])
    names = (*COLUMNS, *outline.further)
    with (
        file,
        EmbeddingWriter(
            target, vector.list_size, contigs, said["attributes"], dtype, ragged=ragged, outline=outline
        ) as writer,
    ):
        for number in range(file.num_row_groups):
            block = file.read_row_group(number).combine_chunks()
            found = block.column("embedding").combine_chunks()
            counts = np.diff(found.offsets.to_numpy()) if ragged else None
            flat = (found.flatten() if ragged else found).flatten().to_numpy(zero_copy_only=False)
            columns = {key: block.column(key).to_numpy() for key in names}
            writer.append_columns(columns, flat.reshape(-1, vector.list_size), counts=counts)
    return int(file.metadata.num_rows)


def _plain(value: Any) -> Any:
    """Return an attribute as a plain value, as it was before anndata stored it."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    return value.item() if isinstance(value, np.generic) else value


def embeddings_frame(embeddings: Embeddings) -> pd.DataFrame:
    """Return a frame with one row per region: contig, start, end (0-based half-open), strand, name, outcome, vector.

    The numbers of the vector are columns ``e0``, ``e1``, ...; in a file with one vector per base, the column
    ``embedding`` holds an array (bases, width) for each region. The frame's ``attrs`` say how the vectors were made.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    pandas = _load("pandas", "pandas")
    table = pandas.DataFrame({name: embeddings.column(name) for name in (*COLUMNS, *embeddings.further)})
    if embeddings.ragged:
        table["embedding"] = [embeddings[row] for row in range(len(embeddings))]
    else:
        names = [f"e{number}" for number in range(embeddings.width)]
        table = pandas.concat([table, pandas.DataFrame(embeddings.vectors(), columns=names)], axis=1)
    table.attrs.update(embeddings.attributes)
    return table


def embeddings_anndata(embeddings: Embeddings) -> ad.AnnData:
    """Return AnnData, as `titans-dna convert` writes it: vectors in ``X``, regions in ``obs``, attributes in ``uns``.

    Raises
    ------
    ConfigError
        If anndata is not installed, or the file has one vector per base.
    """
    if embeddings.ragged:
        raise ConfigError(f"{embeddings.path}: has one vector per base, which AnnData cannot hold. Use to_pandas.")
    parts = anndata_parts(embeddings)
    return _load("anndata", "convert").AnnData(X=embeddings.vectors(), **parts)


def anndata_parts(embeddings: Embeddings) -> dict[str, Any]:
    """Return ``obs``, ``var`` and ``uns`` of AnnData made of embeddings."""
    pandas = _load("pandas", "pandas")
    table = pandas.DataFrame({name: embeddings.column(name) for name in (*COLUMNS, *embeddings.further)})
    table.index = pandas.Index(unique_names(embeddings), dtype=object)
    names = pandas.DataFrame(index=[str(number) for number in range(embeddings.width)])
    contigs = embeddings.contigs
    lengths, sums = [pair[0] for pair in contigs.values()], [pair[1] for pair in contigs.values()]
    found = pandas.DataFrame({"length": lengths, "md5": sums}, index=pandas.Index(list(contigs), dtype=object))
    return {"obs": table, "var": names, "uns": {"titans_dna": embeddings.attributes, "contigs": found}}


def unique_names(embeddings: Embeddings) -> list[str]:
    """Return a name for each region, as AnnData needs it: its own, or else its place; one that is there gets a number.

    A place is 1-based with the end included: ``chrA:1-2000``.
    """
    names, contigs, starts, ends = (embeddings.column(key).tolist() for key in ("name", "contig", "start", "end"))
    seen: set[str] = set()
    found = []
    for name, contig, start, end in zip(names, contigs, starts, ends, strict=True):
        base = own = name if name not in ("", ".") else f"{contig}:{start + 1}-{end}"
        number = 1
        while own in seen:
            number += 1
            own = f"{base}-{number}"
        seen.add(own)
        found.append(own)
    return found


def _load(name: str, extra: str) -> Any:
    """Import an optional package."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name} is not installed. Run: pip install 'titans-dna[{extra}]'") from error
