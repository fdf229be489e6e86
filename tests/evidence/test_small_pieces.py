"""Small pieces of each script: summaries and claims of made measurements, scores by context, repeats, cost."""

from __future__ import annotations

import adaptation
import brca1
import downstream
import linear_cost
import numpy as np
import pytest
import satellites
import stress
import torch
from frozen import frozen_memories
from sequences import Contig

from titans_dna.inference.alleles import Allele
from titans_dna.inference.score_variants import score_strands


def test_gain_on_copies_is_found_where_it_was_put(model, setting, monkeypatch):
    """A made reader knows every base of a copy when the memory is carried: the gain must stand in that bin alone."""
    random = np.random.default_rng(2)
    unit = random.integers(0, 4, 500).astype(np.uint8)
    ids = np.concatenate([unit, random.integers(0, 4, 20_000).astype(np.uint8), unit])
    far = np.arange(len(ids)) >= 20_500 + adaptation.KMER_BASES

    def read(_, ids, memory, frozen_from):
        return np.where(far & (memory == "carried"), 0.0, 2.0).astype(np.float32)

    monkeypatch.setattr(adaptation, "bits_along", read)
    contig = Contig(name="made", ids=ids, kinds=("any",), element=np.zeros(len(ids), dtype=np.int64))
    found = adaptation.summary(model, contig, setting)
    gains = dict(zip(found["distance"]["names"], found["distance"]["frozen"], strict=True))
    assert gains["16k-64k"]["mean"] == 2.0
    assert gains["16k-64k"]["bases"] == 480
    assert gains["no copy"]["mean"] == 0.0
    overall, near, far_back = adaptation.claims([("made model", [found])], full=True)
    assert near["measured"] == "no such copies"
    assert far_back["verdict"] == "holds"
    assert "made model, made" in overall["claim"]
    rows = adaptation.table([("made model", [found])])
    assert [row[2] for row in rows] == ["all", "no copy", "16k-64k", "any"]


def test_seeds_are_given_as_mean_least_and_greatest():
    cases = [{"all": {"carried": [{"mean": m, "low": 0, "high": 9, "bases": 5}]}} for m in (1.0, 4.0, 1.0)]
    row = adaptation.across(cases, "all", "carried")[0]
    assert (row["mean"], row["low"], row["high"]) == (2.0, 1.0, 4.0)


def test_seeds_are_compared_one_by_one_and_one_model_by_its_intervals():
    def case(*groups):
        return {"far": {"frozen": [{"mean": m, "low": m - w, "high": m + w, "bases": 5} for m, w in groups]}}

    seeds = [case((1.0, 9), (1.1, 9)), case((3.0, 9), (3.1, 9))]
    assert adaptation.above(seeds, "far", "frozen", 1, 0)
    assert not adaptation.above([*seeds, case((2.0, 9), (1.9, 9))], "far", "frozen", 1, 0)
    assert adaptation.above([case((1.0, 0.1), (1.3, 0.1))], "far", "frozen", 1, 0)
    assert not adaptation.above([case((1.0, 0.2), (1.3, 0.2))], "far", "frozen", 1, 0)
    assert not adaptation.above([case((-2.0, 0.1), (-1.0, 0.1))], "far", "frozen", 1, 0)


def test_fresh_windows_score_as_the_package_does_where_attention_reaches_no_further(model):
    text = np.random.default_rng(4).integers(0, 4, 400).astype(np.uint8)
    sequence = np.frombuffer(b"ACGT", np.uint8)[text].tobytes()
    places = [(at, (int(text[at]) + 1) % 4) for at in (40, 200, 399)]
    alleles = [Allele(n, at, at + 1, b"ACGT"[alt : alt + 1], at, at + 1) for n, (at, alt) in enumerate(places)]
    with frozen_memories(model.backbone):
        expected = score_strands(model, sequence, alleles, horizon_bp=64, strands=(False,))[:, 0]
        found = brca1._fresh(model, text, places, 64)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_contexts_are_compared_on_the_same_variants():
    random = np.random.default_rng(1)
    labels = random.random(400) < 0.3
    good, bad = random.normal(size=400) - 2 * labels, random.normal(size=400)
    found = brca1.compare(labels, {"with": good, "without": bad}, 200, 0)
    assert found["auroc"]["with"][0] > 0.85
    assert found["gain"]["without"][1] > 0
    assert list(found["gain"]) == ["without"]
    same = brca1.compare(labels, {"a": good, "b": good}, 50, 0)["gain"]["b"]
    assert same == [0.0, 0.0, 0.0]


def test_repeats_are_what_their_names_say():
    made = stress.repeats(5000, 1)
    assert all(len(ids) == 5000 and ids.max() < 4 for ids in made.values())
    assert not made["poly-A"].any()
    strands = made["alternating strands, 1 kb"]
    np.testing.assert_array_equal(strands[1000:2000], 3 - strands[:1000][::-1])
    satellite = made["satellite, 171-base monomers"]
    assert 0.94 < (satellite[171:] == satellite[:-171]).mean() < 0.99


