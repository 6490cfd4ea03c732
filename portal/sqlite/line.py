"""The line in which those who want to write to one SQLite database stand.

SQLite has one writer at a time, and who comes in vain sleeps and tries again, for longer each
time: with eight uploads at once the database was idle while all of them slept.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time

PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.001
# Bytes of the file, which has none: only locks lie on them.
_NEXT, _WRITING = 0, 1

_of_processes = False


class Line:
    """Threads of this process stand in it, and those of the other web processes, once
    `stand_in_line_with_other_processes` was called.

    Who waits in vain may try all the same: SQLite says what is wrong.
    """

    def __init__(self, database: str) -> None:
        self._thread = threading.Lock()
        self._path = f"{database}-line"
        # POSIX locks are a process's own: copies of it don't have them, and the end of it, however
        # it comes, gives them back. They go with any descriptor of the file, so there is but one.
        self._file: int | None = None

    def enter(self) -> bool:
        """Wait for the turn; False when it did not come in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        if not self._thread.acquire(timeout=PATIENCE_SECONDS):
            return False
        try:
            entered = not _of_processes or self._enter_before_other_processes(deadline)
        except BaseException:
            self._thread.release()
            raise
        if not entered:
            self._thread.release()
        return entered

    def leave(self) -> None:
        try:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def _enter_before_other_processes(self, deadline: float) -> bool:
        # Whoever writes gives its place back and comes again at once, before those who wait have
        # woken. So one stands ahead of all others, and who comes again queues behind it.
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return all(_acquire(self._file, place, deadline) for place in (_NEXT, _WRITING))
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _NEXT)


def _acquire(file: int, place: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                return False
        else:
            return True
        time.sleep(_PAUSE_SECONDS)


_lines: dict[str, Line] = {}


def line_of(database: str) -> Line:
    """The line of a database, by its name: a path, or what SQLite calls one in memory."""
    line = _lines.get(database)
    return line if line is not None else _lines.setdefault(database, Line(database))


def stand_in_line_with_other_processes() -> None:
    """For a process that is one of several alike, as those of the web are.

    The worker waits in SQLite's way all the same. In the line its turn would come after each
    single upload, and it would write as many indexes as there are uploads.
    """
    global _of_processes  # noqa: PLW0603 - a process does so once, when it begins
    _of_processes = True
