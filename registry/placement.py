"""Deciding in which channels package files stand, and whether they stay.

No byte moves for any of it: a file belongs to its account, and channels are lists of files. What
is done to several is done to all of them or to none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from portal.errors import Conflict, NotFound
from portal.sentences import gettext
from registry import access, package_tree, sidecars
from registry.copying import copy_rows, overwrite_rows
from registry.describing import follow_newest
from registry.entering import (
    STAYING,
    Key,
    KnownFile,
    ensure_packages,
    give_up_bytes,
    packages_of,
    put_into_bin,
)
from registry.entries import Entry, Placed, channels_with, put_all, take_out
from registry.holding import hold_channels, hold_files, hold_packages
from registry.models import Channel, ChannelFile, Package, PackageFile
from registry.models.channel import MAIN
from registry.publishing import (
    Before,
    Outcome,
    Published,
    arrive,
    channel_of,
    open_destination,
)
from registry.refusing import (
    Offered,
    judge,
    refuse_changes,
    refuse_closed,
    refuse_locked,
    refuse_locked_around,
    refused_by,
)
from registry.rows import batched

_AT_ONCE = 500
_LINES = 100

# --- Into channels and out of them ---------------------------------------------------------------


def add_to_channel(*, by: Identity, file: PackageFile, channel: Channel) -> bool:
    """Put a file that the account has into one more of its channels; no byte moves."""
    return bool(add_files(by=by, files=[file], channel=channel))


@transaction.atomic
def add_files(*, by: Identity, files: Sequence[PackageFile], channel: Channel) -> set[int]:
    """Put files that the account has into one more of its channels; the keys of those that did
    not stand there."""
    _require_placing(by, files, channel)
    for file in files:
        _refuse_foreign(file, channel)
    held = _hold_present(files)
    return _add(by, held, channel)


def add_some(*, by: Identity, ids: Sequence[int], channel: Channel) -> set[int]:
    """`add_files` for some of very many, within a transaction: it was asked for all of them who
    may, and their packages are held."""
    return _add(by, _present(hold_files(ids), dict.fromkeys(ids, channel.account_id)), channel)


def remove_some(*, by: Identity, ids: Sequence[int], channel: Channel) -> set[int]:
    """`remove_files`, as `add_some`."""
    return _remove(by, _present(hold_files(ids), dict.fromkeys(ids, channel.account_id)), channel)


def _require_placing(by: Identity, files: Sequence[PackageFile], channel: Channel) -> None:
    access.require_channel_write(by, channel)
    access.require_writing(by, channel.account, {file.name for file in files})
    refuse_locked(channel)


def _add(by: Identity, held: Sequence[PackageFile], channel: Channel) -> set[int]:
    added = _put(held, channel, by)
    _record(by, "file.add", [file for file in held if file.pk in added], channel)
    return added


def _put(held: Sequence[PackageFile], channel: Channel, by: Identity) -> set[int]:
    """Put files that are held into a channel that may not take them."""
    if not held:
        return set()
    refuse_changes(held)
    _hold_own([channel])
    for refusal in refused_by(channel, held).values():
        raise refusal
    added: set[int] = set()
    for some in batched(held, _AT_ONCE):
        added |= put_all(some, channel, by)
    return added


def _hold_present(files: Sequence[PackageFile]) -> list[PackageFile]:
    """The files as they are now, and until the end of the transaction: one that is being deleted
    must not be listed again."""
    hold_packages({file.package_id for file in files})
    accounts = {file.pk: file.account_id for file in files}
    return _present(hold_files(accounts), accounts)


def _present(held: Mapping[int, PackageFile], accounts: Mapping[int, int]) -> list[PackageFile]:
    """Files that are held, if all are there and of the accounts that they were of."""
    found = [held[pk] for pk in accounts if pk in held]
    if len(found) < len(accounts) or any(file.deleted_at or file.leaving_until for file in found):
        raise NotFound
    if any(file.account_id != accounts[file.pk] for file in found):  # it was given away meanwhile
        raise NotFound
    return found


def _hold_own(channels: Sequence[Channel]) -> None:
    """Hold channels, unless one was deleted or given to another account since it was found."""
    known = {one.pk: one.account_id for one in hold_channels([one.pk for one in channels])}
    if any(known.get(channel.pk) != channel.account_id for channel in channels):
        raise NotFound


def _refuse_foreign(file: PackageFile, channel: Channel) -> None:
    if file.account_id != channel.account_id:
        raise Conflict(
            gettext("%(file)s belongs to another account than %(channel)s. Copy it there.")
            % {"file": file.filename, "channel": channel.name}
        )


def remove_from_channel(*, by: Identity, file: PackageFile, channel: Channel) -> bool:
    """Take a file's record out of a channel's repodata; the bytes stay where they are."""
    return bool(remove_files(by=by, files=[file], channel=channel))


@transaction.atomic
def remove_files(*, by: Identity, files: Sequence[PackageFile], channel: Channel) -> set[int]:
    """Take files out of a channel; the keys of those that stood there."""
    _require_placing(by, files, channel)
    return _remove(by, _hold_present(files), channel)


def _remove(by: Identity, held: Sequence[PackageFile], channel: Channel) -> set[int]:
    refuse_changes(held)
    _hold_own([channel])
    removed = take_out([Placed.of(file) for file in held], channel)
    _record(by, "file.remove", [file for file in held if file.pk in removed], channel)
    return removed


class Exchanged(NamedTuple):
    """The keys of files that came into a channel, where they did not stand, and of those that left
    another one."""

    came: set[int]
    left: set[int]


@transaction.atomic
def move_files(
    *, by: Identity, files: Sequence[PackageFile], from_channel: Channel, to_channel: Channel
) -> Exchanged:
    """Put files into one channel and take them out of another of the account, in one step; what
    doesn't stand there is left alone."""
    if from_channel.pk == to_channel.pk:
        raise Conflict(
            gettext("The files stand in %(to_channel)s already: name two channels.")
            % {"to_channel": to_channel.name}
        )
    _require_placing(by, files, to_channel)
    _require_placing(by, files, from_channel)
    for file in files:
        _refuse_foreign(file, to_channel)
    held = _hold_present(files)
    _hold_own([from_channel, to_channel])
    entries = ChannelFile.objects.filter(channel=from_channel, file__in=[f.pk for f in held])
    standing = set(entries.values_list("file_id", flat=True))
    moved = [file for file in held if file.pk in standing]
    came = _add(by, moved, to_channel)
    return Exchanged(came, _remove(by, moved, from_channel))


