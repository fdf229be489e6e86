"""Tracks along contigs: what the memories of each layer do, in every format, and the same after a stop."""

from __future__ import annotations

import math
from dataclasses import replace

import h5py
import numpy as np
import pyBigWig
import pytest
import torch

from titans_dna.errors import FormatError, OutputError
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import Shard
from titans_dna.inference import score_regions
from titans_dna.inference.placing import PlacedRegion
from titans_dna.inference.score_regions import score_contig_regions, track_kinds
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.jobs import work_folder
from titans_dna.jobs.merge_scores import merge_scores
from titans_dna.jobs.merge_tracks import merge_tracks
from titans_dna.jobs.regions import RegionOutputs, score_region_file
from titans_dna.model.memory import NeuralMemory

BASES = 140


@pytest.fixture(autouse=True)
def pieces(monkeypatch):
    real = score_regions.stream_bases
    monkeypatch.setattr(score_regions, "stream_bases", lambda *a, **k: real(*a, **k, piece_tokens=45))


@pytest.fixture(scope="module")
def genome(make_fasta, random_bases):
    text = bytearray(random_bases(BASES, 51))
    text[60:64] = b"NNNN"
    with make_fasta({"chrA": bytes(text), "chrB": random_bases(80, 52), "chrC": b"N" * 30}) as fasta:
        yield fasta


def by_hand(model, sequence: bytes) -> dict[str, np.ndarray]:
    """Every track from one call, with the gates taken at each memory's input."""
    ids = model.tokenizer.encode(sequence)
    inputs = torch.from_numpy(np.concatenate([[model.bos], ids]).astype(np.int64))[None]
    seen: dict[int, list[torch.Tensor]] = {}
    handles = []
    for layer, block in enumerate(model.backbone.blocks, start=1):
        for module in block.modules():
            if isinstance(module, NeuralMemory):
                hook = lambda m, x, y, at=layer: seen.setdefault(at, []).append(  # noqa: E731
                    torch.stack([y.surprise.mean(-1), m.gate(x[0]).forgetting.flatten(2).mean(-1)])
                )
                handles.append(module.register_forward_hook(hook))
    with torch.inference_mode():
        out = model.backbone.stream(inputs)
    for handle in handles:
        handle.remove()
    log_p = out.logits[0, :-1].log_softmax(-1).double().numpy()
    known = ids < 4
    tracks = {"surprise": out.surprise[0, 1:].numpy(), "entropy_bits": -(np.exp(log_p) * log_p).sum(1) / math.log(2)}
    tracks["log_likelihood"] = log_p[np.arange(len(ids)), np.where(known, ids, 0)]
    for layer, parts in seen.items():
        both = torch.cat(parts, 2)[:, 0, 1:].numpy()
        tracks[f"surprise_layer{layer}"], tracks[f"forgetting_layer{layer}"] = both
    return {kind: np.where(known, values, np.nan) for kind, values in tracks.items()}


@pytest.mark.parametrize("block", ["mag", "mac", "window"])
def test_tracks_equal_one_plain_reading(make_model, genome, block):
    model = make_model(block=block, segment_tokens=24)
    sequence = genome.sequence("chrA")
    tracks = {kind: np.full(BASES, np.nan, np.float32) for kind in track_kinds(model.backbone)}
    (score,) = score_contig_regions(model, sequence, [Interval("chrA", 0, BASES)], tracks=tracks)
    wanted = by_hand(model, sequence)
    assert set(tracks) == set(wanted)
    assert len(tracks) == (3 if block == "window" else 7)
    for kind, values in wanted.items():
        assert tracks[kind] == pytest.approx(values, abs=1e-4, nan_ok=True), kind
    assert score.entropy_bits == pytest.approx(np.nanmean(wanted["entropy_bits"]), abs=1e-5)
    if block != "window":
        assert 0 < np.nanmean(tracks["forgetting_layer1"]) < 1
        both = (tracks["surprise_layer1"] + tracks["surprise_layer2"]) / 2
        assert both == pytest.approx(tracks["surprise"], abs=1e-5, nan_ok=True)


