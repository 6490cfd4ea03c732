"""Sessions as Django keeps them in the database, found by keys that it could have made."""

from __future__ import annotations

from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """The name of the class is part of what signs the sessions."""

    def _validate_session_key(self, key: str | None) -> bool:
        # A cookie can hold what PostgreSQL takes for no text, or more than a kept key may have.
        return key is not None and key.isascii() and key.isalnum() and 8 <= len(key) <= 40
