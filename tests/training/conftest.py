"""A toy genome and runs of the real command line in processes of their own, which can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CONFIG = """{"width": 16, "layers": 1, "attention_heads": 2, "memory_heads": 2, "window_tokens": 16, "chunk_tokens": 8,
"word_counts": {"orders": [1, 2, 4], "repeat_order": 6, "repeat_rows": 1024}}"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path_factory.getbasetemp() / "training-cache"))


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """A folder with a genome of five contigs (N, soft mask), and a small configuration."""
    folder, random = tmp_path_factory.mktemp("toy"), np.random.default_rng(11)
    texts = ["".join(random.choice(list("ACGT"), 1500)) for _ in range(5)]
    texts[1] = texts[1][:400] + "N" * 60 + texts[1][460:900].lower() + texts[1][900:]
    (folder / "toy.fa").write_text("".join(f">c{i}\n{text}\n" for i, text in enumerate(texts)))
    (folder / "config.json").write_text(CONFIG)
    return folder


@pytest.fixture(scope="session")
def arguments(toy) -> list[str]:
    """A run of 24 steps, without its output."""
    return [
        "pretrain", "--fasta", str(toy / "toy.fa"), "--holdout", "c4", "--config", str(toy / "config.json"),
        "--steps", "24", "--lanes", "4", "--window-tokens", "32", "--evaluate-every", "6", "--save-every", "4",
        "--random-share", "0.25", "--first-window-tokens", "16", "--seed", "3", "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    def call(*words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "titans_dna", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return call
