"""A classifier learns a motif, in every mode, and its metrics are those computed by hand."""

from __future__ import annotations

import copy
import json
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import Linear

from titans_dna.cli import main
from titans_dna.errors import ConfigError, FormatError
from titans_dna.inference.model import SequenceModel, load_model
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import save_checkpoint
from titans_dna.model.config import BackboneConfig
from titans_dna.tokenizers import NucleotideTokenizer
from titans_dna.training.finetune import (
    Classifier,
    FinetuneConfig,
    _padded,
    classification_metrics,
    finetune_model,
    kmer_frequencies,
    kmer_probabilities,
)
from titans_dna.training.labelled import read_labelled
from titans_dna.training.lora import add_adapters, merge_adapters
from titans_dna.training.predict import load_classifier

SMALL = BackboneConfig(width=16, layers=2, attention_heads=2, memory_heads=1, window_tokens=16, chunk_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("backbone") / "small"
    save_checkpoint(place, Backbone(SMALL), NucleotideTokenizer().to_json())
    return place


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Sequences with and without TATAAA, a third of them of another length."""
    random = np.random.default_rng(2)
    rows = ["sequence,label"]
    for number in range(240):
        text = "".join(random.choice(list("ACGC"), 40 if number % 3 else 29))
        if number % 2:
            at = int(random.integers(0, len(text) - 6))
            text = text[:at] + "TATAAA" + text[at + 6 :]
        rows.append(f"{text},{'tata' if number % 2 else 'none'}")
    path = tmp_path_factory.mktemp("data") / "motif.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_motif_is_learned_and_written(folder, table, tmp_path):
    arguments = ["finetune", "--model", folder, "--data", table, "--output", tmp_path / "out", "--epochs", 6,
                 "--learning-rate", 0.01, "--kmer-bases", 3, "--device", "cpu"]  # fmt: skip
    said = CliRunner().invoke(main, [str(x) for x in arguments])
    assert said.exit_code == 0, said.output
    result = json.loads((tmp_path / "out" / "finetune.json").read_text())
    assert result["rows"] == {"used": 240}
    assert (result["training_examples"], result["tested_examples"]) == (192, 48)
    assert result["model"]["auroc"] > 0.9
    assert result["kmer_baseline"]["auroc"] > 0.9
    assert "accuracy" in said.output
    assert load_model(tmp_path / "out", "cpu").backbone.config == SMALL
    assert (tmp_path / "out" / "head.safetensors").is_file()


@pytest.mark.parametrize("mode", ["frozen", "last-layers", "full", "lora"])
def test_modes_change_the_weights_they_name(folder, table, tmp_path, mode):
    model = load_model(folder, "cpu")
    data = read_labelled(table, None, 0.2, 0)
    finetune_model(model, data, tmp_path / "out", FinetuneConfig(mode=mode, epochs=1, kmer_bases=2))
    after = load_model(tmp_path / "out", "cpu").backbone.state_dict()
    changed = {name for name, x in model.backbone.state_dict().items() if not torch.equal(x, after[name])}
    if mode == "frozen":
        assert not changed
    elif mode == "last-layers":
        assert changed
        assert all(name.startswith(("blocks.1.", "norm.")) for name in changed)
    elif mode == "lora":
        parts = model.backbone.blocks.named_modules()
        assert changed == {f"blocks.{name}.weight" for name, part in parts if isinstance(part, Linear)}
    else:
        assert any(name.startswith("blocks.0.") for name in changed)
        assert any(name.startswith("embedding.") for name in changed)


def test_adapters_change_nothing_at_first_and_are_what_is_saved(folder):
    model = load_model(folder, "cpu")
    backbone, ids = copy.deepcopy(model.backbone), torch.randint(0, 4, (2, 40), generator=torch.manual_seed(1))
    before = backbone.stream(ids).hidden
    add_adapters(backbone, 3)
    learned = [weight for weight in backbone.parameters() if weight.requires_grad]
    with torch.no_grad():
        torch.testing.assert_close(backbone.stream(ids).hidden, before, atol=1e-5, rtol=1e-5)
    maps = [part for part in model.backbone.blocks.modules() if isinstance(part, Linear)]
    assert sum(weight.numel() for weight in learned) == sum(3 * sum(part.weight.shape) for part in maps)
    for weight in learned:
        torch.nn.init.normal_(weight, std=0.1)
    with torch.no_grad():
        adapted = backbone.stream(ids).hidden
        merge_adapters(backbone)
        torch.testing.assert_close(backbone.stream(ids).hidden, adapted, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(adapted, before)
    assert list(backbone.state_dict()) == list(model.backbone.state_dict())


def test_adapters_learn_and_a_classifier_of_them_needs_no_peft(folder, table, tmp_path, monkeypatch):
    config = FinetuneConfig(mode="lora", lora_rank=4, epochs=6, learning_rate=0.02, kmer_bases=2)
    result = finetune_model(load_model(folder, "cpu"), read_labelled(table, None, 0.2, 0), tmp_path / "out", config)
    assert result["model"]["auroc"] > 0.9
    assert 0 < result["parameters_trained"] < sum(w.numel() for w in load_model(folder, "cpu").backbone.parameters())
    monkeypatch.setitem(sys.modules, "peft", None)
    assert load_classifier(tmp_path / "out", "cpu").config.lora_rank == 4
    with pytest.raises(ConfigError, match=r"needs peft, which is not installed. Run: pip install 'titans-dna\[lora\]'"):
        finetune_model(load_model(folder, "cpu"), read_labelled(table, None, 0.2, 0), tmp_path / "other", config)


def test_a_classifier_of_a_version_without_adapters_is_read(folder, table, tmp_path):
    finetune_model(load_model(folder, "cpu"), read_labelled(table, None, 0.2, 0), tmp_path / "out",
                   FinetuneConfig(mode="frozen", epochs=1, kmer_bases=1))  # fmt: skip
    said = json.loads((tmp_path / "out" / "finetune.json").read_text())
    del said["lora_rank"], said["parameters_trained"]
    (tmp_path / "out" / "finetune.json").write_text(json.dumps(said))
    assert load_classifier(tmp_path / "out", "cpu").config.mode == "frozen"


def test_padding_and_mates_change_nothing(folder):
    model: SequenceModel = load_model(folder, "cpu")
    net = Classifier(model.backbone, 2, model.bos).eval()
    torch.nn.init.normal_(net.head.weight)
    random = np.random.default_rng(0)
    short, long = (random.integers(0, 4, n).astype(np.uint8) for n in (21, 50))
    with torch.no_grad():
        alone, beside = net(*_padded([short], net))[0], net(*_padded([short, long], net))[0]
    assert torch.allclose(alone, beside, atol=1e-6)


def test_metrics_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    found = classification_metrics(probabilities, np.array([0, 0, 1, 1]))
    assert found["accuracy"] == 0.75
    assert found["mcc"] == pytest.approx((2 * 1 - 0 * 1) / np.sqrt(3 * 2 * 2 * 1))
    assert (found["auroc"], found["auprc"]) == (1.0, 1.0)
    three = classification_metrics(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 2]))
    assert three == pytest.approx({"accuracy": 1.0, "mcc": 1.0, "auroc": 1.0, "auprc": 1.0})


def test_kmers_by_hand_and_a_baseline_that_knows_nothing_of_the_test():
    rows = kmer_frequencies([np.array([0, 0, 1, 4, 1, 1], dtype=np.uint8)], 2)
    assert rows[0, [0, 1, 5]].tolist() == pytest.approx([1 / 3] * 3)
    assert rows.sum() == pytest.approx(1.0)
    poly = [np.full(20, base, dtype=np.uint8) for base in (0, 1) * 10]
    found = kmer_probabilities(poly, np.array([0, 1] * 10), poly[:2], 2, 2)
    assert found.argmax(1).tolist() == [0, 1]


def test_rows_have_outcomes_that_add_up(tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 50 + "\n")
    lines = ["contig\tstart\tend\tlabel\tsplit"]
    lines += [f"1\t{i}\t{i + 20}\t{'ab'[i % 2]}\t{'test' if i > 15 else 'train'}" for i in range(20)]
    lines += ["chr9\t0\t9\ta\ttrain", "chr1\t190\t210\ta\ttrain", "chr1\t5\t5\ta\ttrain", "chr1\t0\t9\t\ttrain"]
    (tmp_path / "rows.tsv").write_text("\n".join(lines) + "\n")
    data = read_labelled(tmp_path / "rows.tsv", open_fasta(tmp_path / "g.fa"), 0.5, 0)
    assert data.outcomes == {"used": 20, "contig_unknown": 1, "beyond_contig": 1, "empty": 1, "no_label": 1}
    assert (len(data.training), len(data.tested)) == (16, 4)
    assert data.classes == ("a", "b")
    with pytest.raises(ConfigError, match="name their genome with --fasta"):
        read_labelled(tmp_path / "rows.tsv", None, 0.5, 0)


def test_rows_without_a_split_among_others_with_one_are_told(tmp_path, caplog):
    rows = [f"ACGT{'AC' * n},{'ab'[n % 2]},{split}" for n, split in enumerate([*["train"] * 2, *["test"] * 2, "", ""])]
    (tmp_path / "t.csv").write_text("\n".join(["sequence,label,split", *rows[:4]]) + "\n")
    read_labelled(tmp_path / "t.csv", None, 0.5, 0)
    assert caplog.text == ""
    (tmp_path / "t.csv").write_text("\n".join(["sequence,label,split", *rows]) + "\n")
    data = read_labelled(tmp_path / "t.csv", None, 0.5, 0)
    assert (len(data.training), len(data.tested)) == (4, 2)
    assert "rows that name no split, while others do: 2. They are learned from." in caplog.text


def test_bed_and_fasta_are_read_too(tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\n" + "ACGT" * 50 + "\n")
    (tmp_path / "r.bed").write_text("".join(f"chr1\t{i}\t{i + 9}\t{'ab'[i % 2]}\n" for i in range(12)))
    assert read_labelled(tmp_path / "r.bed", open_fasta(tmp_path / "g.fa"), 0.25, 0).outcomes == {"used": 12}
    (tmp_path / "s.fa").write_text("".join(f">s|{'xy'[i % 2]}\nACGTACGT\n" for i in range(8)))
    found = read_labelled(tmp_path / "s.fa", None, 0.25, 0)
    assert found.classes == ("x", "y")
    assert len(found.tested) == 2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n1,2\n", FormatError, "needs a column label"),
        ("sequence,label,split\nAC,x,dev\n", FormatError, "split is 'dev'"),
        ("contig,start,end,label\n1,x,2,a\n", FormatError, "start is 'x', end '2': no whole numbers. Correct"),
        ("sequence,label\nACN,x\nhello,y\n", FormatError, "t.csv:3: 'e' is no nucleotide code"),
        ("sequence,label\nMKVLA,x\n", FormatError, "t.csv:2: 'L' is no nucleotide code"),
        ("sequence,label\nAC,x\n", ConfigError, "have 1 labels"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, error, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=message):
        read_labelled(tmp_path / "t.csv", None, 0.2, 0)


def test_letters_of_a_fasta_are_checked_and_rows_without_a_known_base_have_an_outcome(tmp_path):
    (tmp_path / "s.fa").write_text("".join(f">s|{'xy'[i % 2]}\nACGT\nRNU\n" for i in range(8)) + ">s|x\nNNNR\n")
    assert read_labelled(tmp_path / "s.fa", None, 0.25, 0).outcomes == {"used": 8, "reference_n": 1}
    (tmp_path / "s.fa").write_text(">s|x\nACGT\n>t|y\nACQ\n")
    with pytest.raises(FormatError, match=r"s\.fa:4: 'Q' is no nucleotide code"):
        read_labelled(tmp_path / "s.fa", None, 0.25, 0)


def test_small_sets_are_passed_over_more_often():
    """Thirteen steps an epoch leave 400 examples unlearned after five."""
    config = FinetuneConfig()
    assert [config.passes(n) for n in (1, 64, 400, 1600, 100_000)] == [50, 50, 20, 5, 5]
    assert FinetuneConfig(epochs=3).passes(1) == 3


def test_passes_that_were_made_are_told(folder, table, tmp_path):
    data = read_labelled(table, None, 0.9, 0)
    done = []
    config = FinetuneConfig(mode="frozen", kmer_bases=2, batch=1)
    result = finetune_model(load_model(folder, "cpu"), data, tmp_path / "out", config, advance=done.append)
    assert result["epochs"] == -(-250 // len(data.training))
    assert sum(done) == result["epochs"] * len(data.training)


def test_impossible_settings_are_refused():
    for changes in ({"mode": "half"}, {"epochs": 0}, {"kmer_bases": 9}):
        with pytest.raises(ConfigError):
            FinetuneConfig(**changes)
