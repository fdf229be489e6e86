"""Scores of common variants, among which each score gets its quantile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from titans_dna.errors import ConfigError
from titans_dna.inference.alleles import read_alleles
from titans_dna.inference.calibration import length_class
from titans_dna.inference.windows import WHOLE_CONTIG
from titans_dna.io.variants.variant_table import open_variants
from titans_dna.io.variants.vcf import VariantReader
from titans_dna.jobs.provenance import describe_relatives
from titans_dna.jobs.variant_scores import ScoringRun, plain_options, score_table

Background = dict[str, np.ndarray]  # scores by class of variant (see `length_class`), one array each


def read_background(run: ScoringRun, path: Path) -> Background:
    """Return the scores of common variants by class: read from INFO if the file has scores, and made now if it has not.

    Scores in the file must be of the same model and horizon. A background that was scored once serves all shards; an
    unscored one is scored again by each of them.

    Raises
    ------
    ConfigError
        If the file was scored by another model, or with another horizon, context or relatives.
    """
    with open_variants(path) as reader:
        if "TD_LLR" in reader.header.declared.get("INFO", ()):
            _check_how(reader.header.lines, run, path)
            return _scored_before(reader, run.options.horizon_bp, path)
        table = read_alleles(
            reader, run.genome, longest_bp=run.options.longest_bp, imprecise=run.options.imprecise,
            lengths=reader.header.lengths,
        )  # fmt: skip
    everything = np.ones(len(table.rows_per_record), dtype=bool)
    # Every allele is scored, whatever the shard: a quantile needs the whole distribution. The prefix keeps the parts in
    # the work folder apart from those of the variants themselves.
    plain = replace(run, options=plain_options(run.options))
    scores = score_table(plain, table, everything, prefix="background-")
    found: dict[str, list[float]] = {}
    row = 0
    with open_variants(path) as reader:
        for record, count in zip(reader, table.rows_per_record, strict=True):
            for place, score in enumerate(scores.strands[row : row + count].mean(1)):
                if np.isfinite(score):
                    name = length_class(*table.lengths(row + place, record, place))
                    found.setdefault(name, []).append(float(score))
            row += count
    return {name: np.array(values) for name, values in found.items()}


def _check_how(lines: Sequence[str], run: ScoringRun, path: Path) -> None:
    """Refuse scores of another model, other relatives or another context: they are no background for these.

    Raises
    ------
    ConfigError
        If the model, the relatives or the context differ.
    """
    said = dict(line.removeprefix("##titans_dna_").split("=", 1) for line in lines if line.startswith("##titans_dna_"))
    if run.model.weights_sha256 not in said.get("model", ""):
        raise ConfigError(f"{path}: was scored by another model. Score it with this one, or give it unscored.")
    if said.get("relatives", "") != (describe_relatives(run.model.relatives) if run.model.relatives else ""):
        raise ConfigError(f"{path}: was scored with other relatives. Use the same here, or give it unscored.")
    options = dict(word.split("=", 1) for word in said.get("options", "").split() if "=" in word)
    context = options.get("context", str(WHOLE_CONTIG))
    if context != str(run.options.context):
        raise ConfigError(f"{path}: was scored with --context {context}. Use the same here.")


def _scored_before(reader: VariantReader, horizon_bp: int, path: Path) -> Background:
    found: dict[str, list[float]] = {}
    for record in reader:
        info = {} if record.problem else record.info()
        for horizon in {*info.get("TD_HORIZON", "").split(",")} - {"", ".", str(horizon_bp)}:
            raise ConfigError(f"{path}: was scored with --horizon {horizon}. Use the same here.")
        for alt, text in zip(record.alts, info.get("TD_LLR", "").split(","), strict=False):
            if text not in ("", "."):
                # Of structural variants, inversions alone have as many bases as before.
                inverted = alt == "<INV>" or alt[0] == "[" or alt[-1] == "]"
                name = length_class(1, 1) if inverted else length_class(len(record.ref), len(alt))
                found.setdefault(name, []).append(float(text))
    return {name: np.array(values) for name, values in found.items()}
