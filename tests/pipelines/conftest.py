"""Run snakemake in a folder; a `titans-dna` that only writes down how it was called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

#: Stands in for the real verbs: writes down how it was called, and whatever file it was asked for.
STAND_IN = """#!{python}
import sys, pathlib
verb, words = sys.argv[1], sys.argv[2:]
pathlib.Path("calls.txt").open("a").write(" ".join([verb, *words]) + "\\n")
if verb == "info":
    print("contig\\tlength\\tmd5")
    raise SystemExit
output = pathlib.Path(words[words.index("--output") + 1])
names = ["config.json", "model.safetensors", "tokenizer.json", "training.json", "log.csv", "splits.bed"]
names = {{"pretrain": names, "finetune": names[:2] + ["finetune.json"]}}.get(verb)
outputs = [output / name for name in names] if names else [output]
outputs += [output.with_name(output.name + ".tbi")] if output.suffix == ".gz" else []
for path in outputs:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(verb)
"""

Snakemake = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """An environment with caches of its own, without any proxy to reach a network."""
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    return kept | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}


@pytest.fixture
def snakemake(environment, project) -> Snakemake:
    """A function that runs snakemake in a folder, with a folder in front of PATH."""

    def run(folder: Path, *arguments: str | Path, path: Path | None = None, timeout: int = 300):
        own = environment | {"PATH": os.pathsep.join(filter(None, [path and str(path), environment["PATH"]]))}
        command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
        if "--snakefile" not in command and not (folder / "Snakefile").exists():
            command += ["--snakefile", str(project / "Snakefile")]
        return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def stand_in(tmp_path) -> Path:
    """A folder for PATH with a `titans-dna` that only writes down how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "titans-dna").write_text(STAND_IN.format(python=sys.executable))
    (folder / "titans-dna").chmod(0o755)
    return folder


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder with settings and a sample sheet of a user: `my.yaml`, `my.tsv`, and inputs without content."""
    for name in ("my.fa", "a.vcf", "a.bed", "b.bed", "b.bam", "c.fa", "c.vcf"):
        (tmp_path / name).touch()
    os.truncate(tmp_path / "my.fa", 6_000_000)  # large enough for two parts of each job
    (tmp_path / "my.yaml").write_text("samples: my.tsv\ngenome: {fasta: my.fa, holdout: [c 1, 2]}\n")
    (tmp_path / "my.tsv").write_text(
        "sample\tfasta\tvcf\tbed\treads\nA\t\ta.vcf\ta.bed\t\nB\t\t\tb.bed\tb.bam\nC\tc.fa\tc.vcf\t\t\n"
    )
    return tmp_path
