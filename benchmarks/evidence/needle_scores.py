"""Asking for needles: one stream of filler gives every distance, because questions are put to forks of its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path

import numpy as np
import torch
from needle_filler import Filler
from needle_models import recorded_gates
from needle_task import ITEM_BASES, MARKER_BASES, PAYLOAD_BASES, Ids, Needle, Trial, make_trial

from titans_dna.model import state as stream_states
from titans_dna.model.backbone import Backbone
from titans_dna.model.memory import stretched_sigmoid
from titans_dna.model.state import StreamState, select, state_numbers
from titans_dna.ops.state import MemoryState

PIECE_BASES = 32_768  # of all rows together, read at a time: what a processor's cache holds
START_BASES = 1024  # bases in which the needles of a trial are planted
ASK_ROWS = 64  # questions read as one batch


def wilson(right: int, asked: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share, at 95%."""
    share = right / asked
    middle, half = share + z * z / (2 * asked), z * math.sqrt(share * (1 - share) / asked + z * z / (4 * asked**2))
    return (middle - half) / (1 + z * z / asked), (middle + half) / (1 + z * z / asked)


@dataclass
class Tally:
    """Counts of bases and whole payloads that were asked for and foretold."""

    bases: int = 0
    right: int = 0
    payloads: int = 0
    whole: int = 0

    def add(self, hits: np.ndarray) -> None:
        """Count the bases (needles, 8) that were foretold."""
        self.bases += hits.size
        self.right += int(hits.sum())
        self.payloads += len(hits)
        self.whole += int(hits.all(1).sum())

    def join(self, other: Tally) -> Tally:
        """Return the sum of two tallies."""
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def accuracy(self) -> float:
        """Share of the bases that were foretold."""
        return self.right / self.bases if self.bases else math.nan

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Return Wilson's interval of the accuracy at 95%, as if bases were independent."""
        return wilson(self.right, self.bases, z)


@torch.inference_mode()
def ask(model: Backbone, state: StreamState, rows: Sequence[int], needles: Sequence[Needle]) -> np.ndarray:
    """Ask forks of ``state`` for needles, each of the row that read it; return which bases are foretold, (needles, 8).

    The question holds the right bases before the one that is asked for; the state itself does not change.
    """
    hits = []
    for start in range(0, len(needles), ASK_ROWS):
        part = slice(start, start + ASK_ROWS)
        ids = torch.from_numpy(np.stack([needle.item() for needle in needles[part]])).long()
        logits = model.stream(ids[:, : ITEM_BASES - 1], select(state, rows[part])).logits
        hits.append((logits[:, MARKER_BASES - 1 :].argmax(-1) == ids[:, MARKER_BASES:]).numpy())
    return np.concatenate(hits) if hits else np.empty((0, PAYLOAD_BASES), bool)


@dataclass(frozen=True)
class Group:
    """Rows of one stream that are scored together."""

    variant: str  # of ``needle_task.VARIANTS``
    rows: int
    count: int  # needles that are asked for in each row
    real: bool  # planted in the genome, else in random bases

    @property
    def label(self) -> tuple[str, str]:
        """Return the variant in words, and the DNA."""
        one = {"needles": "one needle", "overwritten": "one overwritten", "decoys": "one among decoys"}
        words = one[self.variant] if self.count == 1 else f"{self.count} {self.variant}"
        return words, "real" if self.real else "random"


@dataclass
class Scores:
    """Tallies by variant, DNA and distance, and how many filler bases were written."""

    tallies: dict[tuple[str, str, int], Tally] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    state_numbers: int = 0  # that carry one stream from chunk to chunk

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        rows = [[*key, *vars(tally).values()] for key, tally in self.tallies.items()]
        return {"tallies": rows, "read": self.read, "written": self.written, "state_numbers": self.state_numbers}


@dataclass
class Progress:
    """A stream of many trials that stands ``distance`` bases behind its needles."""

    labels: list[tuple[str, str]]  # of each row
    trials: list[Trial]
    filler: Filler
    state: StreamState
    scores: Scores
    distance: int = 0


