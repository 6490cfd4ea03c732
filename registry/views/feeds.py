"""Atom feeds (RFC 4287): of a package's versions, and of what happened in an account or a channel.

What is public may be cached for some minutes. A reader that can't sign in comes with a token, in a
header or as the password of Basic authentication, and is told as much as on the pages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.feedgenerator import Atom1Feed
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.authentication import identify
from accounts.identity import Identity
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, activity
from registry.models import PackageFile
from registry.views.happenings import sentence

_MOST_FILES = 300
_MOST_ENTRIES = 50
_FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    title: str
    path: str
    at: datetime
    who: str = ""
    summary: str = ""


@require_safe
def package_feed(request: HttpRequest, account: str, package: str) -> HttpResponse:
    reader = _reader(request)
    found = access.find_package(reader, account, package)
    files = access.visible_files(reader, found).select_related("uploaded_by")
    where = [found.account.name, found.name]
    return _answer(
        request,
        reader,
        title=f"{found.account.name}/{found.name}",
        subtitle=_("Versions of %(name)s, newest first.") % {"name": found.name},
        path=reverse("registry:package", args=where),
        since=found.created_at,
        entries=_versions(where, list(files.order_by("-uploaded_at", "-pk")[:_MOST_FILES])),
    )


def _versions(where: list[str], files: list[PackageFile]) -> list[_Entry]:
    """An entry for each version, as of its newest file."""
    of_version: dict[str, list[PackageFile]] = {}
    for file in files:
        of_version.setdefault(file.version, []).append(file)
    entries = []
    for version, some in list(of_version.items())[:_MOST_ENTRIES]:
        by = some[0].uploaded_by
        entries.append(
            _Entry(
                key=f"version/{version}",
                title=f"{where[1]} {version}",
                path=reverse("registry:version", args=[*where, version]),
                at=some[0].uploaded_at,
                who=by.username if by else "",
                summary="\n".join(f"{file.subdir}/{file.filename}" for file in some[:50]),
            )
        )
    return entries


@require_safe
def account_feed(request: HttpRequest, account: str) -> HttpResponse:
    reader = _reader(request)
    found = access.find_account(account)
    return _answer(
        request,
        reader,
        title=found.title,
        subtitle=_("What happened to the packages of %(name)s.") % {"name": found.name},
        path=reverse("registry:activity", args=[found.name]),
        since=found.created_at,
        entries=_happenings(activity.of_account(reader, found), found.name),
    )


@require_safe
def channel_feed(request: HttpRequest, account: str, channel: str) -> HttpResponse:
    reader = _reader(request)
    found = access.find_channel(reader, account, channel)
    name = found.account.name
    return _answer(
        request,
        reader,
        title=f"{name}/{found.name}",
        subtitle=_("What changed in the channel %(name)s.") % {"name": found.name},
        path=reverse("registry:channel", args=[name, found.name]),
        since=found.created_at,
        entries=_happenings(activity.of_account(reader, found.account, channel=found), name),
    )


def _happenings(found: activity.Activity, account_name: str) -> list[_Entry]:
    return [
        _Entry(
            key=f"event/{one.id}",
            title=sentence(one),
            path=_place(account_name, one),
            at=one.at,
            who=one.who,
            summary=f"{one.subdir}/{one.filename}" if one.filename else "",
        )
        for one in found.rows
    ]


def _place(account_name: str, one: activity.Happening) -> str:
    if one.package:
        return reverse("registry:package", args=[account_name, one.package])
    if one.channel and one.kind != "channel.delete":
        return reverse("registry:channel", args=[account_name, one.channel])
    return reverse("registry:account", args=[account_name])


# --- What all feeds have in common ---------------------------------------------------------------


def _reader(request: HttpRequest) -> Identity:
    """Who reads: by session or by token. A token that may not read is nobody's."""
    reader = identify(request, session=True)
    if reader.token is not None and not reader.can(Ability.DOWNLOAD):
        raise NotFound
    return reader


def _answer(
    request: HttpRequest,
    reader: Identity,
    *,
    title: str,
    subtitle: str,
    path: str,
    since: datetime,
    entries: Iterable[_Entry],
) -> HttpResponse:
    entries = list(entries)
    own = f"{settings.BASE_URL}{quote(request.path, safe='/:')}"
    feed = _Feed(
        title=f"{title} · Condarium",
        link=f"{settings.BASE_URL}{path}",
        description="",
        subtitle=subtitle,
        feed_url=own,
        feed_guid=own,
        updated=max((one.at for one in entries), default=since),
    )
    for one in entries:
        feed.add_item(
            title=one.title,
            link=f"{settings.BASE_URL}{one.path}",
            description=one.summary,
            unique_id=f"{own}#{one.key}",
            unique_id_is_permalink=False,
            updateddate=one.at,
            author_name=one.who or None,
        )
    response = HttpResponse(feed.writeString("utf-8"), content_type=feed.content_type)
    etag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = (
        f"public, max-age={_FRESH_SECONDS}" if reader.is_anonymous else "private, no-cache"
    )
    patch_vary_headers(response, ["Cookie", "Authorization", "Accept-Language"])
    return get_conditional_response(request, etag=etag, response=response) or response


class _Feed(Atom1Feed):
    """With the time of the newest entry, so that the same is said in the same bytes."""

    def latest_post_date(self) -> datetime:
        when: datetime = self.feed["updated"]
        return when.astimezone(UTC)

    def root_attributes(self) -> dict[str, str]:
        return {"xmlns": self.ns}
