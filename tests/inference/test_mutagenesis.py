"""All single-base changes equal what the single variants score; one pass gives every base's prediction."""

from __future__ import annotations

import gzip
import pathlib
import re
import resource

import h5py
import numpy as np
import pyBigWig
import pysam
import pytest
import torch

from titans_dna.errors import ConfigError, FormatError, OutputError
from titans_dna.genome.alphabet import reverse_complement
from titans_dna.genome.interval import Interval
from titans_dna.genome.shard import Shard
from titans_dna.inference.alleles import Allele
from titans_dna.inference.mutagenesis import mutate_region
from titans_dna.inference.score_variants import score_strands
from titans_dna.io.formats import sniff
from titans_dna.io.scores import open_scores
from titans_dna.jobs import work_folder
from titans_dna.jobs.merge_tracks import merge_tracks
from titans_dna.jobs.mutagenesis import mutate_regions, write_all_snvs
from titans_dna.report.logo import draw_effects


@pytest.fixture(scope="module")
def sequence(random_bases):
    text = bytearray(random_bases(150, 41))
    text[70:73] = b"NNN"
    text[40:50] = bytes(text[40:50]).lower()
    return bytes(text)


def test_effects_are_those_of_single_variants(model, sequence):
    region = Interval("chrA", 60, 85)
    effects = mutate_region(model, sequence, region, horizon_bp=20)
    assert effects.mean.shape == (25, 4)
    assert np.isnan(effects.mean[10:13]).all()
    for place in (60, 69, 73, 84):
        base = sequence[place : place + 1].upper()
        for column, alt in enumerate(b"ACGT"):
            allele = Allele(0, place, place + 1, bytes([alt]), place, place + 1)
            wanted = np.zeros(2) if bytes([alt]) == base else score_strands(model, sequence, [allele], horizon_bp=20)[0]
            assert effects.strands[place - 60, column] == pytest.approx(wanted, abs=1e-4)
    assert (np.nan_to_num(effects.mean) == 0).sum(1).tolist() == [4 if 10 <= at < 13 else 1 for at in range(25)]


def test_hdf5_and_resume(model, sequence, make_fasta, tmp_path):
    import h5py

    regions = [Interval("chrA", 5, 9, name="x"), Interval("chrA", 145, 150)]
    with make_fasta({"chrA": sequence}) as fasta:
        found = mutate_regions(model, fasta, regions, tmp_path / "e.h5", horizon_bp=8)
        with pytest.raises(OutputError, match=r"Choose \.h5"):
            mutate_regions(model, fasta, regions, tmp_path / "e.tsv", horizon_bp=8)
        with pytest.raises(ConfigError, match="no region"):
            mutate_regions(model, fasta, [], tmp_path / "f.h5", horizon_bp=8)
        with h5py.File(tmp_path / "e.h5") as file:
            assert list(file) == ["chrA:146-150", "chrA:6-9"]
            group = file["chrA:6-9"]
            assert group["effects"][:] == pytest.approx(found[0].mean)
            assert b"".join(group["reference"][:]) == sequence[5:9].upper()
            assert (group.attrs["contig"], group.attrs["start"], group.attrs["end"]) == ("chrA", 5, 9)
            assert "sha256" in file.attrs["model"]


@pytest.fixture(scope="module")
def genome(make_fasta, sequence, random_bases):
    with make_fasta({"chrA": sequence, "chrB": random_bases(90, 2)}) as fasta:
        yield fasta


def plain_reading(model, sequence: bytes) -> np.ndarray:
    ids = torch.from_numpy(model.tokenizer.encode(sequence).astype(np.int64))
    with torch.inference_mode():
        return model.backbone(torch.cat([torch.tensor([model.bos]), ids[:-1]])[None])[0].log_softmax(-1).numpy()


