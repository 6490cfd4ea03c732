"""The one-time link by which a new host gets its first account, the site admin.

The link is printed at the start of a host without any user. Only a hash of its key is on disk,
so a start can't print the key of the one before: each start makes a new one in its place.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from accounts import people
from accounts.identity import OPERATOR
from accounts.models import User
from portal.errors import NotFound


def _file() -> Path:
    return Path(settings.DATA_FOLDER) / "first-account"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def first_account_link() -> str | None:
    """A fresh link, which makes the one before useless; None once there is any user."""
    if User.objects.exists():
        _file().unlink(missing_ok=True)
        return None
    key = secrets.token_urlsafe(32)
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(_digest(key))
    fresh.replace(path)
    return f"{settings.BASE_URL}/-/first-account/{key}"


def require_key(key: str) -> None:
    """Refuse any key but the one printed last, and every key once there is a user."""
    try:
        kept = _file().read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise NotFound from None
    if not hmac.compare_digest(kept, _digest(key)) or User.objects.exists():
        raise NotFound


@transaction.atomic
def make_first_account(*, key: str, username: str, email: str, password: str) -> User:
    """Make the site admin; whoever holds the link runs the host, so the address is believed.

    The key is used up with the account, and kept when nothing came of it.
    """
    if connection.vendor == "postgresql":
        # No row is there to be locked. SQLite's transaction holds the write lock already.
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE")
    require_key(key)
    user = people.create_user(
        by=OPERATOR, username=username, email=email, password=password, is_superuser=True
    )
    transaction.on_commit(lambda: _file().unlink(missing_ok=True))
    return user