@transaction.atomic
def exchange_files(
    *,
    by: Identity,
    coming: Sequence[PackageFile],
    into: Channel | None,
    leaving: Sequence[PackageFile],
    out_of: Channel | None,
) -> Exchanged:
    """Put some files into one channel and take others out of another of the account, in one
    step: what takes a move back, of files that stood in both before."""
    for files, channel in ((coming, into), (leaving, out_of)):
        if channel is not None:
            _require_placing(by, files, channel)
            for file in files:
                _refuse_foreign(file, channel)
    held = _hold_present(list({file.pk: file for file in (*coming, *leaving)}.values()))
    _hold_own([channel for channel in (into, out_of) if channel is not None])
    by_id = {file.pk: file for file in held}
    came = _add(by, [by_id[file.pk] for file in coming], into) if into else set()
    left = _remove(by, [by_id[file.pk] for file in leaving], out_of) if out_of else set()
    return Exchanged(came, left)


def _record(by: Identity, action: str, files: Sequence[PackageFile], channel: Channel) -> None:
    lines = [(file, {"channel": channel.name, "sha256": file.sha256}) for file in files]
    _log(by, channel.account, action, lines, {"channel": channel.name})


def _log(
    by: Identity,
    account: Account,
    action: str,
    lines: Sequence[tuple[PackageFile, Mapping[str, object]]],
    all_in_all: Mapping[str, object],
) -> None:
    """A line for each file; of very many one for all, or they bury what else happened."""
    told = [(f"{file.subdir}/{file.filename}", detail) for file, detail in lines]
    if len(told) > _LINES:
        told = [(f"{len(told)} files", {**all_in_all, "files": len(told)})]
    audit.record_all(by=by, account=account, action=action, lines=told)


# --- Copying -------------------------------------------------------------------------------------


class CopyMode(Enum):
    """What becomes of a file when the account has another of its name."""

    PLAIN = "plain"  # nothing is copied at all, and which it is is told
    REPLACE = "replace"  # it takes the place of that one
    UPDATE = "update"  # that one stays, and the others are copied


def copy_file(
    *, by: Identity, file: PackageFile, account_name: str, channel_name: str = MAIN
) -> Published:
    """Give another account the same file: the bytes are shared, the record is the same."""
    [copied] = copy_files(by=by, files=[file], account_name=account_name, channel_name=channel_name)
    return copied


