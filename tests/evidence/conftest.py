"""The scripts of the evidence are no package: their folders are put on the path for these tests alone."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def scripts(project):
    """Import from ``benchmarks`` and ``benchmarks/evidence``."""
    folders = [str(project / "benchmarks" / "evidence"), str(project / "benchmarks")]
    sys.path[:0] = folders
    yield
    for folder in folders:
        sys.path.remove(folder)
