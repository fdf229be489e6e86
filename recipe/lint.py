"""Check the conda recipe by the rules of bioconda that need no network, and that all places name one version.

    python recipe/lint.py         # prints one line for each fault, exit code 1 if there is one

Where a rule is a check of bioconda-utils, the name of the check stands in brackets. That the environment solves, that
the address answers and that the package builds is not checked here.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
INSTALL = "{{ PYTHON }} -m pip install . --no-deps --no-build-isolation --no-cache-dir -vv"
LABELS = ("title", "description", "version", "licenses", "url", "documentation", "authors", "base.name")


def faults(recipe: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with a recipe, in itself."""
    name, version = recipe["package"]["name"], recipe["package"]["version"]
    source, build, about = recipe.get("source", {}), recipe.get("build", {}), recipe.get("about", {})
    needed = recipe.get("requirements", {})
    if not re.fullmatch(r"[a-z0-9_.-]+", name):
        yield f"package: the name {name!r} has other letters than a-z, 0-9, _, . and -"
    if not isinstance(version, str):
        yield "package: the version is no text; put it between quotes"
    if str(version).startswith("v"):
        yield "package: the version begins with v [version_starts_with_v]"
    if set(source) & {"path", "git_url", "hg_url", "svn_url"} or not str(source.get("url", "")).startswith("https://"):
        yield "source: give the https address of a released archive [uses_vcs_url]"
    if not str(source.get("url", "")).endswith(f"/{name.replace('-', '_')}-{version}.tar.gz"):
        yield f"source: the address is not that of the source distribution of {version}"
    if not re.fullmatch(r"[0-9a-f]{64}", str(source.get("sha256", ""))) or not int(source["sha256"], 16):
        yield "source: sha256 is missing; run make sdist [missing_hash]"
    if not isinstance(build.get("number"), int):
        yield "build: number is missing [missing_build_number]"
    if build.get("noarch") != "python":
        yield "build: pure Python is noarch: python [should_be_noarch_python]"
    if build.get("skip"):
        yield "build: noarch skips nothing [should_not_be_noarch_skip]"
    if not build.get("run_exports"):
        yield "build: run_exports is missing [missing_run_exports]"
    if build.get("script") != INSTALL:
        yield f"build: the script is not {INSTALL!r} [setup_py_install_args]"
    host = [spec.split()[0] for spec in needed.get("host", ())]
    if not {"python", "pip"} <= set(host) or needed.get("build"):
        yield "requirements: host needs python and pip; build stays empty where nothing is compiled"
    if "setuptools" in {spec.split()[0] for spec in needed.get("run", ())}:
        yield "requirements: setuptools is not needed to run [uses_setuptools]"
    for spec in [*needed.get("host", ()), *needed.get("run", ())]:
        if re.search(r"^\S+[!~<=>]", spec.split()[0]):
            yield f"requirements: {spec!r} has no space before its range [version_constraints_missing_whitespace]"
    if not any(recipe.get("test", {}).get(kind) for kind in ("commands", "imports")):
        yield "test: there is none [missing_tests]"
    for key in ("home", "summary", "license"):
        if not about.get(key):
            yield f"about: {key} is missing [missing_{key}]"
    for key in ("license_family", "license_file"):
        if not about.get(key):
            yield f"about: {key} is missing"
    if len(about.get("summary", "")) > 120:
        yield "about: the summary is longer than 120 letters [long_summary]"
    if str(about.get("license_file", "")).startswith(".."):
        yield "about: license_file is looked up in the source distribution"


def places(project: Path, version: str) -> Iterator[str]:
    """Say which files name another version, and whether the labels of the image are whole."""
    code = (project / "titans_dna/version.py").read_text()
    if f'__version__ = "{version}"' not in code:
        yield f"recipe: the version is {version}, that of titans_dna/version.py another; run make sdist"
    if not re.search(rf"^version: {re.escape(version)}$", (project / "CITATION.cff").read_text(), re.MULTILINE):
        yield f"CITATION.cff: the version is not {version}; run make sdist"
    docker = (project / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', docker))
    yield from (f"Dockerfile: the label {label} is missing or empty" for label in LABELS if not labels.get(label))
    if labels.get("version") != version:
        yield f"Dockerfile: the label of the version is not {version}; run make sdist"
    if f"FROM {labels.get('base.name', '').removeprefix('docker.io/library/')}\n" not in docker:
        yield "Dockerfile: the label base.name is not the image of FROM"


def built(project: Path, recipe: dict[str, Any]) -> Iterator[str]:
    """Say whether the source distribution in dist/, if there is one, has another checksum."""
    archive = project / "dist" / str(recipe["source"].get("url", "")).rpartition("/")[2]
    if archive.is_file() and hashlib.sha256(archive.read_bytes()).hexdigest() != recipe["source"]["sha256"]:
        yield f"source: sha256 is not that of dist/{archive.name}; run make sdist"


def main() -> int:
    """Check the recipe of this checkout."""
    recipe = yaml.safe_load((PROJECT / "recipe/meta.yaml").read_text())
    found = [*faults(recipe), *places(PROJECT, recipe["package"]["version"]), *built(PROJECT, recipe)]
    print("\n".join(found) or "recipe/meta.yaml: no fault")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
