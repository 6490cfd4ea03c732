"""Waking ``condarium worker`` in the moment when something to do was committed.

A ring carries nothing: what is to be done stands in the database. Whoever misses one finds the
marks when it looks the next time.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import DatabaseError, connection, transaction

log = logging.getLogger(__name__)

_NOTIFICATION = "condarium_stale_marks"
_TRY_AGAIN_SECONDS = 5.0
# Between two looks where nothing rings: too many for doing nothing, too few to be felt.
_DEAF_SECONDS = 0.2


def ring() -> None:
    """Wake a worker of this database once the transaction is committed."""
    if connection.vendor == "postgresql":
        # The database delivers it with the commit, and not without.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [_NOTIFICATION])
    else:
        transaction.on_commit(_press)


def _bell() -> Path:
    return Path(settings.DATA_FOLDER) / "worker.bell"


def _press() -> None:
    try:
        button = os.open(_bell(), os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # Nobody listens. A worker that starts later looks for marks first.
    try:
        os.write(button, b"!")
    except BlockingIOError:
        log.debug("the worker has many unanswered rings already")
    finally:
        os.close(button)


class Doorbell:
    """Waits for rings: of a pipe in the data folder with SQLite, else of PostgreSQL's.

    Where neither can be had, `wait` returns after a short while, so that looking must do.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        # Of this process itself: what its threads and its signals have to say.
        self._inner, self.wakeup_fd = os.pipe()
        for fd in (self._inner, self.wakeup_fd):
            os.set_blocking(fd, False)
            self._stack.callback(os.close, fd)
        self._pipe: int | None = None
        self._listening: Any = None
        self._connect_at = 0.0
        if connection.vendor != "postgresql":
            self._pipe = _open_pipe(_bell())
            if self._pipe is not None:
                self._stack.callback(os.close, self._pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._hang_up()
        self._stack.close()

    def nudge(self) -> None:
        """Ring from another thread of this process."""
        with suppress(BlockingIOError):  # enough was said already
            os.write(self.wakeup_fd, b"!")

    def wait(self, seconds: float) -> None:
        """Return when somebody rang, or a signal came, or after ``seconds``."""
        if self._pipe is None:
            self._listen()
        outer = self._pipe if self._pipe is not None else self._listening
        if outer is None:
            seconds = min(seconds, _DEAF_SECONDS)
        sources = [self._inner] if outer is None else [self._inner, outer]
        readable = select.select(sources, [], [], seconds)[0]
        for source in readable:
            if source is self._listening:
                self._hear()
            else:
                _drain(source)

    def _listen(self) -> None:
        if self._listening is not None or connection.vendor != "postgresql":
            return
        if time.monotonic() < self._connect_at:
            return
        import psycopg  # noqa: PLC0415 - slow, and only PostgreSQL needs it

        self._connect_at = time.monotonic() + _TRY_AGAIN_SECONDS
        try:
            # Its own connection, beside the pool: it is held as long as the worker runs.
            with connection.wrap_database_errors:
                listening = psycopg.connect(**connection.get_connection_params(), autocommit=True)
                listening.execute(f"LISTEN {_NOTIFICATION}")
        except DatabaseError:
            log.warning("the database can't be listened to; looking now and then instead")
            return
        self._listening = listening
        self.nudge()  # what was committed before is found by looking

    def _hear(self) -> None:
        try:
            with connection.wrap_database_errors:
                list(self._listening.notifies(timeout=0))
        except DatabaseError:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None


def _open_pipe(path: Path) -> int | None:
    try:
        if not path.exists():
            os.mkfifo(path, 0o600)
        elif not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink()  # what a backup made of it
            os.mkfifo(path, 0o600)
        # Also for writing, or it would be at its end whenever nobody rings.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        log.warning("no doorbell at %s (%s); looking now and then instead", path, error.strerror)
        return None


def _drain(fd: int) -> None:
    with suppress(BlockingIOError):
        while len(os.read(fd, 65536)) == 65536:
            continue
