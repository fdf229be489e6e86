"""The places that name dependencies agree: pyproject.toml, environment.yml, constraints.txt, what is installed.

The conda recipe and the container definitions too. No environment is solved and no image is built here: whether the
conda channels can serve the match specs is not shown by these tests.
"""

import os
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import rattler
import rattler.exceptions
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from titans_dna import __version__

CONDA_TO_PYPI = {"pytorch": "torch"}  # all other names are the same but for case and underscores
CONDA_ONLY = {"python", "pip", "pytorch-cpu", "pytorch-gpu"}  # the last two choose a build of pytorch
PYPI_ONLY = {"atheris", "tangermeme"}  # not on conda-forge as far as is known; their tests are skipped without them
NOT_CONDA = {"docs", "gpu"}  # extras that environment.yml leaves out; recipe/environment-gpu.yml has that of a GPU
CONDA_FILES = ("environment.yml", "recipe/environment-gpu.yml", "recipe/meta.yaml", "pipelines/envs/titans-dna.yaml")


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
    return ranges_of(metadata, metadata["optional-dependencies"])


def ranges_of(metadata: dict, extras: Iterable[str] = ()) -> dict[str, SpecifierSet]:
    texts = metadata["dependencies"] + [text for e in extras for text in metadata["optional-dependencies"][e]]
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
    """Parse a match spec as conda does, and return its name and range."""
    match = rattler.MatchSpec(spec, strict=True)
    assert match.build is None
    assert match.channel is None
    return match.name.normalized, SpecifierSet(str(match.version or ""))


def pypi_name(conda_name: str) -> str:
    return canonicalize_name(CONDA_TO_PYPI.get(conda_name, conda_name))


def specs_in(path: Path) -> list[str]:
    """All match specs of an environment or a recipe."""
    values = yaml.safe_load(path.read_text())
    lists = [values["dependencies"]] if "dependencies" in values else list(values["requirements"].values())
    return [spec for specs in lists for spec in specs if isinstance(spec, str)]


def test_channels_leave_out_the_defaults(environment):
    assert environment["channels"] == ["conda-forge", "bioconda", "nodefaults"]


def test_conda_names_and_ranges_are_those_of_pyproject(environment, metadata):
    specs = dict(parsed(spec) for spec in environment["dependencies"])
    assert len(specs) == len(environment["dependencies"])
    renamed = {pypi_name(name): ranges for name, ranges in specs.items() if name not in CONDA_ONLY}
    expected = ranges_of(metadata, set(metadata["optional-dependencies"]) - NOT_CONDA)
    assert renamed == {name: ranges for name, ranges in expected.items() if name not in PYPI_ONLY}


def test_conda_python_is_that_of_pyproject(environment, metadata):
    specs = dict(parsed(spec) for spec in environment["dependencies"])
    assert specs["python"] == SpecifierSet(metadata["requires-python"])


def test_the_gpu_environment_differs_in_the_build_of_pytorch_and_has_triton(environment, project, metadata):
    gpu = yaml.safe_load((project / "recipe/environment-gpu.yml").read_text())
    assert gpu["channels"] == environment["channels"]
    assert set(environment["dependencies"]) - set(gpu["dependencies"]) == {"pytorch-cpu"}
    added = dict(parsed(spec) for spec in set(gpu["dependencies"]) - set(environment["dependencies"]))
    assert added.pop("pytorch-gpu") == SpecifierSet("")
    wanted = [Requirement(text) for text in metadata["optional-dependencies"]["gpu"]]
    assert added == {requirement.name: requirement.specifier for requirement in wanted}


def test_the_recipe_is_that_of_pyproject(project, metadata):
    recipe = yaml.safe_load((project / "recipe/meta.yaml").read_text())
    assert recipe["package"] == {"name": metadata["name"], "version": __version__}
    assert recipe["build"]["noarch"] == "python"
    assert recipe["build"]["entry_points"] == [f"{k} = {v}" for k, v in metadata["scripts"].items()]
    assert recipe["about"]["license"] == metadata["license"]
    assert recipe["about"]["summary"] == metadata["description"]
    assert (project / "recipe" / recipe["about"]["license_file"]).is_file()
    run = dict(map(parsed, recipe["requirements"]["run"]))
    assert run.pop("python") == SpecifierSet(metadata["requires-python"])
    assert {pypi_name(name): ranges for name, ranges in run.items()} == ranges_of(metadata)
    everything = ranges_of(metadata, metadata["optional-dependencies"])
    for name, ranges in map(parsed, recipe["requirements"]["run_constrained"]):
        assert everything[pypi_name(name.removesuffix("-minimal"))] == ranges
    build = tomllib.loads((project / "pyproject.toml").read_text())["build-system"]["requires"]
    host = {name: str(ranges) for name, ranges in map(parsed, recipe["requirements"]["host"])}
    assert [f"setuptools{host['setuptools']}"] == build


@pytest.mark.parametrize("path", CONDA_FILES)
def test_installed_versions_match_the_specs_as_conda_reads_them(path, project):
    compared = 0
    for spec in specs_in(project / path):
        match = rattler.MatchSpec(spec, strict=True)
        name = match.name.normalized
        if name in CONDA_ONLY - {"python", "pip"}:
            continue
        try:
            found = platform.python_version() if name == "python" else version(pypi_name(name.removesuffix("-minimal")))
        except PackageNotFoundError:
            continue
        compared += 1
        if match.version:
            ranges = rattler.VersionSpec(str(match.version), strict=True)
            assert ranges.matches(rattler.Version(found.partition("+")[0])), f"{spec}: {found} is installed"
    assert compared > 15


@pytest.mark.parametrize("spec", ["pytorch =>2", "pytorch >=2,,<3", "python >=3.11<", ">=2", ""])
def test_the_parser_refuses_what_is_no_spec(spec):
    with pytest.raises(rattler.exceptions.InvalidMatchSpecError):
        parsed(spec)


def test_containers_install_the_lock_by_the_script_of_the_wheels_test(project, metadata):
    docker, apptainer = (project / "Dockerfile").read_text(), (project / "recipe/titans-dna.def").read_text()
    base = re.search(r"^FROM (.+)$", docker, re.MULTILINE)[1]
    assert re.search(r"^From: (.+)$", apptainer, re.MULTILINE)[1] == base
    assert SpecifierSet(metadata["requires-python"]).contains(re.search(r"python:([\d.]+)", base)[1])
    command = r"\./install\.sh python '\.\[(.+)\]'"
    for text in (docker, apptainer):
        for extra in re.search(command, text)[1].split(","):
            assert extra in metadata["optional-dependencies"]
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", docker, re.MULTILINE) for name in line.split()}
    assert copied == set(re.findall(r"^    (\S+) /opt/titans-dna/\S+$", apptainer, re.MULTILINE))
    assert {"constraints.txt", "recipe/install.sh", "titans_dna", metadata["readme"]} <= copied
    assert all((project / name).exists() for name in copied)
    kept = {line[1:] for line in (project / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == copied
    script = (project / "recipe/install.sh").read_text()
    assert re.findall(r'-c "\$constraints" (\S+)$', script, re.MULTILINE) == ["torch", '"$requirement"']
    assert "recipe/install.sh" in (project / "Makefile").read_text()


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
