"""Forgejo's conda registry: ``/api/packages/<account>/conda/…``.

Forgejo's registry without a channel is our channel ``main``. A name that it would not route is 404
with nothing, as there; what is missing, or may not be known of, is 404 with its JSON.
"""

from __future__ import annotations

import bz2
import hashlib
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.identity import Identity
from accounts.scopes import Ability
from portal.errors import CredentialNeeded, NotFound
from registry import access, delivery, finding, publishing, waiting
from registry.conda.repodata import compress_bz2, forgejo_tail
from registry.delivery import Stored
from registry.dialects.forgejo.forms import open_archive
from registry.dialects.forgejo.paths import (
    DOCUMENTS,
    Archive,
    ChannelFile,
    IndexFile,
    Shard,
    parse_read,
    parse_upload,
)
from registry.dialects.forgejo.wording import (
    DUPLICATE,
    answer_empty,
    answer_error,
    word,
    worded,
)
from registry.generations import Derived
from registry.models import Channel
from registry.models import ChannelFile as Entry
from registry.publishing import Claims, Outcome
from registry.receiving import upload_slot


@worded(word, "GET", "PUT")
def registry(request: HttpRequest, by: Identity, account: str, rest: str) -> HttpResponseBase:
    if request.method == "PUT":
        return _upload(request, by, account, rest)
    match parse_read(rest):
        case IndexFile(channel_name, subdir, name):
            channel = access.find_channel_to_read(by, account, channel_name)
            return delivery.deliver(request, _index_file(by, channel, subdir, name))
        case Archive(channel_name, subdir, filename):
            channel = access.find_channel_to_read(by, account, channel_name)
            return _archive(request, by, channel, subdir, filename)
        case ChannelFile(channel_name, name):
            channel = access.find_channel_to_read(by, account, channel_name)
            stored = finding.find_index_file(by, channel, "", name)
        case Shard(channel_name, subdir, name):
            channel = access.find_channel_to_read(by, account, channel_name)
            stored = finding.find_shard(by, channel, subdir, name)
        case None:
            return answer_empty(404)
    if stored is None:
        raise NotFound
    return delivery.deliver(request, stored)


# --- Uploads -----------------------------------------------------------------------------------


def _upload(request: HttpRequest, by: Identity, account: str, rest: str) -> HttpResponse:
    if by.is_anonymous:
        raise CredentialNeeded(
            "Uploading needs a credential. Send a token as the password of Basic authentication: "
            "curl --user <name>:<token>."
        )
    upload = parse_upload(rest)
    if upload is None:
        return answer_empty(404)
    destination = publishing.open_destination(by, account, upload.channel, Ability.CHANNEL_UPLOAD)
    wait_seconds = waiting.asked_seconds(request)
    with upload_slot():
        published = publishing.publish_to(
            by=by,
            destination=destination,
            body=open_archive(request, limit_bytes=settings.MAX_UPLOAD_BYTES),
            claims=Claims(format=upload.format, subdir=upload.subdir, minimal=True),
        )
    unchanged = published.outcome is Outcome.UNCHANGED
    answer = answer_error(409, DUPLICATE) if unchanged else answer_empty(201)
    return waiting.answer_when_visible(answer, published, wait_seconds)


# --- Documents of a subdir ---------------------------------------------------------------------


def _index_file(by: Identity, channel: Channel, subdir: str, name: str) -> Stored:
    stored = finding.find_index_file(by, channel, subdir, DOCUMENTS.get(name, name))
    if stored is None:
        raise NotFound
    if name not in DOCUMENTS:
        return stored
    if stored.removed_offset is None:
        raise ValueError(f"{stored.key} does not say where its list of removed files begins")
    if name.endswith(".bz2"):
        return _compressed(stored, stored.removed_offset)
    return stored.with_tail(stored.removed_offset, forgejo_tail())


def _compressed(stored: Stored, removed_offset: int) -> Stored:
    """The ``.bz2`` of the document as Forgejo's clients get it, made when it is first asked for."""
    changed = replace(
        stored, content_type=finding.content_type_of(".json.bz2"), removed_offset=None
    )
    if stored.data is not None:
        data = bz2.compress(stored.data[:removed_offset] + forgejo_tail())
        etag = f'"{hashlib.sha256(data).hexdigest()[:40]}"'
        return replace(changed, data=data, size_bytes=len(data), etag=etag)

    if stored.compressed is None:
        raise NotFound
    derived = Derived(
        stored.compressed,
        "forgejo.bz2",
        partial(compress_bz2, stop=removed_offset, tail=forgejo_tail()),
    )
    return replace(changed, derived=None).made_by(derived)


# --- Package files -----------------------------------------------------------------------------


def _archive(
    request: HttpRequest, by: Identity, channel: Channel, subdir: str, filename: str
) -> HttpResponseBase:
    try:
        file, stored = finding.find_package_file(by, channel, subdir, filename)
    except NotFound:
        known = _other_case(channel, subdir, filename)
        if known is None:
            raise
        file, stored = finding.find_package_file(by, channel, subdir, known)
    response = delivery.deliver_package(request, file, stored)
    if response.status_code in {200, 206, 304}:
        response.headers["Cache-Control"] = "private, max-age=300"
    if response.status_code in {200, 206}:
        encoded = quote(file.filename, safe="")
        response.headers["Content-Disposition"] = (
            f"attachment; filename=\"{file.filename}\"; filename*=UTF-8''{encoded}"
        )
        response.headers["Access-Control-Expose-Headers"] = "Content-Disposition"
    return response


def _other_case(channel: Channel, subdir: str, filename: str) -> str | None:
    """The one file whose name differs in capitals only: Forgejo does not see them."""
    names = Entry.objects.filter(
        channel=channel, subdir=subdir, filename__iexact=filename
    ).values_list("filename", flat=True)[:2]
    return names[0] if len(names) == 1 else None
