"""What an authenticator app shows, computed as RFC 6238 says and not by what is tested."""

from __future__ import annotations

import base64
import hmac
import time


def code_of(secret: str) -> str:
    """The code of six digits that an app with this secret shows now."""
    counter = (int(time.time()) // 30).to_bytes(8, "big")
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
