"""Gather the claims of all evidence into the README's table; a test holds the two equal.

python benchmarks/evidence/claims.py                    # print the table
python benchmarks/evidence/claims.py --write README.md  # between the marks in the file
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
ORDER = ("needle", "recall_needles", "adaptation", "satellites", "linear_cost", "downstream", "stress")
START, END = "<!-- claims, written by benchmarks/evidence/claims.py -->", "<!-- end of claims -->"
SHOWN = {"holds": "holds", "fails": "**fails**"}


def gather(folder: Path = RESULTS) -> list[tuple[str, dict[str, str]]]:
    """Return the claims of every result with its name, in the order of the scripts."""
    names = [path.stem.removeprefix("evidence_") for path in folder.glob("evidence_*.json")]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    read = {name: json.loads((folder / f"evidence_{name}.json").read_text()) for name in names}
    return [(f"evidence_{name}", claim) for name in names for claim in read[name].get("claims", ())]


def table(claims: list[tuple[str, dict[str, str]]]) -> str:
    """Return the claims as a table, losses and all."""
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
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args()
    made = table(gather())
    if options.write:
        options.write.write_text(written(options.write.read_text(), made))
    else:
        print(made)


if __name__ == "__main__":
    sys.exit(main())
