"""Taking package files in.

Publishing is written once: receive, read, authorize, store, register. Dialects and pages parse
their request, call `publish`, and word the answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal import failpoints
from portal.errors import Conflict, Forbidden, NotFound, Refusal
from registry import access, patched, storage, tasks
from registry.access import Destination
from registry.conda.errors import InvalidChannelNameError, PackageError
from registry.conda.facts import Digests, FileFacts, file_facts
from registry.conda.layout import V3_SCHEMA, repodata_key
from registry.conda.names import ArchiveFormat, check_channel_name
from registry.describing import Newcomer, describe, shown_packages
from registry.entering import Key, KnownFile, bring_back, claim, enter, known_files
from registry.models import (
    Channel,
    ChannelFile,
    Package,
    PackageFile,
    Removal,
    StaleMark,
    bulk,
)
from registry.reading import read_contents
from registry.storage import Incoming, Readable


class InvalidPackage(Refusal):
    """What was sent can't be taken in; the slug says which way it is wrong."""

    slug = "invalid-package"
    title = "Not a usable package"
    status = 422

    def __init__(self, error: PackageError) -> None:
        super().__init__(str(error))
        self.slug = error.slug


class DigestMismatch(Refusal):
    slug = "digest-mismatch"
    title = "The bytes are not those that were announced"
    status = 422


class FileExists(Conflict):
    slug = "file-exists"
    title = "Another file has this name"


class FilenameRetired(Conflict):
    slug = "filename-retired"
    title = "The name belongs to a deleted file"


class ChannelLocked(Forbidden):
    slug = "channel-locked"
    title = "The channel is locked"


class V3NotAllowed(Forbidden):
    slug = "newer-clients-only"
    title = "The channel takes no packages for newer clients only"


class InvalidChannelName(Refusal):
    slug = "invalid-channel-name"
    title = "Not a channel name"


class Outcome(Enum):
    """What an upload changed."""

    CREATED = "created"  # the file is new here
    ADDED = "added"  # the same bytes were here, and now stand in this channel too
    UNCHANGED = "unchanged"  # the same bytes stood in this channel already


@dataclass(frozen=True, slots=True)
class Claims:
    """What the sender says of the bytes; each claim made is held against what they are."""

    filename: str | None = None
    format: ArchiveFormat | None = None
    subdir: str | None = None
    sha256: str | None = None
    md5: str | None = None
    # Forgejo's clients send archives of nothing but metadata.
    minimal: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    file: PackageFile
    channel: Channel
    outcome: Outcome


def publish(
    *,
    by: Identity,
    account_name: str,
    channel_name: str,
    body: Readable,
    claims: Claims,
    ability: Ability = Ability.WRITE,
) -> Published:
    """Take one package file in and put it into a channel.

    Nothing of ``body`` is read before it is known that ``by`` may publish there. When this
    returns, the file survives the loss of power. Refused: nothing is stored, nothing is listed.
    """
    destination = open_destination(by, account_name, channel_name, ability)
    return publish_to(by=by, destination=destination, body=body, claims=claims)


def open_destination(
    by: Identity, account_name: str, channel_name: str, ability: Ability = Ability.WRITE
) -> Destination:
    """Decide what can be decided about an upload before its body is read."""
    try:
        check_channel_name(channel_name)
    except InvalidChannelNameError as error:
        # Who may not even see the account learns nothing from the form of a name.
        if not by.is_anonymous:
            raise InvalidChannelName(str(error)) from error
    destination = access.open_destination(by, account_name, channel_name, ability)
    if destination.channel is not None:
        refuse_locked(destination.channel)
    return destination


def publish_to(
    *, by: Identity, destination: Destination, body: Readable, claims: Claims
) -> Published:
    """`publish`, for dialects that had to open the destination before they met the body."""
    with storage.receive(body, limit_bytes=settings.MAX_UPLOAD_BYTES) as incoming:
        failpoints.reach("received")
        digests = Digests(incoming.sha256, incoming.md5, incoming.size_bytes)
        if mismatch := digests.mismatch(sha256=claims.sha256, md5=claims.md5):
            raise DigestMismatch(mismatch)
        facts = _read(incoming, digests, claims)
        access.require_publish(by, destination, facts.name)
        known = known_files(destination.account, [facts.key])
        refuse_early(destination, facts, known.get(facts.key))
        blobs = claim([digests])
        storage.store().keep(incoming.file, incoming.path, storage.blob_key(digests.sha256))
        failpoints.reach("stored")
        return _register(by=by, destination=destination, facts=facts, blobs=blobs)


