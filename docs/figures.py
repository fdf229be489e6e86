"""Draw the figures of the documentation.

    python docs/figures.py        # writes docs/pages/figures/*.svg

The flow diagrams show what ``titans_dna/model/blocks.py`` computes; a test compares the committed files
with a new drawing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from drawing import Drawing

FOLDER = Path(__file__).parent / "pages" / "figures"


def memories() -> Drawing:
    """The three memories along one sequence."""
    d = Drawing(
        820, 400, "Three memories",
        "A contig is read from left to right. Attention sees the last tokens, the long-term memory holds what was "
        "read before as the weights of a small network, persistent tokens are learned and stay as they are.",
    )  # fmt: skip
    bases, left, step = "ACGTTGCAACGGTATTACGATCCA", 40, 26
    now = 19
    for number, base in enumerate(bases[: now + 1]):
        kind = "short" if number > now - 6 else "long"
        d.box((left + step * number, 330), (22, 26), base, fill=kind, round_=3)
    d.text((left + step * (now + 1) + 12, 343), "?", size=18, bold=True)
    d.text((left, 378), "contig, read base by base", anchor="start", colour="muted", size=13)
    d.box((40, 190), (350, 70), "long-term memory\na small network, written at every base", fill="long")
    d.box((414, 190), (152, 70), "short-term memory\nattention window", fill="short")
    d.box((610, 190), (180, 70), "persistent memory\nlearned tokens", fill="fixed")
    d.line((40, 308), (40, 300), (560, 300), (560, 308), colour="long-line")
    d.arrow((215, 300), (215, 260), colour="long-line")
    d.text((205, 280), "all bases are written,", anchor="end", size=12, colour="muted")
    d.text((225, 280), "by how much they surprise", anchor="start", size=12, colour="muted")
    d.line((404, 324), (404, 316), (558, 316), (558, 324), colour="short-line")
    d.arrow((490, 316), (490, 260), colour="short-line")
    d.text((700, 284), "set by training, never written", size=12, colour="muted")
    d.box((300, 40), (260, 56), "block: MAC, MAG or MAL\njoins what the three say", fill="plain")
    d.arrow((215, 190), (215, 68), (300, 68), colour="long-line")
    d.arrow((490, 190), (490, 96), colour="short-line")
    d.arrow((700, 190), (700, 68), (560, 68), colour="fixed-line")
    d.text((225, 130), "everything read so far,\nat constant size", anchor="start", size=12, colour="muted")
    d.text((500, 145), "the last tokens,\nexactly", anchor="start", size=12, colour="muted")
    d.text((690, 130), "what is true of\nall sequence", anchor="end", size=12, colour="muted")
    d.line((430, 40), (430, 18), (795, 18), (795, 20))
    d.arrow((795, 18), (795, 343), (left + step * (now + 1) + 28, 343))
    d.text((440, 10), "probabilities of the next base", anchor="start", size=12, colour="muted")
    return d


def mac() -> Drawing:
    """Memory as context."""
    d = Drawing(
        820, 390, "MAC: memory as context",
        "A segment asks the memory, attends to persistent tokens, to what was recalled and to itself; the result is "
        "written into the memory and gated by the memory's read.",
    )  # fmt: skip
    d.box((20, 300), (120, 56), "segment x\n(normalised)")
    d.arrow((80, 300), (80, 246))
    d.box((20, 200), (120, 46), "query map")
    d.arrow((80, 200), (80, 146))
    d.box((20, 76), (190, 70), "long-term memory\nas it stood at the start\nof the segment", fill="long", font=13)
    d.text((105, 58), "read only", anchor="end", size=12, colour="muted")
    d.arrow((210, 111), (330, 111), (330, 204), colour="long-line")
    d.text((220, 98), "recalled", anchor="start", size=12, colour="muted")
    d.box((230, 204), (62, 56), "persis-\ntent", fill="fixed", font=13)
    d.box((292, 204), (76, 56), "recalled", fill="long", font=13)
    d.box((368, 204), (82, 56), "segment", fill="short", font=13)
    d.arrow((140, 328), (409, 328), (409, 260))
    d.text((340, 276), "keys and values", size=12, colour="muted")
    d.arrow((450, 232), (490, 232), colour="short-line")
    d.box((490, 200), (110, 64), "attention\nwithin the\nsegment", fill="short", font=13)
    d.text((545, 284), "token i sees what stands at,\nand is recalled for, 1 ... i", size=12, colour="muted")
    d.arrow((600, 232), (738, 232), colour="short-line")
    d.arrow((640, 232), (640, 146), colour="short-line")
    d.box((560, 76), (160, 70), "long-term memory\nwrites y, reads at i", fill="long", font=13)
    d.text((630, 218), "y", anchor="end", size=13)
    d.arrow((720, 111), (750, 111), (750, 220), colour="long-line")
    d.text((760, 150), "gate", anchor="start", size=12, colour="muted")
    d.circle((750, 232), "×")
    d.arrow((750, 244), (750, 300))
    d.text((750, 316), "out", size=14)
    d.arrow((640, 76), (640, 40), (115, 40), (115, 76), colour="long-line", dashed=True)
    d.text((378, 26), "the next segment reads what this one has written", size=12, colour="muted")
    return d


def mag() -> Drawing:
    """Memory as a gate."""
    d = Drawing(
        820, 300, "MAG: memory as a gate",
        "Sliding-window attention and the memory read the same input side by side; the memory enters through a gate.",
    )  # fmt: skip
    d.box((20, 122), (110, 56), "tokens x\n(normalised)")
    d.line((130, 150), (180, 150))
    d.arrow((180, 150), (180, 62), (220, 62))
    d.box((220, 34), (70, 56), "persis-\ntent", fill="fixed", font=13)
    d.box((290, 34), (150, 56), "last tokens,\na sliding window", fill="short", font=13)
    d.arrow((440, 62), (478, 62), colour="short-line")
    d.box((478, 34), (90, 56), "attention", fill="short")
    d.arrow((568, 62), (592, 62), colour="short-line")
    d.box((592, 42), (60, 40), "norm")
    d.arrow((652, 62), (718, 62), (718, 138), colour="short-line")
    d.arrow((180, 150), (180, 238), (220, 238))
    d.box((220, 206), (220, 64), "long-term memory\nwrites and reads every token", fill="long", font=13)
    d.arrow((440, 238), (592, 238), colour="long-line")
    d.text((516, 224), "read, normalised", size=12, colour="muted")
    d.arrow((180, 150), (290, 150))
    d.box((290, 130), (150, 40), "gate: sigmoid of x")
    d.arrow((440, 150), (604, 150), (604, 226))
    d.circle((604, 238), "×")
    d.arrow((616, 238), (718, 238), (718, 162), colour="long-line")
    d.circle((718, 150), "+")
    d.arrow((730, 150), (770, 150))
    d.text((792, 150), "out")
    return d


def mal() -> Drawing:
    """Memory as a layer."""
    d = Drawing(
        820, 260, "MAL: memory as a layer",
        "The memory reads first; sliding-window attention works on the input together with what the memory said.",
    )  # fmt: skip
    d.box((16, 112), (104, 56), "tokens x\n(normalised)")
    d.arrow((120, 140), (144, 140))
    d.box((144, 106), (150, 68), "long-term memory\nwrites and reads\nevery token", fill="long", font=13)
    d.arrow((294, 140), (326, 140), colour="long-line")
    d.box((326, 120), (62, 40), "linear")
    d.arrow((388, 140), (410, 140), colour="long-line")
    d.circle((422, 140), "+")
    d.arrow((68, 112), (68, 60), (422, 60), (422, 128))
    d.text((80, 46), "residual", anchor="start", size=12, colour="muted")
    d.arrow((434, 140), (456, 140))
    d.box((456, 120), (56, 40), "norm")
    d.arrow((512, 140), (534, 140))
    d.box((534, 112), (58, 56), "persis-\ntent", fill="fixed", font=13)
    d.box((592, 112), (100, 56), "window\nattention", fill="short", font=13)
    d.arrow((692, 140), (728, 140), colour="short-line")
    d.text((710, 126), "norm", size=12, colour="muted")
    d.circle((740, 140), "+")
    d.arrow((310, 140), (310, 222), (740, 222), (740, 152), colour="long-line")
    d.text((520, 210), "the memory's read, normalised", size=12, colour="muted")
    d.arrow((752, 140), (780, 140))
    d.text((800, 140), "out")
    return d


COSTS: tuple[tuple[str, str, Callable[[float], float]], ...] = (
    ("quadratic, T²: pairs of tokens that full attention compares", "short-line", lambda t: t * t),
    ("linear, T·w: a sliding window of w = 128, and the writes of a memory", "long-line", lambda t: 128 * t),
    ("logarithmic, log₂ T: steps, one after another, of a parallel scan", "fixed-line", math.log2),
)


def cost() -> Drawing:
    """Quadratic, linear and logarithmic growth from 100 bases to 250 million."""
    d = Drawing(
        820, 440, "Quadratic, linear and logarithmic growth",
        "Number of operations against length of the sequence on two logarithmic axes: pairs of full attention, work "
        "of a window or a memory, steps of a parallel scan.",
    )  # fmt: skip
    low, high, top = 2.0, math.log10(248_956_422), 17.0  # powers of ten; the length of human chromosome 1

    def place(tokens: float, operations: float) -> tuple[float, float]:
        x = 70 + (math.log10(tokens) - low) / (high - low) * 700
        return round(x, 1), round(370 - math.log10(operations) / top * 330, 1)

    for power in range(0, 18, 3):
        y = place(100, 10.0**power)[1]
        d.line((70, y), (770, y), colour="rule", width=1)
        d.text((62, y), _power(power), anchor="end", size=12, colour="muted")
    d.text((62, 24), "operations", size=13)
    for power in range(2, 9):
        x = place(10.0**power, 1)[0]
        d.line((x, 370), (x, 375))
        d.text((x, 388), _power(power), size=12, colour="muted")
    d.text((420, 412), "length of the sequence, bases", size=13)
    for number, (label, colour, growth) in enumerate(COSTS):
        tokens = [10 ** (low + (high - low) * i / 60) for i in range(61)]
        d.line(*(place(t, growth(t)) for t in tokens), colour=colour, width=2.4)
        d.line((90, 52 + 24 * number), (118, 52 + 24 * number), colour=colour, width=2.4)
        d.text((126, 52 + 24 * number), label, anchor="start", size=13)
    for tokens, name in ((131_072, "131 kb"), (12_157_105, "yeast"), (248_956_422, "human chr1")):
        x, y = place(tokens, COSTS[0][2](tokens))
        d.line((x, y), (x, 370), colour="muted", dashed=True, width=1)
        d.text((x - 5, 362), name, anchor="end", size=12, colour="muted")
    return d


def _power(power: int) -> str:
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power))


FIGURES: dict[str, Callable[[], Drawing]] = {
    "memories": memories, "mac": mac, "mag": mag, "mal": mal, "cost": cost,
}  # fmt: skip


def main() -> None:
    """Write all figures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
