"""A config.json may say anything: it is one line within seconds, and no memory is taken for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from toy import CONFIG

from titans_dna.errors import CheckpointError
from titans_dna.model.backbone import Backbone
from titans_dna.model.checkpoint import load_checkpoint, read_backbone_config, save_checkpoint
from titans_dna.model.config import SIZES, BackboneConfig


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m", Backbone(CONFIG), {"kind": "nucleotide"})
    return tmp_path / "m"


HOSTILE = [
    ({"width": 10**9}, "width is 1000000000"),
    ({"width": 1 << 16}, "asks for at least"),
    ({"width": 64.0}, "width is 64.0; give a whole number"),
    ({"width": True}, "width is True"),
    ({"layers": 10**5}, "layers is 100000"),
    ({"layers": 1024, "width": 4096}, "asks for at least"),
    ({"layers": 10**4000}, "layers is a very large number"),
    ({"feed_forward": float("nan")}, "feed_forward is nan"),
    ({"feed_forward": float("inf")}, "feed_forward is inf"),
    ({"feed_forward": 10**400}, "feed_forward is a very large number; give a number up to 1024"),
    ({"context_orders": [10**9]}, "context_orders is 1000000000; give a whole number up to 1,024"),
    ({"initial_step": "0.1"}, "initial_step is '0.1'"),
    ({"word_counts": {"repeat_rows": 1 << 50}}, "repeat_rows is 1125899906842624"),
    ({"word_counts": {"repeat_rows": 1 << 32}}, "asks for at least"),
    ({"stem_tokens": 10**8}, "stem_tokens is 100000000"),
    ({"vocabulary": 10**8}, "vocabulary is 100000000"),
    ({"vocabulary": 1 << 20}, "should have shape"),
    ({"context_orders": [14], "context_buckets": 1 << 28}, "asks for at least"),
    ({"context_orders": 3}, "context_orders is 3; give a list"),
    ({"context_orders": [[3]]}, "context_orders is a list"),
    ({"memory": 5}, "settings of MemoryForm are 5"),
    ({"memory": {"depth": None}}, "depth is None"),
    ({"memory": {"norm": 1}}, "norm is 1; give true or false"),
    ({"block": ["mag"]}, "block is a list; give text"),
    ({"further_memories": ["x"]}, "settings of MemoryLayout are 'x'"),
    ({"recall": {"words": "x"}}, "words is 'x'"),
    ({"odd\n": 1}, "unknown configuration key"),
]


@pytest.mark.parametrize(("changes", "said"), HOSTILE)
def test_values_that_no_model_has_are_refused_at_once(folder, changes, said):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "backbone": {**values["backbone"], **changes}}))
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=said) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[]", "5", "nul", '{"format_version": 1, "backbone": 5}']
)
def test_text_that_is_no_configuration_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    for read, path in ((load_checkpoint, folder), (read_backbone_config, folder / "config.json")):
        with pytest.raises(CheckpointError):
            read(path)


@pytest.mark.parametrize("name", SIZES)
def test_every_size_comes_back_from_json(name):
    assert BackboneConfig.from_dict(json.loads(json.dumps(SIZES[name].to_dict()))) == SIZES[name]


def test_damaged_settings_of_models_and_tokenizers_are_read_or_refused():
    script = Path(__file__).with_name("fuzz_json.py")
    done = subprocess.run([sys.executable, script, "300", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "\trefused\n" in done.stdout
    assert "\tread\n" in done.stdout
