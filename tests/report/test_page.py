"""The page: what it says, that it loads nothing, that hostile names stay text, and how a real browser shows it."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from titans_dna.report.gather import ReportInputs, gather_inputs
from titans_dna.report.page import render_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '"><script>document.title="taken"</script>\u202e<img src=x onerror=alert(1)>'
VOID = {"area", "wbr", "br", "col", "hr", "img", "input", "link", "meta", "path", "use", "rect", "circle", "line"}


class Reader(HTMLParser):
    """Collects tags, attributes and headings, and whether tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.identifiers: list[str] = []
        self.headings: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.identifiers += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "h2":
            self.headings.append(data.strip())


@pytest.fixture
def page(inputs) -> str:
    return render_page(gather_inputs(inputs))


def test_all_sections_and_key_figures(page):
    reader = Reader(page)
    assert reader.stack == []
    assert [heading for heading in reader.headings if heading] == [
        "What was run",
        "Training curve",
        "Bits per base on held-out sequence",
        "Outcome of every variant",
        "Scores of variants",
        "Bits per base of regions",
        "Memory surprise along",
        "Embeddings of regions in two dimensions",
    ]
    assert page.count("<svg ") == 8
    for text in (
        "412,345",
        "1.8012",
        "+0.0642",
        "3.4% less",
        "d41d8cd98f00b204e9800998ecf8427e",
        "titans-dna pretrain",
    ):
        assert text in page
    assert "The sum equals the 87 ALT alleles" in page
    assert "spanning_deletion" in page


def test_identifiers_are_unique(page):
    identifiers = Reader(page).identifiers
    assert len(identifiers) == len(set(identifiers))


def test_a_model_worse_than_its_baseline_is_said_to_be_worse(inputs):
    data = gather_inputs(inputs)
    worse = render_page(dataclasses.replace(data, evaluation=dataclasses.replace(data.evaluation, carried=1.9)))
    assert "bits per base more than the best baseline" in " ".join(worse.split())
    assert "costs 0.0469 bits" in worse


def test_same_input_gives_the_same_bytes(inputs, page):
    assert render_page(gather_inputs(inputs)) == page


def test_same_bytes_in_another_process_with_other_settings(inputs, page, tmp_path, project):
    (tmp_path / "matplotlibrc").write_text("svg.fonttype: path\nfont.size: 20\nlines.linewidth: 9\n")
    code = (
        "import sys; from pathlib import Path; from titans_dna.report.gather import *\n"
        "from titans_dna.report.page import render_page\n"
        f"folder = Path({str(inputs.model.parent)!r})\n"
        "files = dict(evaluation='evaluation.json', variants='variants.scored.vcf.gz', regions='regions.scored.tsv',\n"
        "             track='surprise.bw', embeddings='embeddings.h5', model='model')\n"
        "inputs = ReportInputs(truth_field='TRUTH', **{part: folder / name for part, name in files.items()})\n"
        "sys.stdout.buffer.write(render_page(gather_inputs(inputs)).encode())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONPATH": str(project), "PYTHONHASHSEED": "5"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == page.encode()


def test_nothing_is_loaded_from_outside(page):
    reader = Reader(page)
    assert not reader.seen & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")
    for tag, name, value in reader.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "xlink:href", "action", "data"}:
            assert value.startswith("#"), (tag, name, value)


def test_hostile_names_stay_text(inputs, make):
    make.write_regions(inputs.regions, [HOSTILE, "gene_1", "gene_2"])
    make.write_embeddings(inputs.embeddings, [HOSTILE, "gene_1", "$\\frac{1}{0}$"])
    info = "TRUTH=<b>breaking</b>;TD_LLR=-9;TD_OUTCOME=<i>scored</i>"
    make.write_variants(inputs.variants, [f"chrA\t5\t<u>id</u>\tA\tC\t.\t.\t{info}"])
    (inputs.model / "config.json").write_text('{"<s>key</s>": "<s>value</s>"}')
    page = render_page(gather_inputs(inputs), title=HOSTILE)
    assert Reader(page).stack == []
    assert not Reader(page).seen & {"script", "img", "u", "s"}
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "<i>scored" not in page
    assert "<b>breaking" not in page


@pytest.mark.parametrize("part", ["model", "evaluation", "variants", "regions", "track", "embeddings"])
def test_each_part_alone(inputs, part):
    reader = Reader(render_page(gather_inputs(ReportInputs(**{part: getattr(inputs, part)}))))
    assert reader.stack == []
    assert reader.headings


