"""Notices, as ``anaconda channel notice`` manages them: of an account, which it calls a channel.

A new one is of ``main``; those of the account's other channels are listed and found as well.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path

from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import InvalidInput
from registry import access
from registry import notices as acts
from registry.channels import create_channel
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply
from registry.dialects.anaconda.finding import Missing, find_account
from registry.models import Channel, Notice
from registry.models.channel import MAIN

MAX_LIMIT = 100
# The client asks for those as well; what is deleted here is gone.
_DELETED = "deleted"


def _managed(by: Identity, account_name: str, ability: Ability) -> Account:
    """The account whose notices are theirs to manage; drafts are nobody else's to see."""
    account = find_account(account_name)
    access.require_manage_channels(by, account, MAIN, ability)
    return account


def _notices(by: Identity, account: Account) -> QuerySet[Notice]:
    channels = access.visible_channels(by, account).order_by().values("pk")
    return Notice.objects.filter(channel__in=channels).select_related("channel__account")


def _found(by: Identity, account_name: str, key: str, ability: Ability = Ability.WRITE) -> Notice:
    account = _managed(by, account_name, ability)
    row = _notices(by, account).filter(key=uuid.UUID(key)).first()
    if row is None:
        raise Missing(f'The notice "{key}" of {account.name}')
    return row


def _shape(notice: Notice) -> dict[str, object]:
    return {
        "id": str(notice.key),
        "status": notice.status,
        "level": notice.level,
        "message": notice.message,
        "label": notice.channel.name,
        "expires_at": notice.expires_at.isoformat(),
        "created_at": notice.created_at.isoformat(),
        "updated_at": notice.updated_at.isoformat(),
    }


def list_notices(request: HttpRequest, by: Identity, account: str) -> HttpResponse:
    found = _managed(by, account, Ability.READ)
    rows = _notices(by, found)
    status = request.GET.get("status", "")
    known = [*Notice.Status.values, _DELETED]
    if status and status not in known:
        raise InvalidInput(f"status is {status[:40]!r}; it must be one of {', '.join(known)}.")
    if status:
        rows = rows.filter(status=status)
    offset = _number(request, "offset", 0, at_most=10**9)
    limit = _number(request, "limit", 20, at_least=1, at_most=MAX_LIMIT)
    items = rows.order_by("-pk")[offset : offset + limit]
    return reply({"items": [_shape(row) for row in items], "total_count": rows.count()})


def _number(
    request: HttpRequest, name: str, default: int, *, at_least: int = 0, at_most: int
) -> int:
    text = request.GET.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not at_least <= number <= at_most:
        raise InvalidInput(
            f"{name} is {text[:40]!r}; a whole number from {at_least} to {at_most} is wanted."
        )
    return number


class _NewNotice(msgspec.Struct):
    message: str
    expires_at: datetime
    level: str = Notice.Level.INFO.value


def create_notice(request: HttpRequest, by: Identity, account: str) -> HttpResponse:
    """Keep a draft, for the client publishes in a second step."""
    found = _managed(by, account, Ability.WRITE)
    sent = read_json(request, _NewNotice)
    channel = Channel.objects.filter(account=found, name=MAIN).first()
    if channel is None:
        channel = create_channel(by=by, account=found, name=MAIN)
    channel.account = found
    notice = acts.add_notice(
        by=by,
        channel=channel,
        message=sent.message,
        level=sent.level,
        expires_at=_in_utc(sent.expires_at),
        status=Notice.Status.DRAFT,
    )
    return reply(_shape(notice), HTTPStatus.CREATED)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Changes(msgspec.Struct):
    message: str | None = None
    expires_at: datetime | None = None
    level: str | None = None
    status: str | None = None


def show_notice(request: HttpRequest, by: Identity, account: str, key: str) -> HttpResponse:
    return reply(_shape(_found(by, account, key, Ability.READ)))


def change_notice(request: HttpRequest, by: Identity, account: str, key: str) -> HttpResponse:
    notice = _found(by, account, key)
    sent = read_json(request, _Changes)
    changed = acts.change_notice(
        by=by,
        notice=notice,
        message=sent.message,
        level=sent.level,
        status=sent.status,
        expires_at=_in_utc(sent.expires_at) if sent.expires_at else None,
    )
    return reply(_shape(changed))


def delete_notice(request: HttpRequest, by: Identity, account: str, key: str) -> HttpResponse:
    acts.withdraw_notice(by=by, notice=_found(by, account, key))
    return reply(None, HTTPStatus.NO_CONTENT)


def publish_notice(request: HttpRequest, by: Identity, account: str, key: str) -> HttpResponse:
    notice = _found(by, account, key)
    return reply(_shape(acts.change_notice(by=by, notice=notice, status=Notice.Status.PUBLISHED)))


def archive_notice(request: HttpRequest, by: Identity, account: str, key: str) -> HttpResponse:
    notice = _found(by, account, key)
    return reply(_shape(acts.change_notice(by=by, notice=notice, status=Notice.Status.ARCHIVED)))


# They come after all other routes, which an account must not be able to hide by its name.
_all = r"^api/(?!v1/)(?P<account>[^/]+)/notices"
_one = rf"{_all}/(?P<key>[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}})"

urlpatterns: list[URLPattern] = [
    re_path(rf"{_all}\Z", endpoint(GET=list_notices, POST=create_notice)),
    re_path(rf"{_one}\Z", endpoint(GET=show_notice, PATCH=change_notice, DELETE=delete_notice)),
    re_path(rf"{_one}/publish\Z", endpoint(POST=publish_notice)),
    re_path(rf"{_one}/archive\Z", endpoint(POST=archive_notice)),
]
