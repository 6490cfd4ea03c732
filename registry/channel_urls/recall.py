"""Answering with a file as a moment ago, when the database still says the same.

Who may read a channel, and which of its files they get, follows from the answers of a few
queries. The database has those at once; making the queries, the rows' objects and the way through
all middlewares takes twenty times as long. So a decision is remembered together with its queries
and their answers. When the same request comes again, the same is asked again, and only if every
answer is the same, so is the decision. A token that was revoked, a role that was taken away, a
channel that was hidden, a new generation: each changes an answer, and the request goes the whole
way.

What else a decision depends on is part of what a request is known by (address, host, credential),
or ends the memory: the clock, where a token expires, and the minute after which a token's use is
noted again. Passwords and sessions are not remembered.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.authentication import PATH_TOKEN
from accounts.identity import Identity
from portal.errors import Refusal
from portal.middleware import HeadersAlone, RequestLog
from portal.problems import problem_response
from portal.questions import Questions
from portal.upload_check import is_upload_check
from registry import faults
from registry.delivery import FileAnswer, Stored, deliver, deliver_package
from registry.models import PackageFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DECISION = "condarium.decision"
_REMEMBER = "condarium.remember"
_MEMORY = "condarium.memory"
_SECONDS = 30.0
_MOST = 2048
_FILES = (".json", ".zst", ".bz2", ".conda")
_KNOWN_BY = (
    "PATH_INFO", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_HOST", "HTTP_X_FORWARDED_PROTO"
)  # fmt: skip
# What is said of the bytes. All others are the same on every answer: middlewares add them.
_OF_THE_BYTES = frozenset(
    {
        "Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Length", "Content-Range",
        "Content-Type", "ETag", "Last-Modified", "Location", "Vary", "X-Accel-Redirect",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Decision:
    questions: Questions
    stored: Stored
    package_file: PackageFile | None
    until: float

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if self.package_file is not None:
                return deliver_package(request, self.package_file, self.stored)
            return deliver(request, self.stored)
        except Refusal as refusal:
            return problem_response(refusal)


def note(
    request: HttpRequest,
    questions: Questions,
    identity: Identity,
    stored: Stored,
    package_file: PackageFile | None = None,
) -> None:
    """Tell what was decided from the answers to the questions, so that it can be remembered."""
    token = identity.token
    if not questions.is_reading or (token is None and not identity.is_anonymous):
        return
    if stored.data is not None:
        return  # made for this answer: which notices are shown depends on the clock
    until = time.time() + _SECONDS
    if token is not None and token.expires_at is not None:
        until = min(until, token.expires_at.timestamp())
    # A secret in the path makes the answer private, and is not there when it is given again.
    if PATH_TOKEN in request.META:
        stored = replace(stored, is_private=True)
    request.META[_DECISION] = _Decision(questions, stored, package_file, until)


@dataclass(frozen=True, slots=True)
class _Memory:
    decision: _Decision
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, decision: _Decision, request: HttpRequest, response: HttpResponseBase) -> _Memory:
        headers = response.headers.items()
        added = {name: value for name, value in headers if name not in _OF_THE_BYTES}
        return cls(decision, request.path, added)

    def still_holds(self) -> bool:
        if time.time() >= self.decision.until:
            return False
        try:
            return self.decision.questions.are_answered_alike()
        except DatabaseError:
            return False  # those who ask on the whole way will say so

    def answer(self, request: HttpRequest) -> HttpResponseBase:
        request.path = request.path_info = self.path  # without a token, for the log
        response = self.decision.answer(request)
        if isinstance(response, HttpResponse):
            response.headers.setdefault("Content-Length", str(len(response.content)))
        for name, value in self.headers.items():
            response.headers.setdefault(name, value)
        return response


class Remembering:
    """The middleware that has an answer remembered, with all that those behind it have added."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        remember = request.META.get(_REMEMBER)
        decision = request.META.get(_DECISION)
        if remember and isinstance(decision, _Decision) and response.status_code < 400:
            remember(_Memory.of(decision, request, response))
        return response


class Recall:
    """The WSGI application in front of Django's, which gets what is not remembered.

    Django's signals, its resolver and its middlewares cost several times what such an answer does.
    Here tokens were not taken out of paths yet: they are part of what a request is known by.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._memories: dict[bytes, _Memory] = {}
        self._changing = threading.Lock()
        # What it knows requests by holds no secret, nor anything that guesses can be tried on.
        self._secret = secrets.token_bytes(32)
        self._answer = _logged(_answer)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _may_be_remembered(environ):
            return self._application(environ, start_response)
        known_by = self._known_by(environ)
        memory = self._memories.get(known_by)
        if memory is None or not memory.still_holds():
            environ[_REMEMBER] = partial(self._remember, known_by)
            return self._application(environ, start_response)
        environ[_MEMORY] = memory
        response = self._answer(WSGIRequest(environ))
        if response.status_code >= 500:
            faults.note(response.status_code)
        if not connection.in_atomic_block:  # else it is the caller's
            connection.close_if_unusable_or_obsolete()  # as Django at the end of each request
        return _sent(response, environ, start_response)

    def _known_by(self, environ: WSGIEnvironment) -> bytes:
        text = repr([environ.get(name) for name in _KNOWN_BY]).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()

    def _remember(self, known_by: bytes, memory: _Memory) -> None:
        with self._changing:
            self._memories.pop(known_by, None)
            while len(self._memories) >= _MOST:
                del self._memories[next(iter(self._memories))]
            self._memories[known_by] = memory


def _may_be_remembered(environ: WSGIEnvironment) -> bool:
    return (
        environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        and environ.get("PATH_INFO", "").endswith(_FILES)
        and settings.SESSION_COOKIE_NAME not in environ.get("HTTP_COOKIE", "")
        and not is_upload_check(environ)
    )


def _answer(request: HttpRequest) -> HttpResponseBase:
    memory: _Memory = request.META[_MEMORY]
    return memory.answer(request)


def _logged(answer: Callable[[HttpRequest], HttpResponseBase]) -> RequestLog:
    """With what Django would have around it: the log, and a page for what nobody foresaw."""
    return RequestLog(cast(Any, convert_exception_to_response(HeadersAlone(cast(Any, answer)))))


def _sent(
    response: HttpResponseBase, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Hand a response to the server as Django does, which has nothing to end where no body is."""
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    if response.status_code == HTTPStatus.NOT_MODIFIED:
        return ()
    if isinstance(response, HttpResponse):
        return (response.content,) if response.content else ()
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(response, FileAnswer) and wrapper is not None:
        response.file_to_stream.close = response.close  # type: ignore[method-assign] # as Django
        return cast("Iterable[bytes]", wrapper(response.file_to_stream, response.block_size))
    return cast("Iterable[bytes]", response)
