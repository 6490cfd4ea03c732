"""The threads of ``condarium worker``: several subdirs side by side, and what is done now and then.

Nothing here is worth finishing when the process has to end. What is cut is found again by its
marks, as after a loss of power; so all threads are daemons.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.db import close_old_connections

from registry import chores

log = logging.getLogger(__name__)

Pair = tuple[int, str]
Work = Callable[[int, str], bool]

# How long a pair is let alone, at first and at most, that another worker has or that failed.
_REST_SECONDS = 0.05
_LONGEST_REST_SECONDS = 1.0
_LONGEST_REST_OF_FAILED_SECONDS = 10.0
_THREAD_SWITCH_SECONDS = 0.0005


def let_small_work_pass() -> None:
    """Have threads of this process that compute make room for others more often.

    Python lets one go on for 5 ms: beside a rebuild, each step of the small work that waits for
    the database or a disk would take that much longer.
    """
    sys.setswitchinterval(_THREAD_SWITCH_SECONDS)


class Lanes:
    """A few threads that bring one (channel id, subdir) each up to date.

    A pair is in one lane at most, so that a long rebuild holds up nobody but its own subdir. One
    that failed, or that a worker elsewhere has, is not taken again at once. The channel's own
    files, which no installing client waits for, come after the subdir that changed them, not
    beside it.
    """

    def __init__(self, count: int, work: Work, *, finished: Callable[[], None]) -> None:
        self._work = work
        self._finished = finished
        self._count = count
        self._lock = threading.Lock()
        self._handled: set[Pair] = set()
        self._rests: dict[Pair, _Rest] = {}
        self._waiting: queue.SimpleQueue[Pair] = queue.SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._run, name=f"lane-{number}", daemon=True).start()

    @property
    def busy(self) -> int:
        return len(self._handled)

    @property
    def free(self) -> int:
        return self._count - self.busy

    def take(self, pairs: Iterable[Pair]) -> None:
        """Start on those that no lane has, as far as there are free lanes."""
        now = time.monotonic()
        due = dict.fromkeys(pairs)
        with self._lock:
            self._rests = {pair: rest for pair, rest in self._rests.items() if pair in due}
            for channel_id, subdir in due:
                if len(self._handled) >= self._count:
                    return
                if not subdir and any(channel_id == handled for handled, _ in self._handled):
                    continue
                if self._claim((channel_id, subdir), now):
                    self._waiting.put((channel_id, subdir))

    def seconds_to_next_try(self, *, at_most: float) -> float:
        """Until the first of the pairs has rested that could not be brought up to date."""
        now = time.monotonic()
        with self._lock:
            ends = [rest.until - now for rest in self._rests.values() if rest.until > now]
        return min([at_most, *ends])

    def wait_until_idle(self, seconds: float) -> bool:
        """False when some lane still worked after so long."""
        deadline = time.monotonic() + seconds
        while self.busy:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def _claim(self, pair: Pair, now: float) -> bool:
        rest = self._rests.get(pair)
        if pair in self._handled or (rest is not None and now < rest.until):
            return False
        self._handled.add(pair)
        return True

    def _run(self) -> None:
        while True:
            pair: Pair | None = self._waiting.get()
            while pair is not None:
                pair = self._handle(*pair)

    def _handle(self, channel_id: int, subdir: str) -> Pair | None:
        """Bring a pair up to date; gives the one to go on with, which is claimed already."""
        longest_rest = _LONGEST_REST_SECONDS
        done = False
        try:
            done = self._work(channel_id, subdir)
        except Exception:  # one channel's trouble must not keep the others waiting
            log.exception("an index failed", extra={"channel": channel_id, "subdir": subdir})
            longest_rest = _LONGEST_REST_OF_FAILED_SECONDS
        close_old_connections()
        with self._lock:
            now = time.monotonic()
            self._handled.discard((channel_id, subdir))
            before = self._rests.pop((channel_id, subdir), None)
            if not done:
                seconds = min(before.seconds * 2, longest_rest) if before else _REST_SECONDS
                self._rests[channel_id, subdir] = _Rest(now + seconds, seconds)
            own_files = (channel_id, "")
            follow = own_files if subdir and self._claim(own_files, now) else None
        self._finished()
        return follow


@dataclass(frozen=True, slots=True)
class _Rest:
    until: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Chore:
    """What is done every so many seconds; ``when_idle``, when nobody waits for an index.

    Idle work comes in small pieces: each call does one, and says whether there is another. Of one
    with a name is noted when it was done, and how it went.
    """

    work: Callable[[], object]
    every_seconds: float
    when_idle: bool = False
    name: str = ""

    def do(self) -> object:
        return chores.run(self.name, self.work) if self.name else self.work()


class Chores:
    """One thread that does them, one after the other."""

    def __init__(self, chores: Sequence[Chore], *, is_idle: Callable[[], bool]) -> None:
        self._due = dict.fromkeys(chores, time.monotonic())
        self._is_idle = is_idle
        threading.Thread(target=self._run, name="chores", daemon=True).start()

    def _run(self) -> None:
        while True:
            for chore, due in self._due.items():
                if time.monotonic() >= due:
                    self._due[chore] = self._do(chore)
            pause = min(self._due.values()) - time.monotonic()
            if pause > 0:
                time.sleep(pause)

    def _do(self, chore: Chore) -> float:
        """Do it if it is time for it; when to look at it again."""
        more = False
        try:
            if not chore.when_idle or self._is_idle():
                more = bool(chore.do()) and chore.when_idle
        except Exception:  # the next time may go well, and the other chores must be done
            log.exception("a chore failed")
        finally:
            close_old_connections()
        return time.monotonic() + (0.0 if more else chore.every_seconds)
