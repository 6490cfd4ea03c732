"""Django's SQLite backend, in which those who want to write stand in `portal.sqlite.line`."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base

from portal.sqlite.line import Line, line_of


class DatabaseWrapper(base.DatabaseWrapper):
    transaction_mode: str | None
    _line: Line | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self.transaction_mode == "IMMEDIATE" and self._line is None:
            line = line_of(str(self.settings_dict["NAME"]))
            if line.enter():
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
            line.leave()
