"""The verb: options to page, whole files or none."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from titans_dna.cli.report import report
from titans_dna.errors import ConfigError, InputMissing
from titans_dna.report.gather import gather_inputs
from titans_dna.report.page import render_page


def arguments(inputs, output) -> list[str]:
    given = ["--output", str(output), "--truth-field", inputs.truth_field]
    for part in ("model", "evaluation", "variants", "regions", "track", "embeddings"):
        given += [f"--{part}", str(getattr(inputs, part))]
    return given


def test_the_verb_writes_the_page(inputs, tmp_path):
    output = tmp_path / "report.html"
    result = CliRunner().invoke(report, arguments(inputs, output), catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output == ""
    assert output.read_text() == render_page(gather_inputs(inputs))


def test_a_missing_input_leaves_no_output(inputs, tmp_path):
    output = tmp_path / "new" / "report.html"
    output.parent.mkdir()
    inputs.track.unlink()
    result = CliRunner().invoke(report, arguments(inputs, output))
    assert isinstance(result.exception, InputMissing)
    assert list(output.parent.iterdir()) == []


def test_no_input_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="at least one input"):
        CliRunner().invoke(report, ["--output", str(tmp_path / "x.html")], catch_exceptions=False)
