from __future__ import annotations

import os
from pathlib import Path

import pytest

from titans_dna.errors import FormatError, OutputError
from titans_dna.io.disk.cache import cache_entry, cache_folder, store, try_to_store


def test_the_folder_is_the_one_asked_for(monkeypatch):
    monkeypatch.setenv("TITANS_DNA_CACHE", "/a/b")
    assert cache_folder() == Path("/a/b")
    monkeypatch.delenv("TITANS_DNA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/titans-dna")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "titans-dna"


def test_a_changed_source_has_another_entry(tmp_path):
    source = tmp_path / "a.fa"
    source.write_text("x")
    first = cache_entry(source, ".fai")
    assert cache_entry(source, ".fai") == first
    assert first.name.startswith("a.fa.")
    assert first.suffix == ".fai"
    os.utime(source, (5, 5))
    assert cache_entry(source, ".fai") != first
    (tmp_path / "link.fa").symlink_to(source)
    assert cache_entry(tmp_path / "link.fa", ".fai") == cache_entry(source, ".fai")


def test_a_cache_that_cannot_be_written_is_named_or_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    blocked = tmp_path / "file" / "entry"
    with pytest.raises(OutputError, match="TITANS_DNA_CACHE"):
        store(blocked, lambda path: path.write_text("x"))
    try_to_store(blocked, lambda path: path.write_text("x"))

    def refuse(path):
        raise FormatError(f"bad {path.suffix}")

    with pytest.raises(FormatError):
        store(tmp_path / "entry", refuse)
    assert not (tmp_path / "entry").exists()
