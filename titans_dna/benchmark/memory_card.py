"""What the memory of a checkpoint holds, in a dozen figures: the memory card.

It is measured on a FASTA of the user's choice, kept as JSON, and shown by ``titans-dna info`` where it lies in the
model's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from titans_dna.benchmark.copies import PAYS, CopyTest, save_by_copies
from titans_dna.benchmark.needles import ITEM_BP, ROOM, NeedleTest, recall_needles
from titans_dna.errors import FormatError
from titans_dna.inference.model import SequenceModel
from titans_dna.io.disk.atomic import atomic_path
from titans_dna.model.state import state_numbers
from titans_dna.recall.target import read_strand

CARD = "memory_card.json"
HELD = (16, 128, 1024)  # needles in one haystack
DECOYS, DISTANCES = 8, (4, 2, 1)
LEAST_BP = 65_536  # known bases that a card needs
COPIES_BP = (10_000, 100_000, 1_000_000, 10_000_000)
SHARES = ("needles", "decoys", "copies")  # what a card has by number or distance
NUMBERS = ("haystack_bp", "asked_beside_decoys", "copies_pay_to_bp", "bytes_measured_bp")
MOST_BYTES = 1 << 20  # of a card that is read


def plan(bases: int) -> tuple[int, list[NeedleTest], list[CopyTest]]:
    """Return the length of the haystacks, and the tests that fit into so many known bases."""
    haystack = next((n for n in (1_048_576, 262_144, LEAST_BP) if n <= bases), bases)
    crowds = [test for count in HELD if (test := _crowd(haystack, count)) is not None]
    decoys = [NeedleTest(haystack_bp=haystack, decoys=DECOYS, distance=d) for d in DISTANCES]
    copies = [copy for d in COPIES_BP if (copy := CopyTest(distance_bp=d)).least_bp <= bases]
    return haystack, [*crowds, *decoys], copies


def _crowd(haystack_bp: int, needles: int) -> NeedleTest | None:
    room = haystack_bp // (ROOM * ITEM_BP)
    return NeedleTest(haystack_bp=haystack_bp, haystacks=1, needles=needles) if needles <= room else None


def measure_memory(
    model: SequenceModel, ids: np.ndarray, seed: int, advance: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Measure the card of a model on real sequence.

    Parameters
    ----------
    model
        With one token per base.
    ids
        (bases,) uint8 from `titans_dna.benchmark.needles.known_bases`.
    seed
        Begins all random numbers.
    advance
        Called with (bases read since the last call, bases in all).

    Returns
    -------
    dict
        Plain values, for JSON. By how many needles stand in a haystack, ``needles`` has the share that is exactly
        right; by the distance of decoys, ``decoys`` has it of ``asked_beside_decoys`` needles. ``copies`` has the bits
        per base that are saved, by distance, and ``copies_pay_to_bp`` is the greatest distance tried at which they are
        more than 0.1; 0 for none. ``state_numbers`` are the numbers that the network carries, whatever was read, and
        ``bytes_per_base`` is what the copy memory takes, 0 without one.
    """
    haystack, needle_tests, copy_tests = plan(len(ids))
    total = sum(t.haystack_bp * t.haystacks for t in needle_tests) + sum(2 * t.least_bp * t.copies for t in copy_tests)

    def told(bases: int) -> None:
        advance(bases, total)

    held: dict[str, float] = {}
    decoys: dict[str, float] = {}
    asked = 0
    for test in needle_tests:
        found = recall_needles(model, ids, test, seed, advance=told)
        of, key = (decoys, test.distance) if test.decoys else (held, test.needles)
        of[str(key)] = round(found.exact / found.asked, 4)
        asked = found.asked if test.decoys else asked
    saved = {str(t.distance_bp): round(save_by_copies(model, ids, t, seed, advance=told).bits, 4) for t in copy_tests}
    paying = [int(distance) for distance, bits in saved.items() if bits > PAYS]
    return {
        "weights_sha256": model.weights_sha256, "seed": seed, "haystack_bp": haystack, "needles": held,
        "decoys": decoys, "asked_beside_decoys": asked, "copies": saved, "copies_pay_to_bp": max(paying, default=0),
        "state_numbers": state_numbers(model.backbone.initial_state(1)),
        "bytes_per_base": round(_bytes_per_base(model, ids), 2), "bytes_measured_bp": len(ids),
    }  # fmt: skip


def _bytes_per_base(model: SequenceModel, ids: np.ndarray) -> float:
    form = model.backbone.config.recall
    if form is None:
        return 0.0
    return sum(array.nbytes for array in read_strand(form, ids).arrays().values()) / len(ids)


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write a card as JSON, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")


def read_card(folder: Path) -> dict[str, Any] | None:
    """Return the card in a model's folder, or None if there is none.

    Raises
    ------
    FormatError
        If the file is no memory card.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError
        card = json.loads(path.read_text())
        for name in SHARES:
            card[name] = {str(int(key)): float(value) for key, value in card[name].items()}
        for name in NUMBERS:
            card[name] = int(card[name])
        card["bytes_per_base"], card["weights_sha256"] = float(card["bytes_per_base"]), str(card["weights_sha256"])
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError, OverflowError) as error:
        remedy = "Delete it, or measure it anew by `titans-dna benchmark memory --keep`."
        raise FormatError(f"is no memory card. {remedy}", path=path) from error
    return card


def card_lines(card: dict[str, Any]) -> dict[str, str]:
    """Return what a card says, for people, by a name of each line."""
    held = ", ".join(f"{share:.1%} of {int(count):,}" for count, share in card["needles"].items())
    decoys = ", ".join(f"{share:.1%} at {distance}" for distance, share in card["decoys"].items())
    copies = ", ".join(f"{bits:.2f} at {int(distance):,} bp" for distance, bits in card["copies"].items())
    return {
        "needles held": f"{held} in {card['haystack_bp']:,} bases",
        "beside decoys": f"{decoys} of 24 bases changed ({card['asked_beside_decoys']:,} asked each)",
        "copies save": f"{copies} (bits per base)",
        "copies pay to": f"{card['copies_pay_to_bp']:,} bp at least" if card["copies_pay_to_bp"] else "nowhere",
        "copy memory takes": f"{card['bytes_per_base']:.1f} bytes per base of {card['bytes_measured_bp']:,} read",
    }
