"""The scripts of benchmarks/evidence are no package: tests import them by name, as they import each other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EVIDENCE = Path(__file__).resolve().parents[2] / "benchmarks/evidence"
sys.path[:0] = [str(EVIDENCE), str(EVIDENCE.parent)]


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """The small budget, with everything written below a temporary folder."""
    import setting as module

    monkeypatch.setattr(module, "BUILD", tmp_path / "evidence")
    monkeypatch.setattr(module.record, "RESULTS", tmp_path / "results")
    return module.Setting(budget="small", seed=1, data=tmp_path)
