"""Django's PostgreSQL backend, in which Ctrl-C leaves no cursor of the server open.

Of a query that fails while it is sent Django closes the cursor, but only where an `Exception` ends
it; from then on the rows of a query are read by a generator, which closes whatever ends it.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper


class DatabaseWrapper(base.DatabaseWrapper):
    def chunked_cursor(self) -> Any:
        return _TidyCursor(super().chunked_cursor(), self)


class _TidyCursor(CursorWrapper):
    def execute(self, sql: Any, params: Any = None) -> Any:
        try:
            return self.cursor.execute(sql, params)
        except BaseException:
            self.close()
            raise
