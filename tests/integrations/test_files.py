"""Files for other tools: MultiQC, IGV, scanpy and polars."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import titans_dna as td
from titans_dna.cli import main


def run(*arguments: object):
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def work(tmp_path_factory, project) -> Path:
    folder = tmp_path_factory.mktemp("files")
    demo = project / "data/demo.fa"
    (folder / "r.bed").write_text("chrC\t10\t400\tone\nchrC\t500\t800\t.\nchrC\t500\t800\t.\nchrC\t900\t990\tone\n")
    shared = ("--fasta", demo, "--bed", folder / "r.bed", "--context", "window:2048")
    run("embed", *shared, "--output", folder / "e.h5")
    shutil.copy(demo, folder / "g.fa")
    run("score-regions", "--fasta", folder / "g.fa", "--region", "chrC:1-3000", "--context", "window:2048", "--tracks",
        folder / "t.bw", "--igv", folder / "session.xml",
        "--output", folder / "r.parquet")  # fmt: skip
    return folder


def test_names_of_regions_are_the_names_of_observations(work):
    adata = td.open_embeddings(work / "e.h5").to_anndata()
    assert adata.obs_names.tolist() == ["one", "chrC:501-800", "chrC:501-800-2", "one-2"]
    run("convert", work / "e.h5", work / "e.h5ad")
    anndata = pytest.importorskip("anndata")
    assert anndata.read_h5ad(work / "e.h5ad").obs_names.tolist() == adata.obs_names.tolist()
    run("convert", work / "e.h5ad", work / "back.h5")
    assert td.open_embeddings(work / "back.h5").column("name").tolist() == ["one", "", "", "one"]


def test_scanpy_takes_the_embeddings(work):
    scanpy = pytest.importorskip("scanpy", reason="needs scanpy")
    adata = td.open_embeddings(work / "e.h5").to_anndata()
    scanpy.pp.pca(adata, n_comps=2)
    assert adata.obsm["X_pca"].shape == (4, 2)


def test_a_session_of_igv_names_genome_and_tracks_beside_it(work):
    session = ElementTree.parse(work / "session.xml").getroot()
    assert session.attrib["genome"] == "g.fa"
    places = [resource.attrib["path"] for resource in session.iter("Resource")]
    assert places
    assert all((work / place).is_file() and place.endswith(".bw") for place in places)
    assert [track.attrib["id"] for track in session.iter("Track")] == places


def test_a_session_without_bigwigs_is_refused(work):
    done = CliRunner().invoke(
        main,
        ["score-regions", "--fasta", str(work / "g.fa"), "--igv", str(work / "s.xml"), "--output", str(work / "x.tsv")],
    )
    assert done.exit_code == 1
    assert "--igv shows bigWigs on a genome; give --fasta, and --track or --tracks NAME.bw" in done.output
    assert not (work / "s.xml").exists()


def test_statistics_for_multiqc(work, project):
    run("statistics", "--sample", "NA1", "--regions", work / "r.parquet", "--output", work / "NA1_mqc.json")
    found = json.loads((work / "NA1_mqc.json").read_text())
    assert (found["id"], found["plot_type"]) == ("titans_dna", "generalstats")
    assert found["data"]["NA1"]["td_regions"] == 1
    assert 1.5 < found["data"]["NA1"]["td_bits"] < 2.1
    assert [key for column in found["pconfig"] for key in column] == list(found["data"]["NA1"])


def test_multiqc_puts_them_into_its_table(work, tmp_path):
    multiqc = shutil.which("multiqc")
    if multiqc is None:
        pytest.skip("needs multiqc")
    run("statistics", "--sample", "NA1", "--regions", work / "r.parquet", "--output", tmp_path / "NA1_mqc.json")
    done = subprocess.run(
        [multiqc, "--outdir", tmp_path / "out", "--quiet", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table = next((tmp_path / "out").rglob("multiqc_general_stats.txt")).read_text()
    assert "NA1" in table
    assert "td_bits" in table


def test_polars_reads_the_parquet(work):
    polars = pytest.importorskip("polars", reason="needs polars")
    frame = polars.read_parquet(work / "r.parquet")
    assert frame.shape[0] == 1
    assert frame["contig"].to_list() == ["chrC"]
