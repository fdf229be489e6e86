"""Ctrl-C ends every verb with one line and exit code 130, and what was finished is used again."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A terminal sends SIGINT to all processes of the command at once, those of --workers too.
INTERRUPTED = """
import os, signal, sys
from titans_dna.cli import main
from titans_dna.jobs.work_folder import WorkFolder
keep = WorkFolder.keep
def keep_and_interrupt(*args):
    keep(*args)
    os.killpg(0, signal.SIGINT)
WorkFolder.keep = keep_and_interrupt
main()
"""


def processes_of(group: int) -> list[str]:
    """Return the live processes of a group."""
    stats = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats.append(path.read_text().rpartition(")")[2].split())
        except OSError:
            continue
    return [fields[0] for fields in stats if int(fields[2]) == group and fields[0] != "Z"]


@pytest.mark.parametrize("how", [(), ("--context", "window:64", "--workers", "2")])
@pytest.mark.parametrize("verb", ["score-regions", "embed", "score-variants"])
def test_what_was_finished_before_ctrl_c_is_used_again(run, model, genome, bed, variants, tmp_path, verb, how):
    whole, output = (tmp_path / f"{name}.{'h5' if verb == 'embed' else 'tsv'}" for name in ("whole", "output"))
    given = ("--vcf", variants) if verb == "score-variants" else ("--bed", bed)
    arguments = [str(word) for word in (verb, "--model", model, "--fasta", genome, *given, *how, "--output")]
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments, str(output)], start_new_session=True, text=True,
        stderr=subprocess.PIPE, env=os.environ, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    _, error = running.communicate(timeout=120)
    assert running.returncode == 130, error
    work = output.with_name(output.name + ".work")
    assert error == (f"interrupted; what is finished is kept in {work}; the same command with --resume goes on\n")
    assert processes_of(running.pid) == []
    assert [path.name for path in tmp_path.iterdir()] == [work.name]
    assert run(*arguments, whole).exit_code == 0
    assert run(*arguments, output, "--resume").exit_code == 0
    assert not work.exists()
    if verb != "embed":
        # The first part was made by another process, which may round otherwise than one whose threads were set before.
        one, two = ([line.split("\t") for line in path.read_text().splitlines() if line[0] != "#"]
                    for path in (whole, output))  # fmt: skip
        assert [len(row) for row in one] == [len(row) for row in two]
        for a, b in zip(itertools.chain(*one), itertools.chain(*two), strict=True):
            assert a == b or float(a) == pytest.approx(float(b), rel=1e-4)


def test_ctrl_c_before_anything_is_finished(run, model, genome, bed, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("titans_dna.jobs.regions._Reading.scores", interrupt)
    result = run("score-regions", "--model", model, "--fasta", genome, "--bed", bed, "-o", tmp_path / "o.tsv")
    assert (result.exit_code, list(tmp_path.iterdir())) == (130, [])
    assert result.stderr == "interrupted; nothing was finished yet, so --resume would begin anew\n"


def test_ctrl_c_in_a_verb_without_resume(run, genome, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("titans_dna.io.formats.sniff", interrupt)
    result = run("info", genome)
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")
