"""The notebook shows the whole face, and every cell of it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

missing = [name for name in ("nbformat", "nbclient", "ipykernel") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (titans-dna[notebook])")


@pytest.fixture
def notebook(project):
    import nbformat

    return nbformat.read(project / "docs" / "notebooks" / "titans_dna.ipynb", as_version=4)


def test_it_has_ten_cells_of_code_and_shows_the_whole_face(notebook):
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 10
    text = "\n".join(cells)
    for name in ("log_likelihood", "embed", "score_variants", "score_regions", "mutagenesis", "finetune"):
        assert f"model.{name}(" in text
    for name in ("load_model", "open_fasta", "open_embeddings", "read_intervals", "Variant"):
        assert f"td.{name}(" in text
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what it prints depends on the model


RUN = """
import sys
import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient

source, target, folder = sys.argv[1:]
notebook, manager = nbformat.read(source, as_version=4), KernelManager()
manager.kernel_spec.argv[0] = sys.executable  # whatever Python an installed kernel names
NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}, km=manager).execute()
nbformat.write(notebook, target)
"""


def test_every_cell_runs(project, tmp_path):
    import nbformat

    source, target = project / "docs" / "notebooks" / "titans_dna.ipynb", tmp_path / "run.ipynb"
    path = os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | {
        "PYTHONPATH": path, "IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "TMPDIR": str(tmp_path), "JUPYTER_PLATFORM_DIRS": "1", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN, source, target, source.parent], env=settings, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    notebook = nbformat.read(target, as_version=4)
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    pictures = sum("image/png" in output.get("data", {}) for each in outputs for output in each)
    assert pictures == 5
    frames = [number for number, each in enumerate(outputs, 1) for o in each if "text/html" in o.get("data", {})]
    assert {3, 5, 9} <= set(frames)
    assert "True" in outputs[9][-2]["text"]
    five = "".join(str(o["data"]) for o in outputs[4] if "data" in o)
    for outcome in ("scored", "ref_mismatch", "contig_unknown", "beyond_contig", "malformed"):
        assert outcome in five
