from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.errors import Refusal
from portal.problems import problem_response, wants_problem

log = logging.getLogger("condarium.requests")

type_of_next = Callable[[HttpRequest], HttpResponse]


# Links that open something by themselves: first account, invitations, passwords, addresses.
_SECRET_PATH = re.compile(r"(/-/[a-z-]+|/account/[a-z/-]*(?:key|reset|confirm)[a-z-]*)/[^/]{12,}")


def _loggable(path: str) -> str:
    return _SECRET_PATH.sub(r"\1/***", path)


class RequestLog:
    """One line per change, refusal of a credential and fault, and an id to quote for each.

    The web server's own access log is off: it would repeat the tokens that conda writes into
    paths. ``request.path`` here is the path after the token was taken out of it.
    """

    def __init__(self, get_response: type_of_next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = f"{random.getrandbits(64):016x}"
        request.META["condarium.request_id"] = request_id
        started = time.monotonic()
        response = self.get_response(request)
        response.headers["X-Request-Id"] = request_id
        level = logging.ERROR if response.status_code >= 500 else logging.DEBUG
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            level = logging.INFO  # no fault: they are asked to come again
        # Guessed tokens leave a trace; missing files, which clients ask for all day, do not.
        if request.method not in {"GET", "HEAD"} or response.status_code in {401, 403, 429}:
            level = max(level, logging.INFO)
        if log.isEnabledFor(level):
            log.log(
                level,
                "answered",
                extra={
                    "method": request.method,
                    "path": _loggable(request.path),
                    "status": response.status_code,
                    "milliseconds": round((time.monotonic() - started) * 1000, 1),
                    "request_id": request_id,
                },
            )
        return response


class HeadersAlone:
    """Takes the body out of what a HEAD is answered with; its length stays in the headers.

    The web server would not send it either, but warn of each: clients HEAD index files that many
    channels do not have.
    """

    def __init__(self, get_response: type_of_next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "HEAD" and not response.streaming:
            response.content = b""
        return response


_PAGES: dict[int, str] = {
    HTTPStatus.FORBIDDEN: "403.html",
    HTTPStatus.NOT_FOUND: "404.html",
    HTTPStatus.TOO_MANY_REQUESTS: "429.html",
    HTTPStatus.SERVICE_UNAVAILABLE: "503.html",
}


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    if wants_problem(request):
        return problem_response(refusal)
    template = _PAGES.get(refusal.status, "refused.html")
    response = render(request, template, {"refusal": refusal}, status=refusal.status)
    for name, value in refusal.headers.items():
        response.headers[name] = value
    return response


class Refusals:
    """Words a refusal that no dialect has worded: a page for a browser, a problem otherwise."""

    def __init__(self, get_response: type_of_next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            # allauth doesn't say when; its limits of requests are all by the minute.
            response.headers.setdefault("Retry-After", "60")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return refused(request, exception) if isinstance(exception, Refusal) else None
