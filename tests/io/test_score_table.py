"""Tables in the formats of other programs hold what their inputs hold."""

from __future__ import annotations

import h5py
import pytest

from titans_dna.io.score_table import Column, ScoreTableWriter
from titans_dna.io.score_table_reader import open_score_table

COLUMNS = [Column("name", "text"), Column("score", "score")]


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".h5ad"])
@pytest.mark.parametrize("at_once", [False, True])
def test_bytes_that_are_no_utf8_are_written_as_escapes(tmp_path, suffix, at_once):
    pytest.importorskip({".parquet": "pyarrow", ".h5ad": "anndata"}.get(suffix, "h5py"))
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    with ScoreTableWriter(tmp_path / f"t{suffix}", COLUMNS) as table:
        if at_once:
            table.write_columns({"name": [name, "é"], "score": [1, 2]})
        else:
            table.write({"name": name, "score": 1})
            table.write({"name": "é", "score": 2})
    if suffix == ".h5":
        with h5py.File(tmp_path / "t.h5") as file:
            assert file["columns/name"].asstr()[:].tolist() == [r"caf\xe9", "é"]
    else:
        rows = list(open_score_table(tmp_path / f"t{suffix}").rows())
        assert [row["name"] for row in rows] == [r"caf\xe9", "é"]
