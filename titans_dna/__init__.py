"""titans-dna: long-sequence modelling of genomes with Titans.

    import titans_dna as td

    model = td.load_model("default")
    model.log_likelihood("ACGTACGTAC")                              # ln P of every base, in nats
    model.embed(["ACGTACGTAC", "TTTTGGGG"])                         # (2, width)
    model.score_variants(["chrA:1000:A:G"], "data/demo.fa")         # a frame: contig, position, ref, alt, llr, outcome
    model.score_regions("chrA:1001-2000", "data/demo.fa")           # a frame: log_likelihood, bits_per_base, ...
    td.open_embeddings("embeddings.h5").to_anndata()

A name is fetched from its module when it is first used, so importing this package loads neither torch nor pandas.
Frames need pandas: pip install 'titans-dna[pandas]'.
"""

import importlib
from typing import TYPE_CHECKING, Any

from titans_dna.version import __version__

if TYPE_CHECKING:  # for type checkers and editors
    from titans_dna import errors
    from titans_dna.api import benchmarks
    from titans_dna.api.base_predictor import BasePredictor, load_base_predictor
    from titans_dna.api.classifier import Classifier, load_classifier
    from titans_dna.api.load import load_model
    from titans_dna.api.model import Model
    from titans_dna.api.variants import read_variants
    from titans_dna.errors import TitansDNAError
    from titans_dna.genome.interval import Interval
    from titans_dna.genome.variant import Variant
    from titans_dna.inference.outcomes import Outcome
    from titans_dna.io.embeddings.reader import Embeddings, open_embeddings
    from titans_dna.io.intervals.bed import read_intervals
    from titans_dna.io.scores import Scores, open_scores
    from titans_dna.io.sequence.fasta import Fasta, open_fasta

_HOMES = {
    "BasePredictor": "titans_dna.api.base_predictor",
    "Classifier": "titans_dna.api.classifier",
    "Embeddings": "titans_dna.io.embeddings.reader",
    "Fasta": "titans_dna.io.sequence.fasta",
    "Interval": "titans_dna.genome.interval",
    "Model": "titans_dna.api.model",
    "Outcome": "titans_dna.inference.outcomes",
    "Scores": "titans_dna.io.scores",
    "TitansDNAError": "titans_dna.errors",
    "Variant": "titans_dna.genome.variant",
    "load_base_predictor": "titans_dna.api.base_predictor",
    "load_classifier": "titans_dna.api.classifier",
    "load_model": "titans_dna.api.load",
    "open_embeddings": "titans_dna.io.embeddings.reader",
    "open_fasta": "titans_dna.io.sequence.fasta",
    "open_scores": "titans_dna.io.scores",
    "read_intervals": "titans_dna.io.intervals.bed",
    "read_variants": "titans_dna.api.variants",
}

_MODULES = {"benchmarks": "titans_dna.api.benchmarks", "errors": "titans_dna.errors"}

__all__ = [
    "BasePredictor",
    "Classifier",
    "Embeddings",
    "Fasta",
    "Interval",
    "Model",
    "Outcome",
    "Scores",
    "TitansDNAError",
    "Variant",
    "__version__",
    "benchmarks",
    "errors",
    "load_base_predictor",
    "load_classifier",
    "load_model",
    "open_embeddings",
    "open_fasta",
    "open_scores",
    "read_intervals",
    "read_variants",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
