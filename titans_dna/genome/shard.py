"""One of n parts of a job, for several machines that share the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from titans_dna.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count``. A part 1/1 is a shard too, and needs ``merge`` like any other.

    Raises
    ------
    ConfigError
        If the index is not in 1 to ``count``.

    Examples
    --------
    >>> Shard.parse("2/10")
    Shard(index=2, count=10)
    """

    index: int
    count: int
    whole: bool = field(default=False, repr=False)  # True for a job that was not divided, whose file needs no merge

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ConfigError(f"shard is {self.index}/{self.count}; give i/n with i from 1 to n, such as 1/10")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a shard written as ``i/n``.

        Raises
        ------
        ConfigError
            If the text does not have this form, or i is not in 1 to n.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise ConfigError(f"shard is {text!r}; give i/n with i from 1 to n, such as 1/10")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard(1, 1, whole=True)


def assign(costs: Sequence[float], count: int) -> list[int]:
    """Assign every item to a part (1 to ``count``), so that the costs of the parts are about equal.

    Items are taken from the most to the least costly, and each goes to the part that costs least so far. (This rule,
    longest processing time first, costs at most 4/3 of the best.) Of equals the earlier item and the earlier part come
    first, so every machine finds the same answer.

    Examples
    --------
    >>> assign([5, 3, 3, 1], 2)
    [1, 2, 2, 1]
    """
    parts, loads = [0] * len(costs), [0.0] * count
    for item in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        least = min(range(count), key=lambda part: (loads[part], part))
        parts[item] = least + 1
        loads[least] += costs[item]
    return parts
