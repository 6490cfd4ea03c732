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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.authentication import PATH_TOKEN
from accounts.identity import Identity
from portal.errors import Refusal
from portal.problems import problem_response
from portal.questions import Questions
from registry.delivery import Stored, deliver, deliver_package
from registry.models import PackageFile

_DECISION = "condarium.decision"
_SECONDS = 30.0
_MOST = 2048
_FILES = (".json", ".zst", ".bz2", ".conda")
_KNOWN_BY = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_HOST", "HTTP_X_FORWARDED_PROTO")
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


class Recall:
    """The middleware. It stands before those that are not needed for such an answer, and before
    tokens are taken out of paths: those are part of what it knows a request by."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._memories: dict[bytes, _Memory] = {}
        self._changing = threading.Lock()
        # What it knows requests by holds no secret, nor anything that guesses can be tried on.
        self._secret = secrets.token_bytes(32)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in {"GET", "HEAD"} or not request.path_info.endswith(_FILES):
            return self.get_response(request)
        if settings.SESSION_COOKIE_NAME in request.META.get("HTTP_COOKIE", ""):
            return self.get_response(request)
        known_by = self._known_by(request)
        memory = self._memories.get(known_by)
        if memory is not None and memory.still_holds():
            return memory.answer(request)
        response = self.get_response(request)
        decision = request.META.get(_DECISION)
        if isinstance(decision, _Decision) and response.status_code < 400:
            self._remember(known_by, _Memory.of(decision, request, response))
        return response

    def _known_by(self, request: HttpRequest) -> bytes:
        parts = (request.path_info, *(request.META.get(name) for name in _KNOWN_BY))
        text = repr(parts).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()

    def _remember(self, known_by: bytes, memory: _Memory) -> None:
        with self._changing:
            self._memories.pop(known_by, None)
            while len(self._memories) >= _MOST:
                del self._memories[next(iter(self._memories))]
            self._memories[known_by] = memory
