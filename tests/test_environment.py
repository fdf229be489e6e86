"""The places that name dependencies agree: pyproject.toml, environment.yml, constraints.txt, what is installed.

No environment is solved here: whether the conda channels can serve `environment.yml` is not shown by these tests.
"""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from titans_dna import __version__

CONDA_TO_PYPI = {"pytorch": "torch"}  # all other names are the same but for case and underscores
CONDA_ONLY = {"python", "pip"}
PYPI_ONLY = {"atheris"}  # a development tool that conda-forge does not have; its test is skipped without it
GPU_ONLY = {"triton"}  # pipelines/envs/titans-dna-gpu.yaml has it; on a CPU nothing needs it
MATCH_SPEC = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9_.-]*)(?: (?P<ranges>(?:>=|<=|==|!=|<|>)[0-9.]+(?:,(?:>=|<=|==|!=|<|>)[0-9.]+)*))?"
)


@pytest.fixture(scope="module")
def metadata(project_files) -> dict:
    return tomllib.loads(project_files["pyproject.toml"])["project"]


@pytest.fixture(scope="module")
def project_files(project) -> dict[str, str]:
    names = (
        "pyproject.toml",
        "environment.yml",
        "constraints.txt",
        "CITATION.cff",
        ".pre-commit-config.yaml",
    )
    return {name: (project / name).read_text() for name in names}


@pytest.fixture(scope="module")
def declared(metadata) -> dict[str, SpecifierSet]:
    """Ranges of pyproject.toml by PyPI name, extras included."""
    texts = metadata["dependencies"] + [text for extra in metadata["optional-dependencies"].values() for text in extra]
    requirements = [Requirement(text) for text in texts]
    own = canonicalize_name(metadata["name"])
    return {canonicalize_name(r.name): r.specifier for r in requirements if canonicalize_name(r.name) != own}


@pytest.fixture(scope="module")
def environment(project_files) -> dict:
    return yaml.safe_load(project_files["environment.yml"])


@pytest.fixture(scope="module")
def pins(project_files) -> dict[str, str]:
    lines = [line for line in project_files["constraints.txt"].splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): pinned for name, _, pinned in (line.partition("==") for line in lines)}


def parsed(spec: str) -> tuple[str, SpecifierSet]:
    match = MATCH_SPEC.fullmatch(spec)
    assert match, f"not a conda match spec: {spec!r}"
    return match["name"], SpecifierSet(match["ranges"] or "")


def test_channels_leave_out_the_defaults(environment):
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]


def test_conda_names_and_ranges_are_those_of_pyproject(environment, declared):
    specs = dict(parsed(spec) for spec in environment["dependencies"])
    assert len(specs) == len(environment["dependencies"])
    renamed = {
        canonicalize_name(CONDA_TO_PYPI.get(name, name)): r for name, r in specs.items() if name not in CONDA_ONLY
    }
    assert renamed == {name: ranges for name, ranges in declared.items() if name not in PYPI_ONLY | GPU_ONLY}


def test_the_gpu_environment_is_that_of_the_rules_and_what_a_gpu_needs(project, declared):
    folder = project / "pipelines" / "envs"
    plain, gpu = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("titans-dna", "titans-dna-gpu"))
    assert gpu["channels"] == plain["channels"]
    added = [spec for spec in gpu["dependencies"] if spec not in plain["dependencies"]]
    assert [spec for spec in plain["dependencies"] if spec not in gpu["dependencies"]] == ["pytorch >=2.6,<3"]
    assert [parsed(spec)[0] for spec in added] == ["pytorch-gpu", "triton"]
    assert parsed(added[1])[1] == declared["triton"]


def test_conda_python_is_that_of_pyproject(environment, metadata):
    specs = dict(parsed(spec) for spec in environment["dependencies"])
    assert specs["python"] == SpecifierSet(metadata["requires-python"])


@pytest.mark.parametrize("spec", ["torch>=2", "torch >= 2", "pytorch =>2", "https://example.org/a.conda", ""])
def test_the_parser_refuses_what_is_no_spec(spec):
    with pytest.raises(AssertionError):
        parsed(spec)


def test_constraints_are_plain_pins(project_files):
    lines = [line for line in project_files["constraints.txt"].splitlines() if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
    names = [canonicalize_name(line.partition("==")[0]) for line in lines]
    assert len(set(names)) == len(names)


def test_every_dependency_is_pinned_within_its_range(declared, pins):
    wrong = {name: pins.get(name) for name, r in declared.items() if name not in pins or not r.contains(pins[name])}
    assert not wrong
    assert pins["torch"] == "2.13.0"


def test_installed_versions_lie_within_the_ranges(declared, metadata):
    wrong = {}
    optional = {Requirement(t).name for extra in metadata["optional-dependencies"].values() for t in extra}
    for name, ranges in declared.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            if name not in map(canonicalize_name, optional):
                wrong[name] = "not installed"
            continue
        if not ranges.contains(installed):
            wrong[name] = f"{installed} is not {ranges}"
    assert not wrong


def test_citation_names_this_version_and_licence(project_files, metadata):
    citation = yaml.safe_load(project_files["CITATION.cff"])
    assert citation["version"] == __version__
    assert citation["license"] == metadata["license"]


def test_commit_hooks_are_local(project_files):
    repositories = yaml.safe_load(project_files[".pre-commit-config.yaml"])["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    assert all(hook["language"] == "system" for hook in repositories[0]["hooks"])


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_second_make_installs_nothing(project, tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(project / name, tmp_path)
        os.utime(tmp_path / name, (1_000, 1_000))
    (tmp_path / ".venv").mkdir()
    stamp = tmp_path / ".venv" / ".installed"
    stamp.touch()

    def planned(target: str) -> str:
        command = ["make", "--dry-run", target]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert "-m pip" not in planned("demo")
    assert "pytest" in planned("test")
    os.utime(stamp, (500, 500))
    lines = [line for line in planned("test").splitlines() if "-m pip" in line]
    assert lines[0].endswith("-c constraints.txt torch")
    assert lines[1].endswith("-c constraints.txt -e '.[dev]'")
