"""The commands in the documentation: find them, run them, and hold their output against the page.

A page's ``console`` blocks are one session, from top to bottom, in a folder that looks like a checkout:

    ```console
    $ titans-dna info data/demo.fa
    contig  length  md5
    ...
    ```

Lines after a command are what it prints, standard error included. Numbers may differ in their last digits
(`TOLERANCE`); a line of three dots stands for any lines. A block whose title begins with "Not run" is left out
and says why. One whose title begins with "Needs" is run with ``--real``, on the genomes that it names (`GENOMES`).

    python docs/commands.py docs/pages/tutorials/variants.md     # run a page
    python docs/commands.py --write docs/pages/*.md              # run pages, and put what was printed into them
    python docs/commands.py --real docs/pages/tutorials/copies.md    # with the real genomes beside the project
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PAGES = PROJECT / "docs" / "pages"
TOLERANCE = 0.05  # of numbers, relative; training differs a little between processors
ABSOLUTE = 0.02
PROGRESS = re.compile(r"^\d{4}-\d\d-\d\d [\d:]{8} .*\n", re.MULTILINE)  # what long work says from time to time
ANY_LINES = "..."

REAL = PROJECT.parent / "shared" / "data"
GENOMES = {  # names on the pages: files of real genomes
    "K12.fa": "genomes/ecoli_k12_NC_000913.3.fna.gz", "W.fa": "relatives/ecoli_W.fa.gz",
    "LPA.fa.gz": "relatives/LPA.fa.gz", "ENm001.fa.gz": "mammals/encode_ENm001.fa.gz",
    "phiX174.fa": "genomes/phix174_NC_001422.1.fa",
    "lambda.fa": "genomes/lambda_NC_001416.1.fa",
}  # fmt: skip

_BLOCK = re.compile(r"^```console(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a page."""

    text: str  # without the prompt; continued lines are joined by the shell
    output: str  # as the page has it
    line: int  # of the page, from 1, where the command stands
    end: int  # the line after its output
    reason: str  # why it is not run; empty if it is
    needs: str  # the genomes that it needs; empty for none


def commands(page: Path) -> list[Command]:
    """Return all commands of a page, in order.

    Raises
    ------
    ValueError
        If a block does not begin with a command.
    """
    text, found = page.read_text(encoding="utf-8"), []
    for block in _BLOCK.finditer(text):
        title = re.search(r'title="([^"]*)"', block["info"])
        said = title[1] if title else ""
        first = text.count("\n", 0, block.start()) + 2
        found += _of_block(page, block["body"].splitlines(), first, said)
    return found


def _of_block(page: Path, lines: list[str], first: int, said: str) -> Iterator[Command]:
    reason, needs = (said if said.startswith(begin) else "" for begin in ("Not run", "Needs"))
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"{page}:{first}: a console block begins with `$ ` and a command")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        text = "\n".join([lines[start][2:], *lines[start + 1 : last + 1]])
        output = "\n".join(lines[last + 1 : end])
        yield Command(text=text, output=output, line=first + start, end=first + end, reason=reason, needs=needs)


def run(command: Command, folder: Path) -> tuple[int, str]:
    """Run a command in a folder; return its exit code and what it printed, without the lines of slow machines."""
    code, output = _run(command, folder)
    return code, PROGRESS.sub("", output)


