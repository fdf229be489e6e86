"""A work or output folder that is deleted under a run is one line and an exit code; nothing is published."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy import cache  # noqa: F401 - a fixture

from titans_dna.cli import main
from titans_dna.jobs import work_folder
from titans_dna.jobs.work_folder import StreamCheckpoint, WorkFolder
from titans_dna.report import page
from titans_dna.training.log import RunLog

BASES = "".join(np.random.default_rng(3).choice(list("ACGT"), 10_000))
REGIONS = ("--region", "a:1-9000", "--region", "a:9500-9900", "--region", "b:1-900")
VERBS = {
    "score-variants": ("--variant", f"a:9001:{BASES[9000]}:{'C' if BASES[9000] == 'A' else 'A'}", "out/o.tsv"),
    "score-regions": (*REGIONS, "--tracks", "out/t.h5", "out/o.tsv"),
    "score-regions in windows": ("--context", "window:4096", *REGIONS, "out/o.tsv"),
    "embed": (*REGIONS, "out/o.h5"),
    "mutagenesis": ("--region", "a:9000-9010", "out/o.h5"),
    "mutagenesis of all": ("--all-snvs", "out/o.h5"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "g.fa").write_text(f">a\n{BASES}\n>b\n{BASES[:1000]}\n")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work_folder, "SAVE_SECONDS", 0.0)
    return tmp_path


def assert_one_line(result, folder: Path) -> None:
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    errors = [line for line in result.output.splitlines() if not line.startswith(("note:", "20", "warning:"))]
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert left == ["g.fa"]


@pytest.mark.parametrize("gone", ["*.work", "."])
@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_is_deleted_in_the_middle_is_one_line(folder, monkeypatch, verb, gone):
    deleted = []

    def delete(*_) -> None:
        if not deleted:
            found = [folder / "out"] if gone == "." else list((folder / "out").glob(gone))
            deleted.extend(path for path in found if path.exists())
            for path in deleted:
                shutil.rmtree(path)

    # In the middle: when the state of a stream is to be saved or, where there are no states, the first part.
    for owner, name in ((StreamCheckpoint, "save"), (WorkFolder, "keep")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, real=real: (delete(), real(*a))[1])
    *words, output = VERBS[verb]
    result = CliRunner().invoke(main, [verb.split()[0], "--fasta", "g.fa", *words, "--output", output])
    assert deleted
    assert_one_line(result, folder)


def test_a_report_whose_folder_is_deleted_is_one_line(folder, monkeypatch):
    run = CliRunner().invoke(main, ["score-regions", "--fasta", "g.fa", "--region", "b:1-90", "--output", "r.tsv"])
    assert run.exit_code == 0
    real = page.render_page
    monkeypatch.setattr(page, "render_page", lambda *a, **k: (shutil.rmtree(folder / "out"), real(*a, **k))[1])
    result = CliRunner().invoke(main, ["report", "--regions", "r.tsv", "--output", "out/report.html"])
    (folder / "r.tsv").unlink()
    assert_one_line(result, folder)


@pytest.mark.parametrize(("gone", "every"), [("model/checkpoints", 1), ("model", 1), (".", 1), ("model", 100)])
def test_a_training_whose_folder_is_deleted_is_one_line_or_goes_on(folder, monkeypatch, gone, every):
    real, rows = RunLog.write, []

    def write(log, row) -> None:
        rows.append(row)
        if len(rows) == 3:
            shutil.rmtree(folder / "out" / gone)
        real(log, row)

    monkeypatch.setattr(RunLog, "write", write)
    words = f"--holdout b --config nano --steps 6 --save-every {every} --evaluate-every 2 --window-tokens 64 --lanes 2"
    result = CliRunner().invoke(main, ["pretrain", "--fasta", "g.fa", *words.split(), "--output", "out/model"])
    if gone == "model/checkpoints":  # the next checkpoint makes it anew
        assert result.exit_code == 0, result.output
        assert (folder / "out" / "model" / "model.safetensors").is_file()
    else:
        assert_one_line(result, folder)
