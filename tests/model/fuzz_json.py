"""Reads damaged `config.json` and `tokenizer.json`: run by `test_hostile_config.py` for some, or by hand for many.

    python tests/model/fuzz_json.py RUNS [SEED]

Each run changes values or bytes of the settings of a small model, and reads them. Anything but a model, a tokenizer or
an error of the tree in one line, more than 5 seconds or more than 2 GB is a fault; the exit code is then 1.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from toy import CONFIG, RECALL

from titans_dna.errors import TitansDNAError
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import load_checkpoint, save_checkpoint
from titans_dna.tokenizers import BpeTokenizer, KmerTokenizer, NucleotideTokenizer, load_tokenizer, read_tokenizer

SECONDS, BYTES = 5, 2 << 30
ODD = [None, True, 0, -1, 2, 7, 64.0, 1e308, float("nan"), float("inf"), 10**5, 10**9, 1 << 62, 10**400, "", "mag", "x",
       "\ud800", [], [3], [[3]], {}, {"x": 1}, ["A", "C"], "1" * 8]  # fmt: skip


def change(value: Any, generator: random.Random) -> Any:
    """Return a copy of JSON in which one value or key is another."""
    if not isinstance(value, dict | list) or not value or generator.random() < 0.1:
        return generator.choice(ODD)
    if isinstance(value, list):
        at = generator.randrange(len(value))
        return [*value[:at], *([change(value[at], generator)] * generator.randrange(3)), *value[at + 1 :]]
    key = generator.choice(list(value))
    others = {name: part for name, part in value.items() if name != key}
    kind = generator.randrange(8)
    return others | ({} if not kind else {"odd": 1} if kind == 1 else {key: change(value[key], generator)})


def damage(value: Any, generator: random.Random) -> bytes:
    """Return the text of changed JSON, some bytes of which may be changed too."""
    for _ in range(generator.randint(1, 3)):
        value = change(value, generator)
    text = bytearray(json.dumps(value).encode())
    if generator.random() < 0.3:
        at = generator.randrange(len(text))
        text[at : at + generator.randrange(3)] = generator.choice([b"", b"\xff", b"[" * 10**5, b"9" * 5000, b'"', b"}"])
    return bytes(text)


def fuzz(runs: int, seed: int = 1) -> Counter[str]:
    """Return how often each end came; all but ``read`` and ``refused`` are faults."""
    ends: Counter[str] = Counter()
    generator = random.Random(seed)
    tokenizers = [NucleotideTokenizer(), KmerTokenizer(k=3), BpeTokenizer([("A", "C"), ("AC", "G")])]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "m")
        save_checkpoint(folder, Backbone(replace(CONFIG, recall=RECALL)), {"kind": "nucleotide"})
        config = json.loads((folder / "config.json").read_text())
        for number in range(runs):
            of_model = number % 2 == 0
            path = folder / "config.json" if of_model else Path(name, "tokenizer.json")
            path.write_bytes(damage(config if of_model else generator.choice(tokenizers).to_json(), generator))
            began = time.process_time()
            try:
                load_checkpoint(folder) if of_model else load_tokenizer(read_tokenizer(path).to_json())
                end = "read"
            except TitansDNAError as error:
                end = "refused" if "\n" not in str(error) else "an error of several lines"
            except Exception as error:
                end = f"{type(error).__name__}: {str(error)[:100]}"
            if time.process_time() - began > SECONDS:
                end = "took over 5 s"
            if end not in ("read", "refused"):
                sys.stderr.write(f"seed {seed} input {number}: {end}: {path.read_bytes()[:300]!r}\n")
            ends[end] += 1
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > max(BYTES, before):
        ends["took over 2 GB"] += 1
    return ends


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sys.stdout.writelines(f"{count:,}\t{end}\n" for end, count in found.most_common())
    raise SystemExit(bool(found.keys() - {"read", "refused"}))