def load_progress(file: Path) -> Progress:
    """Return what was saved of a stream; a file that holds anything else than a stream is made of is refused."""
    rng = np.random.default_rng(0)
    drawn = (rng, rng.bit_generator, rng.bit_generator.seed_seq, np.zeros(1))
    states = [kind for kind in vars(stream_states).values() if isinstance(kind, type) and is_dataclass(kind)]
    ours = (Progress, Scores, Tally, Filler, Trial, Needle, MemoryState, *states)
    # NumPy's own names of what makes such objects again differ between its versions.
    numpy = (np.ndarray, np.dtype, *(type(x) for x in drawn), *(x.__reduce__()[0] for x in drawn))
    numbers = [type(np.dtype(kind)) for kind in "?BILilfd"]  # codes of NumPy's array types
    with torch.serialization.safe_globals([*ours, *numpy, *numbers]):
        found = torch.load(file, weights_only=True)
    assert isinstance(found, Progress)
    return found


@torch.inference_mode()
def begin(model: Backbone, groups: Sequence[Group], genome: Ids, rng: np.random.Generator) -> Progress:
    """Plant the needles of all groups and read them."""
    groups = sorted(groups, key=lambda group: group.real)
    labels = [group.label for group in groups for _ in range(group.rows)]
    filler = Filler(rng, len(labels), genome, real=sum(group.rows for group in groups if group.real))
    drawn, trials = iter(filler.read(START_BASES)), []
    for group in groups:
        trials += [make_trial(rng, group.variant, next(drawn), group.count) for _ in range(group.rows)]
    scores = Scores(state_numbers=state_numbers(model.initial_state(1)))
    return Progress(labels, trials, filler, model.stream(_ids(trials)).state, scores)


@torch.inference_mode()
def score(
    model: Backbone, progress: Progress, distances: Sequence[int], keep: Callable[[Progress], None] = lambda _: None
) -> Scores:
    """Read filler up to each distance that is still ahead, and ask there; ``keep`` is told after each.

    A distance counts the bases between the last base of the last item planted and the first base of the question.
    """
    labels, trials, scores = progress.labels, progress.trials, progress.scores
    for distance in distances:
        if distance <= progress.distance:
            continue
        progress.state = _read(model, progress.state, progress.filler, distance - progress.distance, scores)
        progress.distance = distance
        for label in dict.fromkeys(labels):
            asked = [(row, needle) for row, t in enumerate(trials) if labels[row] == label for needle in t.asked]
            rows, needles = zip(*asked, strict=True)
            scores.tallies.setdefault((*label, distance), Tally()).add(ask(model, progress.state, rows, needles))
        keep(progress)
    return scores


def _ids(trials: Sequence[Trial]) -> torch.Tensor:
    return torch.from_numpy(np.stack([trial.start for trial in trials])).long()


def _read(model: Backbone, state: StreamState, filler: Filler, bases: int, scores: Scores) -> StreamState:
    while bases > 0:
        piece = filler.read(min(bases, max(512, PIECE_BASES // state.recent.shape[0] // 512 * 512)))
        with recorded_gates(model) as gates:
            state = model.stream(torch.from_numpy(piece).long(), state).state
        if gates:
            scores.written += sum(int((stretched_sigmoid(gate) > 0).flatten(2).any(2).sum()) for gate in gates)
            scores.read += piece.size
        bases -= piece.shape[1]
    return state


@torch.inference_mode()
def capacity(model: Backbone, counts: Sequence[int], rows: int, rng: np.random.Generator) -> dict[int, Tally]:
    """Plant so many needles in random bases, read 1,024 more, and ask for each."""
    found: dict[int, Tally] = {}
    for count in counts:
        tally, filler = Tally(), Filler(rng, rows, np.empty(0, np.uint8))
        trials = [make_trial(rng, "needles", row, count) for row in filler.read(2 * ITEM_BASES * count)]
        state = _read(model, model.stream(_ids(trials)).state, filler, 1024, Scores())
        for row, trial in enumerate(trials):
            tally.add(ask(model, state, [row] * count, trial.asked))
        found[count] = tally
    return found