def refuse_locked(channel: Channel) -> None:
    if channel.is_locked:
        note = f": “{channel.lock_note}”" if channel.lock_note else ""
        raise ChannelLocked(
            f"{channel.name} is locked{note}. Use another channel, or ask an admin of "
            f"{channel.account.name}."
        )


def refuse_early(destination: Destination, facts: FileFacts, known: KnownFile | None) -> None:
    """Say what `register` would refuse before anything is stored; that one decides."""
    if known is not None:
        refuse_other_bytes(destination.account, known, sha256=facts.digests.sha256)
    channel = destination.channel
    if facts.schema_version >= V3_SCHEMA and not (channel and channel.allows_v3):
        raise _v3_not_allowed(destination.channel_name, facts.filename)


def refused_by(
    channel: Channel, files: Iterable[PackageFile | FileFacts]
) -> dict[str, V3NotAllowed]:
    """Those of the files, by their names, that the channel does not take."""
    newer = [file.filename for file in files if file.schema_version >= V3_SCHEMA]
    if not newer:
        return {}
    # Locked: nobody turns the switch off between the look and the entry.
    rows = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk, allows_v3=True)
    if rows.first() is not None:
        return {}
    return {filename: _v3_not_allowed(channel.name, filename) for filename in newer}


def _v3_not_allowed(channel_name: str, filename: str) -> V3NotAllowed:
    return V3NotAllowed(
        f"{filename} is for clients that read repodata v3, and {channel_name} does not take such "
        "packages, since older clients would not find them. Use another channel, or let an admin "
        "allow them in the settings of this one."
    )


def refuse_other_bytes(account: Account, known: KnownFile, *, sha256: str) -> None:
    """A name stands for the same bytes for ever: clients keep files by name."""
    if known.sha256 == sha256:
        return
    name = f"{known.subdir}/{known.filename}"
    if known.is_deleted:
        raise FilenameRetired(
            f"{account.name} once had another {name} (sha256 {known.sha256[:12]}…), and clients "
            "keep files by name. Raise the build number."
        )
    raise FileExists(
        f"{account.name} already has {name} with other content (sha256 {known.sha256[:12]}…). "
        "Raise the build number."
    )


def _read(incoming: Incoming, digests: Digests, claims: Claims) -> FileFacts:
    try:
        contents = read_contents(incoming, archive_format=claims.format, minimal=claims.minimal)
        return file_facts(
            contents,
            digests,
            now_ms=time.time_ns() // 1_000_000,
            subdir=claims.subdir,
            filename=claims.filename,
        )
    except PackageError as error:
        raise InvalidPackage(error) from error


def _register(
    *, by: Identity, destination: Destination, facts: FileFacts, blobs: Mapping[str, int]
) -> Published:
    with transaction.atomic():
        channel = channel_of(by, destination)
        refuse_locked(channel)
        [registered] = register(by=by, channel=channel, files=[facts], blobs=blobs)
        outcome = registered.outcome
        if isinstance(outcome, Refusal):
            raise outcome
        file = PackageFile.objects.select_related("account", "package").get(pk=registered.file_id)
        if outcome is not Outcome.UNCHANGED:
            audit.record(
                by=by,
                account=destination.account,
                action="file.publish" if outcome is Outcome.CREATED else "file.add",
                target=f"{file.subdir}/{file.filename}",
                detail={"channel": channel.name, "sha256": file.sha256, "size": file.size_bytes},
            )
        failpoints.reach("before-commit")
    failpoints.reach("after-commit")
    return Published(file, channel, outcome)


