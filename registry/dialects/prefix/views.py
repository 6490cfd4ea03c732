"""prefix.dev's upload, as rattler-build and pixi speak it.

They show the body of a refusal to their users, cut to 512 characters, and take 409 for "it is
there", which ``--skip-existing`` counts as success.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import identify
from portal import failpoints
from portal.body import open_body
from portal.errors import NotFound, Refusal
from registry import publishing, storage, waiting
from registry.conda.attestation import MAX_BUNDLE_BYTES
from registry.delivery import MethodNotAllowed
from registry.dialects.prefix.form import FilePart
from registry.models.channel import MAIN
from registry.publishing import Claims, Outcome, Published
from registry.receiving import asks_for_force, upload_slot

MAX_TEXT_LENGTH = 512
View = Callable[[HttpRequest, str], HttpResponse]


def _refusals_as_text(view: View) -> View:
    @wraps(view)
    def worded(request: HttpRequest, rest: str) -> HttpResponse:
        try:
            return view(request, rest)
        except Refusal as refusal:
            return _text(refusal.detail, refusal.status, refusal.headers)

    return worded


def _text(text: str, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    if len(text) > MAX_TEXT_LENGTH:
        text = text[: MAX_TEXT_LENGTH - 1] + "…"
    return HttpResponse(
        text,
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **(headers or {}),
        },
    )


@csrf_exempt
@_refusals_as_text
def upload(request: HttpRequest, rest: str) -> HttpResponse:
    """``POST /api/v1/upload/<account>[/<channel>]`` with the file in a form."""
    if request.method != "POST":
        raise MethodNotAllowed(request.method, "POST")
    by = identify(request)
    account_name, _, channel_name = rest.strip("/").partition("/")
    if not rest.isprintable():
        raise NotFound
    destination = publishing.open_destination(by, account_name, channel_name or MAIN)
    is_forced = asks_for_force(request)
    wait_seconds = waiting.asked_seconds(request)
    with upload_slot():
        # The form is a little more than the file; the file itself is held against the limit.
        limit_bytes = settings.MAX_UPLOAD_BYTES + MAX_BUNDLE_BYTES + 2**20
        body = open_body(request.META, limit_bytes=limit_bytes)
        part = FilePart(request.META.get("CONTENT_TYPE", ""), body)
        claims = Claims(filename=part.filename, sha256=part.sha256)
        with storage.receive(part, limit_bytes=settings.MAX_UPLOAD_BYTES) as incoming:
            failpoints.reach("received")
            published = publishing.take_in(
                by=by,
                destination=destination,
                incoming=incoming,
                claims=claims,
                replaces=is_forced,
                attestation=part.kept,
            )
    answer = _published(published, is_forced=is_forced)
    return waiting.answer_when_visible(answer, published, wait_seconds)


def _published(published: Published, *, is_forced: bool) -> HttpResponse:
    file, channel = published.file, published.channel
    place = f"{file.subdir}/{file.filename}"
    if published.outcome is Outcome.UNCHANGED and published.is_attested:
        return _text(f"{place} is in {channel} already, and has one more attestation.", 201)
    if published.outcome is Outcome.UNCHANGED and not is_forced:
        return _text(f"{place} is in {channel} already, with the same content.", 409)
    if published.outcome is Outcome.REPLACED:
        return _text(f"{place} is in {channel}, in place of the file that had its name.", 201)
    status = 200 if published.outcome is Outcome.UNCHANGED else 201
    return _text(f"{place} is in {channel}.", status)
