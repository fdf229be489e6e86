"""Recall: what a stream has read, anywhere before, is found again and followed; see ``reader.py``."""

from __future__ import annotations

from titans_dna.recall.form import RecallForm
from titans_dna.recall.lanes import RecallLanes
from titans_dna.recall.memory import CopyMemory
from titans_dna.recall.reader import Found, RecallState, recall
from titans_dna.recall.relatives import ReadContig, Relatives
from titans_dna.recall.target import Target, TargetContig

__all__ = [
    "CopyMemory", "Found", "ReadContig", "RecallForm", "RecallLanes", "RecallState", "Relatives", "Target",
    "TargetContig", "recall",
]  # fmt: skip
