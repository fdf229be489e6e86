"""The folder of a training run: who may write to it, and what becomes of a model that is there already.

A new run needs a folder that holds none of the files it writes, or only what a run has left that was killed before its
first checkpoint. An unfinished run there can go on or be replaced, and a finished model can be replaced, if that is
asked for. Until the new model is complete, the old one stays whole in
``.titans-dna-replaced/``, so that weights and the record of their training always belong together. A lock allows one
run at a time.

Fine-tuning takes a new folder, or one that it has filled before. It never writes into the folder of another model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from titans_dna.checkpoints import BASE_HEAD, CLASSIFIER
from titans_dna.errors import OutputError
from titans_dna.io.disk.atomic import UNNAMED, discard, disk_errors
from titans_dna.io.disk.lock import lock_file
from titans_dna.model.checkpoint import CONFIG, TOKENIZER, WEIGHTS, partial_folders
from titans_dna.training.checkpoints import FOLDER, SNAPSHOT_FILES
from titans_dna.training.log import EVENTS, GATES, LOG

SETTINGS, SUMMARY, SPLITS, BEST = "run.json", "training.json", "splits.bed", "best"
LOCK, REPLACED = ".titans-dna.lock", ".titans-dna-replaced"  # names that nobody else gives to a file
MODEL_FILES = (WEIGHTS, CONFIG, TOKENIZER)
RESULTS = (CLASSIFIER, BASE_HEAD)  # what tells of a fine-tuned head
MADE = (*MODEL_FILES, SUMMARY, SETTINGS, SPLITS, LOG, GATES, FOLDER, BEST, EVENTS)
FILES = (
    *MODEL_FILES, SUMMARY, SETTINGS, SPLITS, LOG, GATES, *SNAPSHOT_FILES, "events.out.tfevents.*",
    ".lanes.safetensors.partial-*", UNNAMED,
)  # fmt: skip


@contextmanager
def run_folder(output: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Hold the folder of a run, and its lock, while the context lasts.

    Parameters
    ----------
    output
        The folder; it is made if it does not exist.
    resume
        Whether the run in the folder goes on; otherwise a new one begins.
    overwrite
        Whether a new run may replace a run or a model in the folder.

    Raises
    ------
    OutputError
        If the folder cannot be made, if another run is writing into it, or if it holds what must not be replaced.
    """
    with _locked(output):
        try:
            if not resume:
                _make_room(output, overwrite)
            _drop_leftovers(output)
            yield
        except KeyboardInterrupt as interrupt:
            if any((output / FOLDER).glob("step-*")):
                interrupt.add_note(f"go on with --resume {output}")
            raise


@contextmanager
def head_folder(output: Path, result: str) -> Iterator[None]:
    """Hold the folder of a fine-tuned head, and its lock, while the context lasts.

    Parameters
    ----------
    output
        The folder; it is made if it does not exist. What an earlier fine-tuning of the same kind has left is replaced.
    result
        Name of the file that tells how such a head was trained.

    Raises
    ------
    OutputError
        If the folder cannot be made, if another run is writing into it, or if it holds another model.
    """
    with _locked(output):
        # A model without the result of a fine-tuning was put there by somebody else, or by pretraining.
        others = [SETTINGS, *(name for name in RESULTS if name != result)]
        if not os.path.lexists(output / result):
            others += [CONFIG, WEIGHTS]
        if there := [name for name in others if os.path.lexists(output / name)]:
            raise OutputError(
                f"holds {there[0]}, which belongs to another model. Choose another --output.", path=output
            )
        for leftover in partial_folders(output):
            discard(leftover, FILES)
        yield


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Make a folder if it does not exist, and hold its lock; a run that is refused leaves no empty folder behind."""
    made = not output.exists()
    with disk_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    with lock_file(output / LOCK, output):
        try:
            yield
        finally:
            (output / LOCK).unlink(missing_ok=True)
            if made:
                with suppress(OSError):
                    output.rmdir()


def forget_replaced(output: Path) -> None:
    """Remove the model that a new and complete one has replaced."""
    discard(output / REPLACED, FILES)


def _drop_leftovers(output: Path) -> None:
    """Remove incomplete checkpoints and models of killed runs; thanks to the lock, no run is still writing them."""
    for leftover in (*(output / FOLDER).glob(".partial-*"), *partial_folders(output), *partial_folders(output / BEST)):
        discard(leftover, FILES)


def _make_room(output: Path, overwrite: bool) -> None:
    """Make sure that the folder holds no file of a run, by setting an earlier run aside if it may be replaced."""
    there = [name for name in MADE if os.path.lexists(output / name)]
    if not there:
        return
    # Only a folder with the settings of a run was made by one: other programs have a file run.json too.
    foreign = not _has_settings(output) or any((output / name).is_symlink() for name in there)
    if foreign:
        raise OutputError(f"holds {there[0]}, which no pretraining run has made. Choose another --output.", path=output)
    finished = WEIGHTS in there
    if not overwrite and not _just_begun(output, there):
        what = "a finished model" if finished else "an unfinished run"
        go_on = "" if finished else f"Go on with it by --resume {output}. "
        raise OutputError(f"holds {what}. {go_on}Choose another --output, or replace it with --overwrite.", path=output)
    if not finished:
        for path in (output / name for name in there):
            discard(path, FILES) if path.is_dir() else path.unlink()
        return
    forget_replaced(output)  # left by a run that was killed at its very end, when its model was complete
    with disk_errors(output):
        (output / REPLACED).mkdir(exist_ok=True)
        for name in there:
            (output / name).rename(output / REPLACED / name)


def _just_begun(output: Path, there: list[str]) -> bool:
    """Tell whether the files are those of a run that ended before it had any weights: nothing is lost with them."""
    lost = WEIGHTS in there or BEST in there or (output / REPLACED).exists()
    return not lost and not any((output / FOLDER).glob("step-*"))


def _has_settings(output: Path) -> bool:
    """Tell whether a folder holds the settings of a pretraining run."""
    try:
        settings = json.loads((output / SETTINGS).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and {"sources", "backbone", "training"} <= settings.keys()
