"""What a training run is: budget, windows, optimiser."""

from __future__ import annotations

from dataclasses import dataclass

from titans_dna.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a pretraining run.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    steps: int = 1000  # updates of the weights
    lanes: int = 16  # windows per step
    window_tokens: int = 1024  # tokens per window; gradients do not cross from one window to the next
    restart: float = 0.25  # probability that a lane starts anew after a window; else its memory is carried on
    learning_rate: float = 3e-3  # peak
    warmup: float = 0.05  # share of the steps with rising rate
    final_rate: float = 0.05  # last learning rate over the peak
    weight_decay: float = 0.1  # of matrices
    clip: float = 1.0  # largest norm of the gradient
    soft_mask_weight: float = 0.1  # loss weight of lower-case bases
    evaluate_every: int = 100  # steps between evaluations on the held-out contigs
    evaluation_bases: int = 65_536  # bases of each evaluation
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "lanes", "window_tokens", "evaluate_every", "evaluation_bases"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 < self.restart <= 1:
            raise ConfigError(f"restart is {self.restart}; choose a probability above 0, up to 1")
        if not 0 <= self.soft_mask_weight <= 1:
            raise ConfigError(f"soft_mask_weight is {self.soft_mask_weight}; choose 0 to 1")
        if self.learning_rate <= 0 or self.clip <= 0:
            raise ConfigError("learning_rate and clip must be above 0")
