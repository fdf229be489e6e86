"""What readers and writers share as context managers: readers are closed, writers leave what they have entered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A context manager whose end is its ``close``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held open; closing twice does no harm."""


class Opening(ABC):
    """A context manager that enters others; where one of them fails, those before it are left again."""

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
        """Enter what is to be left at the end."""
