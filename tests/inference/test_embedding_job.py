"""Whole jobs: rows against direct calls, odd regions, shards, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from titans_dna.errors import ConfigError, FormatError, OutputError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import WHOLE, Shard
from titans_dna.inference import embed
from titans_dna.inference.embed import EmbedOptions, embed_contig_regions
from titans_dna.inference.placing import place_interval, tiled
from titans_dna.inference.pooling import Pooling
from titans_dna.inference.streaming import stream_bases
from titans_dna.inference.windows import Context
from titans_dna.io.embeddings.merge import merge_embeddings
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.jobs import work_folder
from titans_dna.jobs.embeddings import (
    Storage,
    embedding_attributes,
    plan_embeddings,
    write_embeddings,
)

POOLINGS = ("mean", "max", "last", "center", "none", "bins:3")
LENGTHS = {"chrA": 400, "chrB": 150, "chrC": 220}


@pytest.fixture(scope="module")
def sequences(random_bases) -> dict[str, bytes]:
    made = {name: bytearray(random_bases(bases, seed)) for seed, (name, bases) in enumerate(LENGTHS.items())}
    made["chrA"][200:230] = b"N" * 30
    made["chrA"][50:70] = bytes(made["chrA"][50:70]).lower()
    return {name: bytes(text) for name, text in made.items()}


@pytest.fixture(scope="module")
def genome(make_fasta, sequences):
    return make_fasta(sequences)


@pytest.fixture(scope="module")
def asked() -> list[Interval]:
    """Unsorted, overlapping, duplicate, empty, beyond the end, of N only, on no contig; and random ones."""
    odd = [
        Interval("chrB", 100, 120, "-", "late"), Interval("chrA", 0, 400, "+", "whole"),
        Interval("chrA", 205, 215, "+", "gap"), Interval("chrA", 190, 240, "+", "around the gap"),
        Interval("chrB", 100, 120, "-", "late"), Interval("chrB", 140, 190, "+", "over the end"),
        Interval("chrB", 150, 160, "+", "behind the end"), Interval("chrA", 77, 77, "+", "empty"),
        Interval("chrZ", 1, 9, "+", "nowhere"), Interval("C", 219, 220, "+", "last base"),
        Interval("chrC", 0, 1, "+", "first base"), Interval("chrC", 5, 30, "+", "é" * 40),
    ]  # fmt: skip
    random = np.random.default_rng(8)
    for number in range(12):
        contig = str(random.choice(list(LENGTHS)))
        start = int(random.integers(0, LENGTHS[contig] - 1))
        odd.append(
            Interval(contig, start, min(LENGTHS[contig], start + int(random.integers(1, 90))), "+", f"r{number}")
        )
    return odd


@pytest.fixture(scope="module")
def run(model, genome):
    """One job from regions to file."""

    def call(path: Path, regions, options=None, **stored) -> dict[str, int]:
        options, storage = options or EmbedOptions(), Storage(**stored)

        placed = (place_interval(genome.contigs, region) for region in regions)
        plan = plan_embeddings(placed, genome.contigs.lengths, options)
        attributes = embedding_attributes(model, plan, storage.shard) | {"command": "test"}
        return write_embeddings(path, model, genome, plan, attributes, storage)

    return call


def content(path: Path) -> dict[str, object]:
    """Everything in a file but the time and the commands."""
    found: dict[str, object] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        found |= {f"@{key}": value for key, value in file.attrs.items() if key not in ("created", "command")}
    return found


def assert_same(one: Path, two: Path) -> None:
    first, second = content(one), content(two)
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert value.tobytes() == second[key].tobytes(), key
        else:
            assert np.array_equal(value, second[key]), key


def direct(model, sequence: bytes, start: int, end: int, options: EmbedOptions) -> np.ndarray:
    """The features of a region's bases in the order of the contig, by one plain call per strand; nan if unknown."""
    found = []
    for reverse in options.strands:
        text = sequence if options.context.kind == "contig" else sequence[start:end]
        first = start if options.context.kind == "contig" else 0
        ids = model.tokenizer.encode(reverse_complement(text) if reverse else text)
        inputs = torch.from_numpy(np.concatenate([[model.bos], ids]).astype(np.int64))[None]
        with torch.inference_mode():
            out = model.backbone.stream(inputs, inner=options.inner)
        values = options.features(out.hidden[0, 1:], [part[0, 1:] for part in out.inner])
        values = np.where((ids < 4)[:, None], values, np.nan)
        found.append((values[::-1] if reverse else values)[first : first + end - start])
    return np.stack(found)


