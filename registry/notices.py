"""Notices of a channel: what its admins tell everybody who uses it (CEP 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.identity import Identity
from portal.errors import Conflict, InvalidInput, NotFound
from portal.sentences import gettext
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
    title = gettext_noop("The channel has notices enough")


@transaction.atomic
def add_notice(
    *,
    by: Identity,
    channel: Channel,
    message: str,
    expires_at: datetime,
    level: str = Notice.Level.INFO,
    status: str = Notice.Status.PUBLISHED,
) -> Notice:
    """Have conda show a message to those who use the channel, from now until it expires; or keep
    it as a draft, which only those see who manage the channel."""
    access.require_manage_channels(by, channel.account, channel.name)
    notice = Notice(
        channel=channel,
        message=_clean(message),
        level=level,
        status=status,
        expires_at=expires_at,
        created_by=by.user,
    )
    _check(notice)
    _require_place(notice)
    notice.save()
    audit.record(
        by=by,
        account=channel.account,
        action="notice.add",
        target=channel.name,
        detail=_said(notice),
    )
    return notice


@transaction.atomic
def change_notice(
    *,
    by: Identity,
    notice: Notice,
    message: str | None = None,
    expires_at: datetime | None = None,
    level: str | None = None,
    status: str | None = None,
) -> Notice:
    """Change what is given. Who was shown the notice is not shown it again.

    Publishing is a change of the status, and so is archiving, which keeps it from everybody but
    those who manage the channel. What was published once is no draft any more.
    """
    channel = notice.channel
    access.require_manage_channels(by, channel.account, channel.name)
    current = Notice.objects.select_for_update().filter(pk=notice.pk).first()
    if current is None:
        raise NotFound
    notice, notice.channel = current, channel
    before, was, was_live = _said(notice), notice.status, _is_live(notice)
    notice.message = notice.message if message is None else _clean(message)
    notice.expires_at = expires_at or notice.expires_at
    notice.level = level or notice.level
    notice.status = status or notice.status
    if _said(notice) == before:
        return notice
    _check(notice, is_new_expiry=expires_at is not None)
    if notice.status == Notice.Status.DRAFT != was:
        raise InvalidInput(
            gettext("A notice that was published can't be a draft again. Archive it."),
            errors={"status": [gettext("It was published already: archive it.")]},
        )
    if not was_live:
        _require_place(notice)
    notice.save()
    action = _ACTIONS.get(notice.status, "change") if notice.status != was else "change"
    audit.record(
        by=by,
        account=channel.account,
        action=f"notice.{action}",
        target=channel.name,
        detail={"before": before, "after": _said(notice)},
    )
    return notice


_ACTIONS = {str(Notice.Status.PUBLISHED): "publish", str(Notice.Status.ARCHIVED): "archive"}


def _clean(message: str) -> str:
    return message.replace("\r\n", "\n").strip()


def _said(notice: Notice) -> dict[str, object]:
    return {
        "message": notice.message,
        "level": str(notice.level),
        "status": str(notice.status),
        "expires_at": notice.expires_at.isoformat(),
    }


def _require_place(notice: Notice) -> None:
    """Refuse to publish one more than people read."""
    if not _is_live(notice):
        return
    channel = notice.channel
    # Of two who publish at a time, the second counts the notice of the first.
    Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    if live_notices().filter(channel=channel).count() >= MAX_LIVE:
        raise TooManyNotices(
            gettext(
                "%(channel)s has %(max_live)s notices that have not expired, and nobody "
                "reads more. Withdraw one first."
            )
            % {"channel": channel.name, "max_live": MAX_LIVE}
        )


def _check(notice: Notice, *, is_new_expiry: bool = True) -> None:
    errors: dict[str, list[str]] = {}
    message = notice.message
    if not message or len(message) > MAX_MESSAGE_LENGTH or _CONTROL.search(message):
        errors["message"] = [
            gettext("Write 1 to %(max_message_length)s characters, without control characters.")
            % {"max_message_length": MAX_MESSAGE_LENGTH}
        ]
    if notice.level not in Notice.Level.values:
        errors["level"] = [
            gettext("The level must be one of %(values)s.")
            % {"values": ", ".join(Notice.Level.values)}
        ]
    if notice.status not in Notice.Status.values:
        errors["status"] = [
            gettext("The status must be one of %(values)s.")
            % {"values": ", ".join(Notice.Status.values)}
        ]
    # What has expired may be archived, and its words be changed; to be shown, it must not have.
    now = timezone.now()
    matters = is_new_expiry or notice.status == Notice.Status.PUBLISHED
    if matters and not now < notice.expires_at <= now + MAX_AGE:
        errors["expires_at"] = [gettext("Choose a time from now on, at most a year ahead.")]
    if errors:
        raise InvalidInput("; ".join(text for [text] in errors.values()), errors=errors)


@transaction.atomic
def withdraw_notice(*, by: Identity, notice: Notice) -> None:
    """Delete a notice; whoever was shown it was shown it."""
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
    return Notice.objects.filter(status=Notice.Status.PUBLISHED, expires_at__gt=timezone.now())


def _is_live(notice: Notice) -> bool:
    return notice.status == Notice.Status.PUBLISHED and notice.expires_at > timezone.now()


def notices_of(channel: Channel) -> Iterator[format_of.Notice]:
    """The live notices as ``notices.json`` has them; one query."""
    for notice in live_notices().filter(channel=channel):
        yield format_of.Notice(
            id=str(notice.key),
            message=notice.message,
            level=format_of.NoticeLevel(notice.level),
            created_at=notice.created_at,
            expires_at=notice.expires_at,
        )


def as_conda_prints(notice: Notice, channel_url: str) -> str:
    """The lines that somebody sees after a command, in the words of conda 26."""
    return (
        f'Channel "{channel_url}" has the following notices:\n'
        f"  [{notice.level}] -- {notice.created_at:%a %b %e %H:%M:%S %Y}\n"
        f"  {notice.message}"
    )
