"""Passwords that were tried a moment ago, and whether they were right.

conda sends the name and password of a channel's URL with each file it asks for. Without this, an
install would cost a slow hash per file, and one mistyped password would be six attempts of ten.
"""

from __future__ import annotations

import hmac
import secrets

from django.core.cache.backends.locmem import LocMemCache

from accounts.models import User

_SECONDS = 60
# A digest that is quick to try out must not be written anywhere: it stays in this process, under
# a key that ends with it.
_key = secrets.token_bytes(32)
_verdicts = LocMemCache("recent-passwords", {"TIMEOUT": _SECONDS, "OPTIONS": {"MAX_ENTRIES": 9999}})


def fingerprint(name: str, password: str, user: User | None) -> str:
    """What an attempt is remembered by: another one as soon as the user's password changes."""
    parts = (name, password, user.password if user is not None else "")
    sized = b"".join(b"%d:%b" % (len(raw), raw) for raw in map(str.encode, parts))
    return hmac.digest(_key, sized, "sha256").hex()


def recall(attempt: str) -> bool | None:
    """Whether it was right, None when it was not tried lately."""
    verdict: bool | None = _verdicts.get(attempt)
    return verdict


def remember(attempt: str, *, right: bool) -> bool:
    """False when another request has brought the same in the meantime."""
    return _verdicts.add(attempt, right)
