from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest
from toy import cache  # noqa: F401 - the cache is a fixture


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file, compressed as its name says (.gz plain gzip, .bgz or .bgzf blocked)."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        if name.endswith((".bgz", ".bgzf.gz")):
            with pysam.BGZFile(str(path), "wb") as stream:
                stream.write(data)
        elif name.endswith(".gz"):
            path.write_bytes(gzip.compress(data))
        else:
            path.write_bytes(data)
        return path

    return make