def _run(command: Command, folder: Path) -> tuple[int, str]:
    words = command.text.split()
    if words[0] == "titans-dna" and not set(command.text) & set("|<>;&$*'\"\\"):
        return _in_process(words[1:], folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command.text], cwd=folder, env={**os.environ, "PATH": path}, text=True, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def _in_process(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run ``titans-dna`` without starting Python and loading torch again."""
    from click.testing import CliRunner

    from titans_dna.cli import main

    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(main, arguments, prog_name="titans-dna")
    finally:
        os.chdir(before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def agree(expected: str, found: str) -> bool:
    """Say whether an output is that of the page, but for the last digits of its numbers."""
    lines = [line.split() for line in found.strip().splitlines()]
    pieces: list[list[list[str]]] = [[]]
    for line in expected.strip().splitlines():
        if line.strip() == ANY_LINES:
            pieces.append([])
        else:
            pieces[-1].append(line.split())
    return _begins(pieces[0], lines) and _rest_agrees(pieces[1:], lines[len(pieces[0]) :])


def _rest_agrees(pieces: list[list[list[str]]], lines: list[list[str]]) -> bool:
    """Say whether the pieces stand in the lines in this order, the last at the end, with any lines between."""
    if not pieces:
        return not lines
    piece, last = pieces[0], len(pieces) == 1
    starts = [len(lines) - len(piece)] if last else range(len(lines) - len(piece) + 1)
    return any(
        start >= 0 and _begins(piece, lines[start:]) and _rest_agrees(pieces[1:], lines[start + len(piece) :])
        for start in starts
    )


def _begins(piece: list[list[str]], lines: list[list[str]]) -> bool:
    return len(lines) >= len(piece) and all(map(_same_line, piece, lines))


def _same_line(expected: list[str], found: list[str]) -> bool:
    return len(expected) == len(found) and all(map(_same_word, expected, found))


def _same_word(expected: str, found: str) -> bool:
    if _NUMBER.sub("0", expected) != _NUMBER.sub("0", found):
        return False
    pairs = zip(_NUMBER.findall(expected), _NUMBER.findall(found), strict=True)
    return all(_close(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= ABSOLUTE + TOLERANCE * max(abs(a), abs(b))


def prepare(folder: Path, *, real: bool = False) -> None:
    """Make a folder look like a checkout: the demo input and the workflow, and real genomes if they are wanted."""
    for name in ("data", "Snakefile", "pipelines"):
        (folder / name).symlink_to(PROJECT / name)
    for name, source in GENOMES.items() if real else ():
        opened = gzip.open if source.endswith(".gz") and not name.endswith(".gz") else open
        with opened(REAL / source, "rb") as stream, (folder / name).open("wb") as copy:
            shutil.copyfileobj(stream, copy)


def _wanted(page: Path, folder: Path) -> Iterator[Command]:
    """Yield the commands that are run in a prepared folder."""
    real = (folder / next(iter(GENOMES))).exists()
    yield from (command for command in commands(page) if not command.reason and (real or not command.needs))


def check(page: Path, folder: Path) -> list[str]:
    """Run a page's commands in a prepared folder; return one message for each that fails or prints something else."""
    faults = []
    for command in _wanted(page, folder):
        code, printed = run(command, folder)
        if code != 0:
            return [*faults, f"{page}:{command.line}: exit code {code}\n$ {command.text}\n{printed}"]
        if command.output and not agree(command.output, printed):
            faults.append(f"{page}:{command.line}: prints something else\n$ {command.text}\n{printed}")
    return faults


def rewrite(page: Path, folder: Path) -> None:
    """Run a page's commands and put what they print in the place of the outputs; an abridged output is left."""
    lines, shift = page.read_text(encoding="utf-8").splitlines(), 0
    for command in _wanted(page, folder):
        code, printed = run(command, folder)
        if code != 0:
            raise SystemExit(f"{page}:{command.line}: exit code {code}\n{printed}")
        if ANY_LINES in command.output.splitlines():
            if not agree(command.output, printed):
                print(f"{page}:{command.line}: prints something else\n{printed}", file=sys.stderr)
            continue
        start = command.line + command.text.count("\n") + shift
        new = [line.rstrip() for line in printed.expandtabs(8).rstrip().splitlines()]
        old = command.end - 1 + shift - start
        lines[start : start + old] = new
        shift += len(new) - old
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Check or rewrite pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="put what is printed into the pages")
    parser.add_argument("--real", action="store_true", help="run what needs real genomes too")
    options = parser.parse_args()
    faults: list[str] = []
    for page in options.pages:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, real=options.real)
            os.environ["TITANS_DNA_CACHE"] = str(folder / ".cache")
            if options.write:
                rewrite(page, folder)
            else:
                faults += check(page, folder)
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
