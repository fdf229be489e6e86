"""The form of a memory: the shape of its network, and the rule by which it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from titans_dna.errors import ConfigError

Activation = Literal["gelu", "silu", "relu"]
Written = Literal["all", "last"]


@dataclass(frozen=True, kw_only=True)
class MemoryForm:
    """Shape and write rule of a memory ``M(x) = [x +] [LN](W_L g(... g(W_1 x)))``.

    The default is the deep memory of Titans (arXiv 2501.00663, in the text of NeurIPS 2025): two matrices, GELU,
    residual and LayerNorm. ``MemoryForm.linear()`` is the linear memory ``M(x) = W x``.

    Raises
    ------
    ConfigError
        If a field is out of its range.
    """

    depth: int = 2  # number of weight matrices, 1 to 4
    expansion: int = 2  # width of the hidden layers, relative to the head width
    activation: Activation = "gelu"  # g, between the matrices
    residual: bool = True  # M(x) = x + ...
    norm: bool = True  # LayerNorm on the output of the last matrix
    written: Written = "all"  # matrices that are written, "all" or "last"; the others are learned and stay fixed
    momentum: bool = True  # keep surprise of the past (eta); without it, S_t is the momentary surprise alone
    momentum_limit: float = 0.9  # upper end of the momentum gate, in [0, 1); bounded steps are scaled by 1 - limit
    forgetting: bool = True  # forget by weight decay (alpha)
    bounded: bool = True  # bound steps by the overlap of the writes of a chunk (ops/README.md)

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 4:
            raise ConfigError(f"memory depth is {self.depth}; choose 1 to 4")
        if self.expansion < 1:
            raise ConfigError(f"memory expansion is {self.expansion}; choose 1 or more")
        if self.activation not in ("gelu", "silu", "relu"):
            raise ConfigError(f"memory activation is {self.activation!r}; choose gelu, silu or relu")
        if self.written not in ("all", "last"):
            raise ConfigError(f"memory written is {self.written!r}; choose all or last")
        if not 0.0 <= self.momentum_limit < 1.0:
            raise ConfigError(f"momentum limit is {self.momentum_limit}; choose a value in [0, 1)")

    @classmethod
    def linear(cls, **changes: object) -> MemoryForm:
        """Return the form of the linear memory ``M(x) = W x``."""
        return cls(**{"depth": 1, "residual": False, "norm": False, **changes})  # type: ignore[arg-type]

    @property
    def written_matrices(self) -> int:
        """Number of matrices that are written, which is the last axis of every gate."""
        return 1 if self.written == "last" else self.depth

    @property
    def first_written(self) -> int:
        """Index of the first matrix that is written."""
        return self.depth - self.written_matrices

    def shapes(self, width: int) -> tuple[tuple[int, int], ...]:
        """Return the (out, in) shape of each matrix for a head of ``width`` features."""
        hidden = width * self.expansion
        inner = [width] + [hidden] * (self.depth - 1) + [width]
        return tuple((inner[i + 1], inner[i]) for i in range(self.depth))
