"""Measures held-out sequence: bits per base, with the memory carried along or reset in every window, and the gates."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titans_dna.errors import CheckpointError
from titans_dna.inference.gates import GateStatistics, gate_statistics
from titans_dna.inference.model import SequenceModel
from titans_dna.inference.streaming import stream_bases
from titans_dna.io.sequence.fasta import Fasta
from titans_dna.jobs.provenance import describe_relatives
from titans_dna.model.backbone import Backbone
from titans_dna.tokenizers import Tokenizer, base_ids
from titans_dna.training.markov import MarkovModel
from titans_dna.training.words import NUCLEOTIDES, bases_of
from titans_dna.version import __version__

BASELINE_ORDERS = (2, 6, 12)
MOST_WINDOWS = 256  # in which bits are counted by position
GATE_TOKENS = 4096  # most tokens to read, so that an evaluation costs hardly more
GATE_CONTIGS = 64  # most contigs from which they are taken


@dataclass(frozen=True, kw_only=True)
class BitsPerBase:
    """Mean of -log2 P over a number of known bases, in bits."""

    bits: float
    bases: int


def carried_bits(
    model: Backbone,
    contigs: Sequence[np.ndarray],
    bos: int,
    progress: Callable[[int], None] = lambda _: None,
    tokenizer: Tokenizer = NUCLEOTIDES,
) -> BitsPerBase:
    """Return the bits per base of whole contigs, given as token ids; each is streamed once from its start."""
    total, bases = 0.0, 0
    for ids in contigs:
        for piece in stream_bases(model, ids, bos, new_bases=bases_of(tokenizer, ids)):
            known = np.isfinite(piece.log_probabilities)
            # In float64, because float32 loses digits in sums over millions of bases.
            total -= float(piece.log_probabilities[known].sum(dtype=np.float64))
            bases += int(known.sum())
            progress(len(known))
    return BitsPerBase(bits=total / max(1, bases) / math.log(2), bases=bases)


def reset_bits(
    model: Backbone,
    contigs: Sequence[np.ndarray],
    bos: int,
    window_tokens: int,
    progress: Callable[[int], None] = lambda _: None,
    tokenizer: Tokenizer = NUCLEOTIDES,
) -> BitsPerBase:
    """Return the bits per base if every window of ``window_tokens`` tokens is read by itself, with a fresh memory."""
    total, bases = 0.0, 0
    for nats, counts in _reset_windows(model, contigs, bos, window_tokens, tokenizer):
        known = torch.isfinite(nats)
        total += float(nats[known].double().sum())
        bases += int(counts[known].sum())
        progress(int(counts.sum()))
    return BitsPerBase(bits=total / max(1, bases) / math.log(2), bases=bases)


def bits_by_position(
    model: Backbone,
    contigs: Sequence[np.ndarray],
    bos: int,
    window_tokens: int,
    tokenizer: Tokenizer = NUCLEOTIDES,
) -> list[dict[str, float]]:
    """Return the bits per base by the number of tokens read before, in bins of doubling width.

    This shows whether more context helps. Each row has ``start`` and ``end`` of a bin (tokens of the window, 0-based
    half-open), ``bits_per_base`` and ``bases``. At most `MOST_WINDOWS` whole windows are read, evenly spread over the
    contigs.
    """
    whole = [ids[: len(ids) // window_tokens * window_tokens].reshape(-1, window_tokens) for ids in contigs]
    rows = np.concatenate(whole) if whole else np.zeros((0, window_tokens), dtype=np.uint8)
    rows = rows[:: max(1, -(-len(rows) // MOST_WINDOWS))]
    sums, counts = np.zeros(window_tokens), np.zeros(window_tokens, dtype=np.int64)
    windows = _reset_windows(model, [rows.reshape(-1)], bos, window_tokens, tokenizer) if len(rows) else ()
    for nats, found in windows:
        known = torch.isfinite(nats)
        sums += torch.where(known, nats, 0.0).double().sum(0).cpu().numpy()
        counts += torch.where(known, found, 0).sum(0).cpu().numpy()
    edges = [0, *(2**n for n in range(4, 40) if 2**n < window_tokens), window_tokens]
    bins = [(start, end) for start, end in itertools.pairwise(edges) if counts[start:end].any()]
    return [
        {
            "start": start, "end": end, "bases": int(counts[start:end].sum()),
            "bits_per_base": float(sums[start:end].sum() / counts[start:end].sum() / math.log(2)),
        }
        for start, end in bins
    ]  # fmt: skip


@torch.inference_mode()
def _reset_windows(
    model: Backbone, contigs: Sequence[np.ndarray], bos: int, window_tokens: int, tokenizer: Tokenizer
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield -ln P of the tokens of windows (nan where a token is unknown or covers no new base), and their bases."""
    device = next(model.parameters()).device
    for ids in contigs:
        for start in range(0, len(ids), 16 * window_tokens):
            group = ids[start : start + 16 * window_tokens]
            size = len(group) // window_tokens * window_tokens
            # The last window of a contig may be shorter, so it is a batch of its own.
            for rows in (group[:size].reshape(-1, window_tokens), group[size:][None]):
                if rows.size:
                    targets = torch.from_numpy(rows.astype(np.int64)).to(device)
                    inputs = torch.cat([torch.full_like(targets[:, :1], bos), targets[:, :-1]], 1)
                    log_p = model(inputs).log_softmax(-1)
                    counts = _counts(tokenizer, rows).to(device)  # of each window by itself, as it is read
                    known = (targets < model.config.targets) & (counts > 0)
                    picked = log_p.gather(-1, targets.where(known, 0).unsqueeze(-1)).squeeze(-1)
                    yield torch.where(known, -picked, torch.nan), counts


