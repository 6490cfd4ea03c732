"""What happened to an account's packages, as far as somebody may know: the audit log, retold.

The log itself is for those who manage the account. Others are told what they could have seen
happen: a file that came into a channel they may read, or left it. Where one line of the log
stands for many files, which may be private ones, only members are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Value

from accounts.identity import Identity
from accounts.models import Account, Event
from registry import access
from registry.conda.errors import PackageError
from registry.conda.names import Dist
from registry.models import Channel, Removal

MOST_LOOKED_AT = 1000
_CHUNK = 100
_FILES = ("file.publish", "file.replace", "file.add", "file.copy", "file.remove", "file.delete")
_MANY = ("file.import",)
_CHANNELS = ("channel.create", "channel.change", "channel.delete")


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened; ``kind`` is the act's name in the log."""

    id: int
    at: datetime
    kind: str
    who: str
    with_token: str
    """The name of the token, for those who belong to the account."""
    channel: str
    subdir: str = ""
    filename: str = ""
    package: str = ""
    count: int = 0
    """How many files, where it is not one."""
    lock: bool | None = None
    """Whether a channel was locked by it, or unlocked."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The newest first. ``older_than`` is where the next page begins."""

    rows: list[Happening]
    older_than: int | None = None


def of_account(
    viewer: Identity,
    account: Account,
    *,
    channel: Channel | None = None,
    before: int | None = None,
    most: int = 50,
    belongs: bool | None = None,
) -> Activity:
    """What happened in the account, or to one channel, which the viewer may read. ``belongs`` is
    what `access.reads_privately` says, where it was asked already.

    At most `MOST_LOOKED_AT` lines of the log are looked at; what is older has a page of its own.
    """
    events = Event.objects.filter(account=account, action__in=(*_FILES, *_MANY, *_CHANNELS))
    if before is not None:
        events = events.filter(pk__lt=before)
    looked_at = list(events.order_by("-id").defer("user_agent", "ip_address")[:MOST_LOOKED_AT])
    rows: list[Happening] = []
    if belongs is None:
        belongs = access.reads_privately(viewer, account)
    limited = viewer.token is not None and bool(viewer.token.channels or viewer.token.packages)
    for happening in _known(viewer, account, looked_at, channel, belongs and not limited):
        if len(rows) == most:
            return Activity(rows, rows[-1].id)
        rows.append(happening)
    return Activity(rows, looked_at[-1].pk if len(looked_at) == MOST_LOOKED_AT else None)


def _known(
    viewer: Identity,
    account: Account,
    events: Sequence[Event],
    channel: Channel | None,
    sees_all: bool,
) -> Iterator[Happening]:
    told = [
        happening
        for event in events
        if (happening := _told(event, names_token=sees_all)) is not None
        and (channel is None or happening.channel in {channel.name, ""})
    ]
    if sees_all:
        gone = _gone(account, told, channel) if channel is not None else set()
        yield from (
            one
            for one in told
            if channel is None or one.channel or (one.subdir, one.filename) in gone
        )
        return
    here = [channel] if channel is not None else access.visible_channels(viewer, account)
    readable = {one.name: one for one in here}
    for start in range(0, len(told), _CHUNK):
        yield from _public(viewer, account, told[start : start + _CHUNK], readable)


def _public(
    viewer: Identity,
    account: Account,
    told: Sequence[Happening],
    readable: Mapping[str, Channel],
) -> Iterator[Happening]:
    names = {one.package for one in told if one.package}
    visible = access.visible_packages(viewer, account).filter(name__in=names)
    # Asked at once: no subdir is called "".
    found = visible.order_by().values_list(Value(""), "name")
    removals = _removals(account, told, readable.values())
    rows = set(found if removals is None else found.union(removals))
    known = {name for subdir, name in rows if not subdir}
    gone = {(subdir, name) for subdir, name in rows if subdir}
    for one in told:
        if one.kind == "file.delete":
            is_known = (one.subdir, one.filename) in gone
        else:
            # One of this name may have been another channel before, and a private one.
            place = readable.get(one.channel)
            is_known = place is not None and one.at >= place.created_at
        if is_known and (one.package in known if one.package else not one.count):
            yield one


def _gone(account: Account, told: Iterable[Happening], channel: Channel) -> set[tuple[str, str]]:
    rows = _removals(account, told, [channel])
    return set() if rows is None else set(rows)


def _removals(
    account: Account, told: Iterable[Happening], channels: Iterable[Channel]
) -> QuerySet[Removal, tuple[str, str]] | None:
    """Those of the deleted files that these channels say they once had; none may be asked of."""
    filenames = {one.filename for one in told if one.kind == "file.delete" and one.filename}
    if not filenames:
        return None
    rows = Removal.objects.filter(
        channel__account=account,
        channel__in=[one.pk for one in channels],
        subdir__in={one.subdir for one in told if one.subdir},
        filename__in=filenames,
    )
    return rows.order_by().values_list("subdir", "filename")


def _told(event: Event, *, names_token: bool) -> Happening | None:
    """What a line of the log says; ``None`` where there is nothing to tell of it."""
    channel = event.detail.get("channel")
    place = channel if isinstance(channel, str) else ""
    count = 0
    lock: bool | None = None
    subdir = filename = package = ""
    if event.action in _CHANNELS:
        place = event.target
        if event.action == "channel.change":
            match event.detail.get("is_locked"):
                case [_, bool() as lock]:
                    pass
                case _:
                    return None
    elif event.action in _MANY:
        count = sum(_number(event.detail.get(key)) for key in ("published", "added"))
    else:
        subdir, _, filename = event.target.partition("/")
        package = _package(filename)
        if not package:
            subdir = filename = ""
            count = _number(event.detail.get("files"))
    return Happening(
        id=event.pk,
        at=event.at,
        kind=event.action,
        who=event.actor_name,
        with_token=event.token_name if names_token else "",
        channel=place,
        subdir=subdir,
        filename=filename,
        package=package,
        count=count,
        lock=lock,
    )


def _package(filename: str) -> str:
    try:
        return Dist.from_filename(filename).name
    except PackageError:
        return ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