def test_only_layers_with_a_memory_have_tracks_and_the_surprise_is_theirs(make_model, genome):
    model, sequence = make_model(layers=3, memory_layers=(2,)), genome.sequence("chrA")
    tracks = {kind: np.full(BASES, np.nan, np.float32) for kind in track_kinds(model.backbone)}
    assert set(tracks) == {"log_likelihood", "entropy_bits", "surprise", "surprise_layer2", "forgetting_layer2"}
    score_contig_regions(model, sequence, [Interval("chrA", 0, BASES)], tracks=tracks)
    assert tracks["surprise_layer2"] == pytest.approx(tracks["surprise"], abs=1e-6, nan_ok=True)
    assert np.nanmean(tracks["surprise"]) > 0


@pytest.fixture(scope="module")
def rows():
    regions = [("chrB", 5, 50), ("chrA", 0, BASES), ("chrC", 0, 30), ("chrA", 20, 40)]
    good = [PlacedRegion(asked=Interval(*r), contig=r[0], start=r[1], end=r[2], outcome="ok") for r in regions]
    lost = PlacedRegion(asked=Interval("chrZ", 1, 2), contig="", start=1, end=2, outcome="contig_unknown")
    return [*good[:2], lost, *good[2:]]


@pytest.mark.parametrize("suffix", [".bw", ".tsv.gz", ".parquet", ".h5"])
def test_every_format_holds_the_same_numbers(model, genome, rows, tmp_path, suffix):
    outputs = RegionOutputs(table=tmp_path / "r.tsv", tracks=tmp_path / f"t{suffix}")
    counts = score_region_file(model, genome, rows, outputs)
    assert counts == {"scored": 3, "contig_unknown": 1, "reference_n": 1}
    wanted = by_hand(model, genome.sequence("chrA"))
    for kind in track_kinds(model.backbone):
        if suffix == ".bw":
            with pyBigWig.open(str(tmp_path / f"t.{kind}.bw")) as track:
                found = np.array(track.values("chrA", 0, BASES))
        elif suffix == ".h5":
            with h5py.File(tmp_path / "t.h5") as file:
                found = file[f"chrA/{kind}"][:]
                assert np.isnan(file[f"chrC/{kind}"][:]).all()
        else:
            found = np.full(BASES, np.nan)
            for row in open_scores(tmp_path / f"t{suffix}").rows():
                if row["contig"] == "chrA":
                    found[int(row["start"])] = float(row[kind])
        assert found == pytest.approx(wanted[kind], abs=1e-4, nan_ok=True), kind


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".h5ad"])
def test_shards_of_regions_are_merged(model, genome, rows, tmp_path, suffix):
    paths = [tmp_path / f"p{index}{suffix}" for index in (1, 2)]
    for index, path in enumerate(paths, start=1):
        score_region_file(model, genome, rows, RegionOutputs(table=path), shard=Shard(index, 2))
    score_region_file(model, genome, rows, RegionOutputs(table=tmp_path / f"one{suffix}"))
    assert merge_scores(paths, tmp_path / f"all{suffix}") == 5
    one, merged = (list(open_scores(tmp_path / f"{name}{suffix}").rows()) for name in ("one", "all"))
    assert [repr(row) for row in one] == [repr(row) for row in merged]
    assert [row["contig"] for row in one] == ["chrB", "chrA", "chrZ", "chrC", "chrA"]
    if suffix == ".tsv":
        assert (tmp_path / "all.tsv").read_bytes() == (tmp_path / "one.tsv").read_bytes()