@transaction.atomic
def copy_files(
    *,
    by: Identity,
    files: Sequence[PackageFile],
    account_name: str,
    channel_name: str = MAIN,
    mode: CopyMode = CopyMode.PLAIN,
) -> list[Published]:
    """Put files that ``by`` may see into a channel of the same account or of another, all of
    them or none. What stays out in `CopyMode.UPDATE` is left out of the answer."""
    _require_visible(by, files)
    destination = open_destination(by, account_name, channel_name)
    access.require_publish_all(by, destination, {file.name for file in files})
    channel = channel_of(by, destination)
    refuse_locked(channel)
    held = _hold_sources(files, channel.account)
    own = [file for file in held if file.account_id == channel.account_id]
    added = _add(by, own, channel)
    published = {
        file.pk: Published(file, channel, Outcome.ADDED if file.pk in added else Outcome.UNCHANGED)
        for file in own
    }
    foreign = [file for file in held if file.account_id != channel.account_id]
    copies = [
        copy for some in batched(foreign, _AT_ONCE) for copy in _copy(by, some, channel, mode)
    ]
    _record_copies(by, copies, channel)
    published |= {copy.source.pk: copy.published for copy in copies}
    return [published[file.pk] for file in held if file.pk in published]


def _require_visible(by: Identity, files: Sequence[PackageFile]) -> None:
    of_account: defaultdict[int, list[PackageFile]] = defaultdict(list)
    for file in files:
        of_account[file.account_id].append(file)
    for some in of_account.values():
        account, ids = some[0].account, {file.pk for file in some}
        seen = sum(
            access.visible_files_of_account(by, account, Q(pk__in=part)).count()
            for part in batched(sorted(ids), _AT_ONCE)
        )
        if seen < len(ids):
            raise NotFound


def _hold_sources(files: Sequence[PackageFile], account: Account) -> list[PackageFile]:
    """The files as they are now, each once; theirs and the account's packages are held."""
    names = {file.name for file in files if file.account_id != account.pk}
    private = {file.name for file in files if file.package.is_private}
    ensure_packages(account, names, private=private)
    own = Package.objects.filter(account=account, name__in=names).values_list("pk", flat=True)
    # All in one order: who copies the other way is not waited for crosswise.
    hold_packages({*own, *(file.package_id for file in files)})
    held = _hold_present(list({file.pk: file for file in files}.values()))
    places: set[Key] = set()
    for file in held:
        if (file.subdir, file.filename) in places:
            raise Conflict(
                gettext("Two of the files are called %(subdir)s/%(file)s. Copy one of them.")
                % {"subdir": file.subdir, "file": file.filename}
            )
        places.add((file.subdir, file.filename))
    refuse_closed(packages_of(account, names, private=private).values())
    return held


class _Copy(NamedTuple):
    source: PackageFile
    before: KnownFile
    published: Published


def _copy(
    by: Identity, files: Sequence[PackageFile], channel: Channel, mode: CopyMode
) -> list[_Copy]:
    """Copy files that are held; what became of those that did not have to stay out."""
    account = channel.account
    rows = copy_rows(by=by, account=account, files=files)
    known = {file.pk: rows.known[file.subdir, file.filename] for file in files}
    other = {file.pk for file in files if known[file.pk].sha256 != file.sha256}
    judged = judge(
        by=by,
        into=[channel],
        offered=[
            Offered(known[file.pk], file.sha256, file.schema_version)
            for file in files
            if file.pk in other or known[file.pk].is_leaving
        ],
        replaces=mode is CopyMode.REPLACE,
    )
    for barred in refused_by(channel, files).values():
        raise barred
    for key, refusal in judged.refused.items():
        stays = mode is CopyMode.UPDATE and rows.known[key].is_there
        if not stays:
            raise refusal
    good = [file for file in files if known[file.pk].key not in judged.refused]
    sources = {known[file.pk].id: file.pk for file in good if file.pk in other}
    overwrite_rows(by=by, sources=sources)
    packages = packages_of(account, {file.name for file in good})
    arrived = arrive(
        by=by,
        channels=[channel],
        entries=[
            Entry.of_file(file)._replace(file_id=known[file.pk].id, package=packages[file.name])
            for file in good
        ],
        before=Before.of([known[file.pk] for file in good], new=rows.new, changed=sources.keys()),
        standing=judged.standing,
    )
    made = PackageFile.objects.select_related("account", "package").in_bulk(
        [known[file.pk].id for file in good]
    )
    return [
        _Copy(file, before, Published(made[before.id], channel, arrived.outcome(before.id)))
        for file in good
        for before in [known[file.pk]]
    ]


