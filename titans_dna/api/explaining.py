"""Variants explained base by base, as a frame; by what ``titans-dna explain`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import require_pandas
from titans_dna.api.variants import list_variants, variant_path
from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel
from titans_dna.io.sequence.fasta import Genome
from titans_dna.io.tables.explanation import COLUMNS
from titans_dna.jobs.explain import Explaining, explain_variants, explanation_rows

if TYPE_CHECKING:
    import pandas as pd


def explain(
    model: SequenceModel, genome: Genome, given: Any, how: Explaining, picture: Path | None
) -> pd.DataFrame:  # fmt: skip
    """Explain variants (see `titans_dna.api.model.Model.explain`)."""
    pandas = require_pandas()
    if variant_path(given) is not None:
        raise ConfigError(f"{given}: give variants, not a file; read_variants reads one, and explain takes some of it")
    found, _ = explain_variants(model, genome, [text for text, _, _ in list_variants(given)], how)
    if picture is not None:
        from titans_dna.report.explanation import draw_explanations

        draw_explanations(picture, [(str(each), each.explanation.bases) for each in found])
    return pandas.DataFrame(list(explanation_rows(found)), columns=list(COLUMNS))