def channel_of(by: Identity, destination: Destination) -> Channel:
    if destination.channel is None:
        return ensure_channel(by=by, account=destination.account, name=destination.channel_name)
    channel = Channel.objects.select_related("account").filter(pk=destination.channel.pk).first()
    if channel is None:  # it was deleted while the body came in
        raise NotFound
    return channel


def ensure_channel(*, by: Identity, account: Account, name: str) -> Channel:
    """The channel of that name; a public one is made, indexed and logged if there is none."""
    channel, created = Channel.objects.get_or_create(account=account, name=name)
    channel.account = account
    if created:
        announce_channel(by=by, channel=channel)
    return channel


def announce_channel(*, by: Identity, channel: Channel) -> None:
    """Log a new channel and have its empty index written: a channel without one is none."""
    mark_stale(channel, [Touched("noarch"), Touched("")])
    audit.record(
        by=by,
        account=channel.account,
        action="channel.create",
        target=channel.name,
        detail={"visibility": channel.visibility},
    )


# --- Files of channels: of one file or of many, never of a whole channel ------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one of several files."""

    facts: FileFacts
    outcome: Outcome | Refusal
    file_id: int = 0
    """The key of its row, where it has one."""


def register(
    *, by: Identity, channel: Channel, files: Sequence[FileFacts], blobs: Mapping[str, int]
) -> list[Registered]:
    """Enter files whose bytes are stored into the account and its channel, in a transaction of
    the caller's. Those that are refused, for their name has other bytes or the channel takes no
    such packages, are left out, and why is told."""
    account = channel.account
    not_taken = refused_by(channel, files)
    refused = [
        Registered(facts, not_taken[facts.filename])
        for facts in files
        if facts.filename in not_taken
    ]
    files = [facts for facts in files if facts.filename not in not_taken]
    entered = enter(by=by, account=account, files=files, blobs=blobs)
    good: list[FileFacts] = []
    for facts in files:
        try:
            refuse_other_bytes(account, entered.known[facts.key], sha256=facts.digests.sha256)
            good.append(facts)
        except Conflict as refusal:
            refused.append(Registered(facts, refusal))
    known = {facts.key: entered.known[facts.key] for facts in good}
    back = {file.id for file in known.values() if file.is_deleted}
    bring_back(back)
    created = entered.new | back
    added = _put(
        [_Entry.of(known[one.key].id, entered.packages[one.name], one) for one in good],
        channel,
        by,
        new=entered.new,
    )
    return [
        *refused,
        *(
            Registered(facts, _outcome(file_id, created=created, added=added), file_id)
            for facts in good
            for file_id in [known[facts.key].id]
        ),
    ]


def _outcome(file_id: int, *, created: AbstractSet[int], added: AbstractSet[int]) -> Outcome:
    if file_id in created:
        return Outcome.CREATED
    return Outcome.ADDED if file_id in added else Outcome.UNCHANGED


class _Entry(NamedTuple):
    """A file that is to stand in a channel, and what it says of its package."""

    file_id: int
    subdir: str
    filename: str
    repodata_key: bytes
    version: str
    license: str
    about: str | Mapping[str, object]
    package: Package

    @classmethod
    def of(cls, file_id: int, package: Package, facts: FileFacts) -> _Entry:
        return cls(
            file_id, facts.subdir, facts.filename, facts.repodata_key, facts.version,
            facts.license, facts.about, package,
        )  # fmt: skip

    def newcomer(self) -> Newcomer:
        about = self.about if isinstance(self.about, Mapping) else msgspec.json.decode(self.about)
        return Newcomer(self.package, self.version, self.license, about)


def put(file: PackageFile, channel: Channel, by: Identity) -> bool:
    """Put a file into a channel and mark the index stale; False when it stood there already."""
    for refusal in refused_by(channel, [file]).values():
        raise refusal
    return bool(put_all([file], channel, by))


def put_all(files: Iterable[PackageFile], channel: Channel, by: Identity) -> set[int]:
    """`put` for several files, none of them `refused_by` the channel; the keys of those that did
    not stand there."""
    return _put(
        [
            _Entry(
                file.pk,
                file.subdir,
                file.filename,
                repodata_key(file.filename, schema_version=file.schema_version),
                file.version,
                str(file.index.get("license") or ""),
                file.about,
                file.package,
            )
            for file in files
        ],
        channel,
        by,
    )


