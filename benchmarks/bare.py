"""Imported before the package: lets a bare checkout run with Python, PyTorch and Triton alone."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import torch

CUDA = torch.cuda.is_available()
if not CUDA:  # before anything imports Triton
    os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))  # a checkout serves; nothing has to be installed
if importlib.util.find_spec("jaxtyping") is None:  # its shapes are read by tests alone

    class _Shape:
        def __class_getitem__(cls, item: object) -> type:
            return torch.Tensor

    sys.modules["jaxtyping"] = ModuleType("jaxtyping")
    for _kind in ("Bool", "Float", "Int"):
        setattr(sys.modules["jaxtyping"], _kind, _Shape)
