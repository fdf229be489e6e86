"""Every command of the documentation runs and prints what the page says; what is not run says why."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted((PROJECT / "docs" / "pages").rglob("*.md"))
NAMES = [str(page.relative_to(PROJECT / "docs" / "pages")) for page in PAGES]

# What no test of this file runs: conda, containers, larger machines, and what continuous integration runs by itself.
LEFT_OUT = {"apptainer", "conda", "docker", "hf", "make", "pip", "python", "snakemake", "titans-dna", "torchrun"}


@pytest.fixture(scope="module")
def commands(script):
    return script("commands")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_print_what_the_page_says(page, commands, tmp_path, monkeypatch):
    if not commands.commands(page):
        pytest.skip("the page has no command")
    monkeypatch.setenv("TITANS_DNA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "checkout"
    folder.mkdir()
    commands.prepare(folder)
    faults = commands.check(page, folder)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_examples_print_what_the_page_says(page):
    examples = re.findall(r"^```pycon\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    runner, names = doctest.DocTestRunner(), {}
    for number, example in enumerate(examples):
        test = doctest.DocTestParser().get_doctest(example, names, f"{page.name}:{number}", str(page), 0)
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0


def test_what_is_not_run_is_of_known_kinds_and_its_options_exist(commands):
    left_out = [command for page in PAGES for command in commands.commands(page) if command.reason]
    assert {command.text.split()[0] for command in left_out} == LEFT_OUT
    for command in left_out:
        assert len(command.reason) > len("Not run here: ")
        words = shlex.split(command.text, comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        elif "pretrain" in words:
            _parse(words[words.index("pretrain") :])
        for word in words:
            if word.startswith("recipe") or word.endswith(".yml"):
                assert (PROJECT / word).exists(), word


def _parse(words: list[str]) -> None:
    from titans_dna.cli import main

    verb = main.get_command(None, words[0])
    verb.make_context(words[0], words[1:])


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a 1.00", "a  1.01", True),
        ("a 1.00", "a 1.20", False),
        ("a 1", "b 1", False),
        ("1,000 bases", "1,004 bases", True),
        ("1 2", "1", False),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nb\nc", False),
        ("a\n...", "a", True),
        ("...\nb\n...", "a\nb\nc\nd", True),
        ("...\nb\n...", "a\nc", False),
        ("a\n...\nc\n...\nd", "a\nc\nb\nc\nd", True),
        ("a\n...\nc\n...\nd", "a\nd\nc", False),
        ("x1y2", "x1y9", False),
        ("a", "a\nb", False),
    ],
)
def test_outputs_agree_but_for_last_digits(commands, expected, found, same):
    assert commands.agree(expected, found) is same


def test_a_page_that_lies_is_found(commands, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n\n```console\n$ echo one\nzwei\n$ echo \\\n  two\ntwo\n$ false\n```\n")
    assert [command.line for command in commands.commands(page)] == [4, 6, 9]
    faults = commands.check(page, tmp_path)
    assert [fault.split(": ")[0].rsplit(":", 1)[1] for fault in faults] == ["4", "9"]
    page.write_text("```console\n$ echo one\nzwei\n\n$ echo two\n```\nend\n")
    commands.rewrite(page, tmp_path)
    assert page.read_text() == "```console\n$ echo one\none\n$ echo two\ntwo\n```\nend\n"
    page.write_text("```console\nno prompt\n```\n")
    with pytest.raises(ValueError, match=r"page.md:2: a console block begins with"):
        commands.commands(page)


def test_the_committed_figures_are_those_of_the_script(script, project):
    figures = script("figures")
    folder = project / "docs" / "pages" / "figures"
    assert {path.stem for path in folder.glob("*.svg")} == set(figures.FIGURES)
    for name, draw in figures.FIGURES.items():
        svg = draw().svg()
        assert (folder / f"{name}.svg").read_text() == svg, f"{name}: run docs/figures.py"
        assert "\n\n" not in svg
        assert "<title>" in svg
        assert "<desc>" in svg


def test_every_block_has_its_figure_or_its_line(project):
    from titans_dna.model.config import BLOCKS

    figures = {path.stem for path in (project / "docs" / "pages" / "figures").glob("*.svg")}
    table = (project / "docs" / "pages" / "blocks.md").read_text()
    assert {"mac", "mag", "mal"} <= figures
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(BLOCKS)


def test_marks_are_filled(script, project):
    pytest.importorskip("yaml")
    hooks = script("hooks")
    text = "\n\n".join(path.read_text() for path in PAGES)
    filled = hooks.on_page_markdown(text)
    assert "<!-- " in text
    assert "<!-- " not in filled
    assert "| `samples` | needed |" in filled  # of the schema
    assert "Specification: VCFv4.2" in filled  # of a docstring
    assert filled.count("<svg ") == len(re.findall("<!-- figure: ", text))


def test_a_result_that_is_not_there_says_how_to_make_it(script):
    hooks = script("hooks")
    assert "python benchmarks/nothing.py" in hooks.on_page_markdown("<!-- results: nothing -->")


def test_a_value_is_a_cell_of_a_committed_result(script, project):
    hooks = script("hooks")
    table = (project / "benchmarks/results/variants_speed.md").read_text()
    cell = re.search(r"^\| ratio \| times \| (\S+) \|", table, re.MULTILINE)[1]
    filled = hooks.on_page_markdown("it is <!-- value: variants_speed | ratio | measured --> times")
    assert filled == f"it is {cell} times"
    two = hooks.on_page_markdown("<!-- value: memory_layer | 1; forward; titans-pytorch | speed ratio -->")
    assert two == "1"
    for wrong in ("no such row | measured", "ratio | no such column"):
        with pytest.raises(ValueError, match=r"variants_speed: \d rows begin with"):
            hooks.on_page_markdown(f"<!-- value: variants_speed | {wrong} -->")
    with pytest.raises(ValueError, match="2 rows begin with '1; forward'"):
        hooks.on_page_markdown("<!-- value: memory_layer | 1; forward | speed ratio -->")


def test_a_claim_is_shown_with_its_verdict(script):
    hooks = script("hooks")
    table = hooks.on_page_markdown("<!-- claim: evidence_recall_bits | after K-12 -->").splitlines()
    assert table[0] == "| claim | target | measured | verdict |"
    assert len(table) == 3
    assert table[2].startswith("| Bits per base of E. coli W after K-12")
    with pytest.raises(ValueError, match="no claim holds"):
        hooks.on_page_markdown("<!-- claim: evidence_recall_bits | of unicorns -->")


def test_the_page_on_the_code_names_every_folder_and_the_order_of_the_contract(project):
    import tomllib

    page = (project / "docs" / "pages" / "architecture.md").read_text()
    named = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", page, re.MULTILINE)
    folders = {path.parent.name for path in (project / "titans_dna").glob("*/__init__.py")}
    assert set(named) == folders | {"errors", "numba_cache"}
    contract = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    level = {
        name.strip().removeprefix("titans_dna."): number
        for number, line in enumerate(contract["layers"])
        for name in line.split("|")
    }
    assert set(named) == level.keys() - {"version"}
    assert [level[name] for name in named] == sorted(level[name] for name in named)
    rooms = {path.parent.name for path in (project / "titans_dna" / "io").glob("*/__init__.py")}
    assert all(f"`{room}/`" in page for room in rooms)


def test_the_page_on_relatives_has_the_constants_of_the_code():
    from titans_dna.inference.vote_variants import ALT_WEIGHT, FEW, TOLERANCE
    from titans_dna.recall.vote import VoteRule
    from titans_dna.recall.vote_kernels import AHEAD, BEHIND, FIRST, HIT, MISS, MOST

    page = (PROJECT / "docs" / "pages" / "relatives.md").read_text()
    formula = page[page.index("    tolerance  =") : page.index("The first is the share")]
    terms = [sign + number for sign, number in re.findall(r"([−+]) (\d\.\d\d)", formula)]
    assert [float(term.replace("−", "-")) for term in terms] == list(TOLERANCE.values())
    assert f"vote       =  {ALT_WEIGHT} min(ALT, {FEW})" in page
    rule = VoteRule()
    assert f"stands at more than {rule.matches} places" in page
    assert f"a word {BEHIND + AHEAD} are compared ({BEHIND} that end with the word, and {AHEAD} after it)" in page
    assert f"if at least {rule.accepted_hits} agree" in page
    assert f"begins at {FIRST / 10}, rises by {HIT // 10} with every base that agrees, to {MOST // 10} at most" in page
    assert f"falls by {MISS / 10} with every base that does not" in page
    assert f"it must agree at {rule.trusted_hits} of its 64 bases" in page


def test_every_outcome_of_a_variant_is_explained_on_its_page_and_in_the_report():
    from titans_dna.inference.outcomes import Outcome
    from titans_dna.report.summaries import OUTCOMES

    page = (PROJECT / "docs" / "pages" / "reference" / "formats.md").read_text()
    table = page[page.index("## Outcomes") : page.index("## What goes in")]
    listed = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed == {str(outcome) for outcome in Outcome}
    assert set(OUTCOMES) == listed | {"no outcome", "deleted"}  # the last one is of regions on haplotypes
