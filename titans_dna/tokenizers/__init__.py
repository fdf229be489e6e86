"""Sequence to token ids and back, with the bases that every token covers."""

from __future__ import annotations

from typing import Any

from titans_dna.errors import ConfigError
from titans_dna.tokenizers.base import Tokenizer, base_ids, soft_mask
from titans_dna.tokenizers.bpe import BpeTokenizer
from titans_dna.tokenizers.kmer import KmerTokenizer
from titans_dna.tokenizers.nucleotide import NucleotideTokenizer
from titans_dna.tokenizers.tokens import Tokens, tokenize

__all__ = [
    "BpeTokenizer",
    "KmerTokenizer",
    "NucleotideTokenizer",
    "Tokenizer",
    "Tokens",
    "base_ids",
    "load_tokenizer",
    "soft_mask",
    "tokenize",
]


def load_tokenizer(settings: dict[str, Any]) -> Tokenizer:
    """Make the tokenizer that the settings (from ``to_json``) describe.

    Parameters
    ----------
    settings
        At least ``{"kind": ...}``.

    Raises
    ------
    ConfigError
        If the kind is unknown or its settings are incomplete.
    """
    kind = settings.get("kind") if isinstance(settings, dict) else settings
    if kind == NucleotideTokenizer.kind:
        return NucleotideTokenizer.from_json(settings)
    if kind == KmerTokenizer.kind:
        return KmerTokenizer.from_json(settings)
    if kind == BpeTokenizer.kind:
        return BpeTokenizer.from_json(settings)
    raise ConfigError(f"tokenizer kind is {kind!r}. Known are 'nucleotide', 'kmer' and 'bpe'.")
