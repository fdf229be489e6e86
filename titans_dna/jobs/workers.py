"""Work done by several processes that share what was prepared before they were forked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from titans_dna.errors import ConfigError
from titans_dna.inference.model import SequenceModel

R = TypeVar("R")
WATCH_SECONDS = 0.5  # between two looks of a process whether its parent still lives

_work: Callable[[Any], Any] | None = None  # what a forked process does; set just before it is forked
_pool: ProcessPoolExecutor | None = None  # the processes that are at work


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
    global _work, _pool
    _work = work
    context = multiprocessing.get_context("fork")
    count, parent = min(workers, len(units)), os.getpid()
    with ProcessPoolExecutor(count, mp_context=context, initializer=_end_with, initargs=(parent,)) as pool:
        _pool = pool
        try:
            with _without_interrupt():  # all processes are forked here, and leave Ctrl-C to this one
                results = pool.map(_do, units)
            yield from results
        except BrokenProcessPool:
            raise ConfigError(
                "a worker process was killed, most likely for want of memory; go on with --resume and fewer --workers"
            ) from None
        except BaseException:  # also if nobody wants the other results: what is being computed is not waited for
            end_workers()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            _work = _pool = None


def end_workers() -> None:
    """End all processes that this one has forked, so that nothing goes on after an error or Ctrl-C."""
    for process in multiprocessing.active_children():
        process.kill()
    # Now, and not when Python exits: an error keeps the generator of the results, and its pool would be shut down after
    # the pipes to its processes are closed.
    if _pool is not None:
        _pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Hold back SIGINT in this thread, and for good in the processes and threads that it starts meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """End this process soon after its parent: a run that is killed must leave no process that holds its lock."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _do(unit: int) -> Any:
    assert _work is not None
    return _work(unit)
