"""Benchmarks of a model on data of your own, as frames: what ``titans-dna benchmark`` measures.

    import titans_dna as td

    model = td.load_model("default")
    td.benchmarks.needles(model, "genome.fa", haystacks_bp=[98_304])
    td.benchmarks.memory_card(model, "genome.fa")
    td.benchmarks.classification(model, {"enhancers": "enhancers/"})
    td.benchmarks.variants("scored.vcf.gz", field="CLNSIG", positive="Pathogenic")

The columns are those of the verb's tables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_dna.api.frames import require_pandas
from titans_dna.api.model import Model
from titans_dna.api.sequences import opened
from titans_dna.benchmark import classification as of_sequences
from titans_dna.benchmark import memory_card as of_memory
from titans_dna.benchmark import needles as of_needles
from titans_dna.benchmark import variants as of_variants
from titans_dna.benchmark.sets import read_set
from titans_dna.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["classification", "memory_card", "needles", "variants"]


def needles(
    model: Model, genome: Any, *, haystacks_bp: Sequence[int] = (), number: int = 4, decoys: int = 8,
    distances: Sequence[int] = (4, 2, 1), seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Ask a model for keys and values planted in real sequence: the task Genomic-NIAH.

    Parameters
    ----------
    model
        With one token per base.
    genome
        Path of a FASTA, GenBank or EMBL file, or what `open_fasta` returned.
    haystacks_bp
        Lengths of haystacks in bases; none for those of the published task that fit.
    number
        Haystacks of each test, with a needle at five depths each.
    decoys, distances
        Decoys of each needle, and in how many of 24 bases their keys differ.
    seed
        Begins all random numbers.

    Returns
    -------
    pandas.DataFrame
        A row for each test: test, haystack_bp, needles, decoys, distance, asked, exact (share of values of which every
        base is right), its 95% interval, and bases_right.

    Raises
    ------
    ConfigError
        If the sequence is too short, or a number is out of its range.
    """
    pandas = require_pandas()
    with opened(genome) as source:
        wanted = 4 * max(haystacks_bp, default=max(of_needles.HAYSTACKS_BP))
        ids = of_needles.known_bases(source, 1, wanted)
    tests = of_needles.plan_needles(len(ids), haystacks_bp, number, decoys, distances)
    sequence_model = model._model
    rows = [of_needles.needle_row(test, of_needles.recall_needles(sequence_model, ids, test, seed)) for test in tests]
    return pandas.DataFrame(rows, columns=list(of_needles.COLUMNS))


def memory_card(model: Model, genome: Any, *, most_bases: int = 12_000_000, seed: int = 0) -> dict[str, Any]:
    """Measure what the memory of a model holds; see `titans_dna.benchmark.memory_card.measure_memory`.

    Parameters
    ----------
    model
        With one token per base.
    genome
        As for `needles`.
    most_bases
        Known bases that are used at the most; copies are tried as far back as these allow.
    seed
        Begins all random numbers.

    Raises
    ------
    ConfigError
        If the sequence has fewer than 65,536 known bases.
    """
    with opened(genome) as source:
        ids = of_needles.known_bases(source, of_memory.LEAST_BP, most_bases)
    return of_memory.measure_memory(model._model, ids, seed)


def classification(
    model: Model, sets: Mapping[str, str | os.PathLike[str]], *, modes: Sequence[str] = ("full", "frozen"),
    runs: int = 3, epochs: int | None = None, kmer_bases: int = 6, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Learn labelled sets from a model's features, several times, beside k-mers.

    Parameters
    ----------
    model
        With one token per base; it is not changed.
    sets
        By name, a labelled file (see ``titans-dna finetune``), or a folder in the layout of GenomicBenchmarks
        (``train/CLASS/*.txt``, ``test/CLASS/*.txt``) or of GUE (``train.csv``, ``test.csv``).
    modes
        What is trained beside the classifier: ``full``, ``frozen``, ``last-layers``, ``lora``.
    runs
        With seeds that count up from ``seed``.
    epochs
        Passes over the examples; None for 5 to 50, which make some 250 steps.
    kmer_bases
        Bases of the baseline's k-mers.
    seed
        Of the first run.

    Returns
    -------
    pandas.DataFrame
        A row for each set and mode, and one for its k-mers: mean, least and greatest accuracy, MCC, AUROC and AUPRC.

    Raises
    ------
    ConfigError, FormatError, InputMissing
        If a set cannot be read.
    """
    pandas = require_pandas()
    test = of_sequences.ClassificationTest(modes=tuple(modes), runs=runs, epochs=epochs, kmer_bases=kmer_bases)
    data = {name: read_set(Path(path), seed=seed) for name, path in sets.items()}
    rows = []
    for name, each in data.items():
        rows += of_sequences.classify_set(model._model, name, each, test, seed)
    return pandas.DataFrame(rows, columns=list(of_sequences.COLUMNS))


def variants(
    scored: str | os.PathLike[str], *, field: str, positive: str | Sequence[str], negative: str | Sequence[str] = (),
    cluster_bp: int = 100_000, draws: int = 1000, seed: int = 0, model: Model | None = None, genome: Any = None,
    context: str = "contig",
) -> pd.DataFrame:  # fmt: skip
    """Tell how well scores part variants with one label from those with another.

    Parameters
    ----------
    scored
        VCF that ``titans-dna score-variants`` wrote; or, with a model and a genome, a VCF that is scored first.
    field
        INFO field that holds the label.
    positive, negative
        Labels of variants that should score low, and of those that should not; none for all other labels.
    cluster_bp, draws
        Contigs are cut into stretches of this length, which are drawn so many times for the 95% intervals.
    seed
        Begins the draws.
    model, genome
        What scores a VCF without scores, and its reference; both or none.
    context
        What is read before a variant: ``contig`` or ``window:N``.

    Returns
    -------
    pandas.DataFrame
        A row for each score and kind of variant: AUROC, AUPRC and the share of matched pairs that are right, each with
        its interval.

    Raises
    ------
    FormatError
        If no scored variant has the field, or one of the two classes is empty.
    ConfigError
        If a model is given without a genome, or a genome without a model.
    """
    pandas = require_pandas()
    labels = [(name,) if isinstance(name, str) else tuple(name) for name in (positive, negative)]
    test = of_variants.VariantTest(
        field=field, positive=labels[0], negative=labels[1], cluster_bp=cluster_bp, draws=draws
    )
    if (model is None) != (genome is None):
        raise ConfigError("a VCF is scored by a model on a genome; give both, or a file that is scored already")
    if model is None:
        found = of_variants.read_labelled_scores(Path(scored), test)
    else:
        with opened(genome) as source:
            found = of_variants.score_labelled(model._model, source, Path(scored), test, context=context)
    return pandas.DataFrame(of_variants.compare_labels(found, test, seed), columns=list(of_variants.COLUMNS))
