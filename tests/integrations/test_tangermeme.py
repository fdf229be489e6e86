"""A one-hot module with the real tangermeme: predict, marginalize, ablate, saturation mutagenesis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import titans_dna as td
from titans_dna.errors import ConfigError
from titans_dna.integrations.modisco import export
from titans_dna.integrations.tangermeme import OneHotModel, ids_of

BASES = 30


@pytest.fixture(scope="module")
def model():
    return td.load_model("default", device="cpu")


@pytest.fixture(scope="module")
def sequences() -> list[str]:
    random = np.random.default_rng(4)
    return ["".join(random.choice(list("ACGT"), BASES)) for _ in range(3)]


@pytest.fixture(scope="module")
def one_hot(sequences) -> torch.Tensor:
    return torch.stack([torch.eye(4)[["ACGT".index(base) for base in text]].T for text in sequences])


def test_the_module_gives_what_the_model_gives(model, sequences, one_hot):
    with torch.no_grad():
        found = OneHotModel(model)(one_hot)[:, 0]
        features = OneHotModel(model, output="embedding", both_strands=False)(one_hot)
    wanted = [values.sum() for values in model.log_likelihood(sequences, strand="both")]
    assert found.tolist() == pytest.approx(wanted, abs=1e-3)
    assert features.numpy() == pytest.approx(model.embed(sequences, strand="forward"), abs=1e-4)


def test_columns_of_zeros_are_n_and_anything_else_is_refused(model, one_hot):
    gaps = one_hot.clone()
    gaps[:, :, 5] = 0
    assert ids_of(gaps)[:, 5].tolist() == [4, 4, 4]
    assert torch.isfinite(OneHotModel(model)(gaps)).all()
    with pytest.raises(ConfigError, match="neither one-hot nor zero"):
        ids_of(one_hot * 0.5)
    with pytest.raises(ConfigError, match=r"shape \(3, 30, 4\); give \(sequences, 4, bases\)"):
        ids_of(one_hot.transpose(1, 2))
    with pytest.raises(ConfigError, match="output is 'x'"):
        OneHotModel(model, output="x")


def test_a_classifier_gives_its_logits(model, sequences, one_hot, tmp_path):
    texts = ["ACGT" * 8, "GGCC" * 8, "ACGA" * 8, "GGCG" * 8] * 3
    classifier = model.finetune(texts, ["a", "b"] * 6, mode="frozen", epochs=2, folder=tmp_path / "c")
    with torch.no_grad():
        found = OneHotModel(classifier, both_strands=False)(one_hot)
    assert found.shape == (3, 2)


@pytest.mark.filterwarnings("ignore")
def test_the_verbs_of_tangermeme(model, sequences, one_hot):
    pytest.importorskip("tangermeme", reason="needs tangermeme")
    from tangermeme.ablate import ablate
    from tangermeme.marginalize import marginalize
    from tangermeme.predict import predict
    from tangermeme.saturation_mutagenesis import saturation_mutagenesis

    module = OneHotModel(model, both_strands=False).eval()
    told = predict(module, one_hot, device="cpu")
    assert torch.allclose(told, module(one_hot), atol=1e-4)
    before, after = marginalize(module, one_hot, "TATAAA", device="cpu")[:2]
    written = [text[:12] + "TATAAA" + text[18:] for text in sequences]
    wanted = [values.sum() for values in model.log_likelihood(written)]
    assert torch.allclose(before, told, atol=1e-4)
    assert after.flatten().tolist() == pytest.approx(wanted, abs=1e-3)
    assert ablate(module, one_hot, 10, 16, n=2, random_state=0, device="cpu")[1].shape[:2] == (3, 2)
    raw = saturation_mutagenesis(module, one_hot[:1], start=3, end=6, raw_outputs=True, device="cpu")
    change = sequences[0][:4] + "ACGT"[0] + sequences[0][5:]
    assert float(raw[1][0, 0, 1].flatten()[0]) == pytest.approx(float(model.log_likelihood(change).sum()), abs=1e-3)


def test_changes_of_regions_become_the_inputs_of_modisco(project, tmp_path):
    from click.testing import CliRunner

    from titans_dna.cli import main

    regions = ["--region", "chrA:1001-1040", "--region", "chrB:2001-2040"]
    output = tmp_path / "effects.h5"
    given = [
        "mutagenesis",
        "--fasta",
        str(project / "data/demo.fa"),
        "--context",
        "window:2048",
        "--output",
        str(output),
    ]
    done = CliRunner().invoke(main, [*given, *regions])
    assert done.exit_code == 0, done.output
    assert export(output, tmp_path / "ohe.npz", tmp_path / "shap.npz") == 2
    one_hot, values = (np.load(tmp_path / name)["arr_0"] for name in ("ohe.npz", "shap.npz"))
    assert one_hot.shape == values.shape == (2, 4, 40)
    assert (one_hot.sum(1) == 1).all()
    assert values.sum(1) == pytest.approx(np.zeros((2, 40)), abs=1e-4)
    rows = [row for row in td.open_scores(output) if row["contig"] == "chrB" and row["position"] == 2003]
    wanted = np.zeros(4)
    for row in rows:
        wanted["ACGT".index(row["alt"])] = row["llr"]
    assert values[1, :, 2] == pytest.approx(wanted - wanted.mean(), abs=1e-4)
    longer = [*regions[:2], "--region", "chrB:2001-2041"]
    done = CliRunner().invoke(main, [*given, *longer])
    assert done.exit_code == 0, done.output
    with pytest.raises(ConfigError, match="regions have 40 to 41 bases; TF-MoDISco takes regions of one length"):
        export(output, tmp_path / "ohe.npz", tmp_path / "shap.npz")
