"""Shards: how they are written, and that their work is even and always split the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_dna.errors import ConfigError
from titans_dna.genome.shard import WHOLE, Shard, assign


def test_round_trip():
    assert str(Shard.parse("3/7")) == "3/7"
    assert Shard.parse("1/1") != WHOLE  # somebody asked for it, and will merge it


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "-1/2", "1/0", "1/2/3", "1.5/2"])
def test_a_bad_shard_is_refused(text):
    with pytest.raises(ConfigError, match="give i/n"):
        Shard.parse(text)


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(1, 12))
def test_every_item_has_a_part_and_parts_are_even(costs, count):
    parts = assign(costs, count)
    assert len(parts) == len(costs)
    assert all(1 <= part <= count for part in parts)
    loads = [sum(c for c, p in zip(costs, parts, strict=True) if p == part) for part in range(1, count + 1)]
    assert max(loads) <= sum(costs) / count + max(costs, default=0)
