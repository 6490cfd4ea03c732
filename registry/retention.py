"""Retention rules: which files a channel doesn't keep.

A file goes when it matches the remove pattern, or there is none, and nothing keeps it: neither the
newest versions, nor its age, nor the keep pattern. It is taken out of the channel; if it then
stands in no other, it is deleted, which frees its room.

- **Newest** are the highest versions, as clients order them, of a name on one platform, with all
  their builds. By version and not by time: what is installed when nobody asks for a version is
  never what goes, whenever a fix for an older one came. By platform: one that fell behind keeps
  the newest it has. What a patch took out of the index doesn't count as one of them.
- **Younger** counts from when the file came into this channel: what was promoted yesterday stays,
  however long ago it was built.
- **Patterns** are globs of ``name/version/build``, of which the end may be left out; small and
  capital letters are the same.

What a rule would do and what it does is found by the same code; it is looked anew when the rows
are held.
"""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.identity import OPERATOR, Identity
from portal.errors import Conflict, InvalidInput, NotFound
from portal.sentences import english, gettext, kept
from registry import access, placement
from registry.entries import Placed, channels_with, take_out
from registry.holding import hold_channels, hold_files, hold_packages
from registry.models import Channel, ChannelFile, Package, PackageFile, RetentionRule
from registry.refusing import ChannelLocked
from registry.rows import batched

MAX_RULES = 20
MAX_NEWEST = 10_000
MAX_DAYS = 36_500
MAX_GLOBS = 20
MAX_PATTERN_LENGTH = 500
_LOOKED_AT = 20
# As many as the log names one by one; and nobody else who writes waits long.
_AT_ONCE = 100
_LOOKED_AT_ONCE = 2000
# One slice of what a worker does: other rules have their turn after it, and other work after that.
_LONGEST_NOTE = 500
SLICE = 5000
RUN_SECONDS = 60
# Time for second thoughts, from when a rule is switched on or changed.
FIRST_RUN_AFTER = timedelta(hours=1)
_CLAIMED_FOR = timedelta(hours=1)
# Who acts when no person does; what is logged names the rule.
_NOBODY = Identity(user_agent="retention rule")


# --- What a rule says --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What goes and what stays; as the fields of `RetentionRule`."""

    keep_newest: int | None = None
    younger_than_days: int | None = None
    keep_pattern: str = ""
    remove_pattern: str = ""

    @classmethod
    def of(cls, rule: RetentionRule) -> Terms:
        return cls(rule.keep_newest, rule.younger_than_days, rule.keep_pattern, rule.remove_pattern)

    def checked(self) -> Terms:
        """The terms as they are kept; `InvalidInput` names what is no term."""
        terms = replace(
            self,
            keep_pattern=" ".join(self.keep_pattern.split()),
            remove_pattern=" ".join(self.remove_pattern.split()),
        )
        errors: dict[str, list[str]] = {}
        for name, most in (("keep_newest", MAX_NEWEST), ("younger_than_days", MAX_DAYS)):
            number = getattr(terms, name)
            if number is not None and not 1 <= number <= most:
                errors[name] = [
                    gettext("It is %(number)s; a number from 1 to %(most)s is wanted, or none.")
                    % {"number": number, "most": most}
                ]
        for name in ("keep_pattern", "remove_pattern"):
            try:
                parse_patterns(getattr(terms, name))
            except InvalidInput as refusal:
                errors[name] = [refusal.detail]
        if not (errors or terms.keep_newest or terms.younger_than_days or terms.remove_pattern):
            errors["keep_newest"] = [
                gettext("The rule would take out everything: say what to keep, or what to remove.")
            ]
        if errors:
            raise InvalidInput(next(iter(errors.values()))[0], errors)
        return terms


@dataclass(frozen=True, slots=True)
class Glob:
    """One ``name/version/build``."""

    parts: tuple[re.Pattern[str], ...]

    @classmethod
    def parse(cls, text: str) -> Glob:
        parts = text.lower().split("/")
        if not all(parts) or len(parts) > 3:
            raise InvalidInput(
                gettext(
                    "The pattern %(text)r can't be read. Write name, name/version or "
                    "name/version/build, where * stands for anything."
                )
                % {"text": text}
            )
        # Python matches these without trying what it tried before, however many stars there are.
        return cls(tuple(re.compile(fnmatch.translate(part)) for part in parts))

    def matches(self, *values: str) -> bool:
        return all(
            part.match(value.lower()) for part, value in zip(self.parts, values, strict=False)
        )


