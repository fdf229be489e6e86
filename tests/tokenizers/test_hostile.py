"""Settings that no tokenizer can have: each is one short line of the error tree, soon, and a valid one stays valid."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_dna import tokenizers
from titans_dna.cli import main
from titans_dna.errors import ConfigError, FormatError
from titans_dna.tokenizers import bpe, load_tokenizer, read_tokenizer

HOSTILE = {
    "a number of 5,000 digits": '{"kind": "kmer", "k": ' + "1" * 5000 + "}",
    "a text that is true": '{"kind": "kmer", "k": 4, "overlapping": "no"}',
    "no object": '"bpe"',
    "a kind that is a list": '{"kind": ["bpe"]}',
    "deep lists": "[" * 1_000_000,
    "deep merges": '{"kind": "bpe", "merges": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "megabytes of a kind": json.dumps({"kind": "x" * 5_000_000}),
    "megabytes of a merge": json.dumps({"kind": "bpe", "merges": [["x" * 5_000_000, "A"]]}),
    "megabytes beside k": json.dumps({"kind": "kmer", "junk": "x" * 5_000_000}),
    "half a character": '{"kind": "\\ud800"}',
    "other alphabets": '{"kind": "bpe", "merges": [["Ä", "C"]]}',
    "numbers": '{"kind": "bpe", "merges": [[1, 2]]}',
    "an object of merges": '{"kind": "bpe", "merges": {"A": "C"}}',
    "nothing": "",
    "too many merges": '{"kind": "bpe", "merges": [' + ",".join(['["A","C"]'] * 600_000) + "]}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_settings_are_one_short_line_soon(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    began = time.process_time()
    with pytest.raises(FormatError) as found:
        read_tokenizer(path)
    assert time.process_time() - began < 5
    assert len(str(found.value)) < 3000
    assert str(found.value).startswith(f"{path}: ")
    run = CliRunner().invoke(main, ["info", str(path)])
    assert run.exception is None or isinstance(run.exception, SystemExit)  # what is no tokenizer is shown as figures


def test_a_file_of_gigabytes_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizers, "MOST_BYTES", 1000)
    path = tmp_path / "tokenizer.json"
    path.write_text('{"kind": "nucleotide", "x": "' + "x" * 1000 + '"}')
    with pytest.raises(FormatError, match="more than 0 MiB, as no tokenizer has"):
        read_tokenizer(path)
    with pytest.raises(FormatError, match="more than 0 MiB, as no tokenizer has"):
        read_tokenizer(Path("/dev/zero"))


def test_as_many_merges_as_are_allowed_are_set_up_in_seconds():
    words, merges, known = list("ACGT"), [], set("ACGT")
    for word in words:
        for base in "ACGT":
            if len(merges) < bpe.MOST_MERGES and word + base not in known:
                known.add(word + base)
                words.append(word + base)
                merges.append([word, base])
        if len(merges) == bpe.MOST_MERGES:
            break
    began = time.process_time()
    found = load_tokenizer({"kind": "bpe", "merges": merges})
    assert time.process_time() - began < 5
    assert len(found.vocabulary) == bpe.MOST_MERGES + 7


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["A", "C", "AC", "bpe"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    values=st.dictionaries(st.sampled_from(["kind", "k", "overlapping", "merges", "vocabulary_size", "x"]), VALUES)
    | VALUES,
    kind=st.sampled_from([None, "bpe", "kmer", "nucleotide"]),
)
def test_any_settings_give_a_tokenizer_that_reads_or_an_error_of_the_tree(values, kind):
    if kind and isinstance(values, dict):
        values["kind"] = kind
    try:
        found = load_tokenizer(values)
    except ConfigError:
        return
    assert found.decode(found.encode(b"ACGTNACCA")) == b"ACGTNACCA"
    assert load_tokenizer(found.to_json()) == found
