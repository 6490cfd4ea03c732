"""Keeps the processes of one host running, and ends them together."""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from types import FrameType

from setproctitle import setproctitle

from portal import logs

log = logging.getLogger(__name__)

# The web server lets running requests finish for 30 seconds.
PATIENCE_SECONDS = 35.0
HURRY_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 30.0
# Who ran for so long did not fail at the start; its next failure is a first one again.
STEADY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """What to keep running in a process of its own; it ends when ``run`` returns or exits."""

    name: str
    run: Callable[[], object]
    process: ForkProcess | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0


def exit_code_of(work: Callable[[], object]) -> int:
    """Do work once in a process of its own, and wait for it: what it loads and holds is gone
    then, and not in each child that is forked later."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    code = process.exitcode or 0
    return code if code >= 0 else 128 - code


class Supervisor:
    """Runs each child as a process; one that ends by itself is started again.

    They end with the supervisor, however that ends: told so by a signal, or by the kernel when
    it was killed (on Linux). They are forked from it, so that what it has loaded they need not
    load again: whoever runs it has no other thread, and no open connection.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = children
        self._signals: list[int] = []
        self._follow_parent = _follower_of(os.getpid())

    def run(self) -> None:
        """Return when a signal asked for the end and all processes have ended."""
        logs.make_ready()
        gc.freeze()  # a child that looks through it for garbage would copy it
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken up
        try:
            while not self._signals:
                self._start_those_due()
                _sleep(readable, self._seconds_to_next_start())
                self._look_for_ended()
        finally:
            self._end_all(readable)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _start_those_due(self) -> None:
        for child in self._children:
            if child.process is None and child.start_at <= time.monotonic():
                child.started_at = time.monotonic()
                fork = multiprocessing.get_context("fork")
                child.process = fork.Process(target=self._become, args=(child,))
                child.process.start()

    def _become(self, child: Child) -> None:
        """The whole life of a child, within its own process."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        self._follow_parent()
        setproctitle(f"condarium {child.name}")
        child.run()

    def _seconds_to_next_start(self) -> float | None:
        waiting = [child.start_at for child in self._children if child.process is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _look_for_ended(self) -> None:
        for child in self._children:
            if child.process is None or (code := child.process.exitcode) is None:
                continue
            child.process.close()
            child.process = None
            if self._signals:
                continue
            now = time.monotonic()
            child.failures = 1 if now - child.started_at > STEADY_SECONDS else child.failures + 1
            pause = min(2.0 ** (child.failures - 1), LONGEST_PAUSE_SECONDS)
            child.start_at = now + pause
            how = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
            log.warning("%s ended %s; it is started again in %d s.", child.name, how, pause)

    def _end_all(self, readable: int) -> None:
        """Ask, wait for what is being done, and insist; a second signal shortens the wait."""
        self._tell_all(signal.SIGTERM)
        asked = len(self._signals)
        self._wait_until(
            readable, time.monotonic() + PATIENCE_SECONDS, lambda: len(self._signals) > asked
        )
        self._tell_all(signal.SIGQUIT)  # the web server passes it on to its own children
        self._wait_until(readable, time.monotonic() + HURRY_SECONDS, lambda: False)
        self._tell_all(signal.SIGKILL)
        for child in self._children:
            if child.process is not None:
                child.process.join()

    def _tell_all(self, number: int) -> None:
        for child in self._children:
            if child.process is not None and child.process.pid is not None:
                os.kill(child.process.pid, number)

    def _wait_until(self, readable: int, deadline: float, hurried: Callable[[], bool]) -> None:
        while any(child.process for child in self._children) and not hurried():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            _sleep(readable, left)
            self._look_for_ended()


def _sleep(readable: int, seconds: float | None) -> None:
    """Until a signal comes or ``seconds`` are over."""
    if select.select([readable], [], [], seconds)[0]:
        os.read(readable, 4096)


def _follower_of(parent_pid: int) -> Callable[[], None]:
    # Looked up before the fork: little is allowed between it and the exec.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def follow() -> None:
        # Ctrl-C reaches the whole group; the supervisor alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent_pid:
                os._exit(1)

    return follow
