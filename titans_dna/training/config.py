"""Settings of a training run: budget, windows, optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from titans_dna.errors import ConfigError, check_least

PRECISIONS = ("float32", "bfloat16")
STRATEGIES = ("ddp", "fsdp", "context")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a pretraining run.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    steps: int = 1000  # updates of the weights
    lanes: int = 16  # windows per step, over all processes
    accumulate: int = 1  # parts into which a process divides its lanes, to need less memory; gradients are added up
    window_tokens: int = 1024  # tokens per window; gradients do not cross from one window to the next
    first_window_tokens: int = 0  # length of the first windows, doubled until it is window_tokens; 0 for no growth
    window_warmup: float = 0.2  # share of the steps in which windows grow
    restart: float = 0.25  # probability that a lane starts anew after a window; otherwise its memory is carried on
    random_share: float = 0.0  # share of the lanes that start anew after every window
    both_strands: bool = True  # draw the reverse complement as often as the forward strand
    learning_rate: float = 3e-3  # highest learning rate
    warmup: float = 0.05  # share of the steps in which the learning rate rises
    final_rate: float = 0.05  # last learning rate divided by the highest
    weight_decay: float = 0.1  # of matrices only
    clip: float = 1.0  # largest norm of the gradient
    soft_mask_weight: float = 0.1  # loss weight of lower-case bases
    without_recall: float = 0.1  # share of windows in which a copy memory recalls nothing
    cut_recall: float = 0.3  # share of windows in which it recalls only up to a random distance
    evaluate_every: int = 100  # steps between evaluations on the held-out contigs
    evaluation_bases: int = 65_536  # most bases that an evaluation reads
    save_every: int = 100  # steps between checkpoints to resume from
    precision: str = "float32"  # of matrix products; states, norms and the loss stay in float32
    strategy: str = "ddp"  # for several processes: "ddp" replicas, "fsdp" sharded weights, "context" windows in pieces
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("steps", "lanes", "accumulate", "window_tokens", "evaluate_every", "evaluation_bases", "save_every")
        check_least(1, **{name: getattr(self, name) for name in positive})
        if not 0 < self.restart <= 1:
            raise ConfigError(f"restart is {self.restart}; choose a probability above 0, up to 1")
        for name in ("soft_mask_weight", "random_share", "window_warmup", "without_recall", "cut_recall"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; choose 0 to 1")
        if self.learning_rate <= 0 or self.clip <= 0:
            raise ConfigError("learning_rate and clip must be above 0")
        for name, choices in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if not 0 <= self.first_window_tokens <= self.window_tokens:
            raise ConfigError(f"first_window_tokens is {self.first_window_tokens}; choose 0 to {self.window_tokens}")

    @property
    def random_lanes(self) -> int:
        """Lanes that start anew after every window."""
        return round(self.random_share * self.lanes)

    def window_at(self, step: int) -> int:
        """Return the tokens per window at ``step`` (from 0); it doubles in stages of equal length."""
        if not self.first_window_tokens:
            return self.window_tokens
        stages = [self.first_window_tokens]
        while stages[-1] * 2 < self.window_tokens:
            stages.append(stages[-1] * 2)
        stage_steps = max(1.0, self.window_warmup * self.steps / len(stages))
        stage = int(step / stage_steps)
        return stages[stage] if stage < len(stages) else self.window_tokens
