"""Generation: bases are drawn from what the model expects, and figures say what was copied."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from inference.test_windows import KINDS
from toy import RECALL

from titans_dna.errors import ConfigError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.inference.composition import (
    count_words,
    describe_generated,
    describe_prompt,
    divergence,
    gc_share,
)
from titans_dna.inference.generate import Generated, Sampling, generate, read_prompt
from titans_dna.inference.model import load_model
from titans_dna.inference.windows import Context
from titans_dna.recall import Relatives
from titans_dna.tokenizers import KmerTokenizer, base_ids


@pytest.fixture(scope="module", params=KINDS)
def kind(request, make_model):
    return make_model(**KINDS[request.param])


def log_p_of(model, sequence: bytes) -> np.ndarray:
    """Return ln P of A, C, G and T at every base, read at once."""
    ids = torch.tensor([[model.bos, *base_ids(sequence).tolist()]])
    return model.backbone.stream(ids).logits[0, :-1].log_softmax(-1).numpy()


def test_a_sequence_has_the_likelihood_of_one_reading(kind, random_bases):
    before = random_bases(90, seed=1)
    prompt = read_prompt(kind, "p", before)
    found = generate(kind, prompt, 40, Sampling(seed=3))
    log_p = log_p_of(kind, before + found.sequence)
    assert prompt.log_likelihood == pytest.approx(log_p[np.arange(90), base_ids(before)].sum(), abs=1e-3)
    assert found.log_likelihood == pytest.approx(log_p[90 + np.arange(40), found.ids].sum(), abs=1e-3)


def test_a_temperature_of_zero_takes_the_most_likely_base_always(kind, random_bases):
    before = random_bases(50, seed=2)
    found = generate(kind, read_prompt(kind, "p", before), 30, Sampling(temperature=0))
    assert log_p_of(kind, before + found.sequence)[50:].argmax(1).tolist() == found.ids.tolist()


def test_bases_are_drawn_as_often_as_the_model_expects_them(make_model):
    model = make_model()
    prompt = read_prompt(model, "p", b"")
    drawn = [int(generate(model, prompt, 1, Sampling(), number).ids[0]) for number in range(2000)]
    shares = np.bincount(drawn, minlength=4) / 2000
    assert shares == pytest.approx(np.exp(log_p_of(model, b"A")[0]), abs=0.04)


def test_probabilities_are_those_of_temperature_top_k_and_top_p():
    log_p = np.log([0.1, 0.4, 0.2, 0.3])
    assert Sampling().probabilities(log_p) == pytest.approx([0.1, 0.4, 0.2, 0.3])
    assert Sampling(temperature=0).probabilities(log_p).tolist() == [0, 1, 0, 0]
    squares = np.array([0.01, 0.16, 0.04, 0.09])
    assert Sampling(temperature=0.5).probabilities(log_p) == pytest.approx(squares / squares.sum())
    assert Sampling(top_k=2).probabilities(log_p) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert Sampling(top_p=0.7).probabilities(log_p) == pytest.approx([0, 4 / 7, 0, 3 / 7])
    assert Sampling(top_p=0.71).probabilities(log_p) == pytest.approx([0, 4 / 9, 2 / 9, 3 / 9])
    assert Sampling(top_p=1e-9).probabilities(log_p).tolist() == [0, 1, 0, 0]
    assert Sampling(temperature=0).probabilities(np.log([0.25] * 4)).tolist() == [1, 0, 0, 0]
    tiny = Sampling(temperature=1e-300).probabilities(log_p)
    assert tiny.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "changes",
    [{"temperature": -1}, {"temperature": math.inf}, {"temperature": math.nan}, {"top_k": 0}, {"top_k": 5},
     {"top_p": 0}, {"top_p": 1.5}, {"seed": -1}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        Sampling(**changes)


def test_each_sequence_has_random_numbers_of_its_own(make_model, random_bases):
    model, before = make_model(recall=RECALL), random_bases(60)
    prompt, other = read_prompt(model, "p", before), read_prompt(model, "q", before)
    one, two = (generate(model, prompt, 50, Sampling(), number).sequence for number in (1, 2))
    assert one == generate(model, prompt, 50, Sampling(), 1).sequence
    assert one not in (two, generate(model, other, 50, Sampling(), 1).sequence)
    assert one != generate(model, prompt, 50, Sampling(seed=1), 1).sequence


def test_the_other_strand_goes_on_before_the_start(kind, random_bases):
    contig = random_bases(300, seed=4)
    back = read_prompt(kind, "p", contig, 120, 200, reverse=True)
    plain = read_prompt(kind, "p", reverse_complement(contig), 100, 180)
    assert back.sequence == plain.sequence == reverse_complement(contig[120:200])
    assert generate(kind, back, 30, Sampling()).sequence == generate(kind, plain, 30, Sampling()).sequence


def test_the_context_is_what_it_is_in_other_verbs(kind, random_bases):
    contig = random_bases(300, seed=5)
    whole, alone, window = (
        read_prompt(kind, "p", contig, 150, 250, context=Context.parse(text))
        for text in ("contig", "region", "window:300")
    )
    assert whole.sequence == alone.sequence == window.sequence == contig[150:250]
    assert window.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-3)
    assert alone.log_likelihood == pytest.approx(
        log_p_of(kind, contig[150:250])[np.arange(100), base_ids(contig[150:250])].sum(), abs=1e-3
    )
    drawn = [generate(kind, each, 20, Sampling()) for each in (whole, window)]
    assert drawn[0].sequence == drawn[1].sequence


def test_nothing_after_the_prompt_is_seen(kind, random_bases):
    contig = random_bases(300, seed=6)
    for context in ("contig", "window:64"):
        found = [
            generate(kind, read_prompt(kind, "p", text, 50, 150, context=Context.parse(context)), 20, Sampling())
            for text in (contig, contig[:150] + random_bases(150, seed=7))
        ]
        assert found[0].sequence == found[1].sequence


def test_unknown_bases_of_a_prompt_have_no_likelihood(make_model, random_bases):
    prompt = read_prompt(make_model(), "p", random_bases(20) + b"N" * 10)
    assert prompt.known == 20
    assert gc_share(np.array([4, 4])) != gc_share(np.array([4, 4]))  # nan


def test_tokens_of_several_bases_are_refused(make_model):
    with pytest.raises(ConfigError, match="one token per base"):
        read_prompt(make_model(tokenizer=KmerTokenizer(3)), "p", b"ACGTAC")


def test_the_default_model_goes_on_with_a_relative_that_it_has_read(random_bases):
    relative, model = random_bases(3000, seed=8), load_model("default", "cpu")
    relatives = Relatives.empty(model.backbone.config.recall)
    relatives.read("r", "r", [base_ids(relative)], "")
    prompt = read_prompt(model.behind(relatives), "p", relative[1000:1200])
    found = generate(model.behind(relatives), prompt, 100, Sampling(temperature=0))
    assert found.sequence == relative[1200:1300]
    assert describe_generated(prompt, found).copied == 1.0
    assert describe_prompt(prompt).copied > 0.7
    network = generate(model, read_prompt(model, "p", relative[1000:1200]), 100, Sampling(temperature=0))
    assert network.sequence != found.sequence


def test_without_copies_nothing_is_recalled_but_copies_are_still_counted(make_model, random_bases):
    before = random_bases(200, seed=9)
    for model in (make_model(recall=RECALL), make_model()):
        prompt = read_prompt(model, "p", before * 2)
        network = generate(model, prompt, 64, Sampling(copies=False, temperature=0))
        made_of = describe_generated(prompt, replace(network, ids=base_ids(before[:64])))
        assert (made_of.copied == 1.0) if model.backbone.config.recall else math.isnan(made_of.copied)
    bare = make_model(recall=RECALL)
    state, token = read_prompt(bare, "p", b"").state, bare.bos
    assert state.recall is not None
    assert generate(bare, read_prompt(bare, "p", b""), 5, Sampling(copies=False)).log_likelihood < 0
    assert token == bare.bos


def test_copies_of_the_prompt_itself_are_counted_from_before_it(make_model, random_bases):
    model, unit = make_model(recall=RECALL), random_bases(300, seed=10)
    contig = unit + random_bases(200, seed=11) + unit
    prompt = read_prompt(model, "p", contig, 500, 800)
    made_of = describe_prompt(prompt)
    assert made_of.copied > 0.8
    assert made_of.longest_copy_bp > 240
    assert describe_prompt(read_prompt(model, "p", contig, 300, 500)).copied < 0.2
    alone = read_prompt(model, "p", contig, 500, 800, context=Context.parse("region"))
    assert describe_prompt(alone).copied < 0.2


def test_composition_has_known_answers():
    assert gc_share(base_ids(b"GGCCATNN")) == pytest.approx(4 / 6)
    counts = count_words(base_ids(b"AAACNAAA"))
    assert counts.sum() == 3  # AAA, AAC and AAA
    assert counts[0] == 2
    assert counts[1] == 1
    assert divergence(counts, counts) == pytest.approx(0)
    assert divergence(np.array([1, 0]), np.array([0, 5])) == pytest.approx(1)
    assert math.isnan(divergence(np.zeros(2), np.ones(2)))
    assert count_words(base_ids(b"AC")).sum() == 0


def test_an_empty_sequence_has_no_figures(make_model):
    model = make_model(recall=RECALL)
    prompt = read_prompt(model, "p", b"")
    nothing = Generated(ids=np.zeros(0, np.uint8), log_likelihood=0.0)
    assert math.isnan(describe_prompt(prompt).gc)
    assert math.isnan(describe_generated(prompt, nothing).copied)
