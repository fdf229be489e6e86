"""How training differs for tokens of several bases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import NucleotideTokenizer, Tokenizer, new_bases

NUCLEOTIDES = NucleotideTokenizer()


def fit_config(config: BackboneConfig, tokenizer: Tokenizer) -> BackboneConfig:
    """Return the configuration for a model that reads and predicts the tokens of a tokenizer.

    The tables of words are left out if tokens have several bases, because then a token is a word itself.
    """
    config = replace(config, vocabulary=len(tokenizer.vocabulary), targets=tokenizer.targets)
    return config if is_single(tokenizer) else replace(config, context_orders=(), word_counts=None)


def is_single(tokenizer: Tokenizer) -> bool:
    """Tell whether every base has a token of its own."""
    return isinstance(tokenizer, NucleotideTokenizer)


def bases_of(tokenizer: Tokenizer, ids: np.ndarray) -> np.ndarray | None:
    """Return the number of bases that each token is the first to cover; None for one each."""
    return None if is_single(tokenizer) else new_bases(tokenizer, ids)
