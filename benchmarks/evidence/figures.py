"""Figures of the evidence as SVG files that stand alone and follow the reader's light or dark mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from titans_dna.report.svg import inline_svg

LIGHT = "--surface:#fdfdfb;--ink:#1b1e22;--muted:#646a72;--rule:#dcdeda;--series-1:#0f6db5;--series-2:#d4591a;"
LIGHT += "--series-3:#0a8f6c;--series-4:#b0558f;--series-5:#b08a00;--series-6:#4aa3df"
DARK = "--surface:#15181b;--ink:#e5e7e9;--muted:#9ba3ab;--rule:#33393f;--series-1:#5eabea;--series-2:#f0894f;"
DARK += "--series-3:#3dbf98;--series-4:#d98cbb;--series-5:#d8b43c;--series-6:#a5d4f5"
STYLE = f"<style>svg{{font-family:sans-serif;background:var(--surface);{LIGHT}}}"
STYLE += f"@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}</style>"


def write_svg(
    path: Path,
    draw: Callable[..., None],
    *,
    description: str,
    width_in: float,
    height_in: float,
    rows: Sequence[float] = (1.0,),
) -> None:
    """Draw with the colours of ``titans_dna.report.svg`` and write a file."""
    size = {"width_in": width_in, "height_in": height_in}
    drawing = str(inline_svg(draw, name=path.stem, description=description, rows=rows, **size))
    head, _, rest = drawing.partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    path.write_text(f"{head}>{STYLE}{rest}\n")