def test_one_pass_predicts_every_base_on_both_strands(model, genome, sequence, tmp_path):
    """The reverse reading belongs to the same base, not to its neighbour (Evo 2's shift), and to its own letters."""
    write_all_snvs(model, genome, ["chrB", "chrA"], tmp_path / "s.tsv.gz")
    forward = plain_reading(model, sequence)
    reverse = plain_reading(model, reverse_complement(sequence))[::-1, ::-1]
    with pysam.TabixFile(str(tmp_path / "s.tsv.gz")) as table:
        assert list(table.contigs) == ["chrA", "chrB"]
        rows = [row.split("\t") for row in table.fetch("chrA")]
        assert [int(row[1]) for row in rows] == [at + 1 for at in range(150) if not 70 <= at < 73]
        for row in rows:
            at = int(row[1]) - 1
            assert row[2] == chr(sequence[at]).upper()
            assert [float(x) for x in row[3:]] == pytest.approx((forward[at] + reverse[at]) / 2, abs=2e-4)
        assert [row.split("\t")[1] for row in table.fetch("chrB", 10, 12)] == ["11", "12"]
    write_all_snvs(model, genome, ["chrA"], tmp_path / "f.bw", strands=(False,))
    for column, base in enumerate("ACGT"):
        with pyBigWig.open(str(tmp_path / f"f.{base}.bw")) as track:
            values = np.array(track.values("chrA", 0, 150))
        assert values[:70] == pytest.approx(forward[:70, column], abs=1e-4)
        assert np.isnan(values[70:73]).all()


@pytest.mark.parametrize("suffix", [".tsv.gz", ".tsv", ".parquet", ".bw", ".h5"])
def test_shards_of_a_pass_are_merged(model, genome, tmp_path, suffix):
    end = f".C{suffix}" if suffix == ".bw" else suffix
    write_all_snvs(model, genome, ["chrA", "chrB"], tmp_path / f"one{suffix}")
    for index in (1, 2, 3):
        write_all_snvs(model, genome, ["chrA", "chrB"], tmp_path / f"p{index}{suffix}", shard=Shard(index, 3))
    merged = tmp_path / f"all{end}"
    assert sniff(tmp_path / f"p1{end}").holds == ("all-SNVs" if suffix == ".tsv.gz" else "tracks")
    assert merge_tracks([tmp_path / f"p{index}{end}" for index in (3, 1, 2)], merged) == 2
    one = tmp_path / f"one{end}"
    if suffix in (".bw", ".tsv"):
        assert one.read_bytes() == merged.read_bytes()
    elif suffix == ".parquet":
        assert [*map(repr, open_scores(one).rows())] == [*map(repr, open_scores(merged).rows())]
    elif suffix == ".h5":
        with h5py.File(one) as first, h5py.File(merged) as second:
            for name in ("chrA/A", "chrA/T", "chrB/G"):
                np.testing.assert_array_equal(first[name][:], second[name][:])
    else:
        first, second = (gzip.decompress(path.read_bytes()).splitlines() for path in (one, merged))
        assert [row for row in first if row[:2] != b"##"] == [row for row in second if row[:2] != b"##"]
        assert not [row for row in second if row.startswith((b"##shard", b"##contigs"))]
        with pysam.TabixFile(str(merged)) as table:
            assert [row.split("\t")[1] for row in table.fetch("chrB", 10, 12)] == ["11", "12"]


def test_shards_of_a_pass_are_merged_without_their_index(model, genome, tmp_path):
    paths = [tmp_path / f"p{index}.tsv.gz" for index in (1, 2)]
    for index, path in enumerate(paths, start=1):
        write_all_snvs(model, genome, ["chrA", "chrB"], path, shard=Shard(index, 2))
        path.with_name(f"{path.name}.tbi").unlink()
    assert merge_tracks(paths, tmp_path / "all.tsv.gz") == 2
    with pysam.TabixFile(str(tmp_path / "all.tsv.gz")) as table:
        assert list(table.contigs) == ["chrA", "chrB"]
    with pytest.raises(OutputError, match=r"all\.tsv: has another ending than the shards\. Shards in \.tsv\.gz can"):
        merge_tracks(paths, tmp_path / "all.tsv")
    write_all_snvs(model, genome, ["chrA", "chrB"], tmp_path / "p2.tsv", shard=Shard(2, 2))
    with pytest.raises(FormatError, match=r"p2\.tsv: is not \.tsv\.gz as p1\.tsv\.gz is"):
        merge_tracks([paths[0], tmp_path / "p2.tsv"], tmp_path / "x.tsv.gz")
    for damage in (slice(-30), slice(200)):
        paths[1].write_bytes(paths[1].read_bytes()[damage])
        with pytest.raises(FormatError, match="cut off"):
            merge_tracks(paths, tmp_path / "x.tsv.gz")
    assert not list(tmp_path.glob("x*"))
    assert not (tmp_path / "all.tsv").exists()


