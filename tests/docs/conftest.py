"""The scripts of docs/, which are no package."""

from __future__ import annotations

import importlib.util
import sys

import pytest


@pytest.fixture(scope="session")
def script(project):
    """Import a script of docs/ by its name."""

    def load(name: str):
        folder = project / "docs"
        sys.path.insert(0, str(folder))
        try:
            specification = importlib.util.spec_from_file_location(f"docs_{name}", folder / f"{name}.py")
            module = importlib.util.module_from_spec(specification)
            sys.modules[specification.name] = module
            specification.loader.exec_module(module)
        finally:
            sys.path.remove(str(folder))
        return module

    return load
