"""The commands in the documentation: find them, run them, and hold their output against the page.

A page's ``console`` blocks are one session, from top to bottom, in a folder that looks like a checkout:

    ```console
    $ titans-dna info data/demo.fa
    contig  length  md5
    ...
    ```

Lines after a command are what it prints, standard error included. Numbers may differ in their last digits
(`TOLERANCE`); a line of three dots stands for any lines. A block whose title begins with "Not run" is left out
and says why.

    python docs/commands.py docs/pages/tutorials/variants.md     # run a page
    python docs/commands.py --write docs/pages/*.md              # run pages, and put what was printed into them
"""

from __future__ import annotations

import argparse
import os
import re
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
ANY_LINES = "..."

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
        reason = title[1] if title and title[1].startswith("Not run") else ""
        first = text.count("\n", 0, block.start()) + 2
        found += _of_block(page, block["body"].splitlines(), first, reason)
    return found


def _of_block(page: Path, lines: list[str], first: int, reason: str) -> Iterator[Command]:
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ValueError(f"{page}:{first}: a console block begins with `$ ` and a command")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        text = "\n".join([lines[start][2:], *lines[start + 1 : last + 1]])
        output = "\n".join(lines[last + 1 : end])
        yield Command(text=text, output=output, line=first + start, end=first + end, reason=reason)


def run(command: Command, folder: Path) -> tuple[int, str]:
    """Run a command in a folder; return its exit code and what it printed."""
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
    wanted, lines = [line.split() for line in expected.strip().splitlines()], found.strip().splitlines()
    if [ANY_LINES] not in wanted:
        return len(wanted) == len(lines) and all(map(_same_line, wanted, (line.split() for line in lines)))
    gap = wanted.index([ANY_LINES])
    head, tail = wanted[:gap], wanted[gap + 1 :]
    if len(lines) < len(head) + len(tail):
        return False
    chosen = lines[: len(head)] + lines[len(lines) - len(tail) :]
    return all(map(_same_line, head + tail, (line.split() for line in chosen)))


def _same_line(expected: list[str], found: list[str]) -> bool:
    return len(expected) == len(found) and all(map(_same_word, expected, found))


def _same_word(expected: str, found: str) -> bool:
    if _NUMBER.sub("0", expected) != _NUMBER.sub("0", found):
        return False
    pairs = zip(_NUMBER.findall(expected), _NUMBER.findall(found), strict=True)
    return all(_close(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= ABSOLUTE + TOLERANCE * max(abs(a), abs(b))


def prepare(folder: Path) -> None:
    """Make a folder look like a checkout: the demo input and the workflow."""
    for name in ("data", "Snakefile", "pipelines"):
        (folder / name).symlink_to(PROJECT / name)


def check(page: Path, folder: Path) -> list[str]:
    """Run a page's commands in a prepared folder; return one message for each that fails or prints something else."""
    faults = []
    for command in commands(page):
        if command.reason:
            continue
        code, printed = run(command, folder)
        if code != 0:
            return [*faults, f"{page}:{command.line}: exit code {code}\n$ {command.text}\n{printed}"]
        if command.output and not agree(command.output, printed):
            faults.append(f"{page}:{command.line}: prints something else\n$ {command.text}\n{printed}")
    return faults


def rewrite(page: Path, folder: Path) -> None:
    """Run a page's commands and put what they print in the place of the outputs; an abridged output is left."""
    lines, shift = page.read_text(encoding="utf-8").splitlines(), 0
    for command in commands(page):
        if command.reason:
            continue
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
    options = parser.parse_args()
    faults: list[str] = []
    for page in options.pages:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder)
            os.environ["TITANS_DNA_CACHE"] = str(folder / ".cache")
            if options.write:
                rewrite(page, folder)
            else:
                faults += check(page, folder)
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