def _put(
    entries: Sequence[_Entry],
    channel: Channel,
    by: Identity,
    *,
    new: AbstractSet[int] = frozenset(),
) -> set[int]:
    """``new`` files were never in any channel."""
    old = [entry for entry in entries if entry.file_id not in new]
    if old:
        standing = ChannelFile.objects.filter(
            channel=channel, file__in=[entry.file_id for entry in old]
        )
        there = set(standing.values_list("file_id", flat=True))
        entries = [entry for entry in entries if entry.file_id not in there]
        old = [entry for entry in old if entry.file_id not in there]
    if not entries:
        return set()
    shown = shown_packages({entry.package for entry in entries})
    bulk.insert(
        ChannelFile,
        ("file_id", "subdir", "filename", "name", "repodata_key"),
        [
            (entry.file_id, entry.subdir, entry.filename, entry.package.name, entry.repodata_key)
            for entry in entries
        ],
        keep_known=True,
        channel_id=channel.pk,
        added_by_id=by.user.pk if by.user else None,
    )
    describe((entry.newcomer() for entry in entries), channel, shown=shown)
    changed = _forget_removals(channel, old)
    for subdir, filenames in _by_subdir(entries).items():
        changed |= patched.follow(channel, subdir, filenames)
    mark_stale(channel, _touched(entries, changed))
    return {entry.file_id for entry in entries}


def _by_subdir(entries: Iterable[_Entry]) -> dict[str, list[str]]:
    filenames: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        filenames[entry.subdir].append(entry.filename)
    return filenames


def _forget_removals(channel: Channel, entries: Sequence[_Entry]) -> set[Key]:
    """Let what stands in the channel again not be listed as removed; which of it was."""
    if not entries:
        return set()
    removals = Removal.objects.filter(
        channel=channel,
        subdir__in={entry.subdir for entry in entries},
        filename__in=[entry.filename for entry in entries],
    )
    forgotten = set(removals.values_list("subdir", "filename"))
    if forgotten:
        removals.delete()
    return forgotten


def _touched(entries: Iterable[_Entry], changed: AbstractSet[Key]) -> list[Touched]:
    """What new entries make stale; a name as a whole when there are several of it. Of those that
    ``changed``, the list of removed files does as well."""
    by_name: defaultdict[Key, list[str]] = defaultdict(list)
    for entry in entries:
        by_name[entry.subdir, entry.package.name].append(entry.filename)
    return [
        *(
            Touched(
                subdir,
                name,
                filenames[0] if len(filenames) == 1 else "",
                removed=any((subdir, filename) in changed for filename in filenames),
            )
            for (subdir, name), filenames in by_name.items()
        ),
        *(Touched("", name) for name in sorted({name for _, name in by_name})),
    ]


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change made stale: a file's record in a subdir, all of a name's when no filename
    is given, everything without a name. An empty subdir is the channel itself."""

    subdir: str
    name: str = ""
    filename: str = ""
    removed: bool = True
    """Whether the list of removed files changes as well."""
    hides: bool = False
    """Whether somebody must not see it any more."""

    @classmethod
    def by(cls, file: PackageFile, *, removed: bool = True) -> Touched:
        return cls(file.subdir, file.name, file.filename, removed)


def mark_stale(channel: Channel, touched: Iterable[Touched]) -> None:
    """Note, in the transaction of the change, what of the channel's indexes it touched."""
    touched = list(touched)
    bulk.insert(
        StaleMark,
        ("subdir", "package_name", "filename", "removed", "is_urgent", "stage"),
        [
            # The channel's own files are summaries, all of them.
            (
                what.subdir,
                what.name,
                what.filename,
                what.removed,
                what.hides,
                (StaleMark.Stage.SHARDS if what.subdir else StaleMark.Stage.SUMMARIES).value,
            )
            for what in touched
        ],
        channel_id=channel.pk,
    )
    tasks.ring(channel.pk, sorted({what.subdir for what in touched}))
