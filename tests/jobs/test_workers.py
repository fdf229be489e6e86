"""Processes that share the work: in order, with their errors, and gone when the run is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from titans_dna.errors import ConfigError, FormatError
from titans_dna.jobs.workers import map_parallel


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order_and_by_the_processes_that_were_asked_for(workers):
    shared = list(range(100))

    def work(unit: int) -> tuple[int, int]:
        time.sleep(0.01 * (unit % 3))
        return shared[unit] ** 2, os.getpid()

    found = list(map_parallel(work, range(20), workers))
    assert [value for value, _ in found] == [unit**2 for unit in range(20)]
    processes = {process for _, process in found}
    assert (processes == {os.getpid()}) == (workers == 1)
    assert len(processes) <= workers
    assert list(map_parallel(work, [], workers)) == []


def test_an_error_of_a_process_is_that_of_the_run():
    def work(unit: int) -> int:
        if unit == 3:
            raise FormatError("is damaged", path=Path("x.fa"))
        return unit

    with pytest.raises(FormatError, match=r"x\.fa: is damaged"):
        list(map_parallel(work, range(8), 2))
    assert list(map_parallel(lambda unit: unit, range(4), 2)) == [0, 1, 2, 3]


def test_a_process_that_was_killed_is_told_with_a_remedy():
    def work(unit: int) -> int:
        if unit == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return unit

    with pytest.raises(ConfigError, match="fewer --workers"):
        list(map_parallel(work, range(6), 2))


def test_nobody_waits_for_results_that_are_not_wanted():
    def work(unit: int) -> int:
        time.sleep(60 * (unit > 0))
        return unit

    started = time.monotonic()
    results = map_parallel(work, range(4), 2)
    assert next(results) == 0
    results.close()
    assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []


def test_no_process_outlives_a_killed_run():
    code = (
        "import os, sys, time\n"
        "from titans_dna.jobs.workers import map_parallel\n"
        "def work(unit):\n"
        "    os.write(1, b'%d\\n' % os.getpid())\n"  # in one piece, for two processes write at once
        "    time.sleep(60)\n"
        "list(map_parallel(work, range(2), 2))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    children = [int(run.stdout.readline()) for _ in range(2)]
    run.kill()
    run.wait()
    run.stdout.close()
    deadline = time.monotonic() + 20
    while any(_lives(child) for child in children):
        assert time.monotonic() < deadline, "a worker outlived its run"
        time.sleep(0.1)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