def _counts(tokenizer: Tokenizer, rows: np.ndarray) -> Tensor:
    """Return the number of bases that each token of each row is the first to cover."""
    found = [bases_of(tokenizer, row) for row in rows]
    return torch.from_numpy(np.stack([np.ones(rows.shape[1]) if c is None else c for c in found]).astype(np.int64))


def baselines(training: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> list[dict[str, float | str]]:
    """Return the bits per base of Markov models that are fitted on the training contigs, one row per order."""
    return [
        {"name": f"order-{order}", "bits_per_base": MarkovModel(order, training).bits_per_base(held_out)}
        for order in BASELINE_ORDERS
    ]


def training_record(folder: Path) -> dict[str, Any]:
    """Return the training record of a model folder, empty if there is none.

    Raises
    ------
    CheckpointError
        If the file is not JSON.
    """
    path = folder / "training.json"
    try:
        record = json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"is not JSON ({error}). Restore the file.", path=path) from error
    return record if isinstance(record, dict) else {}


def held_out_contigs(folder: Path, fasta: Fasta) -> list[str]:
    """Return the contigs of the FASTA that the model's training held out."""
    named = training_record(folder).get("holdout_contigs", [])
    return [contig for name in named if (contig := fasta.contigs.resolve(name)) is not None]


def evaluate_model(
    model: SequenceModel,
    fasta: Fasta,
    contigs: Sequence[str],
    window_tokens: int,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the bits per base of ``contigs`` with the memory carried along and with it reset, and of Markov models.

    The Markov models are fitted on all other contigs of the FASTA; if there are none, they are left out.
    """
    bases = {name: base_ids(fasta.letters(name)) for name in fasta.contigs.names}
    held_out = [model.tokenizer.encode(fasta.sequence(name)) for name in contigs]
    others = [name for name in fasta.contigs.names if name not in set(contigs)]
    carried = carried_bits(model.backbone, held_out, model.bos, progress, model.tokenizer)
    reset = reset_bits(model.backbone, held_out, model.bos, window_tokens, progress, model.tokenizer)
    return {
        "contigs": list(contigs),
        "bases": carried.bases,
        "bits_per_base": carried.bits,
        "bits_per_base_memory_reset": reset.bits,
        "window_tokens": window_tokens,
        "baselines": baselines([bases[n] for n in others], [bases[n] for n in contigs]) if others else [],
        "baseline_contigs": others,
        "tokenizer": model.tokenizer.kind,
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        **({"relatives": describe_relatives(model.relatives)} if model.relatives else {}),
        "fasta": str(fasta.path),
        "contig_md5": {name: fasta.md5(name) for name in contigs},
        "package_version": __version__,
    }


def held_out_gates(model: Backbone, sample: Sequence[np.ndarray], bos: int) -> list[GateStatistics]:
    """Return the statistics of every memory on the first tokens of the contigs of a sample, read side by side.

    Parameters
    ----------
    model
        Model to watch.
    sample
        Token ids of held-out contigs; if there are none, nothing is returned.
    bos
        Id of the start token. The next id is padding, which is never written to a memory.
    """
    contigs = sample[:GATE_CONTIGS]
    if not contigs:
        return []
    share = GATE_TOKENS // len(contigs)
    rows = np.full((len(contigs), 1 + min(share, max(map(len, contigs)))), bos + 1, dtype=np.int64)
    rows[:, 0] = bos
    for row, ids in zip(rows, contigs, strict=True):
        row[1 : 1 + len(ids[:share])] = ids[:share]
    return gate_statistics(model, torch.from_numpy(rows).to(next(model.parameters()).device))
