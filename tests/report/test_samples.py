"""The figures of samples, the table over them, and links from coordinates."""

from __future__ import annotations

import json
import math
import re
from html import unescape

import pytest
from click.testing import CliRunner

from titans_dna.cli.report import report
from titans_dna.cli.statistics import statistics
from titans_dna.errors import ConfigError, FormatError, InputMissing
from titans_dna.report.gather import ReportInputs, gather_inputs
from titans_dna.report.page import link_address, link_pattern, render_page
from titans_dna.report.samples import read_sample
from titans_dna.report.statistics import sample_statistics


@pytest.fixture
def numbers(inputs) -> dict:
    return sample_statistics("S1", gather_inputs(inputs), ["chrZ"])


def write(folder, name: str, values: dict):
    path = folder / name / "statistics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(values))
    return path


def test_counts_add_up_and_quantiles_are_in_order(numbers, make):
    assert numbers["sample"] == "S1"
    assert numbers["variants"]["outcomes"] == make.EXPECTED_OUTCOMES
    assert sum(numbers["variants"]["outcomes"].values()) == numbers["variants"]["alleles"] == 87
    for quantiles in (numbers["variants"]["llr"], numbers["regions"]["bits_per_base"]):
        assert list(quantiles) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
        assert list(quantiles.values()) == sorted(quantiles.values())
    assert numbers["regions"] | {"bits_per_base": {}} == {
        "regions": 61, "outcomes": {"scored": 60, "contig_unknown": 1}, "bits_per_base": {},
    }  # fmt: skip
    assert numbers["embeddings"] == {"regions": 60, "width": 16}
    assert numbers["tracks"]["surprise"]["covered_bp"] == 54_002
    assert {file["role"] for file in numbers["files"]} >= {"variants", "regions", "track", "embeddings"}


def test_separation_is_that_of_the_page(inputs, numbers):
    page = render_page(gather_inputs(inputs))
    first = numbers["variants"]["separation"][0]
    assert first["auroc_low"] < first["auroc"] < first["auroc_high"]
    assert f"{first['auroc']:.3f}" in page


def test_the_verb_writes_them(inputs, numbers, tmp_path):
    output = tmp_path / "s.json"
    given = ["--sample", "S1", "--variants", inputs.variants, "--truth-field", "TRUTH", "--output", output]
    result = CliRunner().invoke(statistics, list(map(str, given)), catch_exceptions=False)
    assert result.exit_code == 0
    found = json.loads(output.read_text())
    assert found["variants"] == numbers["variants"] | {"separation": found["variants"]["separation"]}
    assert "regions" not in found


def test_figures_that_are_not_defined_are_null(inputs, make):
    make.write_variants(inputs.variants, ["chrA\t5\t.\tA\tC\t.\t.\tTD_LLR=-1;TD_OUTCOME=scored"])
    found = sample_statistics("S", gather_inputs(ReportInputs(variants=inputs.variants)))
    assert found["variants"]["strand_correlation"] is None
    json.dumps(found, allow_nan=False)


def test_a_row_of_the_table(numbers, tmp_path):
    row = read_sample(write(tmp_path, "S1", numbers))
    assert (row.sample, row.page, row.alleles, row.scored, row.regions, row.regions_scored, row.embedded) == (
        "S1", "", 87, 82, 61, 60, 60,
    )  # fmt: skip
    assert row.median_llr == numbers["variants"]["llr"]["0.5"]
    assert row.area == numbers["variants"]["separation"][0]["auroc"]
    bare = read_sample(write(tmp_path, "S2", {"sample": "S2"}))
    assert (bare.alleles, bare.regions, bare.embedded) == (None, None, None)
    assert math.isnan(bare.median_llr)
    assert math.isnan(bare.area)


def test_alleles_scored_another_way_count_as_scored(numbers, tmp_path):
    numbers["variants"]["outcomes"] = {"scored": 5, "swapped": 2, "forced": 1, "symbolic": 3}
    assert read_sample(write(tmp_path, "S1", numbers)).scored == 8


def test_page_and_table_count_the_same_alleles_as_scored(inputs, make, tmp_path):
    outcomes = ["scored", "swapped", "forced", "symbolic"]
    lines = [
        f"chrA\t{n}\t.\tA\tC\t.\t.\t{'' if outcome == 'symbolic' else 'TD_LLR=-1;'}TD_OUTCOME={outcome}"
        for n, outcome in enumerate(outcomes, 5)
    ]
    make.write_variants(inputs.variants, lines)
    data = gather_inputs(ReportInputs(variants=inputs.variants))
    assert '<dt>ALT alleles scored</dt><dd>3</dd><dd class="sub">of 4 in the input' in render_page(data)
    assert read_sample(write(tmp_path, "S1", sample_statistics("S1", data))).scored == 3


