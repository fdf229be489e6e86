"""Turns sequence into token ids and back, and tells which bases every token covers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.tokenizers.base import Tokenizer, base_ids, soft_mask
from titans_dna.tokenizers.bpe import BpeTokenizer
from titans_dna.tokenizers.kmer import KmerTokenizer
from titans_dna.tokenizers.nucleotide import NucleotideTokenizer
from titans_dna.tokenizers.tokens import Tokens, new_bases, tokenize

__all__ = [
    "BpeTokenizer",
    "KmerTokenizer",
    "NucleotideTokenizer",
    "Tokenizer",
    "Tokens",
    "base_ids",
    "load_tokenizer",
    "named_tokenizer",
    "new_bases",
    "read_tokenizer",
    "soft_mask",
    "tokenize",
]

MOST_BYTES = 64 << 20  # of a file of settings


def load_tokenizer(settings: dict[str, Any]) -> Tokenizer:
    """Make a tokenizer from its settings, as ``to_json`` returned them.

    Parameters
    ----------
    settings
        Settings with a ``kind``, and whatever else that kind needs.

    Raises
    ------
    ConfigError
        If the kind is unknown or its settings are incomplete.
    """
    if not isinstance(settings, dict):
        raise ConfigError(f"settings of a tokenizer are a JSON object, not {settings!r}.")
    kind = settings.get("kind")
    classes: tuple[type[Tokenizer], ...] = (NucleotideTokenizer, KmerTokenizer, BpeTokenizer)
    for each in classes:
        if kind == each.kind:
            return each.from_json(settings)
    raise ConfigError(f"tokenizer kind is {kind!r}. Known are 'nucleotide', 'kmer' and 'bpe'.")


def read_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Make a tokenizer from a JSON file of its settings.

    Raises
    ------
    InputMissing
        If the file does not exist or cannot be read.
    FormatError
        If the file is not JSON, or holds no settings of a tokenizer.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(
                f"has more than {MOST_BYTES >> 20} MiB, as no tokenizer has. Is it the file that you mean?"
            )
        return load_tokenizer(json.loads(data.decode("utf-8")))
    except OSError as error:
        raise InputMissing(f"cannot be read ({error.strerror or error}). Check the path.", path=path) from None
    except ConfigError as error:  # a ValueError too, so it comes first
        raise FormatError(str(error), path=path) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is no JSON ({error}). Write it with titans-dna train-tokenizer.", path=path) from None


def named_tokenizer(text: str) -> Tokenizer:
    """Make a tokenizer by its name: ``nucleotide``, ``kmer:K``, ``kmer:K:overlapping``, or the path of a JSON file.

    Raises
    ------
    ConfigError, InputMissing, FormatError
        If there is no such tokenizer.

    Examples
    --------
    >>> named_tokenizer("kmer:6:overlapping")
    KmerTokenizer(6, overlapping=True)
    """
    kind, *rest = text.split(":")
    if text == NucleotideTokenizer.kind:
        return NucleotideTokenizer()
    if kind == KmerTokenizer.kind and rest and rest[0].isdecimal() and rest[1:] in ([], ["overlapping"]):
        return KmerTokenizer(int(rest[0]), overlapping=len(rest) > 1)
    if not Path(text).is_file():
        raise ConfigError(
            f"tokenizer is {text!r}, which is no file either; choose nucleotide, kmer:K, kmer:K:overlapping, or a file "
            "of titans-dna train-tokenizer."
        )
    return read_tokenizer(text)
