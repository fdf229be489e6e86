"""A state on disk: every bit comes back, a stream goes on from it, and a damaged or foreign file is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from titans_dna.errors import CheckpointError, InputMissing, OutputError
from titans_dna.model.state import attach, map_tensors
from titans_dna.model.state_file import load_state, save_state


def tensors(state: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(state, lambda x: found.append(x) or x)
    return found


def test_every_bit_comes_back_and_the_stream_goes_on(model, ids, tmp_path):
    state = model.stream(ids[:, :21]).state
    path = tmp_path / "contig.safetensors"
    save_state(path, state, weights_sha256="abc")
    back = load_state(path, weights_sha256="abc")
    assert back.position_tokens == 21
    assert all(torch.equal(a, b) for a, b in zip(tensors(state), tensors(back), strict=True))
    back = attach(back, lambda row: ids[row, :21].numpy())
    assert torch.equal(model.stream(ids[:, 21:], back).hidden, model.stream(ids[:, 21:], state).hidden)
    assert [p.name for p in tmp_path.iterdir()] == ["contig.safetensors"]


def test_a_file_and_then_its_new_name_are_forced_to_the_disk(make_model, ids, tmp_path, monkeypatch):
    state, forced = make_model().stream(ids).state, []

    def fsync(number: int) -> None:
        place = Path(f"/proc/self/fd/{number}").readlink()
        forced.append((place, path.exists()))

    path = tmp_path / "state.safetensors"
    monkeypatch.setattr(os, "fsync", fsync)
    save_state(path, state)
    (file, named_before), (folder, named_after) = forced
    assert (file.parent, named_before) == (tmp_path, False)
    assert (folder, named_after) == (tmp_path, True)


def test_bad_files_are_refused(make_model, ids, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(InputMissing, match="no such state file"):
        load_state(path)
    save_state(path, make_model().stream(ids).state, weights_sha256="abc")
    with pytest.raises(CheckpointError, match="made by another model"):
        load_state(path, weights_sha256="abd")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04K\x01." + whole):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            load_state(path)
    for tree in ("{}", '{"class": "os.system", "fields": {}}', '{"tensor": "no"}', "[" * 100_000):
        save_file({"x": torch.zeros(1)}, path, metadata={"format_version": "1", "state": tree})
        with pytest.raises(CheckpointError, match="damaged"):
            load_state(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="format version"):
        load_state(path)
    with pytest.raises(OutputError, match="cannot write the state"):
        save_state(tmp_path / "no" / "folder", make_model().stream(ids).state)
