"""A gate in [0, 1] that reaches both ends exactly, and that training can always bring back from them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STRETCH = 0.1  # a gate is clamp((1 + 2 * STRETCH) * sigmoid(x) - STRETCH, 0, 1): it reaches 0 and 1 exactly
END = STRETCH / (1.0 + 2.0 * STRETCH)  # value of the sigmoid where the gate reaches 0; it reaches 1 at 1 - END
END_SLOPE = (1.0 + 2.0 * STRETCH) * END * (1.0 - END)  # derivative of the stretched sigmoid there


def stretched_sigmoid(x: Tensor) -> Tensor:
    """Return a gate in [0, 1] that reaches both ends exactly.

    Between the ends the gradient is that of the formula. At an end it passes where a step against it leads back inside,
    and is 0 where it leads further out.
    """
    return _StretchedSigmoid.apply(x)


def inverse_gate(gate: float) -> float:
    """Return the input at which the gate has a value in [0, 1]."""
    return math.log((gate + STRETCH) / (1.0 + STRETCH - gate))


class _StretchedSigmoid(torch.autograd.Function):
    """A clamp passes no gradient at its ends, so a memory whose step gate is 0 at every token would stay shut for good.

    The sigmoid's own derivative falls as exp(-|x|) out there; the one at the end takes its place, so that the way back
    takes as many steps as the way out.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        sigmoid = torch.sigmoid(x)
        ctx.save_for_backward(sigmoid)
        return ((1.0 + 2.0 * STRETCH) * sigmoid - STRETCH).clamp(0.0, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (sigmoid,) = ctx.saved_tensors
        gate = (1.0 + 2.0 * STRETCH) * sigmoid - STRETCH
        shut, open_ = gate <= 0.0, gate >= 1.0
        slope = torch.where(shut | open_, END_SLOPE, (1.0 + 2.0 * STRETCH) * sigmoid * (1.0 - sigmoid))
        outwards = (shut & (gradient > 0)) | (open_ & (gradient < 0))
        return torch.where(outwards, 0.0, gradient * slope)
