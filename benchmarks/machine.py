"""What the kernel knows of a process: its CPU time, its memory, its children (Linux only)."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
_PEAK = re.compile(r"^VmHWM:\s+([0-9]+) kB$", re.MULTILINE)
_CPUCLOCK_SCHED = 2
_FORGET_PEAK = "5"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its threads, ended ones too.

    The sum of ``utime`` and ``stime`` in ``/proc/<pid>/stat``, in nanoseconds instead of ticks of
    10 ms: the process's own CPU clock, which `clock_getcpuclockid` would name.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def peak_memory_bytes(pid: int) -> int:
    """The most memory it ever had resident, or since `forget_peak`."""
    match = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    if match is None:
        raise RuntimeError(f"/proc/{pid}/status tells no VmHWM.")
    return int(match[1]) * 1024


def forget_peak(pid: int) -> bool:
    """Let the peak begin anew; False where the kernel does not allow it."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK, encoding="ascii")
        return True
    return False


def most_memory_bytes(pids: Sequence[int]) -> int:
    """`peak_memory_bytes` of the one that had the most; what they share is counted in each."""
    return max(map(peak_memory_bytes, pids))


def forget_peaks(pids: Sequence[int]) -> bool:
    """`forget_peak` of all of them; False where one can't."""
    forgotten = [forget_peak(pid) for pid in pids]
    return all(forgotten)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def description() -> str:
    """The machine and what else it was doing, for the head of a table."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    load = " ".join(Path("/proc/loadavg").read_text(encoding="ascii").split()[:3])
    cores = len(re.findall(r"^processor\s*:", text, re.MULTILINE))
    return f"{cores} cores, {model[1] if model else 'unknown'}; load before: {load}"
