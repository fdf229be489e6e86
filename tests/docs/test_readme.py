"""The README as a code host renders it: its links and pictures are in the repository, its tables are tables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")
from markdown_it import MarkdownIt
from markdown_it.token import Token


@pytest.fixture(scope="module")
def tokens(project) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse((project / "README.md").read_text())
    return [inner for token in parsed for inner in (token, *(token.children or ()))]


def headings(text: str) -> Iterator[str]:
    """Yield the anchors that a code host gives to headings."""
    for line in text.splitlines():
        if line.startswith("#"):
            yield re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")


def test_links_and_pictures_lead_to_files_that_are_in_git(tokens, project):
    listed = subprocess.run(["git", "-C", str(project), "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    targets = [str(token.attrGet(name)) for token in tokens for name in ("href", "src") if token.attrGet(name)]
    relative = [target for target in targets if not target.startswith("https://")]
    assert len(relative) > 20
    for target in relative:
        path, _, anchor = target.partition("#")
        assert path in listed.stdout.splitlines(), target
        assert not anchor or anchor in headings((project / path).read_text()), target


def test_it_has_a_table_and_no_raw_html(tokens):
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert not {"html_block", "html_inline"} & {*kinds}
    assert not [token.content for token in tokens if token.type == "text" and token.content.lstrip().startswith("|")]
