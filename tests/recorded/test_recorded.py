"""Every verb writes what it wrote when its outputs were recorded: text exactly, numbers within a tolerance.

``python tests/recorded/record_outputs.py`` records them anew, and ``git diff`` then shows what a change has changed.

The outputs of the model without a copy memory were compared with those of commit 3d739e6, of before jobs, readers and
writers moved to their present modules: the same commands were run there on the same files. Every number was equal to
the tolerance used here, but for those of ``predict`` and its classifier. What differed was meant, and stands in
the changelog:

- ``finetune`` follows the learning-rate schedule of ``pretrain``, so the probabilities of ``predict`` differ by 0.003;
- tables in TSV say in ``##key=value`` lines what made them, a bigWig in a JSON file beside it; an evaluation and
  the statistics of a sample hold their command;
- the options of ``score-variants`` name the context;
- ``info`` reads scored VCFs and JSON, which it refused then, and says more of tables (changed after the comparison);
- a region that ends beyond its contig is ``clipped`` and no longer ``scored`` or ``embedded`` (after the comparison).

The model with a copy memory was recorded later; its outputs were not compared with those of any earlier commit.
"""

from __future__ import annotations

import pytest
from recorded.commands import COMMANDS
from recorded.products import differences
from recorded.record_outputs import products, read_recorded
from toy import cache  # noqa: F401 - the cache is a fixture


@pytest.mark.parametrize("kind", COMMANDS)
def test_outputs_are_as_recorded(kind, tmp_path):
    found, recorded = products(kind, tmp_path), read_recorded(kind)
    wanted = {name: lines for name, lines in recorded.items() if name in found}
    skipped = {name for command in COMMANDS[kind] if command.needs for name in command.outputs}
    assert found.keys() == wanted.keys()
    assert recorded.keys() - found.keys() <= skipped
    unlike = {name: lines for name in wanted if (lines := differences(wanted[name], found[name]))}
    assert unlike == {}


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("llr=1.23456", "llr=1.23459", True),
        ("llr=1.2346", "llr=1.2356", False),
        ("llr=−1.2", "llr=1.2", False),
        ("chr1\t10\tscored", "chr1\t11\tscored", False),
        ("chr1\t10\tscored", "chr1\t10\tsymbolic", False),
        ("0.12", "0.13", True),  # 0.125 may be rounded to either
        ("0.12", "0.14", False),
        ("1e-09", "2e-09", True),
        ("chrC2", "chrC3", False),
    ],
)
def test_numbers_are_compared_within_a_tolerance_and_text_exactly(old, new, same):
    assert (differences([old], [new]) == []) is same