def _record_copies(by: Identity, copies: Iterable[_Copy], channel: Channel) -> None:
    lines: defaultdict[str, list[tuple[PackageFile, Mapping[str, object]]]] = defaultdict(list)
    replaced: list[tuple[str, Mapping[str, object]]] = []
    for source, before, published in copies:
        origin = source.account.name
        said = {"channel": channel.name, "from": origin, "sha256": source.sha256}
        if published.outcome is Outcome.REPLACED:
            place = f"{source.subdir}/{source.filename}"
            replaced.append((place, {**said, "before": before.sha256}))
        elif published.outcome is not Outcome.UNCHANGED:
            lines[origin].append((source, said))
    audit.record_all(by=by, account=channel.account, action="file.replace", lines=replaced)
    for origin, some in lines.items():
        _log(by, channel.account, "file.copy", some, {"channel": channel.name, "from": origin})


# --- Deleting ------------------------------------------------------------------------------------


def delete_file(*, by: Identity, file: PackageFile) -> bool:
    """Take a file out of all channels and put it into the bin (`registry.bin`).

    Its name is free again, but where it stood in an immutable channel.
    """
    return bool(delete_files(by=by, files=[file]))


@transaction.atomic
def delete_files(
    *, by: Identity, files: Sequence[PackageFile], because: Mapping[str, object] | None = None
) -> int:
    """`delete_file` for several of one account; how many were there."""
    if not files:
        return 0
    for some in batched(files, _AT_ONCE):
        for refusal in access.undeletable(by, files[0].account, some).values():
            raise refusal
    return carry_out_deletion(by=by, files=files, because=because)


@transaction.atomic
def carry_out_deletion(
    *, by: Identity, files: Sequence[PackageFile], because: Mapping[str, object] | None = None
) -> int:
    """Delete files as was decided before, by whoever ``by`` says; the log tells what it was
    ``because`` of."""
    reason = dict(because or {})
    said = str(reason.get("reason", ""))
    packages = hold_packages({file.package_id for file in files})
    deleted: list[PackageFile] = []
    for some in batched(files, _AT_ONCE):
        held = hold_files([file.pk for file in some]).values()
        account_id = files[0].account_id  # what was given away meanwhile is another's
        present = [f for f in held if f.deleted_at is None and f.account_id == account_id]
        _delete(by, present, said)
        deleted += present
    if deleted:
        follow_newest(packages.values())
        lines = [(file, {"sha256": file.sha256, **reason}) for file in deleted]
        _log(by, deleted[0].account, "file.delete", lines, reason)
    return len(deleted)


def _delete(by: Identity, held: Sequence[PackageFile], reason: str) -> None:
    refuse_changes(held)
    by_id = {file.pk: file for file in held}
    inside: defaultdict[int, list[Placed]] = defaultdict(list)
    standing: defaultdict[int, list[int]] = defaultdict(list)
    for file_id, channel_id in channels_with(by_id):
        inside[channel_id].append(Placed.of(by_id[file_id]))
        standing[file_id].append(channel_id)
    channels = hold_channels(inside)
    for channel in channels:
        refuse_locked_around(by, inside[channel.pk][0].filename, channel)
    package_tree.withdraw_files(by_id)
    for channel in channels:
        take_out(inside[channel.pk], channel)
    # Those who read an index a moment ago are still on their way, also where there is no bin.
    give_up_bytes(by_id)
    put_into_bin(by, held, standing, reason)
    if not settings.BIN_KEPT:
        sidecars.forget(by_id)
    PackageFile.objects.filter(pk__in=by_id).update(deleted_at=timezone.now(), blob=None, **STAYING)


def delete_version(*, by: Identity, package: Package, version: str, channel: Channel | None) -> int:
    """Delete all files of a version, or those of them that stand in ``channel`` only there.

    With a channel, a file that also stands in others is only taken out of this one.
    """
    with transaction.atomic():
        access.require_package(by, package, Permission.WRITE)
        files = PackageFile.objects.staying().select_related("account", "package")
        files = files.filter(package=package, version=version)
        if channel is None:
            return delete_files(by=by, files=list(files))
        here = list(files.filter(entries__channel=channel))
        wheres = channels_with([file.pk for file in here])
        elsewhere = {file_id for file_id, channel_id in wheres if channel_id != channel.pk}
        removed = [file for file in here if file.pk in elsewhere]
        count = len(remove_files(by=by, files=removed, channel=channel)) if removed else 0
        return count + delete_files(by=by, files=[f for f in here if f.pk not in elsewhere])
