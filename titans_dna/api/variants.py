"""Variants as people have them: strings, tuples, `Variant`, frames, VCF files; scored as the command line does."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import find_column, frame_of, is_frame, is_missing, require_pandas
from titans_dna.api.sequences import names_file
from titans_dna.errors import FormatError
from titans_dna.genome.variant import Variant

if TYPE_CHECKING:
    import pandas as pd

    from titans_dna.inference.model import SequenceModel
    from titans_dna.io.sequence.fasta import Genome
    from titans_dna.jobs.variant_scores import ScoringOptions

logger = logging.getLogger(__name__)

_CONTIG = ("contig", "chrom", "#chrom", "chr", "chromosome", "seqname", "seqid")
_POSITION = ("position", "pos")
_REF, _ALT = ("ref", "reference", "ref_allele"), ("alt", "alternate", "alt_allele")
# all before the ALTs, and the ALTs (see `Variant.parse`); without a comma they are no list
_ALTS = re.compile(r"(\S+:[0-9][0-9,]*(?::|(?=[A-Za-z]+>))[^:\s>]+[:>])(\S+)", re.ASCII)
_ID = ("id", "variant_id", "rsid")


Listed = tuple[str, str, Any]  # contig:position:ref:alt (1-based) of one ALT; its name; its label in the frame's index


def score_variants(
    model: SequenceModel,
    given: Any,
    genome: Genome,
    options: ScoringOptions,
    beside: tuple[Path | None, Path | None],
    workers: int = 1,
) -> pd.DataFrame:
    """Score variants as ``titans-dna score-variants`` does, into a frame (see `titans_dna.api.model.Model`)."""
    from titans_dna.jobs.variants import VariantInputs, score_variant_file

    require_pandas()
    path = variant_path(given)
    listed = [] if path else list(list_variants(given))
    inputs = VariantInputs(
        variants=path or tuple(text for text, _, _ in listed),
        background=beside[0],
        annotation=beside[1],
    )
    found = frame_of(
        "scores.h5",
        lambda output: score_variant_file(model, genome, inputs, output, options=options, workers=workers),
    )
    if not path:
        found["id"] = [name for _, name, _ in listed]
    if is_frame(given):
        found.index = require_pandas().Index([label for *_, label in listed])
    return found


def variant_path(given: Any) -> Path | None:
    """Return the path of a file of variants, or None if variants themselves were given."""
    if isinstance(given, os.PathLike):
        return Path(given)
    if isinstance(given, str) and (":" not in given or names_file(given)):
        return Path(given)
    return None


def list_variants(given: Any) -> Iterator[Listed]:
    """Yield variants as text.

    Parameters
    ----------
    given
        ``"chr1:1001:A:G"``, ``"chr1:1001A>G"``, a `Variant`, a tuple (contig, position, ref, alt), a list of these; or
        a frame with columns contig or chrom, position or pos (1-based), ref and alt.

    Raises
    ------
    FormatError
        If something else is given, or the frame lacks a column.
    """
    if is_frame(given):
        columns = [find_column(given, names) for names in (_CONTIG, _POSITION, _REF, _ALT)]
        names = find_column(given, _ID, needed=False)
        for number, label in enumerate(given.index):
            name = "." if names is None or is_missing(names.iloc[number]) else str(names.iloc[number])
            yield from _of_values((column.iloc[number] for column in columns), name, label)
        return
    for number, one in enumerate([given] if isinstance(given, str | Variant) else _iterable(given)):
        if isinstance(one, str):
            match = _ALTS.fullmatch(one.strip())
            yield from _each_alt(*(match.groups() if match else (one, "")))
        elif isinstance(one, Variant):
            yield str(one), one.id, None
        elif isinstance(one, tuple | list) and len(one) == 4:
            yield from _of_values(one)
        else:
            raise FormatError(
                f"variant {number} is {one!r:.60}. Write 'chr1:1001:A:G', a Variant or (contig, position, ref, alt)."
            )


def _each_alt(head: str, alts: str, name: str = ".", label: Any = None) -> Iterator[Listed]:
    """Yield the variants of ALTs that commas or slashes divide; ``head`` is all that stands before them."""
    for alt in re.split("[,/]", alts):
        yield head + alt, name, label


def _of_values(values: Iterable[Any], name: str = ".", label: Any = None) -> Iterator[Listed]:
    """Yield contig, position, ref and alt as text; a float that is a whole number is written without a point."""
    contig, position, ref, alt = ("" if is_missing(value) else value for value in values)
    if isinstance(position, float) and position.is_integer():
        position = int(position)
    return _each_alt(f"{contig}:{position}:{ref}:", str(alt), name, label)


def _iterable(given: Any) -> Iterable[Any]:
    if not isinstance(given, Iterable):
        raise FormatError(f"{given!r:.60} is no variant. Write 'chr1:1001:A:G', a list, a frame or the path of a VCF.")
    return given


def read_variants(path: str | os.PathLike[str]) -> list[Variant]:
    """Read the variants of a VCF, BCF or table, one for every ALT, in the order of the file.

    A line that cannot be read gives no variant; a warning is logged that says how many there are, and what is wrong
    with the first. `Model.score_variants` takes the path itself too, and then has a row for such a line.

    Parameters
    ----------
    path
        ``.vcf``, ``.vcf.gz``, ``.bcf``, or a table with a line of column names (``.tsv``, ``.csv``, ``.txt``).

    Returns
    -------
    list of Variant
        Positions are 1-based, and contigs are named as in the file.

    Raises
    ------
    InputMissing
        If the file is not there.
    FormatError
        If it is not of these formats.
    """
    from titans_dna.io.variants.variant_table import open_variants

    found: list[Variant] = []
    broken, first = 0, ""
    with open_variants(Path(path)) as reader:
        for record in reader:
            if record.problem:
                broken, first = broken + 1, first or f"line {record.line} is {record.problem}"
            else:
                found += record.variants()
    if broken:
        logger.warning("%s: %s lines give no variant; %s", path, f"{broken:,}", first)
    return found