@pytest.mark.parametrize("suffix", [".tsv.gz", ".tsv", ".parquet", ".bw", ".h5"])
def test_a_contig_without_bases_is_no_trouble(model, make_fasta, random_bases, tmp_path, suffix):
    with make_fasta({"chrA": random_bases(30, 2), "none": b"", "chrB": random_bases(20, 3)}) as fasta:
        for path, shard in (("one", Shard(1, 1)), ("p1", Shard(1, 2)), ("p2", Shard(2, 2))):
            write_all_snvs(model, fasta, fasta.contigs.names, tmp_path / f"{path}{suffix}", shard=shard)
    end = f".A{suffix}" if suffix == ".bw" else suffix
    assert merge_tracks([tmp_path / f"p{index}{end}" for index in (1, 2)], tmp_path / f"all{end}") == 3
    if suffix == ".h5":
        with h5py.File(tmp_path / "one.h5") as one, h5py.File(tmp_path / "all.h5") as merged:
            assert one["none/A"].shape == merged["none/A"].shape == (0,)


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_pass_that_stops_goes_on_to_the_same_bytes(model, genome, tmp_path, monkeypatch, stop):
    from titans_dna.inference import mutagenesis

    real = mutagenesis.stream_bases
    monkeypatch.setattr(mutagenesis, "stream_bases", lambda *a, **k: real(*a, **k, piece_tokens=50))
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    output = tmp_path / "s.tsv.gz"
    write_all_snvs(model, genome, ["chrA", "chrB"], output)
    wanted = output.read_bytes()
    output.unlink()
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
            write_all_snvs(model, genome, ["chrA", "chrB"], output)
    assert not output.exists()
    assert list(tmp_path.glob("*.work/*"))
    write_all_snvs(model, genome, ["chrA", "chrB"], output, resume=True)
    assert output.read_bytes() == wanted


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_picture(tmp_path, suffix):
    effects = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    effects[3] = np.nan
    for name in ("one", "two"):
        draw_effects(tmp_path / f"{name}{suffix}", "title", 101, b"ACGNACGTTTGA", effects)
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert len(one) > 5000
    if suffix == ".svg":
        assert one.count(b'style="fill: #2a9d4f"') >= 3  # as many A
        dots = re.search(r'id="PathCollection_1">(.*?)</g>', one.decode(), re.DOTALL)
        assert dots[1].count("<use ") == 11  # one on each known base of the reference
    with pytest.raises(OutputError, match=r"Choose \.png"):
        draw_effects(tmp_path / "x.gif", "", 1, b"A", effects[:1])
    with pytest.raises(OutputError, match="cannot show 2,001 bases"):
        draw_effects(tmp_path / "x.png", "", 1, b"A" * 2001, np.zeros((2001, 4)))


def test_a_long_picture_is_as_wide_as_a_page(tmp_path):
    for bases in (80, 81, 400):
        draw_effects(tmp_path / "x.svg", "", 1, b"ACGT" * (bases // 4) + b"A" * (bases % 4), np.ones((bases, 4)))
        width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', (tmp_path / "x.svg").read_text()).groups()
        assert float(width) / 72 < 11
        assert float(height) / 72 == pytest.approx(0.5 + 3.7 * -(-bases // 80), abs=0.01)


def test_more_contigs_than_a_process_may_open_files(model, make_fasta, random_bases, tmp_path):
    names = [f"k{number}" for number in range(40)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    with make_fasta({name: random_bases(20, number) for number, name in enumerate(names)}) as fasta:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 25, limits[1]))
        try:
            write_all_snvs(model, fasta, names, tmp_path / "s.tsv.gz")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with pysam.TabixFile(str(tmp_path / "s.tsv.gz")) as table:
        assert list(table.contigs) == names
