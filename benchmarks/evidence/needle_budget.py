"""What the small and the full run train and ask."""

from __future__ import annotations

from dataclasses import dataclass, replace

from needle_models import MODELS
from needle_scores import Group
from needle_training import Plan, Stage

SHORT = 16  # bases between needle and question that the attention windows reach over
# At the others' learning rate two of three seeds of window attention, and all of MAC (with segments of 64), stay near
# chance everywhere.
RATES = {"window attention": 4e-3, "MAC": 3e-3}
LONGER = {"MAC": 3}  # times the steps after the first stage: with as many as the others it recalls 0.9, not 1.0
MEGA = 2_097_152
GROUPS = tuple[tuple[str, int, int, bool], ...]  # variant, rows, needles in a row, real


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A run: models, seeds, training, questions."""

    models: tuple[str, ...]
    seeds: int
    plan: Plan
    distances: tuple[int, ...]
    main: tuple[str, ...]  # models that are asked most
    claimed: tuple[str, ...]  # models whose recall is claimed
    goal: float  # accuracy that is claimed of them
    window_goal: float  # accuracy that is claimed of window attention inside its window
    main_groups: GROUPS
    other_groups: GROUPS
    counts: tuple[int, ...]  # needles of the test of capacity
    count_rows: int
    far_model: str | None = None
    far_distances: tuple[int, ...] = ()
    far_rows: int = 4

    def plan_of(self, name: str) -> Plan:
        """Return how a model is trained: alike, but for ``RATES`` and ``LONGER``."""
        first, *others = self.plan.stages
        longer = [replace(stage, steps=stage.steps * LONGER.get(name, 1)) for stage in others]
        rate = RATES.get(name, self.plan.learning_rate)
        return replace(self.plan, learning_rate=rate, stages=(first, *longer))

    def groups(self, name: str) -> list[Group]:
        """Return what a model is asked."""
        rows = self.main_groups if name in self.main else self.other_groups
        return [Group(*row) for row in rows]

    @property
    def far_groups(self) -> list[Group]:
        """Return what ``far_model`` is asked beyond the last distance; its first seed alone."""
        return [Group("needles", self.far_rows, 1, False)]


def _groups(single: int, several: int, further: int) -> GROUPS:
    rows = (("needles", single, 1, False), ("needles", single, 1, True), ("needles", several, 4, True))
    return (*rows, ("overwritten", further, 1, True), ("decoys", further, 1, True))


SHORT_PLAN = Plan(
    stages=(
        Stage(bases=96, steps=100, patience=500),
        Stage(bases=128, steps=60, price=0.1),
        Stage(bases=256, steps=100, price=0.3),
        Stage(bases=384, steps=140, price=2.0),
    )
)
BUDGETS = {
    "small": Budget(
        models=("LMM", "window attention"),
        seeds=1,
        plan=SHORT_PLAN,
        distances=(SHORT, 1024, 8192),
        main=(),
        claimed=("LMM",),
        goal=0.9,
        window_goal=0.5,
        main_groups=(),
        other_groups=_groups(8, 2, 4),
        counts=(1, 4, 16),
        count_rows=4,
    ),
    "full": Budget(
        models=tuple(MODELS),
        seeds=3,
        plan=Plan(),
        distances=(SHORT, 1024, 8192, 65_536, 524_288, MEGA),
        main=("MAG",),
        claimed=("MAG", "MAC"),
        goal=0.99,
        window_goal=0.9,
        main_groups=_groups(8, 1, 3),
        other_groups=_groups(3, 1, 1),
        counts=tuple(2**n for n in range(9)),
        count_rows=4,
        far_model="MAG",
        far_distances=(MEGA, 4 * MEGA, 8 * MEGA),
    ),
}
