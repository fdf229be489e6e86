"""Intervals to classify, on each haplotype of a sample, and what the two haplotypes of an interval differ in.

The class that is compared is the positive one of two: the second by name, as in the AUROC that ``finetune`` tells. Of
more classes it is the one predicted on haplotype 1. The difference is its probability on haplotype 2 minus that on
haplotype 1, which both rows of an interval have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import has_known_bases
from titans_dna.genome.interval import Interval
from titans_dna.inference.haplotype_genome import BOTH, DELETED, HaplotypeGenome
from titans_dna.inference.placing import OK, PlacedRegion
from titans_dna.io.sequence.fasta import Genome
from titans_dna.jobs.haplotypes import PLACE, place_on_haplotype
from titans_dna.tokenizers import NucleotideTokenizer
from titans_dna.training.labelled import USED, Example, Row, locate
from titans_dna.training.predict import Prediction

CLASS, DIFFERENCE = "difference_class", "probability_difference"


def place_examples(examples: Iterable[Example], genome: Genome) -> list[PlacedRegion]:
    """Place intervals on a genome, by the rules of `titans_dna.training.labelled`: none is cut off at a contig's end.

    Raises
    ------
    ConfigError
        If a row is a sequence by itself, which lies on no contig.
    """
    return [_placed(example, genome) for example in examples]


def _placed(example: Example, genome: Genome) -> PlacedRegion:
    if example.sequence:
        raise ConfigError(
            "the rows are sequences, which variants cannot change; give intervals: BED, or contig, start and end"
        )
    outcome, contig = locate(example, genome) if example.contig else ("empty", "")
    # A row that lies nowhere may have a start below 0 or an end before it, which no interval has.
    start = max(example.start, 0)
    end = max(example.end, start)
    asked = Interval(example.contig or ".", start, end, ".", example.name)
    return PlacedRegion(
        asked=asked, contig=contig, start=start, end=end, outcome=OK if outcome == USED else outcome
    )  # fmt: skip


def read_on_haplotypes(
    examples: Iterable[Example], placed: Sequence[PlacedRegion], genome: Genome
) -> Iterator[Row]:  # fmt: skip
    """Yield a row for each haplotype of each interval, with the haplotype's bases.

    Parameters
    ----------
    examples
        Intervals on the reference.
    placed
        What `place_examples` returned, as it lies on the haplotypes (`HaplotypeGenome.place`).
    genome
        The haplotypes.
    """
    assert isinstance(genome, HaplotypeGenome)
    each = (example for example in examples for _ in genome.which)
    for example, region in zip(each, placed, strict=True):
        outcome, bases = region.outcome, b""
        if region.usable:
            bases = genome.fetch(region.contig, region.start, region.end)
            outcome = USED if has_known_bases(bases) else "reference_n"
        ids = NucleotideTokenizer().encode(bases if outcome == USED else b"")
        yield Row(example=example, outcome=outcome, ids=ids, placed=region)


def haplotype_columns(which: Sequence[int]) -> tuple[str, ...]:
    """Return the further columns of a table of rows on these haplotypes; none where there are no haplotypes."""
    return (*(PLACE if which else ()), *((CLASS, DIFFERENCE) if tuple(which) == BOTH else ()))


def told_by_haplotype(
    predictions: Iterable[Prediction], classes: Sequence[str], which: Sequence[int]
) -> Iterable[Prediction]:  # fmt: skip
    """Return predictions with what further columns say of them, in rows on haplotypes; else as they are."""
    if not which:
        return predictions
    told = (replace(prediction, cells=_place(prediction.row.placed)) for prediction in predictions)
    return _compared(told, classes) if tuple(which) == BOTH else told


def _place(placed: PlacedRegion | None) -> dict[str, Any]:
    """Return where a row lies; one that lies nowhere on the reference has no place on a haplotype either."""
    assert placed is not None
    lies = placed.usable or placed.outcome == DELETED
    return dict(place_on_haplotype(placed)) if lies else {PLACE[0]: placed.haplotype}


def _compared(predictions: Iterable[Prediction], classes: Sequence[str]) -> Iterator[Prediction]:
    """Yield predictions, of which two are the haplotypes of one interval, with the difference of the two."""
    each = iter(predictions)
    for one, two in zip(each, each, strict=True):
        cells: dict[str, Any] = {}
        if one.row.outcome == two.row.outcome == USED:
            asked = 1 if len(classes) == 2 else int(one.probabilities.argmax())
            # Equal sequences are not to differ by rounding, which depends on what is read beside them.
            same = np.array_equal(one.row.ids, two.row.ids)
            difference = 0.0 if same else float(two.probabilities[asked] - one.probabilities[asked])
            cells = {CLASS: classes[asked], DIFFERENCE: difference}
        yield from (replace(prediction, cells={**prediction.cells, **cells}) for prediction in (one, two))
