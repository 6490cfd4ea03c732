"""Notices of a channel: what its admins tell everybody who uses it (CEP 6)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from portal.errors import Conflict, InvalidInput
from registry import access
from registry.conda import notices as format_of
from registry.models import Channel, Notice

MAX_MESSAGE_LENGTH = 1000
MAX_LIVE = 5
MAX_AGE = timedelta(days=366)

# A client writes it to a terminal: a line break is all that may move the cursor.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class TooManyNotices(Conflict):
    slug = "too-many-notices"
    title = "The channel has notices enough"


@transaction.atomic
def add_notice(
    *,
    by: Identity,
    channel: Channel,
    message: str,
    expires_at: datetime,
    level: str = Notice.Level.INFO,
) -> Notice:
    """Have conda show a message to those who use the channel, from now until it expires."""
    access.require_manage_channels(by, channel.account, channel.name)
    message = message.replace("\r\n", "\n").strip()
    _check(message, level, expires_at)
    # Of two who add at a time, the second counts the notice of the first.
    Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    if live_notices().filter(channel=channel).count() >= MAX_LIVE:
        raise TooManyNotices(
            f"{channel.name} has {MAX_LIVE} notices that have not expired, and nobody reads more. "
            "Withdraw one first."
        )
    notice = Notice.objects.create(
        channel=channel, message=message, level=level, expires_at=expires_at, created_by=by.user
    )
    audit.record(
        by=by,
        account=channel.account,
        action="notice.add",
        target=channel.name,
        detail={"message": message, "level": level, "expires_at": expires_at.isoformat()},
    )
    return notice


def _check(message: str, level: str, expires_at: datetime) -> None:
    errors = {}
    if not message or len(message) > MAX_MESSAGE_LENGTH or _CONTROL.search(message):
        errors["message"] = [
            f"Write 1 to {MAX_MESSAGE_LENGTH} characters, without control characters."
        ]
    if level not in Notice.Level.values:
        errors["level"] = [f"The level must be one of {', '.join(Notice.Level.values)}."]
    now = timezone.now()
    if not now < expires_at <= now + MAX_AGE:
        errors["expires_at"] = ["Choose a time from now on, at most a year ahead."]
    if errors:
        raise InvalidInput("; ".join(text for [text] in errors.values()), errors=errors)


@transaction.atomic
def withdraw_notice(*, by: Identity, notice: Notice) -> None:
    """Take a notice back; whoever was shown it was shown it."""
    channel = notice.channel
    access.require_manage_channels(by, channel.account, channel.name)
    audit.record(
        by=by,
        account=channel.account,
        action="notice.withdraw",
        target=channel.name,
        detail={"message": notice.message},
    )
    notice.delete()


def live_notices() -> QuerySet[Notice]:
    """Those that clients are told of, the oldest first."""
    return Notice.objects.filter(expires_at__gt=timezone.now())


def notices_of(channel: Channel) -> Iterator[format_of.Notice]:
    """The live notices as ``notices.json`` has them; one query."""
    address = f"{settings.BASE_URL}/conda/{channel.account.name}/{channel.name}"
    for notice in live_notices().filter(channel=channel):
        yield format_of.Notice(
            # conda remembers by their ids what it has shown, of all channels of all hosts.
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{address}#notice-{notice.pk}")),
            message=notice.message,
            level=format_of.NoticeLevel(notice.level),
            created_at=notice.created_at,
            expires_at=notice.expires_at,
        )
