from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from titans_dna.errors import OutputError
from titans_dna.io import atomic_path
from titans_dna.io.disk.atomic import drop_leftovers


def test_the_output_appears_only_when_complete(tmp_path):
    final = tmp_path / "a.tar.gz"
    with atomic_path(final) as temporary:
        temporary.write_text("x")
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("a.tar.gz")
        assert not final.exists()
    assert final.read_text() == "x"
    assert os.listdir(tmp_path) == ["a.tar.gz"]  # noqa: PTH208


def test_an_error_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    final = tmp_path / "a"
    final.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(final) as temporary:
        raise ZeroDivisionError(temporary.write_text("half"))
    assert final.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_said_in_one_line(tmp_path):
    final = tmp_path / "a"
    with pytest.raises(OutputError, match=r"a: the disk is full\. Make room"), atomic_path(final):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match="/dev/full: the disk is full"), atomic_path("/dev/full") as path:
        path.write_text("x")
    with pytest.raises(PermissionError), atomic_path(final):
        raise PermissionError(errno.EACCES, "of something that is read")
    assert not list(tmp_path.iterdir())


def test_impossible_places_are_named(tmp_path):
    with pytest.raises(OutputError, match="does not exist"), atomic_path(tmp_path / "no" / "a"):
        pass
    with pytest.raises(OutputError, match="is a folder"), atomic_path(tmp_path):
        pass
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "a"):
        pass


def test_a_device_is_written_to_and_never_replaced():
    with atomic_path("/dev/null") as path:
        assert path == Path("/dev/null")
    assert not Path("/dev/null").is_file()


def leftover(final: Path, *, host: str = "here") -> Path:
    """A temporary file of a writer that was killed on a host."""
    code = (
        "import os, socket, sys\nfrom titans_dna.io import atomic_path\n"
        "socket.gethostname = lambda: sys.argv[2]\n"
        "with atomic_path(sys.argv[1]) as path:\n    path.touch()\n    print(path, flush=True)\n    os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, final, host], capture_output=True, text=True, check=False)
    return Path(done.stdout.strip())


def test_only_dead_writers_of_this_file_on_this_host_are_cleared_away(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    final, other = tmp_path / "s1.tsv", tmp_path / "tumor-s1.tsv"
    long = [tmp_path / f"{letter}{'x' * 140}.tsv" for letter in "ab"]
    dead = [leftover(final), leftover(long[0])]
    index = dead[0].with_name(dead[0].name + ".tbi")
    index.touch()
    kept = [leftover(final, host="there"), leftover(final, host="here-too"), leftover(other), leftover(long[1])]
    with atomic_path(final) as live:
        live.touch()
        for path in (final, long[0]):
            drop_leftovers(path)
        assert live.exists()
    assert not any(path.exists() for path in (*dead, index))
    assert all(path.exists() for path in kept)


def test_reading_loads_no_torch_and_no_heavy_package_at_import():
    code = (
        "import sys, titans_dna.io, titans_dna.genome, titans_dna.tokenizers, titans_dna.io.sequence.fasta,"
        " titans_dna.io.variants.vcf, titans_dna.io.intervals.bed, titans_dna.io.tables.tsv,"
        " titans_dna.io.tables.bigwig, titans_dna.io.embeddings.writer, titans_dna.io.variants.vcf_writer\n"
        "heavy = {'torch', 'h5py', 'pysam', 'pyfaidx', 'pyBigWig', 'Bio', 'pandas', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_public_name_can_be_fetched():
    import titans_dna.io

    for name in titans_dna.io.__all__:
        assert getattr(titans_dna.io, name) is not None
    assert dir(titans_dna.io) == titans_dna.io.__all__
    assert set(titans_dna.io._HOMES) == set(titans_dna.io.__all__)
    with pytest.raises(AttributeError):
        titans_dna.io.nothing  # noqa: B018
