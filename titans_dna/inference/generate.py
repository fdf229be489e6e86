"""Generation: a sequence goes on behind a prompt, base by base, each drawn from what the model expects there.

The prompt is read once, however long it is, and every sequence goes on from the same state. A base costs the same
wherever it stands, and nothing grows with the length but the copy memory.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel, require_single_bases
from titans_dna.inference.strand import Strand
from titans_dna.inference.streaming import read_inputs, stream_bases
from titans_dna.inference.stretches import Stretches
from titans_dna.inference.windows import WHOLE_CONTIG, Context, WindowedStrand
from titans_dna.model.backbone import Recalled
from titans_dna.model.device import one_thread
from titans_dna.model.state import StreamState, select
from titans_dna.recall import RecallState

BASES = b"ACGT"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a base is drawn from the four probabilities of the model.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    temperature: float = 1.0  # the logarithms are divided by it; 0 takes the most likely base always
    top_k: int = 4  # only so many of the most likely bases are drawn
    top_p: float = 1.0  # only the fewest most likely bases whose probabilities reach this sum are drawn
    seed: int = 0
    copies: bool = True  # whether the copy memory is asked; without it a sequence repeats less of what was read

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature is {self.temperature}; choose 0 (the most likely base) or above")
        if not 1 <= self.top_k <= len(BASES):
            raise ConfigError(f"top_k is {self.top_k}; choose 1 to {len(BASES)} bases")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; choose a sum of probabilities above 0, up to 1")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; choose 0 or above")

    def random(self, name: str, number: int) -> np.random.Generator:
        """Return the random numbers of a sequence, which depend on the seed, the prompt's name and its own number."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), number])

    def probabilities(self, log_p: np.ndarray) -> np.ndarray:
        """Return the probabilities from which a base is drawn.

        Parameters
        ----------
        log_p
            (4,) float64, ln of the model's probabilities.

        Returns
        -------
        numpy.ndarray
            (4,) float64; their sum is 1.
        """
        order = np.argsort(-log_p, kind="stable")  # of equal bases the first of A, C, G, T counts as more likely
        if self.temperature == 0:
            return np.eye(len(log_p))[order[0]]
        scaled = (log_p - log_p.max()) / self.temperature
        p = np.exp(scaled) / np.exp(scaled).sum()
        before = np.cumsum(p[order]) - p[order]  # sum of all that are more likely
        left_out = order[(np.arange(len(p)) >= self.top_k) | (before >= self.top_p)]
        p[left_out] = 0.0
        return p / p.sum()


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a sequence goes on from: a state of the model that has read all of the prompt but its last token."""

    name: str  # on which random numbers depend
    sequence: bytes  # bases of the prompt in the direction of reading; of a region without what was read before it
    state: StreamState  # of one row
    last: int  # id of the last token, or of the start token
    log_likelihood: float  # ln P of its known bases, given all that was read before
    known: int  # number of these
    begin: RecallState | None  # reader of the copy memory before the first token that was read; None without one
    inputs: np.ndarray  # (1 + bases,) ids that lead to and through the prompt, from ``begin`` on


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A sequence that goes on behind a prompt."""

    ids: np.ndarray  # (bases,) uint8: 0 to 3 for A, C, G, T
    log_likelihood: float  # ln P of its bases by the model itself, whatever the sampling

    @property
    def sequence(self) -> bytes:
        """Its bases."""
        return np.frombuffer(BASES, np.uint8)[self.ids].tobytes()


