"""Decides whether numba may keep its compiled loops on the disk."""

from __future__ import annotations

from numba import njit


def _can_be_kept() -> bool:
    """Tell whether compiled loops can be kept on the disk, beside this file or in the user's cache."""
    try:
        njit(cache=True)(_nothing)
    except RuntimeError:  # numba finds no folder that it may write to
        return False
    return True


def _nothing() -> None:
    pass


KEPT = _can_be_kept()
