"""Boxes, arrows and text as SVG that follows the colours of the page it stands in.

Every colour is a CSS variable with a fallback, so one file serves light mode, dark mode, paper, and other viewers.
"""

from __future__ import annotations

from html import escape

COLOURS = {
    "ink": "var(--figure-ink, #1f2328)",
    "muted": "var(--figure-muted, #656d76)",
    "rule": "var(--figure-rule, #d0d7de)",
    "plain": "var(--figure-plain, #f2f4f7)",
    "short": "var(--figure-short, #cfe3fb)",  # short-term memory: attention
    "long": "var(--figure-long, #fbdcc0)",  # long-term memory: the network that is written
    "fixed": "var(--figure-fixed, #cdebd3)",  # persistent memory: learned, never written
    "short-line": "var(--figure-short-line, #1b66c9)",
    "long-line": "var(--figure-long-line, #c4580b)",
    "fixed-line": "var(--figure-fixed-line, #1a7f37)",
}
LINES = {"short": "short-line", "long": "long-line", "fixed": "fixed-line", "plain": "muted"}

Point = tuple[float, float]


class Drawing:
    """An SVG of a given size; y grows downwards, all lengths are in user units (px at full size)."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self.size = width, height
        self.parts = [f"<title>{escape(title)}</title>", f"<desc>{escape(description)}</desc>"]

    def text(
        self, at: Point, text: str, *, colour: str = "ink", size: int = 14, anchor: str = "middle", bold: bool = False
    ) -> None:
        """Write lines of text; ``at`` is the middle of the block vertically."""
        lines = text.split("\n")
        x, y = at
        first = y + 0.35 * size - 0.6 * size * (len(lines) - 1)
        weight = ' font-weight="600"' if bold else ""
        for number, line in enumerate(lines):
            self.parts.append(
                f'<text x="{x:g}" y="{first + 1.2 * size * number:g}" text-anchor="{anchor}" font-size="{size}"'
                f'{weight} style="fill:{COLOURS[colour]}">{escape(line)}</text>'
            )

    def box(
        self, corner: Point, size: Point, text: str = "", *, fill: str = "plain", round_: float = 6, font: int = 14
    ) -> None:
        """Draw a box with its text in the middle."""
        (x, y), (width, height) = corner, size
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_:g}" stroke-width="1.3" '
            f'style="fill:{COLOURS[fill]};stroke:{COLOURS[LINES[fill]]}"/>'
        )
        if text:
            self.text((x + width / 2, y + height / 2), text, size=font)

    def circle(self, centre: Point, text: str) -> None:
        """Draw an operation, such as a sum or a product."""
        x, y = centre
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="12" stroke-width="1.3" '
            f'style="fill:{COLOURS["plain"]};stroke:{COLOURS["muted"]}"/>'
        )
        self.text((x, y), text, size=16)

    def line(self, *points: Point, colour: str = "muted", dashed: bool = False, width: float = 1.6) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke-width="{width:g}" stroke-linejoin="round"{dash} '
            f'style="stroke:{COLOURS[colour]}"/>'
        )

    def arrow(self, *points: Point, colour: str = "muted", dashed: bool = False) -> None:
        """Draw a line with a head at its last point; the last piece must run along an axis."""
        (x0, y0), (x1, y1) = points[-2:]
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        base = (x1 - 8 * dx, y1 - 8 * dy)
        self.line(*points[:-1], base, colour=colour, dashed=dashed)
        corners = [(x1, y1), (base[0] - 4.5 * dy, base[1] - 4.5 * dx), (base[0] + 4.5 * dy, base[1] + 4.5 * dx)]
        path = " ".join(f"{x:g},{y:g}" for x, y in corners)
        self.parts.append(f'<polygon points="{path}" style="fill:{COLOURS[colour]}"/>')

    def svg(self) -> str:
        """Return the file's text: no blank line, so that it may stand inside a page."""
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
            'font-family="system-ui, sans-serif">'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"
