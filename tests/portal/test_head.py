from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory

from registry.channel_urls.wsgi import application


# Django's test client empties answers to HEAD by itself, so what the web server gets is asked for.
@pytest.mark.parametrize("path", ["/", "/livez", "/conda/nobody/noarch/repodata.json", "/nobody"])
def test_head_is_answered_with_the_headers_of_get_and_no_body(db: None, path: str) -> None:
    got_status, got_headers, body = _ask("GET", path)

    status, headers, nothing = _ask("HEAD", path)

    assert (status, nothing) == (got_status, b"")
    assert headers["Content-Length"] == got_headers["Content-Length"] == str(len(body))
    assert headers["Content-Type"] == got_headers["Content-Type"]


def _ask(method: str, path: str) -> tuple[str, dict[str, str], bytes]:
    answered: list[tuple[str, dict[str, str]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], *_: Any
    ) -> Callable[[bytes], object]:
        answered.append((status, dict(headers)))
        return bytes  # the old way to write, which nobody takes

    environ = RequestFactory().generic(method, path).environ
    body = b"".join(application(environ, start_response))
    return *answered[0], body
