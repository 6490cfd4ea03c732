"""Django's SQLite backend, in which those who want to write stand in `portal.sqlite.line`, and a
column sorts by its bytes under the name that this has in PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.schema import DatabaseSchemaEditor

from portal.fields import BY_BYTES
from portal.sqlite.line import Line, line_of


class SchemaEditor(DatabaseSchemaEditor):
    def _collate_sql(self, collation: str, *args: Any, **kwargs: Any) -> str:
        named = "BINARY" if collation == BY_BYTES else collation
        return str(super()._collate_sql(named, *args, **kwargs))  # type: ignore[misc]  # no stub has it


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = SchemaEditor
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
