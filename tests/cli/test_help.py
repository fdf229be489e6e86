"""Help is quick: it loads no torch, and every verb has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from titans_dna.cli import VERBS
from titans_dna.version import __version__


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_help_loads_nothing_heavy_and_is_quick():
    code = """
import json, sys, time
start = time.process_time()
import titans_dna.cli
from click.testing import CliRunner
result = CliRunner().invoke(titans_dna.cli.main, ["--help"])
spent = time.process_time() - start
heavy = [name for name in ("torch", "numpy", "numba", "pysam", "h5py", "rich", "matplotlib") if name in sys.modules]
print(json.dumps([result.exit_code, heavy, spent, result.output]))
"""
    code, heavy, spent, output = json.loads(python(code))
    assert code == 0
    assert heavy == []
    assert spent < 2.0  # of processor time; on a free machine it is a tenth of this
    for verb, summary in VERBS.items():
        assert re.search(rf"^  {verb}\s+{re.escape(summary)}", output, re.M), verb


def test_the_package_itself_loads_no_torch():
    assert python("import sys, titans_dna; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("module", ["titans_dna.cli", "titans_dna.recall", "titans_dna.model.config"])
def test_numba_is_loaded_where_something_is_recalled_and_not_before(module):
    assert python(f"import sys, {module}; print('numba' in sys.modules)").strip() == "False"


def test_a_copy_memory_loads_no_torch():
    code = (
        "import sys, numpy; from titans_dna.recall import *; "
        "recall(RecallState(memory=CopyMemory(RecallForm())), numpy.zeros(99, int)); "
        "print('numba' in sys.modules, 'torch' in sys.modules)"
    )
    assert python(code).split() == ["True", "False"]


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help(run, verb):
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"Usage: main {verb}" in result.output
    assert result.output.count("\n") > 5
    examples = [line.strip() for line in result.output.splitlines() if line.startswith("  titans-dna ")]
    for line in examples:  # a command that went on in a second line of the source has a gap here
        assert "    " not in line.partition("    #")[0], line


def test_version_and_unknown_verb(run):
    assert run("--version").output == f"titans-dna, version {__version__}\n"
    result = run("divine")
    assert result.exit_code == 2
    assert "No such command 'divine'. See main --help." in result.output


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("score-variant", "score-variants"), ("score_regions", "score-regions"), ("embd", "embed"),
        ("score", "score-variants or score-regions"), ("train", "train-tokenizer"), ("pre-train", "pretrain"),
    ],
)  # fmt: skip
def test_a_misspelt_verb_suggests_the_near_one(run, typed, suggested):
    result = run(typed, "--fasta", "x.fa")
    assert result.exit_code == 2
    assert f"No such command '{typed}'. Did you mean {suggested}?" in result.stderr


@pytest.mark.parametrize("verb", ["score-variants", "mutagenesis", "report"])
def test_a_misspelt_option_suggests_the_near_one(run, verb):
    result = run(verb, "--modell", "default")
    assert result.exit_code == 2
    assert "--modell" in result.stderr
    assert re.search("Did you mean .*--model", result.stderr)


def test_a_reader_that_leaves_early_is_no_error(genome):
    """``titans-dna info ... | head -1`` ends without a traceback."""
    command = f"{sys.executable} -c 'from titans_dna.cli import main; main()' info {genome} | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, env=os.environ, check=False)
    assert "Traceback" not in done.stderr
