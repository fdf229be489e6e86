"""The names of the package: all there, documented, and fetched when they are used, not before."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import titans_dna as td


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("torch", "pandas", "numpy", "numba", "pysam", "h5py", "matplotlib", "click")
    code = f"import sys, json, titans_dna as td; dir(td); print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    assert json.loads(python(code)) == []


def test_nouns_and_files_load_neither_torch_nor_pandas(fasta):
    code = (
        "import sys, titans_dna as td; td.Variant, td.Interval, td.errors, td.TitansDNAError; "
        f"td.open_fasta({str(fasta)!r}).close(); td.open_scores, td.open_embeddings, td.read_variants, "
        "td.read_intervals; print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    assert python(code).split() == ["False", "False"]


def test_a_model_that_gives_arrays_loads_no_pandas(model_folder):
    code = (
        f"import sys, titans_dna as td; m = td.load_model({str(model_folder)!r}, 'cpu'); "
        "m.log_likelihood('ACGT'), m.embed(['ACGT']); print('pandas' in sys.modules)"
    )
    assert python(code).strip() == "False"


def test_all_names_are_there_and_no_others():
    assert sorted(td.__all__) == td.__all__
    assert dir(td) == td.__all__
    for name in td.__all__:
        assert getattr(td, name) is not None
    assert set(td._HOMES) | set(td._MODULES) | {"__version__"} == set(td.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        td.load_modle  # noqa: B018


def test_every_name_and_method_is_documented():
    for name in td.__all__:
        thing = getattr(td, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(thing), name
    for name, method in inspect.getmembers(td.Model, inspect.isfunction):
        if not name.startswith("_"):
            text = inspect.getdoc(method)
            assert all(section in text for section in ("Parameters", "Returns", "Raises")), name
            for parameter in list(inspect.signature(method).parameters)[1:]:
                assert parameter in text, f"{name}: {parameter}"


def test_the_package_says_what_it_is_on_one_screen():
    assert len(td.__doc__.splitlines()) < 25
    assert "titans-dna[pandas]" in td.__doc__


def test_a_model_says_what_it_is(model):
    assert repr(model) == f"Model('toy', {model.parameters:,} parameters, cpu)"
    assert (model.name, model.device, model.width) == ("toy", "cpu", 16)


def test_without_pandas_one_line_says_how_to_get_it(model, fasta, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    calls = [
        lambda: model.score_variants("chrA:5:A:C", fasta),
        lambda: model.score_regions("chrA:5-9", fasta),
        lambda: model.mutagenesis("ACGT"),
    ]
    for call in calls:
        with pytest.raises(td.TitansDNAError, match=r"pip install 'titans-dna\[pandas\]'") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such-folder/here", "nowhere"])
def test_a_model_that_is_not_there(name):
    with pytest.raises(td.errors.InputMissing, match="no such model folder"):
        td.load_model(name)


def test_a_hub_name_is_asked_of_the_hub(model_folder, monkeypatch):
    asked = []

    def download(name, **_):
        asked.append(name)
        if name == "someone/gone":
            raise OSError("404 Client Error\nmore")
        return str(model_folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert td.load_model("someone/toy", "cpu").name == "toy"
    with pytest.raises(td.errors.InputMissing, match=r"someone/gone: .*404 Client Error"):
        td.load_model("someone/gone")
    assert asked == ["someone/toy", "someone/gone"]


def test_an_unknown_device(model_folder):
    with pytest.raises(td.errors.ConfigError, match="device"):
        td.load_model(model_folder, device="tpu")
