"""What unpacks into the cache has an end, a full disk is called one, and nothing half written stays."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from toy import cache  # noqa: F401 - a fixture

from titans_dna.errors import FormatError, OutputError
from titans_dna.io.disk import text as text_files
from titans_dna.io.disk.cache import cache_folder, store
from titans_dna.io.sequence.fasta import open_fasta


def random_bases(bases: int) -> bytes:
    return bytes(random.Random(1).choices(b"ACGT", k=bases))


GENBANK = b"LOCUS       X 4 bp DNA\nACCESSION   X\nVERSION     X.1\nORIGIN\n        1 acgt\n//\n"


@pytest.fixture
def packed(tmp_path):
    def write(text: bytes, name: str = "a.fa.gz") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text))
        return path

    return write


def left() -> list[str]:
    return sorted(path.name for path in cache_folder().glob("*")) + sorted(p.name for p in cache_folder().glob(".*"))


@pytest.mark.parametrize("text", [b">a\n" + b"ACGT\n" * 200_000, GENBANK + b"\n" * 1_000_000])
def test_a_small_gzip_that_unpacks_to_gigabytes_is_refused(packed, monkeypatch, text):
    monkeypatch.setattr(text_files, "LARGE_BYTES", 100_000)
    monkeypatch.setattr(text_files, "BLOCK", 10_000)
    with pytest.raises(FormatError, match=r"unpacks to more than .* GB, over 50 times its [\d,]+ bytes.*gunzip"):
        open_fasta(packed(text))
    assert left() == []


def test_what_unpacks_to_little_or_as_genomes_do_is_read(packed, monkeypatch):
    path = packed(b">a\n" + b"N" * 500_000 + b"\n", "n.fa.gz")
    assert path.stat().st_size * 50 < 500_000
    assert open_fasta(path).contigs.lengths == {"a": 500_000}
    monkeypatch.setattr(text_files, "LARGE_BYTES", 1000)
    with open_fasta(packed(b">a\n" + random_bases(50_000) + b"\n")) as fasta:
        assert len(fasta.sequence("a")) == 50_000


def test_unpacking_stops_before_it_takes_the_last_room(packed, monkeypatch):
    Free = namedtuple("Free", "f_bavail f_frsize")
    monkeypatch.setattr(text_files, "BLOCK", 1000)
    monkeypatch.setattr(text_files, "KEPT_FREE_BYTES", 5000)
    monkeypatch.setattr(os, "statvfs", lambda path: Free(4, 1000))
    with pytest.raises(OutputError, match=r"the disk of the cache has 0\.00 GB left.*TITANS_DNA_CACHE"):
        open_fasta(packed(b">a\n" + random_bases(50_000) + b"\n"))
    assert left() == []
    open_fasta(packed(b">a\n" + random_bases(3000) + b"\n", "small.fa.gz")).close()


def test_a_full_cache_disk_is_not_called_a_damaged_file(packed, monkeypatch):
    path, real = packed(b">a\n" + random_bases(50_000) + b"\n"), Path.open

    def full(self, *arguments, **settings):
        return real(Path("/dev/full"), *arguments, **settings) if ".partial-" in self.name else real(self, *arguments)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match=r"the disk of the cache is full.*TITANS_DNA_CACHE"):
        open_fasta(path)
    assert left() == []


def test_what_a_killed_run_left_in_the_cache_goes_with_the_next(tmp_path):
    entry = tmp_path / "a.fa"
    code = (
        "import os, sys; from pathlib import Path; from titans_dna.io.disk.cache import store\n"
        "def write(path):\n"
        "    path.with_name(path.name + '.rough').write_text('y')\n"
        "    path.write_text('x'); os.kill(os.getpid(), 9)\n"
        "store(Path(sys.argv[1]), write)"
    )
    subprocess.run([sys.executable, "-c", code, str(entry)], check=False)
    assert len(list(tmp_path.glob(".partial-*"))) == 2
    store(entry, lambda path: path.write_text("z"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.fa"]
