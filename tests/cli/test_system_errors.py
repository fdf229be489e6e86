"""A lack of memory, a folder that is deleted, and an index beyond its file."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 3 TiB"), "error: there is not enough memory (Unable to allocate 3 TiB)."),
        (FileNotFoundError(2, "No such file or directory", "/x/y.h5"), "error: /x/y.h5: No such file or directory."),
        (PermissionError(13, "Permission denied", "/x"), "error: /x: Permission denied."),
    ],
)
def test_what_the_system_refuses_is_one_line(raising, error, said):
    found = raising("doctor", error)
    assert found.exit_code == 1
    assert found.stderr.startswith(said)
    assert found.stderr.count("\n") == 1


def test_an_index_beyond_its_file_is_one_line(run, tmp_path):
    (tmp_path / "a.fa").write_text(">c\nACGT\n")
    (tmp_path / "a.fa.fai").write_text("c\t999999999\t3\t4\t5\n")
    found = run("info", tmp_path / "a.fa")
    assert found.exit_code == 1
    said = "ends before base 999,999,999 of c, which its index (.fai) names. Delete the index; it is made again."
    assert found.stderr == f"error: {tmp_path / 'a.fa'}: {said}\n"