def plainly(pooling: Pooling, strands: np.ndarray, options: EmbedOptions) -> np.ndarray:
    """The vectors of a region from the features of its bases (strands, bases, columns)."""
    vectors = []
    for values, reverse in zip(strands, options.strands, strict=True):
        read = values[::-1] if reverse else values
        known = np.isfinite(read).all(1)
        if pooling.kind == "none":
            vectors.append(values)
        elif pooling.kind == "bins":
            n, k = len(values), np.arange(pooling.bins)
            cells = zip(k * n // pooling.bins, -(-(k + 1) * n // pooling.bins), strict=True)
            means = [[c for c in values[low:high] if np.isfinite(c).all()] for low, high in cells]
            vectors.append(np.concatenate([np.mean(c, 0) if c else np.full(values.shape[1], np.nan) for c in means]))
        else:
            stop = len(read) // 2 + 1 if pooling.kind == "center" else len(read)
            used = read[:stop][known[:stop]]
            if not len(used):
                vectors.append(np.full(values.shape[1], np.nan))
            else:
                pick = {"mean": used.mean(0), "max": used.max(0)}.get(pooling.kind, used[-1])
                vectors.append(pick)
    return np.mean(vectors, 0)


@pytest.mark.parametrize(("pool", "context"), list(product(POOLINGS, ["contig", "region"])))
def test_rows_match_direct_calls(run, model, genome, sequences, asked, tmp_path, pool, context):
    options = EmbedOptions(
        pooling=Pooling.parse(pool),
        strand="both",
        context=Context.parse(context),
        layers=("final", "1") if pool == "mean" else ("0",),
    )
    run(tmp_path / "e.h5", asked, options)
    with open_embeddings(tmp_path / "e.h5") as found:
        assert [r.name for r in found.intervals()] == [r.name for r in asked]
        for row, (region, outcome) in enumerate(zip(asked, found.outcomes(), strict=True)):
            if outcome in ("contig_unknown", "beyond_contig", "empty"):
                assert np.isnan(found[row]).all()
                continue
            contig = genome.contigs.require(region.contig)
            end = min(region.end, LENGTHS[contig])
            wanted = plainly(options.pooling, direct(model, sequences[contig], region.start, end, options), options)
            assert found[row] == pytest.approx(wanted, abs=2e-5, nan_ok=True), region


def test_every_region_has_an_outcome_and_the_counts_add_up(run, asked, tmp_path):
    counts = run(tmp_path / "e.h5", asked)
    assert sum(counts.values()) == len(asked)
    with open_embeddings(tmp_path / "e.h5") as found:
        outcomes = dict(zip([r.name for r in asked], found.outcomes(), strict=True))
        said = {"late": "embedded", "gap": "reference_n", "around the gap": "embedded", "over the end": "clipped",
                "behind the end": "beyond_contig", "empty": "empty", "nowhere": "contig_unknown"}  # fmt: skip
        assert outcomes.items() >= said.items()
        back = found.intervals()
        assert [(r.start, r.end, r.strand) for r in back] == [(r.start, r.end, r.strand) for r in asked]
        assert back[9].contig == "chrC"  # asked for as C
        assert np.array_equal(found[0], found[4])  # a duplicate


@pytest.mark.parametrize("context", ["contig", "region"])
def test_other_regions_and_their_order_change_nothing(run, asked, tmp_path, context):
    options = EmbedOptions(strand="both", context=Context.parse(context))
    run(tmp_path / "all.h5", asked, options)
    run(tmp_path / "turned.h5", asked[::-1], options)
    run(tmp_path / "few.h5", asked[3:4], options)
    with open_embeddings(tmp_path / "all.h5") as one, open_embeddings(tmp_path / "turned.h5") as two:
        assert one.vectors() == pytest.approx(two.vectors()[::-1], abs=2e-6, nan_ok=True)
        with open_embeddings(tmp_path / "few.h5") as three:
            assert three[0] == pytest.approx(one[3], abs=2e-6)


def test_the_size_of_a_batch_changes_nothing(model, sequences):
    regions = [
        Interval("chrA", start, start + size) for start, size in zip(range(0, 330, 11), range(1, 31), strict=True)
    ]
    options = EmbedOptions(context=Context.parse("region"), strand="both")
    alone = embed_contig_regions(model, sequences["chrA"], regions, options, batch_tokens=1)
    for tokens in (40, 300, 5000):
        batched = embed_contig_regions(model, sequences["chrA"], regions, options, batch_tokens=tokens)
        assert batched == pytest.approx(alone, abs=2e-6, nan_ok=True)


@pytest.mark.parametrize(("pool", "context"), list(product(POOLINGS, ["contig", "region"])))
def test_both_strands_do_not_change_with_the_strand_of_the_input(model, sequences, pool, context):
    sequence, options = (
        sequences["chrA"],
        EmbedOptions(pooling=Pooling.parse(pool), strand="both", context=Context.parse(context)),
    )
    for start, end in ((0, 400), (190, 241), (10, 11), (300, 350)):
        one = embed_contig_regions(model, sequence, [Interval("c", start, end)], options)
        mirrored = [Interval("c", 400 - end, 400 - start)]
        two = embed_contig_regions(model, reverse_complement(sequence), mirrored, options)
        if pool.startswith("bins"):
            one, two = one.reshape(options.pooling.bins, -1), two.reshape(options.pooling.bins, -1)[::-1]
        assert one == pytest.approx(two[::-1] if pool == "none" else two, abs=2e-6, nan_ok=True)


def test_lower_case_is_read_as_upper_case(model, sequences):
    options, region = EmbedOptions(), [Interval("chrA", 40, 90)]
    one = embed_contig_regions(model, sequences["chrA"], region, options)
    assert np.array_equal(one, embed_contig_regions(model, sequences["chrA"].upper(), region, options))


@pytest.mark.parametrize(
    ("pool", "context", "count"),
    [("mean", "contig", 3), ("mean", "contig", 1), ("none", "contig", 2), ("bins:2", "region", 4)],
)
def test_merged_shards_equal_one_run(run, asked, tmp_path, pool, context, count):
    options = EmbedOptions(pooling=Pooling.parse(pool), strand="both", context=Context.parse(context))
    run(tmp_path / "whole.h5", asked, options)
    shards = [tmp_path / f"s{i}.h5" for i in range(1, count + 1)]
    numbers = [run(path, asked, options, shard=Shard(i, count)) for i, path in enumerate(shards, 1)]
    assert sum(sum(n.values()) for n in numbers) == len(asked)
    for virtual in (False, True):
        assert merge_embeddings(shards[::-1], tmp_path / "merged.h5", virtual=virtual) == len(asked)
        assert_same(tmp_path / "merged.h5", tmp_path / "whole.h5")


def test_shards_of_other_regions_are_refused(run, asked, tmp_path):
    """As many, on the same contigs: the rows would add up."""
    for index, regions in ((1, asked), (2, asked[::-1])):
        run(tmp_path / f"s{index}.h5", regions, shard=Shard(index, 2))
    with pytest.raises(ConfigError, match=r"differs from .* in regions_sha256"):
        merge_embeddings([tmp_path / "s1.h5", tmp_path / "s2.h5"], tmp_path / "x.h5")


def test_tiles_cover_a_contig(genome):
    (whole,) = [place_interval(genome.contigs, Interval("chrB", 0, 150))]
    tiles = list(tiled([whole], 40, 30))
    assert [(t.start, t.end) for t in tiles] == [(0, 40), (30, 70), (60, 100), (90, 130), (120, 150)]


def test_half_precision_is_a_choice_and_never_turns_into_infinity(run, asked, tmp_path):
    run(tmp_path / "e.h5", asked, dtype="float16", compression="gzip")
    run(tmp_path / "f.h5", asked)
    with open_embeddings(tmp_path / "e.h5") as half, open_embeddings(tmp_path / "f.h5") as full:
        assert half.vectors().dtype == np.float16
        assert np.array_equal(half.vectors(), full.vectors().astype(np.float16), equal_nan=True)


def test_unknown_settings_are_refused(model):
    with pytest.raises(ConfigError, match="0, 1, 2"):
        EmbedOptions(layers=("3",)).check(model)
    for settings in ({"strand": "left"}, {"layers": ()}, {"layers": ("1", "1")}):
        with pytest.raises(ConfigError):
            EmbedOptions(**settings)


def test_the_same_command_gives_the_same_bytes(run, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    options = EmbedOptions(strand="both")
    for name in ("one.h5", "two.h5"):
        run(tmp_path / name, asked, options, compression="lzf")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "two.h5"]


def test_a_contig_that_was_changed_since_its_md5_was_taken_is_refused(model, make_fasta, sequences, tmp_path):
    with make_fasta(sequences) as genome:
        regions = [place_interval(genome.contigs, Interval("chrA", 100, 120))]
        plan = plan_embeddings(regions, genome.contigs.lengths, EmbedOptions())
        attributes = embedding_attributes(model, plan, WHOLE)
        for name in ("chrA", "chrB"):
            genome.md5(name)  # chrA is then no longer held
        before, text = genome.path.stat(), genome.path.read_bytes()
        genome.path.write_bytes(text[:110] + text[110:130][::-1] + text[130:])
        os.utime(genome.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(FormatError, match="chrA has changed while it was read"):
            write_embeddings(tmp_path / "e.h5", model, genome, plan, attributes, Storage())


def test_parts_of_a_stopped_run_are_taken_up(run, asked, tmp_path, monkeypatch):
    from titans_dna.jobs import embeddings as embedding_job

    path, plain, seen = tmp_path / "e.h5", embedding_job.embed_strand, []

    def stopping(model, sequence, *arguments, **settings):
        seen.append(len(sequence))
        if len(seen) == 3:
            raise KeyboardInterrupt
        yield from plain(model, sequence, *arguments, **settings)

    monkeypatch.setattr(embedding_job, "embed_strand", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(path, asked)
    assert not path.exists()
    assert len(list((tmp_path / "e.h5.work").glob("*.npz"))) == 2
    with pytest.raises(ConfigError, match="pooling"):
        run(path, asked, EmbedOptions(pooling=Pooling(kind="max")), resume=True)
    with pytest.raises(ConfigError, match="regions"):
        run(path, asked[::-1], resume=True)
    assert len(list((tmp_path / "e.h5.work").glob("*.npz"))) == 2  # nothing of it is lost
    run(path, asked, resume=True)
    assert seen == [400, 150, 220, 220]  # chrA and chrB were not read again
    run(tmp_path / "whole.h5", asked)
    assert_same(path, tmp_path / "whole.h5")
    assert not (tmp_path / "e.h5.work").exists()


@pytest.mark.parametrize("pool", POOLINGS)
def test_a_stream_that_stops_on_its_way_goes_on_from_there(run, asked, tmp_path, monkeypatch, pool):
    path, options, starts, stop = tmp_path / "e.h5", EmbedOptions(pooling=Pooling.parse(pool), strand="both"), [], 5

    def counted(*arguments, **settings):
        starts.append(settings["position"])
        return stream_bases(*arguments, **settings, piece_tokens=48)

    monkeypatch.setattr(embed, "stream_bases", counted)
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    run(tmp_path / "whole.h5", asked, options)
    with monkeypatch.context() as patch:
        saves = []

        def save(self, *arguments, real=work_folder.StreamCheckpoint.save):
            real(self, *arguments)
            saves.append(arguments[0])
            if len(saves) == stop:
                raise KeyboardInterrupt

        patch.setattr(work_folder.StreamCheckpoint, "save", save)
        with pytest.raises(KeyboardInterrupt):
            run(path, asked, options)
    starts.clear()
    for file in (tmp_path / "e.h5.work").glob("*.vectors"):
        file.write_bytes(file.read_bytes() + b"half a vec")  # what a killed writer leaves behind what was saved
    run(path, asked, options, resume=True)
    assert starts[0] == saves[-1] == 5 * 48
    assert_same(path, tmp_path / "whole.h5")


def test_two_runs_do_not_write_one_file(run, asked, tmp_path):
    with work_folder.WorkFolder(tmp_path / "e.h5", {}, resume=False):
        for resume in (True, False):
            with pytest.raises(OutputError, match="another run"):
                run(tmp_path / "e.h5", asked, resume=resume)


def test_what_is_no_file_is_refused_before_any_work(run, asked, tmp_path):
    for path in (tmp_path, Path("-")):
        with pytest.raises(OutputError, match="no ending that embed writes"):
            run(path, asked)


def test_no_region_at_all(run, tmp_path):
    for pool in ("mean", "none"):
        assert run(tmp_path / "e.h5", [], EmbedOptions(pooling=Pooling.parse(pool))) == {}
        with open_embeddings(tmp_path / "e.h5") as found:
            assert len(found) == len(found.vectors()) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_20_random_points_and_resumed_the_file_is_the_same(tmp_path):
    script = Path(__file__).with_name("kill_runs.py")
    settings = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, env=settings, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed, left = map(int, done.stdout.split())
    assert killed == 20
    assert left >= 5  # in as many runs there was something to go on with
    assert not list(tmp_path.glob("*/.partial-*"))  # what a killed run has left is gone


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("bases", [9_000, 2_500])
def test_a_full_disk_leaves_the_old_file_and_one_clear_line(model, make_fasta, random_bases, small_disk, bases):
    """The parts do not fit (9,000 bases of 16 numbers), or the parts fit and the file does not."""
    genome, options = make_fasta({"c": random_bases(bases, 3)}), EmbedOptions(pooling=Pooling(kind="none"))
    path = small_disk / "e.h5"
    path.write_text("old")
    region = [place_interval(genome.contigs, Interval("c", 0, bases))]
    plan = plan_embeddings(region, genome.contigs.lengths, options)
    attributes = embedding_attributes(model, plan, WHOLE)
    arguments = (path, model, genome, plan, attributes)
    with pytest.raises(OutputError, match="disk is full"):
        write_embeddings(*arguments, Storage())
    assert path.read_text() == "old"
    kept = sorted(p.name for p in small_disk.iterdir())
    if bases == 9_000:
        assert kept == ["e.h5"]
    else:
        assert kept == ["e.h5", "e.h5.work"]
        subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
        write_embeddings(*arguments, Storage(resume=True))
        with open_embeddings(path) as found:
            assert len(found) == 1
            assert np.isfinite(found[0]).all()