def parse_patterns(text: str) -> list[Glob]:
    """Several globs with spaces between them."""
    words = text.split()
    if len(words) > MAX_GLOBS or len(text) > MAX_PATTERN_LENGTH:
        raise InvalidInput(
            gettext(
                "%(count)s patterns of %(length)s characters are given; at most %(max_globs)s "
                "of %(max_pattern_length)s are taken."
            )
            % {
                "count": len(words),
                "length": len(text),
                "max_globs": MAX_GLOBS,
                "max_pattern_length": MAX_PATTERN_LENGTH,
            }
        )
    return [Glob.parse(word) for word in words]


# --- What a rule doesn't keep ------------------------------------------------------------------


@dataclass(slots=True)
class Unkept:
    """A file that a rule takes out of its channel."""

    file_id: int
    subdir: str
    filename: str
    name: str
    version: str
    size_bytes: int
    added_at: datetime
    # Whether it stands in no other channel, so that it is deleted.
    is_deleted: bool = False


@dataclass(slots=True)
class Totals:
    files: int = 0
    deleted_files: int = 0
    freed_bytes: int = 0

    def add(self, file: Unkept) -> None:
        self.files += 1
        if file.is_deleted:
            self.deleted_files += 1
            self.freed_bytes += file.size_bytes


class _Row(NamedTuple):
    file_id: int
    subdir: str
    filename: str
    name: str
    version: str
    build: str
    version_key: bytes
    size_bytes: int
    added_at: datetime
    is_withdrawn: bool

    @property
    def place(self) -> tuple[str, str]:
        return (self.subdir, self.name)


_COLUMNS = (
    "file_id", "subdir", "filename", "name", "file__version", "file__build", "file__version_key",
    "file__size_bytes", "added_at", "is_withdrawn",
)  # fmt: skip


def unkept(rule: RetentionRule, *, names: Collection[str] | None = None) -> Iterator[Unkept]:
    """The files that the rule doesn't keep, by platform and name, the newest versions first; only
    those of ``names``, where these are given. They are read as they are asked for."""
    entries = ChannelFile.objects.filter(channel=rule.channel_id, file__leaving_until=None)
    locked = Package.objects.filter(account=rule.channel.account_id, locked_at__isnull=False)
    entries = entries.exclude(name__in=locked.values("name"))
    if names is not None:
        entries = entries.filter(name__in=names)
    removed, kept = parse_patterns(rule.remove_pattern), parse_patterns(rule.keep_pattern)
    border = _border(rule)
    for row, is_newest in _with_newest(_rows(entries), rule.keep_newest or 0):
        if is_newest or (border is not None and row.added_at > border):
            continue
        said = (row.name, row.version, row.build)
        if removed and not any(glob.matches(*said) for glob in removed):
            continue
        if any(glob.matches(*said) for glob in kept):
            continue
        yield Unkept(
            row.file_id, row.subdir, row.filename, row.name, row.version, row.size_bytes,
            row.added_at,
        )  # fmt: skip


def _rows(entries: QuerySet[ChannelFile]) -> Iterator[_Row]:
    ordered = entries.order_by("subdir", "name", "-file__version_key", "filename")
    rows = ordered.values_list(*_COLUMNS).iterator(chunk_size=_LOOKED_AT_ONCE)
    return (_Row(*row) for row in rows)


def _with_newest(rows: Iterable[_Row], count: int) -> Iterator[tuple[_Row, bool]]:
    """Each row, with whether its version is one of the newest; rows come in their order."""
    place: tuple[str, str] | None = None
    version: bytes | None = None
    before = listed = 0
    for row in rows:
        if row.place != place:
            place, version, before, listed = row.place, None, 0, 0
        key = bytes(row.version_key)
        if key != version:
            version, before = key, listed
        if not row.is_withdrawn and listed == before:
            listed += 1
        yield row, before < count


def _border(rule: RetentionRule) -> datetime | None:
    if rule.younger_than_days is None:
        return None
    return timezone.now() - timedelta(days=rule.younger_than_days)


def _with_fate(files: Iterable[Unkept], channel_id: int) -> Iterator[Unkept]:
    """The files, each with whether it is deleted."""
    source = iter(files)
    while some := list(islice(source, _LOOKED_AT_ONCE)):
        others = ChannelFile.objects.filter(file__in=[file.file_id for file in some])
        elsewhere = set(others.exclude(channel=channel_id).values_list("file_id", flat=True))
        for file in some:
            file.is_deleted = file.file_id not in elsewhere
            yield file


@dataclass(frozen=True, slots=True)
class Preview:
    totals: Totals
    files: list[Unkept]
    """Some of them: those that were asked for."""
    offset: int
    left_alone: str
    """Why nothing goes all the same; mostly empty."""


