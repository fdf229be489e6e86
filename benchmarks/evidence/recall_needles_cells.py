"""The cells of ``recall_needles`` at each budget, and how one is measured."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from needle_filler import Filler
from needle_task import BASES, Ids
from read_before import state_after
from recall_needles_decoding import by_network, by_rule, decode
from recall_needles_task import DEPTHS, Cell, Haystack, make_haystack
from records import unpack
from setting import DEMO, Setting

from titans_dna.inference.model import SequenceModel
from titans_dna.io.sequence.fasta import open_fasta
from titans_dna.model.state import StreamState, select
from titans_dna.recall import recall
from titans_dna.tokenizers import NucleotideTokenizer

CONTEXT_TOKENS = 8192  # that the network reads before the question; the copy memory reads all
ASKED_AT_ONCE = 64
GENOMES = (
    "genomes/yeast_R64-1-1.fa.gz", "genomes/pombe_ASM294v2.fa.gz", "genomes/ecoli_k12_NC_000913.3.fna.gz",
    "human/hg19_chr22_1-22000000.fa.gz",
)  # fmt: skip
TOLD_GENOMES = "yeast, S. pombe, E. coli and the known bases of human chr22:1-22,000,000, joined; from random places on"
LENGTHS = (98_304, 393_216, 786_432, 2_097_152, 16_777_216)
MEGA2, MEGA16 = LENGTHS[3:]
TASKS: dict[str, dict[str, int]] = {
    "NIAH": {}, "NIAH, decoys d4": {"decoys": 8, "distance": 4}, "NIAH, decoys d2": {"decoys": 8, "distance": 2},
    "NIAH, decoys d1": {"decoys": 8, "distance": 1},
}  # fmt: skip
COUNTS = ((1, 100), (4, 25), (64, 4), (256, 2), (4096, 1))  # needles in a haystack, haystacks
FURTHER: dict[str, dict[str, Any]] = {
    "needles": {}, "needles, overwritten": {"overwritten": True}, "needles, decoys d3": {"decoys": 8, "distance": 3},
    "needles, 2 bases of the key changed": {"changed": 2},
}  # fmt: skip
WHOLE = "the network"


def planned(full: bool) -> list[Cell]:
    """Return what is measured."""
    if not full:
        small = [
            Cell(test=test, bases=65_536, haystacks=2, needles=len(DEPTHS), **form) for test, form in TASKS.items()
        ]
        apart = [_apart(test, 16, 1, 131_072, False, **form) for test, form in FURTHER.items()]
        return [*small, *apart, Cell(test="NIAH", bases=16_384, haystacks=1, needles=5, read_by=WHOLE)]
    found = []
    for test, form in TASKS.items():
        found += [Cell(test=test, bases=bases, haystacks=20, needles=len(DEPTHS), **form) for bases in LENGTHS]
    for test in ("NIAH", "NIAH, decoys d2"):
        crowded = Cell(test=test, bases=LENGTHS[2], haystacks=1, needles=100, **TASKS[test])
        found += [crowded, replace(crowded, read_by=WHOLE)]
    for real in (False, True):
        for test, form in FURTHER.items():
            for needles, haystacks in COUNTS if test == "needles" else ((256, 2),):
                found.append(_apart(test, needles, haystacks, MEGA2, real, **form))
        found.append(_apart("needles", 4096, 1, MEGA16, real))
    return found


def _apart(test: str, needles: int, haystacks: int, bases: int, real: bool, **form: Any) -> Cell:
    """Return a cell of the older table's needles: longer keys, shorter values, anywhere."""
    return Cell(
        test=test, bases=bases, haystacks=haystacks, needles=needles, key_bases=32, value_bases=16, depths=False,
        real=real, **form,
    )  # fmt: skip


def read_genomes(setting: Setting) -> Ids:
    """Return the joined known bases of the genomes that needles are planted in."""
    return joined([setting.data / path for path in GENOMES] if setting.full else [DEMO])


