"""What the scripts of the evidence share: command line, folders, cases that are kept, results with claims, figures.

The small budget reads the demo genome alone and writes to ``build/evidence``, never over committed results. The full
budget reads the real genomes beside the project too, and keeps each case in ``build/evidence/cases`` as soon as it is
measured: a run that was stopped goes on from there. Remove that folder to measure everything again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
BUILD = PROJECT / "build/evidence"
DEMO = PROJECT / "data/demo.fa"
sys.path[:0] = [str(path) for path in (FOLDER.parent, PROJECT) if str(path) not in sys.path]

import record  # noqa: E402

INK = "#7a7a7a"  # legible on white and on black
COLOURS = {"blue": "#3b82c4", "orange": "#d9772b", "green": "#3f9d63", "violet": "#9a6fc2", "red": "#cf4f4f"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a script was called."""

    budget: str  # small or full
    seed: int
    data: Path  # the real genomes

    @property
    def full(self) -> bool:
        """Whether the budget is the full one."""
        return self.budget == "full"

    @property
    def results(self) -> Path:
        """Folder of results."""
        return record.RESULTS if self.full else BUILD

    def once(self, case: str, measure: Callable[[], dict[str, Any]], weights: str = "") -> dict[str, Any]:
        """Return what ``measure`` gives; at the full budget, what it gave for this case, seed and model before."""
        path = BUILD / "cases" / "-".join(filter(None, [case, weights[:8], f"seed{self.seed}.json"]))
        if self.full and path.is_file():
            print(f"{case}: from {path}", flush=True)
            return json.loads(path.read_text())
        started = time.perf_counter()
        found = json.loads(json.dumps(measure()))
        print(f"{case}: {time.perf_counter() - started:.1f} s", flush=True)
        if self.full:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".partial").write_text(json.dumps(found))
            path.with_suffix(".partial").replace(path)
        return found

    def write(
        self, name: str, title: str, columns: list[str], rows: list[list[Any]], claims: list[dict[str, str]],
        **details: Any,
    ) -> None:  # fmt: skip
        """Write ``evidence_NAME`` with its claims."""
        details = {"budget": self.budget, "seed": self.seed, **details}
        record.write(f"evidence_{name}", title, columns, rows, folder=self.results, claims=claims, **details)
        for claim in claims:
            print(f"{claim['verdict']}: {claim['claim']}: {claim['measured']}", flush=True)


def read_setting(description: str | None, *add: Callable[[argparse.ArgumentParser], Any]) -> argparse.Namespace:
    """Read the command line; the answer's ``setting`` holds what all scripts share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=("small", "full"), default="small")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared/data", help="the real genomes")
    for function in add:
        function(parser)
    options = parser.parse_args()
    options.setting = Setting(budget=options.budget, seed=options.seed, data=options.data)
    return options


def claim(text: str, target: str, measured: str, holds: bool | None) -> dict[str, str]:
    """Return a line of the table of claims; ``holds`` is None where nothing was measured at this budget."""
    verdict = "not measured" if holds is None else "holds" if holds else "fails"
    return {"claim": text, "target": target, "measured": measured, "verdict": verdict}


def one_thread() -> None:
    """Compute on as many threads as the environment says, one if it does not."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def plotting():
    """Return pyplot, set for SVG that can be read on light and on dark pages and has the same bytes every time."""
    import matplotlib

    matplotlib.use("svg")
    grey = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    matplotlib.rcParams.update(dict.fromkeys(grey, INK))
    matplotlib.rcParams.update({"svg.hashsalt": "titans-dna", "font.size": 9, "axes.titlesize": 9, "grid.color": INK})
    matplotlib.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    import matplotlib.pyplot as plt

    return plt


def save_figure(figure: Any, path: Path) -> None:
    """Write the SVG, without a background and without a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, transparent=True)
