"""What a command costs from its start to its end, and how figures are made of costs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.report import Figure, Goal, median_of

PROJECT = Path(__file__).resolve().parent.parent
_TIMEOUT_SECONDS = 1800.0
_LOG_BYTES = 4000


class CommandFailed(RuntimeError):
    """A measured command did not do its work; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Cost:
    """User and system time with all threads and children that were waited for, and the most
    memory that one process had resident."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def cost_of(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> Cost:
    # Until it is another program, its memory is the one's that started it, and the kernel counts
    # that, too: also what that one had once.
    machine.forget_peak(os.getpid())
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=dict(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        guard = threading.Timer(timeout_seconds, os.killpg, (process.pid, signal.SIGKILL))
        guard.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            guard.cancel()
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _LOG_BYTES))
            said = log.read().decode(errors="replace")
            raise CommandFailed(f"{command} ended with {process.returncode}.\n{said}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def figures_of(
    what: str,
    costs: Sequence[Cost],
    *,
    cpu_goal: Goal | None = None,
    memory_goal: Goal | None = None,
) -> list[Figure]:
    """CPU, wall and memory of what was done several times."""
    cpu = [cost.cpu_seconds for cost in costs]
    wall = [cost.wall_seconds for cost in costs]
    peak_mib = max(cost.peak_bytes for cost in costs) / 2**20
    return [
        median_of(f"{what}: CPU", cpu, "CPU-s", cpu_goal),
        median_of(f"{what}: wall", wall, "s wall"),
        Figure(f"{what}: memory", peak_mib, "MiB peak", memory_goal),
    ]


def median_cpu(costs: Sequence[Cost]) -> float:
    return median([cost.cpu_seconds for cost in costs])
