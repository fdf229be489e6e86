"""Ctrl-C, a lack of memory, a folder that is deleted, misspelt verbs, and names that a terminal would obey."""

from __future__ import annotations

import logging

import pytest

from titans_dna import cli
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
    ("verb", "said"),
    [
        ("embed", "stopped by Ctrl-C. Go on with the same command and --resume.\n"),
        ("pretrain", "stopped by Ctrl-C. Go on with: titans-dna pretrain --resume FOLDER\n"),
        ("doctor", "stopped by Ctrl-C.\n"),
    ],
)
def test_ctrl_c_is_one_line_that_says_how_to_go_on(raising, verb, said):
    found = raising(verb, KeyboardInterrupt())
    assert (found.exit_code, found.stderr) == (130, said)


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


@pytest.mark.parametrize(
    ("typed", "meant"), [("score-variant", "score-variants"), ("embedd", "embed"), ("pre-train", "pretrain")]
)
def test_a_misspelt_verb_names_the_one_that_was_meant(run, typed, meant):
    found = run(typed, "--help")
    assert found.exit_code == 2
    assert f"there is no verb {typed!r}. Did you mean {meant}?" in found.stderr


def test_a_verb_like_no_other_is_refused_as_before(run):
    assert "No such command 'xyzzy'" in run("xyzzy").stderr


def test_names_do_not_reach_a_terminal_raw(run, tmp_path):
    (tmp_path / "a.fa").write_text(">c\x1b]0;title\x07\nACGT\n")
    found = run("info", tmp_path / "a.fa")
    assert "\x1b" not in found.output
    assert "\\x1b]0;title\\x07\t4\t" in found.stdout
    record = logging.LogRecord("x", logging.WARNING, "", 1, "contig %s", ("\x1b[2J",), None)
    assert cli._Escaping("%(message)s").format(record) == "contig \\x1b[2J"


def test_an_index_beyond_its_file_is_one_line(run, tmp_path):
    (tmp_path / "a.fa").write_text(">c\nACGT\n")
    (tmp_path / "a.fa.fai").write_text("c\t999999999\t3\t4\t5\n")
    found = run("info", tmp_path / "a.fa")
    assert found.exit_code == 1
    said = "ends before base 999,999,999 of c, which its index (.fai) names. Delete the index; it is made again."
    assert found.stderr == f"error: {tmp_path / 'a.fa'}: {said}\n"