@pytest.mark.parametrize("suffix", [".bw", ".tsv.gz", ".parquet", ".h5"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_shards_of_tracks_are_merged(model, genome, rows, tmp_path, suffix, count):
    """More shards than contigs too; every number is that of one run, for bigWig and text to the last byte."""
    score_region_file(model, genome, rows, RegionOutputs(table=tmp_path / "r.tsv", tracks=tmp_path / f"one{suffix}"))
    for index in range(1, count + 1):
        outputs = RegionOutputs(table=tmp_path / f"r{index}.tsv", tracks=tmp_path / f"p{index}{suffix}")
        score_region_file(model, genome, rows, outputs, shard=Shard(index, count))
    for kind in track_kinds(model.backbone) if suffix == ".bw" else ("",):
        end = f".{kind}{suffix}" if kind else suffix
        shards = sorted(tmp_path.glob(f"p?{end}"), reverse=True)
        assert len(shards) == count
        assert all(sniff(path).holds == "tracks" for path in shards)
        assert merge_tracks(shards, tmp_path / f"all{end}") == 3
        one, merged = tmp_path / f"one{end}", tmp_path / f"all{end}"
        if suffix == ".h5":
            assert numbers(one) == numbers(merged)
        elif suffix == ".parquet":
            assert [repr(row) for row in open_scores(one).rows()] == [repr(row) for row in open_scores(merged).rows()]
        else:
            assert one.read_bytes() == merged.read_bytes()


def numbers(path) -> dict[str, str]:
    with h5py.File(path) as file:
        assert "contigs" not in file.attrs
        return {f"{contig}/{kind}": repr(data[:].tolist()) for contig in file for kind, data in file[contig].items()}


def test_tracks_of_different_runs_or_kinds_are_refused(model, genome, rows, tmp_path):
    def make(index, used=model):
        outputs = RegionOutputs(table=tmp_path / "r.tsv", tracks=tmp_path / f"p{index}.bw")
        score_region_file(used, genome, rows, outputs, shard=Shard(index, 2))
        return tmp_path / f"p{index}.surprise.bw"

    first, second = make(1), make(2)
    with pytest.raises(FormatError, match="tracks is 'entropy_bits'"):
        merge_tracks([first, tmp_path / "p2.entropy_bits.bw"], tmp_path / "x.bw")
    with pytest.raises(FormatError, match="shard 2/2 is missing"):
        merge_tracks([first], tmp_path / "x.bw")
    with pytest.raises(OutputError, match=r"Shards in \.bw can only be merged into \.bw"):
        merge_tracks([first, second], tmp_path / "x.h5")
    make(2, used=replace(model, weights_sha256="1" * 64))
    with pytest.raises(FormatError, match=r"model is .*different runs cannot be merged"):
        merge_tracks([first, second], tmp_path / "x.bw")
    first.with_name(first.name + ".json").unlink()
    with pytest.raises(FormatError, match="is no shard"):
        merge_tracks([first, second], tmp_path / "x.bw")
    assert not list(tmp_path.glob("x*"))


@pytest.mark.parametrize("suffix", [".bw", ".h5"])
def test_shards_of_other_regions_are_refused(model, genome, rows, tmp_path, suffix):
    """The other regions are as many, on the same contigs."""
    for index, asked in ((1, rows), (2, [rows[0], replace(rows[1], asked=Interval("chrA", 1, 9)), *rows[2:]])):
        outputs = RegionOutputs(table=tmp_path / f"r{index}.tsv", tracks=tmp_path / f"p{index}{suffix}")
        score_region_file(model, genome, asked, outputs, shard=Shard(index, 2))
    end = ".surprise.bw" if suffix == ".bw" else suffix
    with pytest.raises(FormatError, match=r"regions_sha256 is .*different runs cannot be merged"):
        merge_scores([tmp_path / f"r{index}.tsv" for index in (1, 2)], tmp_path / "x.tsv")
    with pytest.raises(FormatError, match=r"regions_sha256 is .*different runs cannot be merged"):
        merge_tracks([tmp_path / f"p{index}{end}" for index in (1, 2)], tmp_path / f"x{suffix}")


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_stopped_run_goes_on_to_the_same_bytes(model, genome, rows, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    outputs = RegionOutputs(table=tmp_path / "r.tsv", surprise=tmp_path / "s.bw", tracks=tmp_path / "t.tsv.gz")
    score_region_file(model, genome, rows, outputs)
    names = ("r.tsv", "s.bw", "t.tsv.gz")
    wanted = {name: (tmp_path / name).read_bytes() for name in names}
    for name in names:
        (tmp_path / name).unlink()
    calls = 0

    def save(self, *arguments, real=work_folder.StreamCheckpoint.save):
        nonlocal calls
        real(self, *arguments)
        calls += 1
        if calls == stop:
            raise _StopError

    with monkeypatch.context() as patch:
        patch.setattr(work_folder.StreamCheckpoint, "save", save)
        with pytest.raises(_StopError):
            score_region_file(model, genome, rows, outputs)
    assert [name for name in names if (tmp_path / name).exists()] == []
    score_region_file(model, genome, rows, outputs, resume=True)
    assert {name: (tmp_path / name).read_bytes() for name in names} == wanted


def test_a_track_of_no_known_format_is_refused(model, genome, rows, tmp_path):
    with pytest.raises(OutputError, match=r"no ending that score-regions --tracks writes\. Choose \.bw"):
        score_region_file(model, genome, rows, RegionOutputs(table=tmp_path / "r.tsv", tracks=tmp_path / "t.wig"))
