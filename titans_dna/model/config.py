"""The configuration of a backbone, and the named sizes.

The values of a configuration that was read from a file are checked: their kinds, and sizes that no model has. A
dataclass takes any value, so text, NaN or 64.0 in the place of 64 would only be noticed deep in the model, and a width
of 10^9 when the memory of the machine is used up.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from titans_dna.errors import ConfigError, check_least
from titans_dna.ops.form import MemoryForm
from titans_dna.recall.form import RecallForm

BLOCKS = ("mac", "mag", "mal", "lmm", "transformer", "window")
MEMORY_BLOCKS = BLOCKS[:4]
STEM_TARGETS = 64  # most targets for a stem, which has weights for each pair of a target and a place
_MOST_ITEMS = 4096  # of a list
_MOST = {  # of whole numbers, by key; far above every size in `SIZES`
    "layers": 1024, "width": 1 << 16, "vocabulary": 1 << 20, "stem_tokens": 1 << 14, "context_buckets": 1 << 28,
    "expansion": 64, "depth": 64, "persistent_tokens": 1 << 16, "convolution_tokens": 1 << 12,
    "context_orders": 1 << 10,
}  # fmt: skip
_MOST_ELSE = 1 << 32
_MOST_SHARE = 1024.0  # of fractions, such as feed_forward


@dataclass(frozen=True, kw_only=True)
class MemoryLayout:
    """Heads, chunk length and reset period of one memory of a block (several memories: TNT, arXiv 2511.07343).

    Raises
    ------
    ConfigError
        If a value is out of its range, or the reset period is not a multiple of the chunk.
    """

    heads: int = 4
    chunk_tokens: int = 64  # tokens whose gradients are taken at the same weights
    reset_tokens: int = 0  # tokens after which the memory goes back to its initial weights; 0 for never

    def __post_init__(self) -> None:
        if self.heads < 1 or self.chunk_tokens < 1 or self.reset_tokens < 0:
            raise ConfigError("a memory needs heads and chunk_tokens of 1 or more, and reset_tokens of 0 or more")
        if self.reset_tokens % self.chunk_tokens:
            raise ConfigError(
                f"reset_tokens {self.reset_tokens} is no multiple of chunk_tokens {self.chunk_tokens}; make it one"
            )


@dataclass(frozen=True, kw_only=True)
class WordCountForm:
    """Tables of what followed each word in the training sequence (``model/word_counts.py``).

    Raises
    ------
    ConfigError
        If a size is out of its range.
    """

    orders: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 9, 10)  # lengths of the words in bases, rising; the last is even
    repeat_order: int = 16  # length in bases of the words whose usual successor is kept
    repeat_rows: int = 1 << 23  # rows of their table, of one byte each; a power of two

    def __post_init__(self) -> None:
        if not self.orders or list(self.orders) != sorted({*self.orders}) or not self.orders[0] >= 1:
            raise ConfigError(f"word orders are {self.orders}; give rising numbers of 1 or more")
        if self.order % 2 or self.order > 12:
            raise ConfigError(f"the longest word order is {self.order}; choose an even number up to 12")
        if not self.order <= self.repeat_order <= 28:
            raise ConfigError(f"repeat_order is {self.repeat_order}; choose {self.order} to 28")
        if self.repeat_rows < 1 or self.repeat_rows & (self.repeat_rows - 1):
            raise ConfigError(f"repeat_rows is {self.repeat_rows}; choose a power of two")

    @property
    def order(self) -> int:
        """The longest order, for which all words are counted."""
        return self.orders[-1]

    @property
    def reach(self) -> int:
        """Number of earlier ids on which the evidence at a token depends."""
        return self.repeat_order


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Sizes and switches of a backbone; impossible combinations are refused here.

    Raises
    ------
    ConfigError
        If a value is out of its range, or two values do not fit together.
    """

    vocabulary: int = 7  # number of token ids that the model reads
    targets: int = 4  # ids 0 .. targets - 1 can be predicted, and are written to memories; the others are not
    width: int = 128  # features of the residual stream
    layers: int = 2
    block: str = "mag"  # how attention and memory are joined: one of BLOCKS
    attention_heads: int = 4
    window_tokens: int = 128  # tokens that a token attends to, itself included
    segment_tokens: int = 512  # tokens of a segment of MAC
    persistent_tokens: int = 4  # learned keys and values that every query attends to
    memory_heads: int = 4
    chunk_tokens: int = 64  # tokens whose gradients are taken at the same weights; another value is another model
    reset_tokens: int = 0  # tokens after which the memory goes back to its initial weights; 0 for never
    further_memories: tuple[MemoryLayout, ...] = ()  # memories beside the first one; their reads are added
    memory_layers: tuple[int, ...] = ()  # layers, from 1, that have a memory, the others being `window`; () for all
    convolution_tokens: int = 4  # tokens of the causal depthwise convolutions on q, k and v; 1 for none
    feed_forward: float = 2.0  # width of the SwiGLU, relative to `width`
    context_orders: tuple[int, ...] = ()  # lengths of the words ending at a token that have embeddings of their own
    context_buckets: int = 4096  # most rows of each such table; if there are more words, they share rows by a hash
    stem_tokens: int = 0  # last ids, own id included, that a convolution before the blocks sees; 0 for no convolution
    word_counts: WordCountForm | None = None  # counts of words beside the network; only for ids that are single bases
    initial_step: float = 0.02  # step gate before training; with a large one the memory recalls at once but is unstable
    induction: bool = False  # start with keys that are queries one token late: a memory then recalls what came next
    recall: RecallForm | None = None  # a copy memory beside the deep one; only for ids that are single bases
    memory: MemoryForm = field(default_factory=MemoryForm)

    def __post_init__(self) -> None:
        positive = ("width", "layers", "attention_heads", "window_tokens", "memory_heads", "chunk_tokens")
        check_least(1, **{name: getattr(self, name) for name in positive})
        if self.block not in BLOCKS:
            raise ConfigError(f"block is {self.block!r}; choose one of {', '.join(BLOCKS)}")
        for heads in (self.attention_heads, *(layout.heads for layout in self.memories)):
            if self.width % heads:
                raise ConfigError(f"width {self.width} is not divisible by {heads} heads; change one")
        if (self.width // self.attention_heads) % 4:
            head = self.width // self.attention_heads
            raise ConfigError(f"attention head width is {head}; rotary positions need a multiple of 4")
        if not 1 <= self.targets <= self.vocabulary:
            raise ConfigError(f"targets is {self.targets} of a vocabulary of {self.vocabulary}; choose 1 to the latter")
        if self.persistent_tokens < 0 or self.convolution_tokens < 1 or self.feed_forward <= 0:
            raise ConfigError("persistent_tokens must be 0 or more, convolution_tokens 1 or more, feed_forward above 0")
        for layout in self.memories:
            if self.block == "mac" and self.segment_tokens % layout.chunk_tokens:
                raise ConfigError(
                    f"segment_tokens {self.segment_tokens} is no multiple of chunk_tokens {layout.chunk_tokens}; "
                    "make the chunk divide the segment"
                )
        self._check_memory_layers()
        if not 0 <= self.initial_step <= 1:
            raise ConfigError(f"initial_step is {self.initial_step}; choose a value in [0, 1]")
        if self.induction and self.convolution_tokens < 2:
            raise ConfigError("induction needs convolution_tokens of 2 or more, to make keys one token late")
        if any(order < 1 for order in self.context_orders) or self.context_buckets < 1:
            raise ConfigError("context_orders and context_buckets must be 1 or more")
        if self.stem_tokens < 0 or (self.stem_tokens and self.targets > STEM_TARGETS):
            raise ConfigError(
                f"stem_tokens is {self.stem_tokens} for {self.targets} targets; choose 0 or more, and 0 for more than "
                f"{STEM_TARGETS} targets"
            )
        if self.word_counts and self.targets != 4:
            raise ConfigError(f"word_counts need the four bases as targets, not {self.targets}; use one token per base")
        if self.recall and self.targets != 4:
            raise ConfigError(f"recall needs the four bases as targets, not {self.targets}; use one token per base")

    def _check_memory_layers(self) -> None:
        named = self.memory_layers
        if named and self.block not in MEMORY_BLOCKS:
            raise ConfigError(
                f"memory_layers is {named} but block {self.block} has no memory; leave it out, or choose one of "
                f"{', '.join(MEMORY_BLOCKS)}"
            )
        if any(layer not in range(1, self.layers + 1) for layer in named) or list(named) != sorted({*named}):
            raise ConfigError(
                f"memory_layers is {named} of {self.layers} layers; give rising numbers from 1 to {self.layers}, each "
                "once, or none for every layer"
            )

    def require_recall(self, name: str = "the model") -> RecallForm:
        """Return the settings of the copy memory.

        Raises
        ------
        ConfigError
            If the configuration has no copy memory; the message names the model by ``name``.
        """
        if self.recall is None:
            raise ConfigError(
                f"{name} has no copy memory, so relatives would change nothing; leave them out, or use a model that "
                "was trained with --recall"
            )
        return self.recall

    def block_of(self, layer: int) -> str:
        """Return the kind of block of a layer, counted from 1."""
        return "window" if self.memory_layers and layer not in self.memory_layers else self.block

    @property
    def memories(self) -> tuple[MemoryLayout, ...]:
        """Layouts of all memories of a block that has memories."""
        first = MemoryLayout(heads=self.memory_heads, chunk_tokens=self.chunk_tokens, reset_tokens=self.reset_tokens)
        return (first, *self.further_memories)

    def phase(self, position_tokens: int) -> int:
        """Return the phase of a position; only streams at the same phase can be read as one batch.

        The phase is the number of tokens since the last position at which chunks, segments and reset periods of all
        memories end together. With full attention it is the position itself, since the cache is as long as the stream.
        """
        return position_tokens if self.block == "transformer" else position_tokens % self.period_tokens

    @property
    def chunk_period_tokens(self) -> int:
        """Number of tokens after which chunks and segments of all memories end together."""
        chunks = [layout.chunk_tokens for layout in self.memories]
        return math.lcm(*chunks, self.segment_tokens if self.block == "mac" else 1)

    @property
    def period_tokens(self) -> int:
        """Number of tokens after which chunks, segments and reset periods of all memories end together."""
        return math.lcm(self.chunk_period_tokens, *(layout.reset_tokens or 1 for layout in self.memories))

    @property
    def lead_tokens(self) -> int | None:
        """Number of tokens before a period's border at which a stream may begin, to be from the border on what it is.

        A memory that resets knows nothing of what stands before the border, and window attention nothing of what stands
        before its window. So a stream that begins this far before a border, with the blank state of that phase, is from
        the border on equal to one that has read everything. None if something is never forgotten.
        """
        memories = range(0) if self.block == "window" else self.memory_layers or range(1, self.layers + 1)
        if self.block in ("mac", "transformer") or (memories and not all(m.reset_tokens for m in self.memories)):
            return None
        lead, period = 0, self.period_tokens
        for layer in range(self.layers, 0, -1):  # how far back the input of each layer is needed
            near = lead if self.block_of(layer) == "lmm" else lead + self.window_tokens
            if layer in memories:
                # MAL attends to what the memory has read; elsewhere both read the input.
                far = near if self.block == "mal" else lead
                near = max(near, -(-far // period) * period + self.convolution_tokens - 1)
            lead = near
        return -(-lead // self.align_tokens) * self.align_tokens

    @property
    def align_tokens(self) -> int:
        """Number of tokens after which chunks and segments of all memories, and the attention window, end together."""
        return math.lcm(self.chunk_period_tokens, self.window_tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for JSON."""
        values = asdict(self)
        # Left out where they are switched off, so that versions of the package without them can read the model.
        for name in ("stem_tokens", "induction", "memory_layers", "recall"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BackboneConfig:
        """Return the configuration from what ``to_dict`` returned.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value does not fit.
        """
        made = dict(check_values(cls, _of_json(values)))
        made["memory"] = MemoryForm(**check_values(MemoryForm, made.get("memory", {})))
        made["further_memories"] = tuple(
            MemoryLayout(**check_values(MemoryLayout, layout)) for layout in made.get("further_memories", ())
        )
        for name, form in (("word_counts", WordCountForm), ("recall", RecallForm)):
            if made.get(name) is not None:
                made[name] = form(**check_values(form, made[name]))
        return cls(**made)


def _of_json(value: Any) -> Any:
    """Make tuples of lists, which JSON has in their place."""
    if isinstance(value, dict):
        return {name: _of_json(inner) for name, inner in value.items()}
    return tuple(map(_of_json, value)) if isinstance(value, list) else value


# Parameters are counted by tests/model/test_sizes.py; every size reads whole chromosomes by streaming. In `default`,
# `tiny` and `small` every second layer has a memory: after two minutes of training their bits are within the spread of
# two seeds of those with a memory in every layer, and a step takes a fifth to a quarter less time
# (benchmarks/results/ablations_layers.md). The others were not compared.
SIZES: dict[str, BackboneConfig] = {
    "default": BackboneConfig(
        width=64,
        attention_heads=2,
        memory_heads=1,
        memory_layers=(2,),
        window_tokens=64,
        reset_tokens=4096,  # carried further, the memory gains a thousandth of a bit and is chaotic (ops/README.md)
        word_counts=WordCountForm(),
        recall=RecallForm(),
    ),
    "nano": BackboneConfig(width=64, attention_heads=2, memory_heads=1, window_tokens=64, context_orders=(3, 5)),
    "tiny": BackboneConfig(
        width=128, attention_heads=4, memory_heads=2, memory_layers=(2,), window_tokens=128, context_orders=(4,)
    ),
    "small": BackboneConfig(
        width=176,
        layers=4,
        attention_heads=4,
        memory_heads=4,
        memory_layers=(2, 4),
        window_tokens=128,
        context_orders=(3, 5),
        feed_forward=2.4,
    ),
    "base": BackboneConfig(
        width=256, layers=6, attention_heads=4, memory_heads=4, window_tokens=256, context_orders=(3, 6)
    ),
    "large": BackboneConfig(
        width=512, layers=7, attention_heads=8, memory_heads=8, window_tokens=512, context_orders=(3, 6)
    ),
    "xl": BackboneConfig(
        width=896, layers=9, attention_heads=14, memory_heads=14, window_tokens=1024, context_orders=(3, 6)
    ),
}


def named_config(name: str) -> BackboneConfig:
    """Return the configuration of a named size.

    Raises
    ------
    ConfigError
        If there is no such size.
    """
    if name not in SIZES:
        raise ConfigError(f"model size is {name!r}; choose one of {', '.join(SIZES)}")
    return SIZES[name]


def check_values(form: type, values: Any) -> dict[str, Any]:
    """Return the values of a dataclass that JSON gave, if each is of the kind of its default.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of another kind, not finite, or too large.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"the settings of {form.__name__} are {_short(values)}; give them by name")
    known = {field.name: field.default for field in fields(form)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown configuration key {_short(name)}; was it made by a newer titans-dna?")
        default = known[name]
        if default is MISSING or default is None:  # a form of its own
            continue
        if isinstance(default, tuple):
            if not isinstance(value, tuple) or len(value) > _MOST_ITEMS:
                raise ConfigError(f"{name} is {_short(value)}; give a list of at most {_MOST_ITEMS:,}")
            for item in value if name != "further_memories" else ():
                _check_value(name, item, default[0] if default else 1)
        else:
            _check_value(name, value, default)
    return values


def _check_value(name: str, value: Any, default: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(default, bool | str):
        if type(value) is not type(default):
            raise ConfigError(f"{name} is {_short(value)}; give {'true or false' if default in (0, 1) else 'text'}")
    elif isinstance(default, int):
        most = _MOST.get(name, _MOST_ELSE)
        if not whole or not 0 <= value <= most:
            raise ConfigError(f"{name} is {_short(value)}; give a whole number up to {most:,}")
    elif not (whole or isinstance(value, float)) or not abs(value) <= _MOST_SHARE:  # nan is not, either
        raise ConfigError(f"{name} is {_short(value)}; give a number up to {_MOST_SHARE:g}")


def _short(value: Any) -> str:
    """Write a value in at most 60 letters; a whole number may have too many digits to be written at all."""
    if isinstance(value, int) and abs(value) > _MOST_ELSE**2:
        return "a very large number"
    text = repr(value) if not isinstance(value, dict | tuple) else f"a {'list' if isinstance(value, tuple) else 'map'}"
    return text if len(text) <= 60 else text[:57] + "..."
