"""Whether an upload may begin, asked by a front server before it takes the body in.

nginx turns a refusal that comes over an unread body into a 502 now and then. So it sends the head
of the request ahead, marked with a header, and the body only after a yes (``auth_request``, see
``deploy/nginx.conf``). The marked request runs like any other to the place where its body would be
read, and no further: who may upload what is written nowhere twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

_MARK = "HTTP_X_UPLOAD_CHECK"
# By the end of a file name, which is how nginx knows content types.
_KINDS = {
    "application/problem+json": "problem",
    "application/json": "json",
    "application/xml": "xml",
    "text/plain": "txt",
}
_MAX_WORDS_BYTES = 4000
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_PASSED_ON = ("WWW-Authenticate", "Retry-After")


class BodyWanted(Exception):
    """Nothing but the body is missing; no refusal, so no dialect may word it."""


def is_upload_check(environ: Mapping[str, Any]) -> bool:
    return bool(environ.get(_MARK))


def stop_here_if_asked(environ: Mapping[str, Any]) -> None:
    """Called where a body is opened, after all that can be decided without it."""
    if is_upload_check(environ):
        raise BodyWanted


class UploadCheck:
    """Answers a marked request with 204, or with 403 and the refusal in headers: nginx reads no
    other status here and no body, and says those words itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if is_upload_check(request.META) and response.status_code != 204:
            return _refused(response)
        return response

    def process_exception(self, _request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return HttpResponse(status=204) if isinstance(exception, BodyWanted) else None


def _refused(response: HttpResponse) -> HttpResponse:
    kind = _KINDS.get(response.headers.get("Content-Type", "").partition(";")[0])
    words = b"" if response.streaming else response.content.strip()
    if kind is None or len(words) > _MAX_WORDS_BYTES or _CONTROL.search(words):
        kind, words = "txt", response.reason_phrase.encode()
    headers = {
        "X-Refused-Status": str(response.status_code),
        "X-Refused-Kind": kind,
        # Header values are latin-1, and so is every byte of UTF-8 by itself.
        "X-Refused-Words": words.decode("latin-1"),
    }
    headers |= {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
    return HttpResponse(status=403, headers=headers)
