"""Training with a copy memory: far copies are learned from, a run goes on to the same bytes, windows may be cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from titans_dna.inference.model import SequenceModel
from titans_dna.loading.lanes import Contig
from titans_dna.loading.recalled import with_recalled
from titans_dna.model.backbone import Backbone, Recalled
from titans_dna.model.config import BackboneConfig
from titans_dna.recall import RecallForm
from titans_dna.tokenizers import NucleotideTokenizer
from titans_dna.training.checkpoints import load_snapshot, save_snapshot
from titans_dna.training.config import TrainingConfig
from titans_dna.training.distributed import own_piece, piece_of_window
from titans_dna.training.evaluation import carried_bits
from titans_dna.training.finetune import FinetuneConfig, classify, finetune_model
from titans_dna.training.labelled import LabelledData
from titans_dna.training.loop import LogRow, Trainer, train
from titans_dna.training.predict import load_classifier

FORM = RecallForm(words=("1" * 11,), sample_every=(1,), index_bits=16, places=4)
MODEL = BackboneConfig(
    width=16, layers=1, attention_heads=2, memory_heads=2, window_tokens=16, chunk_tokens=8, recall=FORM
)
RUN = TrainingConfig(steps=6, lanes=4, window_tokens=64, restart=0.3, evaluate_every=3, random_share=0.25)


def far_copies(seed: int, units: int = 12) -> np.ndarray:
    """Return a stretch of 400 random bases again and again, each time behind 500 others."""
    rng = np.random.default_rng(seed)
    family = rng.integers(0, 4, 400)
    return np.concatenate([part for _ in range(units) for part in (family, rng.integers(0, 4, 500))]).astype(np.uint8)


def trainer_of(config: TrainingConfig = RUN, model: BackboneConfig = MODEL, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(Backbone(model), [Contig(codes=far_copies(1))], config)


def run(trainer: Trainer, held_out: list[np.ndarray], steps: int | None = None) -> list[LogRow]:
    rows: list[LogRow] = []
    train(trainer, held_out, report=rows.append, stop=lambda: trainer.counters.step >= (steps or 10**9))
    return rows


def test_far_copies_are_learned_from_with_a_copy_memory_alone():
    config = replace(RUN, steps=60, learning_rate=1e-2, evaluate_every=60, window_tokens=128, without_recall=0.1)
    held_out = far_copies(2)
    bits = {}
    for name, model in (("with", MODEL), ("without", replace(MODEL, recall=None))):
        trainer = trainer_of(config, model)
        rows = run(trainer, [held_out])
        bits[name] = rows[-1].bits_per_base
        bits[f"{name}, trained"] = np.mean([row.bits_per_base for row in rows[-12:-1]])
    assert bits["without"] > 1.95
    assert bits["with"] < bits["without"] - 0.4
    assert bits["with, trained"] < bits["without, trained"] - 0.3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_run_gives_the_same_bytes(tmp_path, precision):
    config, held_out = replace(RUN, precision=precision), [far_copies(2)[:1500]]
    whole = trainer_of(config)
    wanted = run(whole, held_out)
    first = trainer_of(config)
    run(first, held_out, steps=3)
    save_snapshot(tmp_path, first.snapshot())
    second = trainer_of(config, seed=9)
    second.restore(load_snapshot(tmp_path))
    rows = run(second, held_out)
    assert [row.bits_per_base for row in rows] == [row.bits_per_base for row in wanted if row.step > 3]
    for name, value in whole.weights().items():
        assert torch.equal(second.weights()[name], value), name
    assert whole.model.trust is not None
    assert (whole.model.trust.score.detach() - Backbone(MODEL).trust.score).abs().max() > 0


def test_a_step_that_cannot_be_taken_leaves_lanes_that_can_be_saved(tmp_path):
    trainer = trainer_of()
    trainer.step()
    with torch.no_grad():
        trainer.model.head.weight[0, 0] = float("nan")
    trainer.step()
    assert trainer.counters.skipped == 1
    with torch.no_grad():
        trainer.model.head.weight[0, 0] = 0.0
    save_snapshot(tmp_path, trainer.snapshot())
    again = trainer_of()
    again.restore(load_snapshot(tmp_path))
    one, two = trainer.step(), again.step()
    assert one.bits_per_base == two.bits_per_base
    assert trainer.counters.skipped == 1


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_piece_of_a_window_is_cut_with_what_it_recalls(rank):
    config = replace(MODEL, reset_tokens=16, layers=2)
    torch.manual_seed(1)
    net = Backbone(config).eval()
    torch.nn.init.normal_(net.head.weight, std=0.5)
    contig = with_recalled([Contig(codes=far_copies(3))], FORM)
    everything = {"without_recall": 0.0, "cut_recall": 0.0}
    trainer = Trainer(net, contig, replace(RUN, lanes=4, window_tokens=512, restart=1.0, **everything))
    batch = trainer.sampler.draw()
    assert (batch.recalled > 0).any(2).mean() > 0.1
    halo, start, end = piece_of_window(config, 512, rank, 4)
    piece = own_piece(batch, config, rank, 4)
    np.testing.assert_array_equal(piece.recalled, batch.recalled[:, halo:end])
    np.testing.assert_array_equal(piece.inputs, batch.inputs[:, halo:end])

    def read(part) -> torch.Tensor:
        codes = torch.from_numpy(part.recalled.view(np.int32))
        with torch.no_grad():
            return net.stream(torch.from_numpy(part.inputs), recalled=Recalled(codes, None)).logits

    torch.testing.assert_close(read(piece)[:, start - halo :], read(batch)[:, start:end], rtol=0, atol=2e-4)


def test_an_evaluation_in_pieces_is_that_of_one_reading():
    torch.manual_seed(2)
    net = Backbone(MODEL).eval()
    torch.nn.init.normal_(net.head.weight, std=0.3)
    ids = far_copies(4)[:6000]
    inputs = torch.from_numpy(np.concatenate([[5], ids[:-1]]).astype(np.int64))[None]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(net(inputs)[0], torch.from_numpy(ids.astype(np.int64)))
    assert carried_bits(net, [ids], 5).bits == pytest.approx(float(loss) / np.log(2), abs=1e-4)


@pytest.mark.parametrize("mode", ["full", "frozen", "last-layers"])
def test_a_classifier_recalls_within_each_sequence_alone(tmp_path, mode):
    """Padding and batch mates change no class; a saved one says the same."""
    torch.manual_seed(3)
    net = Backbone(MODEL).eval().requires_grad_(False)
    model = SequenceModel(backbone=net, tokenizer=NucleotideTokenizer(), name="toy", weights_sha256="0" * 64)
    rng = np.random.default_rng(3)

    def example(repeats: bool) -> np.ndarray:
        half = rng.integers(0, 4, 90)
        return np.concatenate([half, half if repeats else rng.integers(0, 4, 90)]).astype(np.uint8)

    labels = np.arange(24) % 2
    sequences = [example(bool(label)) for label in labels]
    found = net.recall(torch.from_numpy(np.stack(sequences[1::2]).astype(np.int64)))
    assert (found.codes != 0).any()
    data = LabelledData(
        classes=("once", "twice"), training=sequences[:16], training_labels=labels[:16], tested=sequences[16:],
        tested_labels=labels[16:], outcomes={"used": 24},
    )  # fmt: skip
    finetune_model(model, data, tmp_path / "classifier", FinetuneConfig(mode=mode, epochs=2, batch=8))
    classifier = load_classifier(tmp_path / "classifier")
    tested = [*sequences[:6], sequences[6][:40]]
    whole = classify(classifier.net, tested, classifier.config)
    for row, ids in enumerate(tested):
        assert classify(classifier.net, [ids], classifier.config)[0] == pytest.approx(whole[row], abs=1e-5)
    trusted = {name: x for name, x in load_file(tmp_path / "classifier/model.safetensors").items() if "trust" in name}
    moved = any(not torch.equal(x, net.state_dict()[name]) for name, x in trusted.items())
    assert moved == (mode == "full")
    assert json.loads((tmp_path / "classifier/config.json").read_text())["backbone"]["recall"]["places"] == 4
