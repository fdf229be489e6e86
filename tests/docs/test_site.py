"""The built site: strict, without another host, and searchable without a server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    """Build the site as `make docs` does."""
    for needed in ("material", "mkdocstrings"):
        pytest.importorskip(needed, reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", project / "docs/mkdocs.yml"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(project)}
    subprocess.run([*command, "--site-dir", folder], check=True, timeout=300, env=environment)
    return folder


def test_pages_load_nothing_from_another_host(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="?(https?:[^" >]+)', page.read_text())
        loaded += re.findall(r'<link[^>]+rel="?stylesheet"?[^>]+href="?(https?:[^" >]+)', page.read_text())
        assert not loaded, f"{page.name}: {loaded}"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_search_answers_without_a_server(site):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{(site / 'index.html').as_uri()}?q=indel"], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'md-search-result__meta">\s*([^<]*)<', done.stdout)
    assert found, "the page has no search"
    assert re.search(r"\d+ matching documents?", found[1]), found[1]
    assert "tutorials/variants.html" in done.stdout
