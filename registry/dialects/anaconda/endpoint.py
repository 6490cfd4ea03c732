"""How anaconda.org's API answers, for all of its routes.

The stock client shows ``{"error": "…"}`` and nothing else, and takes exactly one status of each
route for success. Paths end without a slash and are never redirected: a redirect would turn its
POST into a GET.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar, cast

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import (
    ExpiredToken,
    PasswordNotEnough,
    RevokedToken,
    UnknownToken,
    WrongPassword,
    identify,
)
from accounts.identity import Identity
from accounts.rights import MissingScope
from portal.body import open_body
from portal.errors import CredentialNeeded, InvalidInput, NotFound, Refusal
from registry.delivery import MethodNotAllowed
from registry.quotas import QuotaExceeded

MAX_JSON_BYTES = 1024 * 1024
JSON = "application/json"
View = Callable[..., HttpResponseBase]
Shape = TypeVar("Shape")


def endpoint(who: Callable[[HttpRequest], Identity] = identify, /, **views: View) -> View:
    """One path: what its methods are answered with, HEAD as GET.

    Each view is given the request, who asks, and the parts of the path. A wrong credential is
    refused before anything else is looked at; a browser's session is none, which is why these
    views need no protection against forged requests. ``who`` is for the path that takes other
    credentials than all others do.
    """
    allowed = [*views, *(["HEAD"] if "GET" in views else [])]

    def answer(request: HttpRequest, **path: str) -> HttpResponseBase:
        try:
            by = who(request)
            method = "GET" if request.method == "HEAD" else request.method or ""
            if method not in views:
                raise MethodNotAllowed(method, ", ".join(allowed))
            # No name holds one, and databases differ in what they make of it.
            if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
                raise NotFound
            return views[method](request, by, **path)
        except Refusal as refusal:
            return word(refusal)

    return cast(View, csrf_exempt(answer))


# What anaconda.org says, to the letter: scripts look for it. Our own sentence follows.
_THEIR_WORDS: dict[type[Refusal], str] = {
    CredentialNeeded: "Authorization header was not given",
    UnknownToken: "Authorization token is no longer valid",
    RevokedToken: "Authorization token is no longer valid",
    ExpiredToken: "Authentication token has expired",
    WrongPassword: "Incorrect username or password",
    QuotaExceeded: "Storage requirements exceeded",
}
_SCOPE_IS_MISSING = (
    "Authentication token does not have the sufficient scope to perform this action expected: "
)


def word(refusal: Refusal) -> HttpResponse:
    """A refusal as the stock client shows it."""
    status, sentence, headers = refusal.status, refusal.detail, refusal.headers
    if isinstance(refusal, MissingScope):
        # 403 is what it is, and 401 what their clients know it by.
        status = HTTPStatus.UNAUTHORIZED
        sentence = f"{_SCOPE_IS_MISSING}{refusal.wanted}. {sentence}"
        headers = {**CredentialNeeded().headers, **headers}
    elif isinstance(refusal, PasswordNotEnough):
        # At 401 the client says that the password is wrong, and asks for it again.
        status = HTTPStatus.FORBIDDEN
        if settings.SECURE:
            sentence += (
                " Or run anaconda login without a name and password: it asks in the browser."
            )
    elif type(refusal) in _THEIR_WORDS:
        sentence = f"{_THEIR_WORDS[type(refusal)]}. {sentence}"
    return reply({"error": str(sentence)}, status, headers)


def reply(
    body: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """``body`` as JSON; None leaves the body away, as 204 wants it."""
    return HttpResponse(
        b"" if body is None else msgspec.json.encode(body),
        status=status,
        content_type=JSON,
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
    )


def read_json(request: HttpRequest, shape: type[Shape]) -> Shape:
    """The body as ``shape``, a msgspec struct; an empty body is an empty object.

    Members that the struct does not name are passed over. Raises `InvalidInput` that names the
    member which is not what was wanted.
    """
    body = open_body(request.META, limit_bytes=MAX_JSON_BYTES)
    buffer = bytearray(64 * 1024)
    data = bytearray()
    while count := body.readinto(buffer):
        data += memoryview(buffer)[:count]
    try:
        return msgspec.json.decode(bytes(data) or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"The body can't be read as the JSON that is wanted here: {str(error)[:200]}."
        ) from error
