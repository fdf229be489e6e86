"""The conda recipe keeps the rules of bioconda, and the source distribution is the same each time it is built."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tarfile
from copy import deepcopy

import pytest
import yaml


def script(project, name: str):
    specification = importlib.util.spec_from_file_location(f"recipe_{name}", project / "recipe" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lint(project):
    return script(project, "lint")


@pytest.fixture(scope="module")
def recipe(project):
    return yaml.safe_load((project / "recipe/meta.yaml").read_text())


def test_the_recipe_has_no_fault_and_all_places_name_one_version(lint, recipe, project):
    assert list(lint.faults(recipe)) == []
    assert list(lint.places(project, recipe["package"]["version"])) == []


@pytest.mark.parametrize(
    ("section", "key", "value", "rule"),
    [
        ("package", "version", 0.1, "put it between quotes"),
        ("source", "path", "..", "uses_vcs_url"),
        ("source", "url", "https://example.org/titans_dna-9.tar.gz", "not that of the source distribution"),
        ("source", "sha256", "0" * 64, "missing_hash"),
        ("package", "version", "v0.1.0", "version_starts_with_v"),
        ("requirements", "run", ["setuptools >=77"], "uses_setuptools"),
        ("build", "number", None, "missing_build_number"),
        ("build", "noarch", "generic", "should_be_noarch_python"),
        ("build", "run_exports", [], "missing_run_exports"),
        ("build", "script", "python setup.py install", "setup_py_install_args"),
        ("requirements", "host", ["python"], "host needs python and pip"),
        ("requirements", "run", ["numpy>=1"], "version_constraints_missing_whitespace"),
        ("about", "home", "", "missing_home"),
        ("about", "summary", "x" * 121, "long_summary"),
        ("about", "license_file", "../LICENSE", "looked up in the source distribution"),
    ],
)
def test_each_rule_finds_its_fault(lint, recipe, section, key, value, rule):
    broken = deepcopy(recipe)
    broken[section][key] = value
    assert any(rule in fault for fault in lint.faults(broken))


def test_another_version_or_a_missing_label_is_found(lint, project, tmp_path):
    for name in ("titans_dna/version.py", "CITATION.cff", "Dockerfile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(project / name, tmp_path / name)
    assert len(list(lint.places(tmp_path, "99.0"))) == 3
    docker = (tmp_path / "Dockerfile").read_text()
    (tmp_path / "Dockerfile").write_text(docker.replace("image.licenses", "image.other"))
    version = re.search(r'image\.version="(.+?)"', docker)[1]
    assert list(lint.places(tmp_path, version)) == ["Dockerfile: the label licenses is missing or empty"]


def test_versions_are_written_where_they_stand(project):
    sdist = script(project, "sdist")
    for name, patterns in sdist.PLACES.items():
        text = (project / name).read_text()
        changed = sdist.written(text, patterns, "99.0.1")
        assert changed.count("99.0.1") == len(patterns)
        version = re.search(r'__version__ = "(.+)"', (project / "titans_dna/version.py").read_text())[1]
        assert sdist.written(changed, patterns, version) == text


def test_a_source_distribution_is_the_same_each_time_and_holds_the_package(project, tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    if subprocess.run(["git", "-C", project, "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("not a git checkout")
    sdist = script(project, "sdist")
    first, second = (sdist.build(project, tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "titans_dna/checkpoints/default/model.safetensors"} <= names
    assert not any(name.startswith("recipe") for name in names)
