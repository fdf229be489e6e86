"""A lack of memory, a folder that is deleted, and an index beyond its file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from titans_dna.cli import main


@pytest.fixture
def raising(monkeypatch, run):
    """Call a verb whose work ends in an error."""

    def call(verb, error):
        command = main.get_command(None, verb)
        monkeypatch.setattr(command, "callback", lambda **_: (_ for _ in ()).throw(error))
        monkeypatch.setattr(command, "params", [p for p in command.params if p.name == "resume"])
        return run(verb)

    return call


def _of_llvmlite() -> OSError:
    """An error whose cause alone says that memory is what lacked."""
    error = OSError("Could not find/load shared object file 'libllvmlite.so'")
    error.__context__ = OSError("libllvmlite.so: failed to map segment from shared object")
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 3 TiB"), "error: there is not enough memory (Unable to allocate 3 TiB)."),
        (OSError(12, "Cannot allocate memory"), "error: there is not enough memory."),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "error: there is not enough memory.",
        ),
        (_of_llvmlite(), "error: there is not enough memory."),
        (FileNotFoundError(2, "No such file or directory", "/x/y.h5"), "error: /x/y.h5: No such file or directory."),
        (PermissionError(13, "Permission denied", "/x"), "error: /x: Permission denied."),
    ],
)
def test_what_the_system_refuses_is_one_line(raising, error, said):
    found = raising("doctor", error)
    assert found.exit_code == 1
    assert found.stderr.startswith(said)
    assert found.stderr.count("\n") == 1


def test_a_missing_library_is_no_lack_of_memory(raising):
    found = raising("doctor", ImportError("No module named 'nowhere'"))
    assert isinstance(found.exception, ImportError)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_memory_too_small_for_the_libraries_is_one_line(tmp_path):
    """As under ``ulimit -v``."""
    (tmp_path / "a.fa").write_text(">c\nACGT\n")
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (350 << 20, 350 << 20)); "
    command = [sys.executable, "-c", limited + "from titans_dna.cli import main; main()", "score-regions"]
    command += ["--fasta", str(tmp_path / "a.fa"), "--output", str(tmp_path / "a.tsv")]
    few = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=few, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: there is not enough memory")
    assert "Traceback" not in done.stderr


def test_an_index_beyond_its_file_is_one_line(run, tmp_path):
    (tmp_path / "a.fa").write_text(">c\nACGT\n")
    (tmp_path / "a.fa.fai").write_text("c\t999999999\t3\t4\t5\n")
    found = run("info", tmp_path / "a.fa")
    assert found.exit_code == 1
    said = "ends before base 999,999,999 of c, which its index (.fai) names. Delete the index; it is made again."
    assert found.stderr == f"error: {tmp_path / 'a.fa'}: {said}\n"
