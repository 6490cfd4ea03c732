"""Answers in the words of Forgejo's clients.

The package routes say ``{"reason":…,"message":…}``, the REST routes ``{"message":…,"url":…}``.
Where Forgejo has a sentence for something, it stands here to the letter; where it has none, or
says 500, ours does.

What differs on purpose: every 401 comes with ``WWW-Authenticate`` and a sentence; what may not be
known of is 404 with the same bytes as what is missing, accounts included, where Forgejo tells a
private owner (401) from an unknown one (404).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import update_wrapper
from http import HTTPStatus
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import identify
from accounts.identity import Identity
from accounts.rights import MissingScope
from portal.errors import Forbidden, InvalidInput, Refusal
from registry.conda import errors
from registry.publishing import InvalidPackage
from registry.refusing import FileExists

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Identity, P], HttpResponseBase]

JSON = "application/json"
CHALLENGE = 'Basic realm="Gitea Package API"'
DUPLICATE = "package file already exists"

_INVALID = {
    errors.NotAPackageError.slug: "package structure is invalid",
    errors.InvalidNameError.slug: "package name is invalid",
    errors.InvalidVersionError.slug: "package version is invalid",
}


# --- Package routes ----------------------------------------------------------------------------


def answer_error(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Forgejo's error of the package routes: compact, with the newline of Go's encoder."""
    body = {"reason": HTTPStatus(status).phrase, "message": message}
    return _json(body, status=status, headers=headers)


def word(refusal: Refusal) -> HttpResponse:
    status, message, headers = refusal.status, refusal.detail, dict(refusal.headers)
    if isinstance(refusal, InvalidPackage):
        status, message = 400, _INVALID.get(refusal.slug, message)
    elif isinstance(refusal, FileExists):
        message = DUPLICATE
    elif type(refusal) in {Forbidden, MissingScope}:
        # Forgejo knows no 403 for want of a right: curl and netrc users are asked for another
        # credential. A subclass names something that no credential would change.
        status = 401
    elif status == 404:
        message = ""
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return answer_error(status, message, headers)


# --- REST routes -------------------------------------------------------------------------------


def word_rest(refusal: Refusal) -> HttpResponse:
    body: dict[str, object] = {"message": refusal.detail, "url": f"{settings.BASE_URL}/api/v1/docs"}
    if refusal.status == 404:
        body |= {"message": "The target couldn't be found.", "errors": []}
    return _json(body, status=refusal.status, headers=refusal.headers)


def answer_rest(body: object, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return _json(body, status=200, headers=headers)


# --- For both ----------------------------------------------------------------------------------


def answer_empty(status: int) -> HttpResponse:
    """A status and nothing else, so of no type: 404 for what Forgejo does not route at all."""
    response = HttpResponse(status=status)
    del response.headers["Content-Type"]
    return response


def worded(
    wording: Callable[[Refusal], HttpResponse], *methods: str
) -> Callable[[View[P]], Callable[Concatenate[HttpRequest, P], HttpResponseBase]]:
    """Let a view answer these methods, HEAD as GET, to whoever asks, and word its refusals.

    A wrong credential is refused before anything else is looked at. A browser's session is none,
    which is why these views need no protection against forged requests.
    """
    allowed = [
        m for method in methods for m in ((method, "HEAD") if method == "GET" else (method,))
    ]

    def decorate(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                response = _answer(view, allowed, request, *args, **kwargs)
            except Refusal as refusal:
                response = wording(refusal)
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            return _without_body(response) if request.method == "HEAD" else response

        return csrf_exempt(update_wrapper(answer, view))

    return decorate


def _answer(
    view: View[P], allowed: list[str], request: HttpRequest, *args: P.args, **kwargs: P.kwargs
) -> HttpResponseBase:
    by = identify(request)
    if request.method not in allowed:
        response = answer_empty(405)
        response.headers["Allow"] = ", ".join(allowed)
        return response
    # No name holds one, and databases differ in what they make of it.
    if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
        raise InvalidInput("The address holds a NUL character. Leave it out.")
    return view(request, by, *args, **kwargs)


def _without_body(response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponse) and response.content:
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
    return response


def _json(body: object, *, status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"
    return HttpResponse(
        text.encode(),
        status=status,
        content_type=JSON,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