def joined(paths: Sequence[Path]) -> Ids:
    """Return the known bases of all contigs of some files."""
    tokenizer, parts = NucleotideTokenizer(), []
    for path in paths:
        with open_fasta(path) as source:
            parts += [tokenizer.encode(source.sequence(contig)) for contig in source.contigs.names]
    return np.concatenate([ids[ids < BASES] for ids in parts])


def measure(model: SequenceModel, cell: Cell, genome: Ids, seed: int) -> dict[str, Any]:
    """Return the counts of a cell, seconds, and how each miss came about."""
    total: dict[str, Any] = {"seconds_read": 0.0, "seconds_asked": 0.0, "answers": [], "misses": []}
    total |= dict.fromkeys(("asked", "exact", "bases", "right", "rule_exact", "rule_right"), 0)
    for number in range(cell.haystacks):
        rng = np.random.default_rng([seed, zlib.crc32(cell.name.encode()), number])
        haystack = make_haystack(
            rng, cell, lambda n, rng=rng: Filler(rng, 1, genome, int(cell.real)).read(n)[0], number
        )
        started = time.process_time()
        context = cell.bases + 1 if cell.read_by == WHOLE else CONTEXT_TOKENS
        state = state_after(model, [haystack.ids], context_tokens=context)
        total["seconds_read"] += time.process_time() - started
        started = time.process_time()
        answers = ask(model, state, haystack)
        total["seconds_asked"] += time.process_time() - started
        ruled = ask(model, state, haystack, rule=True)
        for name, found in (("", answers), ("rule_", ruled)):
            hits = found == haystack.values
            total[f"{name}exact"] += int(hits.all(1).sum())
            total[f"{name}right"] += int(hits.sum())
        total["asked"] += len(answers)
        total["bases"] += answers.size
        total["answers"] += ["".join("ACGT"[base] for base in row) for row in answers]
        total["misses"] += [
            why(state, haystack, row, answers[row])
            for row in np.flatnonzero((answers != haystack.values).any(1)).tolist()
        ]
    return total


def ask(model: SequenceModel, state: StreamState, haystack: Haystack, *, rule: bool = False) -> np.ndarray:
    """Return what is decoded behind every question, each asked from a branch of one state."""
    parts = []
    for start in range(0, len(haystack.questions), ASKED_AT_ONCE):
        questions = haystack.questions[start : start + ASKED_AT_ONCE]
        rows, bases = [0] * len(questions), haystack.values.shape[1]
        if rule:
            assert state.recall is not None
            parts.append(decode(by_rule, state.recall.select(rows).streams, questions, bases))
        else:
            parts.append(decode(by_network(model.backbone), select(state, rows), questions, bases))
    return np.concatenate(parts)


def why(state: StreamState, haystack: Haystack, row: int, answer: np.ndarray) -> dict[str, Any]:
    """Return how a miss came about: the first wrong base, and the records at it of the right place and of the best.

    The place is looked for where the right answer was read so far: right behind the key, or further on.
    """
    assert state.recall is not None
    wrong = int(np.flatnonzero(answer != haystack.values[row])[0])
    read = np.concatenate([haystack.questions[row], answer[:wrong]])
    found = recall(state.recall.streams[0], read, sources=True)
    assert found.sources is not None
    records, wanted = unpack(found.codes[-1]), haystack.starts[row] + len(read) + 1  # the start token is one more
    told = {
        int(at): (int(records.hits[slot]), int(records.run[slot]), int(records.age[slot]), int(records.base[slot]))
        for slot, at in enumerate(found.sources[-1])
        if records.held[slot]
    }
    others = [record for at, record in told.items() if at != wanted and record[3] == answer[wrong]]
    kind = "not found" if wanted not in told else "not believed" if others else "against all places"
    return {
        "why": kind if wrong == 0 else f"{kind}, later", "at": wrong, "places": len(told),
        "right": told.get(int(wanted)), "believed": max(others, default=None),
    }  # fmt: skip
