"""Base classes of context managers: `Closing` for readers, `Opening` for writers that enter others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A context manager that calls ``close`` at its end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close what is open; closing twice does no harm."""


class Opening(ABC):
    """A context manager that enters others; if one of them fails, those entered before are left again."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @abstractmethod
    def open(self, stack: ExitStack) -> None:
        """Enter on ``stack`` the context managers that are left at the end."""
