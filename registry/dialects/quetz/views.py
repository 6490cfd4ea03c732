"""Quetz' upload, as rattler-build, pixi and quetz-client speak it.

They send the key in ``X-API-Key``, like any of our credentials, and take 201 for "it is visible":
so this upload waits for that, where others have to be asked to. What differs from Quetz on purpose:
``force`` replaces in all of the account's channels at once, who may upload is decided before the
body is read, and an unknown channel is told from a hidden one by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import identify
from accounts.scopes import Ability
from portal.body import open_body
from portal.errors import InvalidInput, NotFound, Refusal
from registry import publishing, waiting
from registry.conda.errors import PackageError
from registry.conda.names import check_filename
from registry.delivery import MethodNotAllowed
from registry.models.channel import MAIN
from registry.publishing import (
    Claims,
    DigestMismatch,
    InvalidPackage,
    Outcome,
    Published,
)
from registry.receiving import asks_for_force, upload_slot
from registry.refusing import FileExists

WAIT_SECONDS = 10
# The last /upload/ counts: a channel may be called upload.
_UPLOAD = re.compile(r"/api/channels/(?P<channel>.+)/upload/(?P<filename>[^/]+)", re.DOTALL)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
View = Callable[[HttpRequest, str], HttpResponse]


@dataclass(frozen=True, slots=True)
class _Address:
    account: str
    channel: str
    filename: str


def _refusals_as_details(view: View) -> View:
    @wraps(view)
    def worded(request: HttpRequest, rest: str) -> HttpResponse:
        try:
            return view(request, rest)
        except DigestMismatch as refusal:
            # Clients try again at this status: the bytes may have changed on their way.
            return _detail(f"Wrong SHA256 checksum. {refusal.detail}", 406)
        except FileExists as refusal:
            return _detail(f"Duplicate: {refusal.detail}", refusal.status)
        except Refusal as refusal:
            return _detail(refusal.detail, refusal.status, refusal.headers)

    return worded


def _detail(text: str, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    return JsonResponse(
        {"detail": text},
        status=status,
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
    )


# Credentials of a header only, which no browser adds by itself.
@csrf_exempt
@_refusals_as_details
def place(request: HttpRequest, rest: str) -> HttpResponse:
    """``POST /quetz/api/channels/<account>[/<channel>]/upload/<file>``; nothing else is there."""
    address = _parse(rest)
    if address is None:
        raise NotFound
    if request.method != "POST":
        raise MethodNotAllowed(request.method, "POST")
    by = identify(request)
    destination = publishing.open_destination(
        by, address.account, address.channel, Ability.CHANNEL_UPLOAD
    )
    claims = _claims(request, address.filename)
    is_forced = asks_for_force(request)
    wait_seconds = waiting.asked_seconds(request, by_default=WAIT_SECONDS)
    with upload_slot():
        body = open_body(request.META, limit_bytes=settings.MAX_UPLOAD_BYTES)
        published = publishing.publish_to(
            by=by, destination=destination, body=body, claims=claims, replaces=is_forced
        )
    answer = _published(published, is_forced=is_forced)
    return waiting.answer_when_visible(answer, published, wait_seconds)


def _parse(rest: str) -> _Address | None:
    match = _UPLOAD.fullmatch(rest)
    if match is None or not rest.isprintable():
        return None
    account, _, channel = match["channel"].strip("/").partition("/")
    return _Address(account, channel or MAIN, match["filename"])


def _published(published: Published, *, is_forced: bool) -> HttpResponse:
    file, channel = published.file, published.channel
    place = f"{file.subdir}/{file.filename}"
    if published.outcome is Outcome.UNCHANGED and not is_forced:
        return _detail(f"Duplicate: {place} is in {channel} already, with the same content.", 409)
    return _detail(f"{place} is in {channel}.", 201)


def _claims(request: HttpRequest, filename: str) -> Claims:
    try:
        check_filename(filename)
    except PackageError as error:
        raise InvalidPackage(error) from error
    # Quetz wants one to be named and takes an empty one; curl's users may leave it out here.
    sha256 = request.GET.get("sha256", "").strip().lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise InvalidInput(
            f"The announced sha256 is {sha256[:80]!r}; 64 hexadecimal digits are wanted."
        )
    return Claims(filename=filename, sha256=sha256 or None)