@one_thread()
def read_prompt(
    model: SequenceModel,
    name: str,
    contig: bytes,
    start: int = 0,
    end: int | None = None,
    *,
    reverse: bool = False,
    context: Context = WHOLE_CONTIG,
    advance: Callable[[int], None] = lambda bases: None,
) -> Prompt:
    """Read a prompt: a region of a contig, behind as much of the contig as the context says.

    Parameters
    ----------
    model
        With one token per base.
    name
        Name of the prompt; random numbers depend on it.
    contig
        Bases of the contig; may be empty.
    start, end
        The prompt, 0-based half-open; all of the contig if left out.
    reverse
        Whether the other strand is read, so that the sequence goes on before ``start``.
    context
        What is read before the prompt (see `titans_dna.inference.windows.Context`).
    advance
        Called with the number of bases read since the last call.

    Raises
    ------
    ConfigError
        If the model reads tokens of several bases, or its copy memory does not fit the context.
    """
    require_single_bases(model, "generated sequences")
    end = len(contig) if end is None else end
    if context.kind == "region":
        contig, start, end = contig[start:end], 0, end - start
    position, state = 0, model.backbone.initial_state(1)
    if context.kind == "window":
        windowed = WindowedStrand(model, contig, reverse=reverse, window_bp=context.window_bp)
        strand = windowed.strand
        first, last = strand.span(start, end)
        windowed.remember_to(last)
        position, state = windowed.begin(first // windowed.block_tokens)
    else:
        strand = Strand.of(contig, model.tokenizer, reverse=reverse)
        first, last = strand.span(start, end)
    begin, log_p = state, [np.zeros(0, np.float32)]
    if last > position:
        asked = np.array([first]), np.array([last])  # also if the prompt is empty: its state is asked for
        stretches = None if context.kind == "window" else Stretches.around(model.backbone.config, asked)
        pieces = stream_bases(
            model.backbone, strand.first_ids(last), model.bos, cuts=[last], position=position, state=state, skips=True,
            stretches=stretches,
        )  # fmt: skip
        for piece in pieces:
            log_p.append(piece.log_probabilities[max(0, first - piece.start) :])
            advance(piece.next_input - position)
            position, state = piece.next_input, piece.state
            if position == last:  # the last token is read with the first base that is drawn
                break
    found = np.concatenate(log_p).astype(np.float64)
    return Prompt(
        name=name,
        sequence=strand.sequence[first:last],
        state=_leaving(state),
        last=int(read_inputs(strand.ids, model.bos, last, last + 1)[0]),
        log_likelihood=float(np.nansum(found)),
        known=int(np.isfinite(found).sum()),
        begin=_reader_of(begin, state),
        inputs=read_inputs(strand.ids, model.bos, begin.position_tokens, last + 1),
    )


def _leaving(state: StreamState) -> StreamState:
    """Return the state with readers that go on in memories of their own, so that no sequence sees another."""
    return replace(state, recall=state.recall.leave()) if state.recall is not None else state


def _reader_of(begin: StreamState, after: StreamState) -> RecallState | None:
    """Return where the reader of the copy memory stood at the beginning, in the memory that holds what was read."""
    if begin.recall is None or after.recall is None:
        return None
    return replace(begin.recall.streams[0], memory=after.recall.streams[0].memory, leaves=False)


@one_thread()
@torch.inference_mode()
def generate(
    model: SequenceModel,
    prompt: Prompt,
    bases: int,
    sampling: Sampling,
    number: int = 1,
    advance: Callable[[int], None] = lambda bases: None,
) -> Generated:
    """Draw a sequence that goes on behind a prompt.

    Each sequence is drawn by itself, so how many others there are changes none of its bases.

    Parameters
    ----------
    model
        The model that has read the prompt.
    prompt
        What the sequence goes on from; it is not changed.
    bases
        How many bases are drawn.
    sampling
        How.
    number
        Number of the sequence among those behind this prompt; each has random numbers of its own.
    advance
        Called with the number of bases drawn since the last call.
    """
    random = sampling.random(prompt.name, number)
    ids, log_likelihood = np.zeros(bases, np.uint8), 0.0
    state, token = prompt.state, prompt.last
    nothing = None if sampling.copies else Recalled(torch.zeros(1, 1, 1, dtype=torch.int32, device=model.device), None)
    for at in range(bases):
        out = model.backbone.stream(torch.tensor([[token]], device=model.device), state, recalled=nothing)
        state = out.state
        log_p = out.logits[0, -1].double().log_softmax(-1).cpu().numpy()
        reach = np.cumsum(sampling.probabilities(log_p))
        token = int(np.searchsorted(reach, random.random() * reach[-1], side="right"))
        ids[at] = token
        log_likelihood += float(log_p[token])
        advance(1)
    return Generated(ids=ids, log_likelihood=log_likelihood)


@one_thread()
@torch.inference_mode()
def decode_greedily(model: SequenceModel, prompt: Prompt, questions: np.ndarray, bases: int) -> np.ndarray:
    """Go on behind a prompt and a question with the most likely base, again and again; each question by itself.

    Parameters
    ----------
    model
        The model that has read the prompt.
    prompt
        What stands before every question; it is not changed.
    questions
        (B, bases) ids that are read behind the prompt.
    bases
        How many bases are decoded.

    Returns
    -------
    numpy.ndarray
        (B, bases) uint8: 0 to 3 for A, C, G, T.
    """
    found, state = np.zeros((len(questions), bases), np.uint8), select(prompt.state, [0] * len(questions))
    ids = np.concatenate([np.full((len(questions), 1), prompt.last), questions], 1).astype(np.int64)
    for at in range(bases):
        out = model.backbone.stream(torch.from_numpy(ids).to(model.device), state)
        state = out.state
        found[:, at] = out.logits[:, -1, : len(BASES)].argmax(-1).cpu().numpy()
        ids = found[:, at : at + 1].astype(np.int64)
    return found
