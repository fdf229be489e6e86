"""Names of contigs that HDF5 gives a meaning of its own come back as they are, from every file that has contigs."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from toy import cache  # noqa: F401 - a fixture

from titans_dna.cli import main
from titans_dna.io.disk.hdf5_metadata import contig_of, group_name
from titans_dna.io.embeddings.reader import open_embeddings
from titans_dna.io.scores import open_scores
from titans_dna.io.tables.track_set import write_tracks
from titans_dna.io.tables.track_set_reader import open_track_shard

NAMES = ("a", "a/b", "a/log_likelihood", "a%2Fb", "/", "//", ".", "..", "50%", "x/../y", "titans_dna_metadata", "chr1")


def call(*words: object) -> str:
    found = CliRunner().invoke(main, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return found.output


def test_every_name_has_a_group_of_its_own_and_the_usual_ones_keep_theirs():
    assert len({group_name(name) for name in NAMES}) == len(NAMES)
    assert not any("/" in group_name(name) or not group_name(name).strip(".") for name in NAMES)
    for name in ("chr1", "HLA-A*01:01", "gi|1|x", "chrUn_1.1"):
        assert group_name(name) == name


def test_tracks_come_back_by_name(tmp_path):
    lengths = {name: 5 + number for number, name in enumerate(NAMES)}
    shard = {"options": "kind=regions", "shard": "1/1", "contigs": str(lengths).replace("'", '"')}
    with write_tracks(tmp_path / "t.h5", lengths, ["log_likelihood", "surprise"], shard) as tracks:
        for number, (name, bases) in enumerate(lengths.items()):
            tracks.add(name, {kind: np.full(bases, number, np.float32) for kind in tracks.kinds})
    rows = list(open_scores(tmp_path / "t.h5").rows())
    assert {row["contig"]: row["surprise"] for row in rows} == {name: i for i, name in enumerate(NAMES)}
    found = open_track_shard(tmp_path / "t.h5")
    for number, name in enumerate(NAMES):
        found.check(name)
        array = np.zeros(lengths[name], np.float32)
        found.fill(name, 0, lengths[name], {"surprise": array})
        assert (array == number).all()


def test_tracks_of_files_that_were_made_before_are_still_read(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.attrs.update({"options": "kind=regions", "shard": "1/1", "contigs": '{"50%": 3}', "tracks": "surprise"})
        file.create_dataset("50%/surprise", data=np.ones(3, np.float32))
        assert contig_of("50%", file["50%"]) == "50%"
    assert [row["contig"] for row in open_scores(tmp_path / "t.h5").rows()] == ["50%"] * 3
    open_track_shard(tmp_path / "t.h5").check("50%")


@pytest.fixture
def fasta(tmp_path):
    bases = "".join(np.random.default_rng(1).choice(list("ACGT"), 300))
    path = tmp_path / "g.fa"
    path.write_text(f">a\n{bases}\n>a/b\n{bases[::-1]}{bases[:20]}\n>a%2Fb\n{bases[50:]}\n")
    return path


def test_all_verbs_give_the_true_names(fasta, tmp_path):
    regions = ("--region", "a/b:11-40", "--region", "a%2Fb:1-9", "--region", "a:5-20")
    call("score-regions", "--fasta", fasta, *regions, "--tracks", tmp_path / "t.h5", "--output", tmp_path / "r.h5")
    call("embed", "--fasta", fasta, *regions, "--output", tmp_path / "e.h5")
    call("mutagenesis", "--fasta", fasta, *regions, "--output", tmp_path / "m.h5")
    names = {"a", "a/b", "a%2Fb"}
    for name in ("t.h5", "r.h5", "m.h5"):
        assert {row["contig"] for row in open_scores(tmp_path / name).rows()} == names, name
        call("info", tmp_path / name)
    call("convert", tmp_path / "e.h5", tmp_path / "e.parquet")
    call("convert", tmp_path / "e.parquet", tmp_path / "again.h5")
    for name in ("e.h5", "again.h5"):
        with open_embeddings(tmp_path / name) as found:
            assert set(found.contigs) == names
    for number in (1, 2):
        call(
            "score-regions", "--fasta", fasta, *regions, "--shard", f"{number}/2", "--tracks",
            tmp_path / f"t{number}.h5", "--output", tmp_path / f"r{number}.tsv",
        )  # fmt: skip
    call("merge", tmp_path / "t1.h5", tmp_path / "t2.h5", "--output", tmp_path / "merged.h5")
    assert list(open_scores(tmp_path / "merged.h5").rows()) == list(open_scores(tmp_path / "t.h5").rows())
    call("report", "--regions", tmp_path / "r.h5", "--tracks", tmp_path / "t.h5", "--output", tmp_path / "report.html")
    assert "a/b" in (tmp_path / "report.html").read_text().replace("<wbr>", "")