def preview(rule: RetentionRule, *, offset: int = 0, limit: int = 100) -> Preview:
    """What the rule would do now: all in all, and file by file from ``offset`` on."""
    totals, shown = Totals(), list[Unkept]()
    for number, file in enumerate(_with_fate(unkept(rule), rule.channel_id)):
        totals.add(file)
        if offset <= number < offset + limit:
            shown.append(file)
    return Preview(totals, shown, offset, left_alone(rule.channel))


def left_alone(channel: Channel) -> str:
    """Why no rule takes anything out of the channel; empty where rules do."""
    if channel.is_locked:
        return gettext("%(channel)s is locked, so nothing is taken out of it.") % {
            "channel": channel.name
        }
    if channel.is_immutable:
        return gettext("%(channel)s is immutable, so nothing is taken out of it by itself.") % {
            "channel": channel.name
        }
    if channel.account.suspended_at is not None:
        return gettext("%(account)s is suspended.") % {"account": channel.account.name}
    return ""


# --- Carrying it out ---------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """What a run of a rule did."""

    removed: int = 0
    deleted: int = 0
    freed_bytes: int = 0
    note: str = ""
    is_complete: bool = True


def run_rule(*, by: Identity, rule: RetentionRule, at_most: int = SLICE) -> Run:
    """Do now what a rule says, for so many files at most; the workers go on with the others, if
    the rule is switched on."""
    if by is not OPERATOR:
        access.require_manage_channels(by, rule.channel.account, rule.channel.name)
    done = _run(by, rule, at_most)
    _schedule(rule, done)
    return done


def run_due() -> int:
    """Run the rules whose time has come, a slice of each in turn, for a minute at most; how many
    files went."""
    ends = time.monotonic() + RUN_SECONDS
    count = 0
    while time.monotonic() < ends and (rule := _claim_next()) is not None:
        done = _run(_NOBODY, rule, SLICE)
        _schedule(rule, done)
        count += done.removed + done.deleted
    return count


def _claim_next() -> RetentionRule | None:
    """The rule that is due the longest, for this worker alone. If it ends before it is done, the
    rule is due again after a while."""
    now = timezone.now()
    due = RetentionRule.objects.filter(is_enabled=True, due_at__lte=now)
    for pk in list(due.order_by("due_at").values_list("pk", flat=True)[:_LOOKED_AT]):
        if due.filter(pk=pk).update(due_at=now + _CLAIMED_FOR):
            return RetentionRule.objects.select_related("channel__account").filter(pk=pk).first()
    return None


def _schedule(rule: RetentionRule, done: Run) -> None:
    """When it runs next, unless that was decided anew meanwhile."""
    goes_on = not done.is_complete and done.removed + done.deleted > 0
    RetentionRule.objects.filter(pk=rule.pk, is_enabled=True, due_at=rule.due_at).update(
        due_at=timezone.now() + (timedelta(0) if goes_on else settings.RETENTION_EVERY)
    )


def _run(by: Identity, rule: RetentionRule, at_most: int) -> Run:
    done = Run(note=left_alone(rule.channel))
    if not done.note:
        # Read to the end first: what is still being read must not be changed.
        chosen = list(islice(unkept(rule), at_most + 1))
        done.is_complete = len(chosen) <= at_most
        for some in batched(chosen[:at_most], _AT_ONCE):
            if not _carry_out_some(by, rule, some, done):
                break
    _record(by, rule, done)
    return done


def _carry_out_some(
    by: Identity, rule: RetentionRule, files: Collection[Unkept], done: Run
) -> bool:
    """Take these files out, as far as the rule still doesn't keep them; False when it is over."""
    try:
        with transaction.atomic():
            alone, shared = _carry_out(by, rule, files)
    except Conflict as refusal:
        done.note = refusal.detail
        return False
    except ChannelLocked:
        done.note = left_alone(rule.channel) or gettext("%(channel)s is locked.") % {
            "channel": rule.channel.name
        }
        return False
    done.removed += len(shared)
    done.deleted += len(alone)
    done.freed_bytes += sum(file.size_bytes for file in alone)
    return True


