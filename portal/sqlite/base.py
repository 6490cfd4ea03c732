"""Django's SQLite backend, in which the threads of a process that write stand in line.

SQLite has one writer at a time, and who comes in vain sleeps and tries again, for longer each
time: with eight uploads at once the database was idle while all of them slept. A lock is handed
on at once. Other processes still wait in SQLite's way.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from django.db.backends.sqlite3 import base

_lines: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_PATIENCE_SECONDS = 30.0


class DatabaseWrapper(base.DatabaseWrapper):
    transaction_mode: str | None
    _line: threading.Lock | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self.transaction_mode == "IMMEDIATE" and self._line is None:
            line = _lines[str(self.settings_dict["NAME"])]
            # Whoever waits in vain may try all the same: SQLite says what is wrong.
            if line.acquire(timeout=_PATIENCE_SECONDS):
                self._line = line
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # no stub has it
        except BaseException:
            self._leave_line()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]  # no stub has it
        self._leave_line()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]  # no stub has it
        finally:
            self._leave_line()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]  # no stub has it
        finally:
            self._leave_line()

    def _leave_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.release()
