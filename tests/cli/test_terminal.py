"""Control characters in names reach no terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from titans_dna.cli.terminal import PlainText

TITLE = "\x1b]0;owned\x07"  # sets the title of a terminal's window


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("chr1\t5\n", "chr1\t5\n"),
        ("chré µ→", "chré µ→"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("a\rb\x08\x7f", r"a\rb\x08\x7f"),
        ("\u202egnp.exe\udcff", r"\u202egnp.exe\udcff"),
    ],
)
def test_only_line_breaks_and_tabs_move_the_cursor(text, shown):
    raw = io.StringIO()
    stream = PlainText(raw)
    stream.writelines([text])
    assert raw.getvalue() == shown
    assert stream.isatty() == raw.isatty()


@pytest.mark.parametrize("verb", ["info", "copies", "a verb"])
def test_nothing_that_is_printed_commands_a_terminal(tmp_path, verb):
    fasta = tmp_path / "x.fa"
    fasta.write_text(f">chr{TITLE}\nACGTACGT\n")
    asked = {
        "info": ["info", str(fasta)],
        "copies": ["copies", "--fasta", str(fasta), "--contig", TITLE, "--output", str(tmp_path / "x.bedpe")],
        "a verb": [TITLE],
    }[verb]
    outside, inside = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "titans_dna", *asked], stdout=inside, stderr=inside, timeout=120, check=False
    )
    os.close(inside)
    printed = os.read(outside, 1 << 16)
    os.close(outside)
    assert done.returncode == {"info": 0, "copies": 0, "a verb": 2}[verb], printed
    assert b"owned" in printed
    assert TITLE.encode() not in printed  # a bar's own commands may be, where a machine is slow
    assert b"\x1b]" not in printed
    assert b"\x07" not in printed


@pytest.mark.parametrize("name", ["chr\x7f1", "\x1b[31mchr1"])
def test_a_pipe_gets_names_as_they_are(tmp_path, name):
    fasta = tmp_path / "x.fa"
    fasta.write_text(f">{name}\nACGTACGT\n")
    done = subprocess.run([sys.executable, "-m", "titans_dna", "info", str(fasta)], capture_output=True, check=True)
    assert f"\n{name}\t8\t".encode() in done.stdout
