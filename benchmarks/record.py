"""What every benchmark shares: the machine, the commit, a measured child process, and results as JSON and a table."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"


def machine() -> dict[str, str]:
    """Describe the machine, the versions and the commit."""
    import torch

    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    commit = subprocess.run(["git", "-C", str(FOLDER), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {
        "cpu": f"{name}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or "unknown",
    }


def in_child(script: str, *arguments: str, threads: int = 2) -> dict[str, Any]:
    """Run a script in a process of its own, so that its peak memory is its own; return the JSON of its last line."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(min(threads, len(os.sched_getaffinity(0))))}
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_command(*arguments: object, threads: int = 1) -> tuple[float, float, float]:
    """Run ``titans-dna`` in a process of its own; return wall seconds, CPU seconds and its peak memory in MB.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    import tempfile
    import time

    command = [sys.executable, "-m", "titans_dna", *map(str, arguments)]
    environment, started = {**os.environ, "OMP_NUM_THREADS": str(threads)}, time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)  # of this process and those that it waited for
        if status:
            said.seek(0)
            raise RuntimeError(f"{' '.join(map(str, arguments))}\n{said.read()[-2000:].decode(errors='replace')}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def peak_megabytes() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(
    name: str, title: str, columns: list[str], rows: list[list[Any]], *, folder: Path | None = None, **details: Any
) -> None:
    """Write ``NAME.json`` and ``NAME.md`` to ``folder``, or else to ``results/``, and print the table."""
    folder = folder or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    values = {"title": title, "machine": about, **details, "columns": columns, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")
    facts = {**about, **details}
    lines = [f"# {title}", "", *(f"- {key}: {value}" for key, value in facts.items() if _short(value)), ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    text = "\n".join(lines) + "\n"
    (folder / f"{name}.md").write_text(text)
    print(text)


def _short(value: Any) -> bool:
    """Tell whether a detail goes above the table; what has parts of its own stands in the JSON alone."""
    return not isinstance(value, dict | list)


def _cell(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
