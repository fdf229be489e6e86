"""Gather the claims of all evidence into the tables of the documentation; a test holds them equal.

python benchmarks/evidence/claims.py            # print the table of all
python benchmarks/evidence/claims.py --write    # between the marks in the files
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "benchmarks" / "results"
FILES: dict[str, tuple[str, ...]] = {  # file, and the results whose claims it shows; none for all
    "docs/pages/evidence.md": (),
}
ORDER = (
    "recall_bits",
    "relatives",
    "recall_needles",
    "recall_cost",
    "relatives",
    "needle",
    "adaptation",
    "satellites",
    "linear_cost",
    "downstream",
    "stress",
)
START, END = "<!-- claims, written by benchmarks/evidence/claims.py -->", "<!-- end of claims -->"
SHOWN = {"holds": "holds", "fails": "**fails**"}


def gather(folder: Path = RESULTS) -> list[tuple[str, dict[str, str]]]:
    """Return the claims of every result with its name, in the order of the scripts."""
    names = [path.stem.removeprefix("evidence_") for path in folder.glob("evidence_*.json")]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    read = {name: json.loads((folder / f"evidence_{name}.json").read_text()) for name in names}
    return [(f"evidence_{name}", claim) for name in names for claim in read[name].get("claims", ())]


def table(claims: list[tuple[str, dict[str, str]]], results: tuple[str, ...] = ()) -> str:
    """Return the claims of some results, or of all, as a table, losses and all."""
    claims = [(name, claim) for name, claim in claims if not results or name in results]
    lines = ["| claim | target | measured | verdict | table |", "|---|---|---|---|---|"]
    for name, claim in claims:
        cells = [claim["claim"], claim["target"], claim["measured"], SHOWN.get(claim["verdict"], claim["verdict"])]
        lines.append("| " + " | ".join([*(cell.replace("|", "\\|") for cell in cells), f"`{name}`"]) + " |")
    return "\n".join(lines)


def written(text: str, table: str) -> str:
    """Return the text with the table between its marks.

    Raises
    ------
    ValueError
        If the marks are not there, once each and in order.
    """
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"no place for the table: write {START} and, behind it, {END}, once each")
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into the files that show them")
    if not parser.parse_args().write:
        print(table(gather()))
        return
    for name, results in FILES.items():
        path = PROJECT / name
        path.write_text(written(path.read_text(), table(gather(), results)))


if __name__ == "__main__":
    sys.exit(main())
