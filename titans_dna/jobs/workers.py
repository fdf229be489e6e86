"""Work done by several processes that share what was prepared before they were forked."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel

R = TypeVar("R")

_work: Callable[[Any], Any] | None = None  # what a forked process does; set just before it is forked


def workers_for(model: SequenceModel, workers: int) -> int:
    """Return how many processes may share a model: one where it is on a GPU, which no forked process can use."""
    return workers if model.device.type == "cpu" else 1


def map_parallel(work: Callable[[int], R], units: Iterable[int], workers: int) -> Iterator[R]:
    """Yield the results of all units in their order.

    The processes are forked, so what ``work`` holds (a model, a copy memory) is shared and not copied; units and
    results alone are sent.

    Parameters
    ----------
    work
        What is done with a unit. It must not depend on what was done before.
    units
        Numbers of the pieces of work.
    workers
        Processes; 1 works in this one.

    Raises
    ------
    ConfigError
        If a process was killed, most likely for want of memory.
    """
    units = list(units)
    if workers == 1 or len(units) < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(work, units)
        return
    global _work
    _work = work
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(units)), mp_context=context) as pool:
        try:
            yield from pool.map(_do, units)
        except BrokenProcessPool:
            raise ConfigError(
                "a worker process was killed, most likely for want of memory; go on with --resume and fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            _work = None


def _do(unit: int) -> Any:
    assert _work is not None
    return _work(unit)
