"""What clients of conda channels read, and Artifactory's way to upload: PUT on the same URL."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from accounts.authentication import identify
from accounts.scopes import Ability
from portal.body import open_body
from portal.errors import InvalidInput, NotFound, Refusal
from portal.problems import problem_response
from portal.questions import noted
from registry import access, delivery, finding, publishing, waiting
from registry.channel_urls import recall
from registry.channel_urls.paths import ChannelPath, channel_url, parse_channel_path
from registry.conda.errors import PackageError
from registry.conda.names import check_filename
from registry.delivery import MethodNotAllowed
from registry.models.channel import MAIN
from registry.publishing import Claims, InvalidPackage, Outcome, Published
from registry.receiving import asks_for_force, upload_slot

View = Callable[[HttpRequest, str], HttpResponseBase]


def _refusals_as_problems(view: View) -> View:
    """Word refusals for programs, whatever they say they accept: a client that follows a
    redirect to a page, or gets one, would parse HTML as repodata."""

    @wraps(view)
    def worded(request: HttpRequest, rest: str) -> HttpResponseBase:
        try:
            return view(request, rest)
        except Refusal as refusal:
            return problem_response(refusal)

    return worded


# Credentials of a header or the path only, which no browser adds by itself.
@csrf_exempt
@_refusals_as_problems
def place(request: HttpRequest, rest: str) -> HttpResponseBase:
    """``/conda/<account>[/label/<channel>]/<subdir>/<file>``, read or uploaded to."""
    account_name, _, path = rest.removeprefix("/").partition("/")
    if request.method in {"GET", "HEAD"}:
        return _read(request, account_name, parse_channel_path(path))
    if request.method == "PUT":
        return _upload(request, account_name, parse_channel_path(path))
    raise MethodNotAllowed(request.method, "GET, HEAD, PUT")


def _read(request: HttpRequest, account_name: str, path: ChannelPath | None) -> HttpResponseBase:
    with noted() as questions:
        # Who has no cookie has no session; asking for it would make every answer vary by cookies.
        identity = identify(request, session=settings.SESSION_COOKIE_NAME in request.COOKIES)
        if path is None or not account_name.isprintable():
            raise NotFound
        channel = access.find_channel_to_read(identity, account_name, path.channel)
        subdir = path.subdir or ""
        if path.is_package:
            file, stored = finding.find_package_file(identity, channel, subdir, path.name)
        elif path.sidecar_of is not None:
            filename, sha256 = path.sidecar_of
            file = None
            stored = finding.find_sidecar(identity, channel, subdir, filename, sha256)
        else:
            find = finding.find_shard if path.is_shard else finding.find_index_file
            found = find(identity, channel, subdir, path.name)
            if found is None:
                raise NotFound
            file, stored = None, found
    recall.note(request, questions, identity, stored, file)
    if file is not None:
        return delivery.deliver_package(request, file, stored)
    return delivery.deliver(request, stored)


# --- Uploading ---------------------------------------------------------------------------------


def _upload(request: HttpRequest, account_name: str, path: ChannelPath | None) -> HttpResponseBase:
    by = identify(request)
    if not account_name.isprintable():
        raise NotFound
    if path is None or path.subdir is None or path.is_shard:
        publishing.open_destination(by, account_name, MAIN, Ability.CHANNEL_UPLOAD)
        raise InvalidInput(
            "Nothing can be uploaded to this address. PUT a package file to "
            "/conda/<account>[/<channel>]/<subdir>/<file>, such as "
            "/conda/acme/linux-64/hello-1.0-0.conda."
        )
    destination = publishing.open_destination(
        by, account_name, path.channel, Ability.CHANNEL_UPLOAD
    )
    claims = _claims(request, path)
    is_forced = asks_for_force(request)
    wait_seconds = waiting.asked_seconds(request)
    with upload_slot():
        published = publishing.publish_to(
            by=by,
            destination=destination,
            body=open_body(request.META, limit_bytes=settings.MAX_UPLOAD_BYTES),
            claims=claims,
            replaces=is_forced,
        )
    return waiting.answer_when_visible(_published(published), published, wait_seconds)


def _published(published: Published) -> HttpResponseBase:
    file, channel = published.file, published.channel
    url = channel_url(channel.account.name, channel.name, file.subdir, file.filename)
    facts = {
        "account": channel.account.name,
        "channel": channel.name,
        "subdir": file.subdir,
        "filename": file.filename,
        "size": file.size_bytes,
        "sha256": file.sha256,
        "md5": file.md5,
        "outcome": published.outcome.value,
        "url": url,
    }
    if published.outcome is Outcome.UNCHANGED:
        return JsonResponse(facts)
    return JsonResponse(facts, status=201, headers={"Location": url})


def _claims(request: HttpRequest, path: ChannelPath) -> Claims:
    """What the URL and the headers say of the body, refused where it can't be true of any."""
    try:
        check_filename(path.name)
    except PackageError as error:
        raise InvalidPackage(error) from error
    return Claims(
        filename=path.name,
        subdir=path.subdir,
        sha256=_one_digest(
            "sha256",
            64,
            request.GET.get("sha256"),
            request.headers.get("X-Checksum-Sha256"),
            _content_digest(request.headers.get("Content-Digest", "")),
        ),
        md5=_one_digest("md5", 32, request.GET.get("md5"), request.headers.get("X-Checksum-Md5")),
    )


def _one_digest(kind: str, length: int, *claimed: str | None) -> str | None:
    digests = {digest.strip().lower() for digest in claimed if digest}
    if not digests:
        return None
    digest = digests.pop()
    if digests:
        raise InvalidInput(f"Two different {kind} digests were announced. Send one.")
    if not re.fullmatch(rf"[0-9a-f]{{{length}}}", digest):
        raise InvalidInput(
            f"The announced {kind} is {digest[:80]!r}; {length} hexadecimal digits are wanted."
        )
    return digest


_SHA256_MEMBER = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):")


def _content_digest(header: str) -> str | None:
    """The sha256 of a ``Content-Digest`` (RFC 9530), in hex; other algorithms are not read."""
    match = _SHA256_MEMBER.search(header)
    if match is None:
        return None
    try:
        return base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        raise InvalidInput(
            "The Content-Digest header is not as RFC 9530 has it: sha-256=:<base64>:."
        ) from None
