"""Every script of the benchmarks can be started: what it takes from the package and from others is there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def imports(tree: ast.AST) -> list[tuple[str, str]]:
    """Names that are taken from modules of the package and of the benchmarks, in functions too."""
    own = {"titans_dna", *(path.stem for path in FOLDER.glob("*.py"))}
    return [
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in own
        for alias in node.names
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(path):
    for module, name in imports(ast.parse(path.read_text())):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