def test_empty_tables_make_no_figures(inputs, make, tmp_path):
    make.write_regions(inputs.regions, [])
    make.write_variants(inputs.variants, [])
    page = render_page(gather_inputs(ReportInputs(variants=inputs.variants, regions=inputs.regions)))
    assert "<svg" not in page
    assert "0 of 1 regions are scored" in page


def test_one_value_everywhere_is_drawn(inputs, make):
    lines = [f"chrA\t{at}\t.\tA\tC\t.\t.\tTD_LLR=-2;TD_OUTCOME=scored" for at in range(1, 6)]
    make.write_variants(inputs.variants, lines)
    make.write_embeddings(inputs.embeddings, ["gene_1"])
    page = render_page(gather_inputs(ReportInputs(variants=inputs.variants, embeddings=inputs.embeddings)))
    assert page.count("<svg ") == 1


def test_what_calibrates_scores_is_shown(inputs, make):
    """Quantiles among common variants and empirical p-values: shares below 5%, a figure, and columns of the table."""
    plain = render_page(gather_inputs(ReportInputs(variants=inputs.variants)))
    assert "TD_QUANTILE" not in plain
    assert "TD_P" not in plain
    info = "TD_LLR={};TD_QUANTILE={};TD_P={};TD_OUTCOME=scored"
    rows = [(-9, 0.01, 0.125), (-1, 0.5, 0.5), (-2, 0.03, 0.0417), (-3, ".", 1)]
    make.write_variants(
        inputs.variants, [f"chrA\t{at}\t.\tA\tC\t.\t.\t{info.format(*row)}" for at, row in enumerate(rows, 1)]
    )
    page = render_page(gather_inputs(ReportInputs(variants=inputs.variants)))
    text = " ".join(re.sub("<[^>]*>", " ", page).split())
    assert "TD_QUANTILE below 0.05: 2 of 3 alleles (66.7%; 5% of common variants)" in text
    assert "TD_P at most 0.05: 1 of 4 alleles (25.0%" in text
    assert '<td class="n">0.010</td><td class="n">0.125</td>' in page
    assert '<td class="n">–</td><td class="n">1.000</td>' in page
    assert page.count("<svg ") == plain.count("<svg ") + 1


def test_every_track_has_its_figure(inputs, tmp_path):
    kinds = {"log_likelihood": "ln P", "entropy_bits": "Entropy", "forgetting_layer2": "layer 2 that each base erases"}
    further = [tmp_path / f"t.{kind}.bw" for kind in kinds]
    for path in further:
        path.write_bytes(inputs.track.read_bytes())
    page = render_page(gather_inputs(ReportInputs(track=inputs.track, tracks=tuple(further))))
    assert page.count("<svg ") == 4
    for words in ("Surprise of the memory", *kinds.values()):
        assert page.count(words) == 1
    assert Reader(page).stack == []


def browse(page: str, folder, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the page in headless Chromium with a fresh profile."""
    (folder / "page.html").write_text(page)
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --v=0"
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [
        CHROMIUM,
        *flags.split(),
        profile,
        "--virtual-time-budget=2000",
        *options,
        f"file://{folder / 'page.html'}",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_shows_the_page(page, tmp_path, scheme, dark):
    shot = tmp_path / "page.png"
    options = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1100,1600", f"--screenshot={shot}")
    done = browse(page, tmp_path, *options)
    assert "CONSOLE" not in done.stderr
    image = 255 * imread(shot)[:, :, :3]
    assert image.shape == (1600, 1100, 3)
    assert image.std() > 10  # not blank
    assert (image.mean() < 90) == dark
    for band in np.array_split(image, 4):
        assert band.std() > 5  # every quarter of the window shows something


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_the_browser_test_sees_errors_on_the_console(tmp_path):
    done = browse("<!DOCTYPE html><title>x</title><script>console.error('seen')</script>", tmp_path, "--dump-dom")
    assert "CONSOLE" in done.stderr


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_hostile_names_do_nothing_in_a_browser(inputs, make, tmp_path):
    make.write_regions(inputs.regions, [HOSTILE, "gene_1", "gene_2"])
    page = render_page(gather_inputs(ReportInputs(regions=inputs.regions)), title=f"kept {HOSTILE}")
    done = browse(page, tmp_path, "--dump-dom")
    assert "<title>kept " in done.stdout
    assert "<script>" not in done.stdout
    assert "CONSOLE" not in done.stderr


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_it_can_be_printed(page, tmp_path):
    browse(page, tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    pdf = (tmp_path / "page.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