@pytest.mark.parametrize("dtype", stress.DTYPES)
def test_a_stressed_reading_counts_what_is_lost(model, dtype):
    behind = np.random.default_rng(0).integers(0, 4, 600).astype(np.uint8)
    case = stress.read(model, behind, np.full(500, 4, dtype=np.uint8), behind, dtype)
    assert case["not_finite"] == 0
    assert case["last"] is None
    assert 0 < case["largest"] < 100
    repeat = stress.read(model, behind[:0], np.zeros(500, dtype=np.uint8), behind, dtype)
    assert repeat["last"] > 0
    told = {"model": "m", "dtype": dtype, "bases": 500, "fresh": 2.0}
    broken = {**repeat, **told, "sequence": "satellite", "not_finite": 3, "largest": np.inf}
    gap = {**case, **told, "sequence": "1 Mb of N", "fresh": case["behind"]}
    verdicts = [claim["verdict"] for claim in stress.claims([broken, gap])]
    assert verdicts[:5] == ["fails", "holds", "fails", "fails", "holds"]


def test_a_norm_that_still_rises_is_told():
    flat = {"bases": 100, "marks": [[50, 1.0], [80, 2.0], [90, 2.0], [100, 2.0]]}
    assert stress.growth(flat) == 0.0
    assert stress.growth({**flat, "marks": [*flat["marks"][:3], [100, 2.5]]}) == 0.25
    assert stress.growth({**flat, "marks": [*flat["marks"][:3], [100, None]]}) == np.inf
    assert stress.growth({**flat, "marks": [[100, 2.0]]}) == 0.0


def test_cost_claims_hold_for_a_line_and_fail_for_a_square():
    blocks = {"transformer": [[65_536, 40, 1600], [262_144, 640, 6800]], "window": [[2**21, 10, 1]],
              "mag": [[2**21, 40, 1]]}  # fmt: skip

    def case(power):
        marks = [[b, 1e-5 * b**power, 20.0] for b in (4096, 65_536, 8_388_608)]
        return {name: {"marks": marks, "finite": True} for name in linear_cost.FILES}

    line, square = (linear_cost.claims(case(power), blocks, full=True) for power in (1, 2))
    assert [claim["verdict"] for claim in line] == ["holds", "holds", "holds", "holds", "fails"]
    assert square[0]["verdict"] == "fails"
    part = {"made": case(1)["E. coli"]}
    assert linear_cost.claims(part, blocks, full=True)[2]["verdict"] == "not measured"
    assert linear_cost.table(case(1))[1][4] == 1.0


def test_a_satellite_repeats_its_unit_with_changes():
    ids = satellites.satellite(100, 1050, seed=4)
    assert (len(ids), int(ids.max())) == (1050, 3)
    same = float((ids[100:] == ids[:-100]).mean())
    assert 0.93 < same < 1.0  # two copies differ where either was drawn anew
    assert np.array_equal(ids, satellites.satellite(100, 1050, seed=4))
    assert not np.array_equal(ids, satellites.satellite(100, 1050, seed=5))


def test_satellite_claims_compare_the_worst_seed_with_the_best_without_the_start():
    def runs(*bits):
        return [{"carried": [0.3, x, 1.0, 1.0, 1.2, 2.0], "frozen": [2.0] * 6} for x in bits]

    def told(induction, plain):
        names = satellites.TOLD
        found = {"default": runs(2.0), names["plain"]: plain, names["stem"]: [*plain], names["induction"]: induction}
        return found, satellites.claims(found, full=True)

    higher = [{"carried": [2.0] * 6, "frozen": [2.0] * 6}] * 3
    found, rows = told(runs(1.0, 1.5, 1.4), higher)
    assert [row["verdict"] for row in rows] == ["holds", "holds", "fails"]
    assert rows[0]["measured"].startswith("1.50 against 2.00")
    table = satellites.table(found)
    assert [row[:4] for row in table[:2]] == [["default", 1, "carried", 0.3], ["default", 1, "frozen", 2.0]]
    assert [row["verdict"] for row in told(runs(1.0, 2.1), higher)[1]] == ["fails", "fails", "fails"]
    assert {row["verdict"] for row in satellites.claims(found, full=False)} == {"not measured"}


def test_the_committed_cost_of_blocks_is_read():
    assert {"mag", "window", "transformer"} <= set(linear_cost.earlier())


def test_downstream_claims_say_which_comparison_is_lost():
    def run(value):
        metrics = {"auroc": value, "accuracy": value}
        return {"model": metrics, "kmer_baseline": {"auroc": 0.8, "accuracy": 0.7}, "seconds": 1.0}

    runs = {"full": [run(0.9), run(0.85), run(0.95)], "frozen": [run(0.6)], "from scratch": [run(0.86)] * 3}
    case = {"training": 10, "tested": 10, "runs": runs, "best_kmer": [4, {"auroc": 0.84, "accuracy": 0.8}],
            "published": {}}  # fmt: skip
    found = downstream.claims({"made": case}, None, full=True)
    assert [claim["verdict"] for claim in found] == ["holds", "fails", "not measured", "not measured"]
    assert len(downstream.table({"made": case}, None)) == 5


def test_a_model_from_scratch_has_the_shape_and_not_the_weights(model):
    fresh = downstream.unlearned(model, 3)
    pairs = list(zip(model.backbone.parameters(), fresh.backbone.parameters(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs)
    assert not torch.equal(pairs[0][0], pairs[0][1])
