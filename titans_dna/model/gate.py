"""A gate in [0, 1] that can be exactly 0 and 1, and that training can always bring back from there."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STRETCH = 0.1  # a gate is clamp((1 + 2 * STRETCH) * sigmoid(x) - STRETCH, 0, 1): it reaches 0 and 1 exactly
END = STRETCH / (1.0 + 2.0 * STRETCH)  # value of the sigmoid at which the gate is 0; at 1 - END it is 1
END_SLOPE = (1.0 + 2.0 * STRETCH) * END * (1.0 - END)  # derivative of the stretched sigmoid at these ends


def stretched_sigmoid(x: Tensor) -> Tensor:
    """Return a gate in [0, 1] that can be exactly 0 and 1.

    Between the ends the gradient is that of the formula. At an end it is 0 if descent would lead further out, but not
    if descent leads back inside.
    """
    return _StretchedSigmoid.apply(x)


def inverse_gate(gate: float) -> float:
    """Return the input at which the gate has a value in [0, 1]."""
    return math.log((gate + STRETCH) / (1.0 + STRETCH - gate))


class _StretchedSigmoid(torch.autograd.Function):
    """The gate and its gradient.

    A clamp passes no gradient at its ends, so a memory whose step gate is 0 at every token could never open again. Here
    the gradient beyond an end is the one at that end, since the sigmoid's own falls as exp(-|x|), so that the way back
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