def _carry_out(
    by: Identity, rule: RetentionRule, files: Collection[Unkept]
) -> tuple[list[PackageFile], list[PackageFile]]:
    """Those that were deleted, and those that still stand elsewhere."""
    ids = [file.file_id for file in files]
    packages = PackageFile.objects.filter(pk__in=ids).values_list("package_id", flat=True)
    hold_packages(packages.distinct())
    held = hold_files(ids)
    channel = _hold_channel(rule)
    # With the packages held nobody adds versions or deletes them, so this is how it is.
    still = {file.file_id for file in unkept(rule, names={file.name for file in files})}
    elsewhere = {file_id for file_id, channel_id in channels_with(held) if channel_id != channel.pk}
    alone = [file for pk, file in held.items() if pk in still - elsewhere]
    shared = [file for pk, file in held.items() if pk in still & elsewhere]
    because = {"channel": channel.name, "rule": rule.pk}
    _take_out(by, shared, channel, because)
    placement.carry_out_deletion(by=by, files=alone, because=because)
    return alone, shared


def _hold_channel(rule: RetentionRule) -> Channel:
    """The channel, which stays; refused when the rule doesn't say any more what it said."""
    current = RetentionRule.objects.filter(pk=rule.pk).first()
    channels = hold_channels([rule.channel_id])
    if not channels or current is None or Terms.of(current) != Terms.of(rule):
        raise Conflict(gettext("The rule was changed or deleted while it ran."))
    [channel] = channels
    if reason := left_alone(channel):
        raise Conflict(reason)
    return channel


def _take_out(
    by: Identity, files: Collection[PackageFile], channel: Channel, because: Mapping[str, object]
) -> None:
    take_out([Placed.of(file) for file in files], channel)
    audit.record_all(
        by=by,
        account=channel.account,
        action="file.remove",
        lines=[
            (f"{file.subdir}/{file.filename}", {"sha256": file.sha256, **because}) for file in files
        ],
    )


@transaction.atomic
def _record(by: Identity, rule: RetentionRule, done: Run) -> None:
    last_run = {**asdict(done), "note": kept(done.note, _LONGEST_NOTE)}
    RetentionRule.objects.filter(pk=rule.pk).update(ran_at=timezone.now(), last_run=last_run)
    if done.removed or done.deleted:
        said = {**asdict(done), "note": english(done.note)}
        _log(by, rule, "run", {**asdict(Terms.of(rule)), **said})


# --- Rules -------------------------------------------------------------------------------------


@transaction.atomic
def add_rule(
    *, by: Identity, channel: Channel, terms: Terms, is_enabled: bool = False
) -> RetentionRule:
    """Have a channel keep less from now on, once the rule is switched on: look first what it would
    take out."""
    access.require_manage_channels(by, channel.account, channel.name)
    # Of two who add at a time, the second counts the rule of the first.
    Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    if RetentionRule.objects.filter(channel=channel).count() >= MAX_RULES:
        raise Conflict(
            gettext(
                "%(channel)s has %(max_rules)s retention rules, and nobody overlooks more. "
                "Delete one first."
            )
            % {"channel": channel.name, "max_rules": MAX_RULES}
        )
    rule = RetentionRule.objects.create(
        channel=channel,
        **asdict(terms.checked()),
        is_enabled=is_enabled,
        due_at=timezone.now() + FIRST_RUN_AFTER if is_enabled else None,
        created_by=by.user,
    )
    _log(by, rule, "add", _said(rule))
    return rule


@transaction.atomic
def change_rule(
    *,
    by: Identity,
    rule: RetentionRule,
    terms: Terms | None = None,
    is_enabled: bool | None = None,
) -> RetentionRule:
    """Change what is given. What is switched on or says otherwise now runs in an hour, and not
    before."""
    channel = rule.channel
    access.require_manage_channels(by, channel.account, channel.name)
    current = RetentionRule.objects.select_for_update().filter(pk=rule.pk).first()
    if current is None:
        raise NotFound
    current.channel = channel
    before = _said(current)
    for name, value in asdict(terms.checked() if terms else Terms.of(current)).items():
        setattr(current, name, value)
    current.is_enabled = current.is_enabled if is_enabled is None else is_enabled
    if _said(current) != before:
        current.due_at = timezone.now() + FIRST_RUN_AFTER if current.is_enabled else None
        current.save()
        _log(by, current, "change", {"before": before, "after": _said(current)})
    return current


@transaction.atomic
def delete_rule(*, by: Identity, rule: RetentionRule) -> None:
    access.require_manage_channels(by, rule.channel.account, rule.channel.name)
    _log(by, rule, "delete", _said(rule))
    rule.delete()


def _said(rule: RetentionRule) -> dict[str, object]:
    return {**asdict(Terms.of(rule)), "is_enabled": rule.is_enabled}


def _log(by: Identity, rule: RetentionRule, act: str, detail: Mapping[str, object]) -> None:
    audit.record(
        by=by,
        account=rule.channel.account,
        action=f"retention.{act}",
        target=rule.channel.name,
        detail={"rule": rule.pk, **detail},
    )