def test_two_tracks_of_one_kind_are_refused(inputs, tmp_path):
    twin = tmp_path / "other.surprise.bw"
    twin.write_bytes(inputs.track.read_bytes())
    data = gather_inputs(ReportInputs(track=inputs.track, tracks=(twin,)))
    with pytest.raises(ConfigError, match=rf"{inputs.track.name} and {twin.name} are both tracks of surprise"):
        sample_statistics("S", data)


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '{"sample": "x", "variants": {"alleles": 3}}'])
def test_what_is_no_statistics_is_refused(tmp_path, text):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(FormatError, match="no statistics of a sample"):
        read_sample(path)
    with pytest.raises(InputMissing, match=r"titans-dna statistics"):
        read_sample(tmp_path / "none.json")


def test_the_table_over_samples(numbers, tmp_path):
    paths = [write(tmp_path / "samples", name, numbers | {"sample": name}) for name in ("S 1", "S2")]
    paths.append(write(tmp_path / "samples", "S3", {"sample": "<b>S3</b>"}))
    paths[0].with_name("report.html").write_text("its own page")
    output = tmp_path / "report.html"
    given = [word for path in paths for word in ("--sample", str(path))]
    result = CliRunner().invoke(report, [*given, "--output", str(output)], catch_exceptions=False)
    assert result.exit_code == 0
    page = output.read_text()
    table = re.search(r'<section id="samples">.*?</section>', page, re.DOTALL)[0]
    assert re.findall(r'<a href="(.*?)">', table) == ["samples/S%201/report.html"]  # the page of a sample that has one
    assert table.count("82 of 87") == 2
    assert table.count("60 of 61") == 2
    assert table.count('width:94.3%"') == 2
    assert "<b>S3" not in table
    assert "–" in table


def test_a_classifier_stands_beside_its_baseline(tmp_path):
    metrics = {"accuracy": 0.8, "mcc": 0.61, "auroc": 0.875, "auprc": 0.9}
    values = {
        "classes": ["exon", "intron"], "training_examples": 4321, "tested_examples": 1234, "model": metrics,
        "kmer_baseline": metrics | {"auroc": 0.912}, "backbone": "nano", "kmer_bases": 5,
    }  # fmt: skip
    path = tmp_path / "finetune.json"
    path.write_text(json.dumps(values))
    page = render_page(gather_inputs(ReportInputs(classifier=path)))
    for text in ("1,234 sequences", "4,321", "exon, intron", "0.875", "0.912", "5-mers", "nano, fine-tuned"):
        assert text in page
    path.write_text(json.dumps({key: value for key, value in values.items() if key != "model"}))
    with pytest.raises(FormatError, match="not a classifier"):
        gather_inputs(ReportInputs(classifier=path))


@pytest.mark.parametrize(
    ("choice", "address"),
    [
        ("igv", "http://localhost:60151/goto?locus=chr%2F1:951-1050"),
        ("ucsc:sacCer3", "https://genome.ucsc.edu/cgi-bin/hgTracks?db=sacCer3&position=chr%2F1:951-1050"),
        ("https://b.org/?r={contig}:{start}", "https://b.org/?r=chr%2F1:951"),
        ("", ""),
    ],
)
def test_links_of_coordinates(choice, address):
    assert link_address(link_pattern(choice), "chr/1", 1000, 1000) == address


def test_a_link_at_the_beginning_of_a_contig():
    assert link_address("x{contig}:{start}-{end}", "c", 0, 1) == "xc:1-51"


@pytest.mark.parametrize(
    "text", ["javascript:alert({contig}{start})", "ucsc:", "http://x/{contig}", "http://{a}{contig}{start}"]
)
def test_other_links_are_refused(text):
    with pytest.raises(ConfigError, match="link is"):
        link_pattern(text)


def test_coordinates_are_links_where_they_are_asked_for(inputs):
    data = gather_inputs(inputs)
    page = render_page(data, link=link_pattern("ucsc:hg38"))
    links = [unescape(address) for address in re.findall(r'<a href="(.*?)">', page)]
    assert len(links) == 3 * 8 + 16  # three kinds of variants, and two tables of regions
    lowest = next(iter(data.variants.lowest.values()))[0]
    first, last = lowest.position - 50, lowest.position - 1 + len(lowest.ref) + 50
    assert links[0].endswith(f"?db=hg38&position={lowest.contig}:{first}-{last}")
    assert all(link.startswith("https://genome.ucsc.edu/") for link in links)
    assert "<a " not in render_page(data)
