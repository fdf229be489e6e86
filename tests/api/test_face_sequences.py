"""Sequences in, likelihoods, vectors and effects out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

import titans_dna as td

BASES = "ACGTTGCAAGCTTGACCATGGAATTC"


def test_every_base_has_a_value_the_first_too(model):
    found = model.log_likelihood(BASES)
    assert found.shape == (len(BASES),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found < 0).all()
    first = [np.exp(model.log_likelihood(base)[0]) for base in "ACGT"]
    assert sum(first) == pytest.approx(1, abs=1e-5)


def test_the_next_base_has_probabilities_that_add_up(model):
    assert sum(np.exp(model.log_likelihood(BASES + base)[-1]) for base in "ACGT") == pytest.approx(1, abs=1e-5)


def test_a_base_depends_on_what_stands_before_it_alone(model):
    np.testing.assert_allclose(model.log_likelihood(BASES)[:10], model.log_likelihood(BASES[:10]), atol=1e-5)


def test_the_reverse_strand_is_read_from_the_other_end(model):
    turned = str(Seq(BASES).reverse_complement())
    forward, reverse = model.log_likelihood(BASES), model.log_likelihood(BASES, strand="reverse")
    np.testing.assert_array_equal(reverse, model.log_likelihood(turned)[::-1])
    np.testing.assert_allclose(model.log_likelihood(BASES, strand="both"), (forward + reverse) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        BASES.encode(), bytearray(BASES.encode()), BASES.lower(), BASES.replace("T", "U"), f" {BASES}\n", Seq(BASES),
        SeqRecord(Seq(BASES), "x"),
    ],
    ids=["bytes", "bytearray", "lower", "rna", "space", "Seq", "SeqRecord"],
)  # fmt: skip
def test_one_sequence_in_many_forms(model, given):
    np.testing.assert_array_equal(model.log_likelihood(given), model.log_likelihood(BASES))


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        iter,
        lambda x: pd.DataFrame({"sequence": x}),
        lambda x: [t.encode() for t in x],
    ],
    ids=["list", "tuple", "array", "Series", "iterator", "frame", "bytes"],
)
def test_many_sequences_in_many_forms(model, make):
    texts = [BASES, "ACG", "", "TTTT"]
    found = model.log_likelihood(make(texts))
    assert [len(values) for values in found] == [26, 3, 0, 4]
    for text, values in zip(texts, found, strict=True):
        np.testing.assert_array_equal(values, model.log_likelihood(text))


@pytest.mark.parametrize("form", [str, Path])
def test_a_fasta_is_its_contigs(model, fasta, sequences, form):
    found = model.log_likelihood(form(fasta))
    assert [len(values) for values in found] == [600, 300]
    np.testing.assert_array_equal(found[0], model.log_likelihood(sequences["chrA"]))
    np.testing.assert_array_equal(np.isnan(found[1]), np.array(list(sequences["chrB"])) == "N")


def test_unknown_bases_have_no_value_and_others_do(model):
    found = model.log_likelihood("ANCRGT")
    assert np.isnan(found).tolist() == [False, True, False, True, False, False]


def test_nothing_given_is_nothing_returned(model):
    assert model.log_likelihood([]) == []
    assert model.log_likelihood("").shape == (0,)
    assert model.embed([]).shape == (0, 16)
    assert model.embed([], pooling="none") == []
    assert model.mutagenesis([]).columns.tolist()[:4] == ["contig", "position", "ref", "alt"]


def test_neighbours_order_and_earlier_calls_change_nothing(model):
    random = np.random.default_rng(3)
    texts = ["".join(random.choice(list("ACGTN"), size)) for size in (5, 90, 1, 300, 17)]
    before = [model.embed(text) for text in texts]
    together, turned = model.embed(texts), model.embed(texts[::-1])[::-1]
    np.testing.assert_allclose(together, turned, atol=1e-5)
    np.testing.assert_allclose(together, before, atol=1e-5)
    np.testing.assert_array_equal(model.embed(texts), together)
    likelihoods = [model.log_likelihood(text) for text in texts]
    for one, other in zip(likelihoods, model.log_likelihood(texts[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, 16),
        ({"layers": [0, "final"]}, 32),
        ({"layers": 1}, 16),
        ({"pooling": "bins:3"}, 48),
        ({"strand": "both"}, 16),
    ],
)
def test_shapes_of_vectors(model, options, numbers):
    assert model.embed([BASES, "ACGTA"], **options).shape == (2, numbers)
    assert model.embed(BASES, **options).shape == (numbers,)


def test_a_vector_for_every_base(model):
    one, two = model.embed([BASES, "ACG"], pooling="none")
    assert (one.shape, two.shape) == ((26, 16), (3, 16))
    np.testing.assert_allclose(one.mean(0), model.embed(BASES), atol=1e-5)


def test_sequences_without_a_vector_are_named(model, caplog):
    with caplog.at_level(logging.WARNING):
        found = model.embed(["ACGT", "NNN", ""])
    assert np.isnan(found).all(1).tolist() == [False, True, True]
    assert "2 of 3 inputs have no vector: 1 reference_n, 1 empty" in caplog.text


def test_what_became_of_sequences_is_returned_where_it_is_asked_for(model):
    vectors, outcomes = model.embed(["ACGT", "NNN", ""], return_outcomes=True)
    assert outcomes.tolist() == ["embedded", "reference_n", "empty"]
    assert np.isnan(vectors).all(1).tolist() == (outcomes != "embedded").tolist()
    np.testing.assert_array_equal(vectors, model.embed(["ACGT", "NNN", ""]))
    vector, outcome = model.embed("NN", return_outcomes=True)
    assert (vector.shape, outcome) == ((16,), "reference_n")
    parts, outcomes = model.embed(["ACGT", "NNN"], pooling="none", return_outcomes=True)
    assert ([len(part) for part in parts], outcomes.tolist()) == ([4, 3], ["embedded", "reference_n"])
    assert model.embed([], return_outcomes=True)[1].shape == (0,)


def test_every_change_of_a_sequence(model):
    found = model.mutagenesis(["ACN", "t"])
    assert found.contig.tolist() == ["sequence0"] * 10 + ["sequence1"] * 3
    assert found.position.tolist() == [1] * 3 + [2] * 3 + [3] * 4 + [1] * 3
    assert found.alt.str.cat() == "CGTAGTACGTACG"
    assert found.ref.str.cat() == "AAACCCNNNNTTT"
    assert (found.outcome == "reference_n").tolist() == [False] * 6 + [True] * 4 + [False] * 3
    assert found.llr.isna().tolist() == (found.outcome == "reference_n").tolist()
    changed = model.log_likelihood("CCN")[:2].sum() - model.log_likelihood("ACN")[:2].sum()
    assert found.llr_forward[0] == pytest.approx(changed, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ACXT", r"the sequence has 'X' at base 3"),
        ("ACGT" * 2000 + "-", r"the sequence has '-' at base 8,001"),
        (["ACGT", "AC-T"], r"sequence 1 has '-' at base 3"),
        ([b"ACGT", 5], r"sequence 1 is 5"),
        ([None], r"sequence 0 is None"),
        (7, r"7 is no sequence"),
        ("no_such.fa", r"no_such.fa: there is no such file"),
        (pd.DataFrame({"bases": ["A"]}), r"no column sequence or seq; it has bases"),
    ],
)
def test_what_is_no_sequence_is_one_clear_line(model, given, message):
    for call in (model.log_likelihood, model.embed, model.mutagenesis):
        with pytest.raises(td.TitansDNAError, match=message) as caught:
            call(given)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "median"}, "pooling is 'median'"),
        ({"layers": "9"}, "layer is '9'"),
        ({"strand": "up"}, "strand is 'up'"),
        ({"context": "contig"}, "give a fasta"),
        ({"window_bp": 5}, "give a fasta"),
        ({"stride_bp": 5}, "stride_bp needs window_bp"),
    ],
)
def test_options_that_make_no_sense_are_refused(model, options, message):
    with pytest.raises(td.errors.ConfigError, match=message):
        model.embed(BASES, **options)


def test_a_strand_that_is_none(model):
    with pytest.raises(td.errors.ConfigError, match="strand is 'x'"):
        model.log_likelihood(BASES, strand="x")
