"""Variants explained base by base, to a table and a picture."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_dna.errors import ConfigError, FormatError
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.explain import FLANK_BP, Explanation, explain_alleles
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.outcomes import Outcome, count_outcomes
from titans_dna.inference.score_variants import HORIZON_BP
from titans_dna.inference.windows import WHOLE_CONTIG, Context
from titans_dna.io.scores import open_scores
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.explanation import COLUMNS, base_rows
from titans_dna.io.tables.tsv import write_tsv
from titans_dna.io.variants.variant_table import open_variants, read_variant_strings
from titans_dna.jobs.provenance import run_metadata

MOST_VARIANTS = 1000


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A variant as it was asked for, and its explanation."""

    variant: str  # contig:position:ref:alt, 1-based
    contig: str  # as the genome names it
    explanation: Explanation

    def __str__(self) -> str:
        found = self.explanation
        strands = f"forward {found.forward.score:+.3f}, reverse {found.reverse.score:+.3f}"
        return f"{self.variant}  ln P(ALT) - ln P(REF) = {found.score:+.3f} ({strands})"


@dataclass(frozen=True, kw_only=True)
class Explaining:
    """How variants are explained."""

    flank_bp: int = FLANK_BP  # bases before a variant that are shown
    horizon_bp: int = HORIZON_BP  # bases after it that count, as in score-variants
    longest_bp: int = 1000
    context: Context = WHOLE_CONTIG


def chosen_variants(path: Path, names: Sequence[str]) -> list[str]:
    """Return variants of a file by their ID, or by ``contig:position``; one for every ALT.

    Raises
    ------
    FormatError
        If a name fits no variant of the file.
    InputMissing
        If the file is not there.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    with open_variants(path) as reader:
        for record in reader:
            if record.problem:
                continue
            place = f"{record.contig}:{record.position}"
            for name in {*record.id.split(";"), place} & found.keys():
                found[name] += [f"{place}:{record.ref}:{alt}" for alt in record.alts]
    if missing := [name for name, variants in found.items() if not variants]:
        raise FormatError(f"has no variant of the ID or place {missing[0]!r}. Check the name.", path=path)
    return list(dict.fromkeys(variant for variants in found.values() for variant in variants))


def lowest_variants(path: Path, count: int) -> list[str]:
    """Return the variants of a scored file with the lowest scores, the lowest first; fewer where fewer have a score.

    Only alleles that are written out in bases, and were scored as they stand, are taken; what stands twice is named
    once.

    Raises
    ------
    FormatError
        If the file holds no scores of variants.
    InputMissing
        If the file does not exist.
    """
    scores = open_scores(path)
    if not {"position", "ref", "alt", "llr"} <= {column.name for column in scores.columns}:
        raise FormatError("holds no scores of variants. Write it with `titans-dna score-variants`.", path=path)
    rows = (
        (row["llr"], f"{row['contig']}:{row['position']}:{row['ref']}:{row['alt']}")
        for row in scores
        if not math.isnan(row["llr"]) and row.get("outcome", "scored") == "scored" and row["alt"].isalpha()
    )
    return list(dict.fromkeys(variant for _, variant in heapq.nsmallest(count, rows)))


def explain_variants(
    model: SequenceModel,
    genome: Genome,
    variants: Sequence[str],
    how: Explaining,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Explained], dict[str, int]]:
    """Explain variants; return the explanations, and the number of variants by outcome.

    Parameters
    ----------
    model, genome
        Model and reference.
    variants
        ``contig:position:ref:alt`` each, 1-based.
    how
        What is read and shown.
    advance
        Called with (bases streamed since the last call, bases to stream in all).

    Raises
    ------
    ConfigError
        If there are none or too many, or none can be explained.
    ReferenceMismatch
        If none lies on a contig of the reference, or most of many have another REF.
    """
    if not 0 < len(variants) <= MOST_VARIANTS:
        raise ConfigError(f"{len(variants):,} variants are asked for; choose 1 to {MOST_VARIANTS:,}")
    with read_variant_strings(variants) as reader:
        table = read_alleles(reader, genome, longest_bp=how.longest_bp)
    counts = count_outcomes(table.outcomes)
    if Outcome.SCORED not in counts:
        told = ", ".join(f"{outcome} {number:,}" for outcome, number in counts.items())
        raise ConfigError(f"no variant can be explained: {told}")
    # A strand is read as far as its last variant.
    total = sum(
        genome.contigs.lengths[contig] + max(a.first for a in alleles) - min(a.first for a in alleles)
        for contig, alleles in table.alleles.items()
    )
    found: dict[int, Explained] = {}
    for contig, alleles in table.alleles.items():
        explained = explain_alleles(
            model, genome.bases(contig), alleles, flank_bp=how.flank_bp, horizon_bp=how.horizon_bp,
            context=how.context, progress=lambda done: advance(done, total),
        )  # fmt: skip
        for each in explained:
            row = each.allele.row  # a string is one variant, so rows are those of the list
            found[row] = Explained(variant=variants[row], contig=contig, explanation=each)
    return [found[row] for row in sorted(found)], counts


def explanation_rows(explained: Sequence[Explained]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `titans_dna.io.tables.explanation`: one for each base around each variant."""
    for one in explained:
        yield from base_rows(one.variant, one.contig, one.explanation.bases)


def write_explanations(
    output: Path, model: SequenceModel, genome: Genome, explained: Sequence[Explained], how: Explaining
) -> None:
    """Write the table of `explanation_rows`; ``-`` is standard output."""
    options = {"kind": "explanation", "flank_bp": how.flank_bp, "horizon_bp": how.horizon_bp, **how.context.told()}
    write_tsv(output, COLUMNS, explanation_rows(explained), run_metadata(model, genome, options))
