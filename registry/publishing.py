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
from typing import NamedTuple, Self

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from accounts import audit, switches
from accounts.identity import OPERATOR, Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal import failpoints
from portal.errors import NotFound, Refusal
from portal.prepared import Prepared
from registry import access, attestations, quotas, storage
from registry.access import Destination
from registry.checking import note_stored_anew
from registry.conda.errors import InvalidChannelNameError, PackageError
from registry.conda.facts import Digests, FileFacts, file_facts
from registry.conda.layout import V3_SCHEMA
from registry.conda.names import ArchiveFormat, check_channel_name
from registry.entering import (
    Key,
    KnownFile,
    bring_back,
    claim,
    enter,
    known_files,
    overwrite,
)
from registry.entries import (
    Entry,
    Touched,
    mark_stale,
    put_all,
    put_entries,
    take_out,
    tell_replaced,
)
from registry.models import Channel, PackageFile
from registry.reading import read_contents
from registry.refused_uploads import noted
from registry.refusing import (
    Offered,
    closed_among,
    judge,
    refuse_closed,
    refuse_locked,
    refuse_other_bytes,
    refused_by,
    v3_not_allowed,
)
from registry.storage import Incoming, Readable
from registry.translating import translated


class InvalidPackage(Refusal):
    """What was sent can't be taken in; the slug says which way it is wrong."""

    slug = "invalid-package"
    title = gettext_noop("Not a usable package")
    status = 422

    def __init__(self, error: PackageError) -> None:
        super().__init__(translated(error))
        self.slug = error.slug


class DigestMismatch(Refusal):
    slug = "digest-mismatch"
    title = gettext_noop("The bytes are not those that were announced")
    status = 422


class InvalidChannelName(Refusal):
    slug = "invalid-channel-name"
    title = gettext_noop("Not a channel name")

    def __init__(self, error: InvalidChannelNameError) -> None:
        super().__init__(translated(error))


class Outcome(Enum):
    """What an upload changed."""

    CREATED = "created"  # the file is new here
    ADDED = "added"  # the same bytes were here, and now stand in this channel too
    UNCHANGED = "unchanged"  # the same bytes stood in this channel already
    REPLACED = "replaced"  # other bytes had this name, and are not there any more


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
    """What became of an upload; ``channel`` is the first of those that it went to."""

    file: PackageFile
    channel: Channel
    outcome: Outcome
    is_attested: bool = False
    """Whether an attestation came in with it that the file did not have."""


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
    with noted(by, account_name, channel_name):
        return _open_destination(by, account_name, channel_name, ability)


def _open_destination(
    by: Identity, account_name: str, channel_name: str, ability: Ability
) -> Destination:
    if by is not OPERATOR:
        switches.require(switches.Name.UPLOADS)
    try:
        check_channel_name(channel_name)
    except InvalidChannelNameError as error:
        # Who may not even see the account learns nothing from the form of a name.
        if not by.is_anonymous:
            raise InvalidChannelName(error) from error
    destination = access.open_destination(by, account_name, channel_name, ability)
    if destination.channel is not None:
        refuse_locked(destination.channel)
    return destination


def publish_to(
    *,
    by: Identity,
    destination: Destination,
    body: Readable,
    claims: Claims,
    also: Sequence[Destination] = (),
    replaces: bool = False,
) -> Published:
    """`publish`, for dialects that had to open the destination before they met the body.

    ``also`` are further channels of the same account, all in one step. With ``replaces``, the file
    takes the place of one that has its name, if ``by`` may delete that: in all channels in which
    it stands.
    """
    with storage.receive(body, limit_bytes=settings.MAX_UPLOAD_BYTES) as incoming:
        failpoints.reach("received")
        return take_in(
            by=by,
            destination=destination,
            incoming=incoming,
            claims=claims,
            also=also,
            replaces=replaces,
        )


def take_in(
    *,
    by: Identity,
    destination: Destination,
    incoming: Incoming,
    claims: Claims,
    also: Sequence[Destination] = (),
    replaces: bool = False,
    attestation: bytes | None = None,
) -> Published:
    """`publish_to`, for a file that was received before; with its attestation if it has one: both
    are taken, or nothing is."""
    with noted(by, destination.account.name, destination.channel_name, claims.filename or ""):
        return _take_in(
            by,
            [destination, *also],
            incoming,
            claims,
            replaces=replaces,
            attestation=attestation,
        )


def _take_in(
    by: Identity,
    destinations: Sequence[Destination],
    incoming: Incoming,
    claims: Claims,
    *,
    replaces: bool,
    attestation: bytes | None,
) -> Published:
    destination = destinations[0]
    if len({each.account.pk for each in destinations}) > 1:
        raise ValueError("A file is published to channels of one account.")
    digests = Digests(incoming.sha256, incoming.md5, incoming.size_bytes)
    if mismatch := digests.mismatch(sha256=claims.sha256, md5=claims.md5):
        raise DigestMismatch(translated(mismatch))
    facts = _read(incoming, digests, claims)
    for each in destinations:
        access.require_publish(by, each, facts.name)
    for closed in closed_among(destination.account, [facts.name]).values():
        raise closed
    known = known_files(destination.account, [facts.key])
    for each in destinations:
        refuse_early(each, facts, known.get(facts.key), replaces=replaces)
    if facts.key not in known:
        quotas.require_room(destination.account, size_bytes=facts.digests.size_bytes)
    verified = None if attestation is None else _verify(destinations, facts, attestation)
    blobs, damaged = claim([digests])
    key = storage.blob_key(digests.sha256)
    storage.store().keep(incoming.file, incoming.path, key, replaces=bool(damaged))
    failpoints.reach("stored")
    if damaged:
        note_stored_anew(damaged)
    return _register(by, destinations, facts, blobs, replaces=replaces, verified=verified)


def _verify(
    destinations: Iterable[Destination], facts: FileFacts, attestation: bytes
) -> attestations.Verified:
    names = [(each.account.name, each.channel_name) for each in destinations]
    return attestations.verify(
        attestation,
        filename=facts.filename,
        sha256=facts.digests.sha256,
        addresses={address for name in names for address in attestations.addresses_of(*name)},
    )


def refuse_early(
    destination: Destination,
    facts: FileFacts,
    known: KnownFile | None,
    *,
    replaces: bool = False,
) -> None:
    """Say what `register` would refuse before anything is stored; that one decides."""
    if known is not None:
        refuse_other_bytes(
            destination.account, known, sha256=facts.digests.sha256, replaces=replaces
        )
    channel = destination.channel
    if facts.schema_version >= V3_SCHEMA and not (channel and channel.allows_v3):
        raise v3_not_allowed(destination.channel_name, facts.filename)


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
    by: Identity,
    destinations: Sequence[Destination],
    facts: FileFacts,
    blobs: Mapping[str, int],
    *,
    replaces: bool,
    verified: attestations.Verified | None,
) -> Published:
    with transaction.atomic():
        channel, *also = channels_of(by, destinations)
        for each in (channel, *also):
            refuse_locked(each)
        [registered] = register(
            by=by, channel=channel, files=[facts], blobs=blobs, also=also, replaces=replaces
        )
        outcome = registered.outcome
        if isinstance(outcome, Refusal):
            raise outcome
        file: PackageFile = _FILE.get(registered.file_id)
        _log(by, file, channel, registered)
        is_attested = verified is not None and (
            attestations.enter(by=by, file=file, verified=verified).is_new
        )
        failpoints.reach("before-commit")
    failpoints.reach("after-commit")
    return Published(file, channel, outcome, is_attested)


_FILE = Prepared(
    lambda pk: PackageFile.objects.select_related("account", "package").filter(pk=pk), int
)


def _log(by: Identity, file: PackageFile, channel: Channel, registered: Registered) -> None:
    detail = {"sha256": file.sha256, "size": file.size_bytes}
    acts: list[tuple[str, dict[str, object]]] = []
    match registered.outcome:
        case Outcome.CREATED:
            acts.append(("file.publish", {"channel": channel.name, **detail}))
        case Outcome.REPLACED:
            acts.append(
                ("file.replace", {"channel": channel.name, **detail, "before": registered.before})
            )
    first = channel.name if registered.outcome is Outcome.CREATED else ""
    acts += [
        ("file.add", {"channel": name, **detail}) for name in registered.added_to if name != first
    ]
    acts += [("file.remove", {"channel": name, **detail}) for name in registered.taken_from]
    for action, said in acts:
        audit.record(
            by=by,
            account=channel.account,
            action=action,
            target=f"{file.subdir}/{file.filename}",
            detail=said,
        )


def channel_of(by: Identity, destination: Destination) -> Channel:
    [channel] = channels_of(by, [destination])
    return channel


def channels_of(by: Identity, destinations: Sequence[Destination]) -> list[Channel]:
    """The channels, each once, in their order; those that are missing come into being."""
    # In the order of their names: two uploads that make the same channels don't wait crosswise.
    made = {
        each.channel_name: ensure_channel(by=by, account=each.account, name=each.channel_name)
        for each in sorted(destinations, key=lambda each: each.channel_name)
        if each.channel is None
    }
    wanted = [each.channel or made[each.channel_name] for each in destinations]
    rows = _CHANNELS.instances(list({each.pk for each in wanted}))
    found: dict[int, Channel] = {channel.pk: channel for channel in rows}
    gone = [each for each in wanted if each.pk not in found]
    given = [each for each in wanted if each not in gone and found[each.pk].account != each.account]
    if gone or given:  # while the body came in
        raise NotFound
    return list({each.pk: found[each.pk] for each in wanted}.values())


_CHANNELS = Prepared(
    lambda keys: Channel.objects.select_related("account").filter(pk__in=keys), list[int]
)


def ensure_channel(*, by: Identity, account: Account, name: str) -> Channel:
    """The channel of that name; one is made, indexed and logged if there is none."""
    channel = access.channel_by_name(account, name)
    created = False
    if channel is None:
        channel, created = Channel.objects.get_or_create(
            account=account, name=name, defaults={"visibility": new_visibility(account)}
        )
        channel.account = account
    if created:
        announce_channel(by=by, channel=channel)
    return channel


def new_visibility(account: Account) -> str:
    private = access.starts_private(account)
    return Channel.Visibility.PRIVATE if private else Channel.Visibility.PUBLIC


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


# --- Entering files, one or many -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one of several files."""

    facts: FileFacts
    outcome: Outcome | Refusal
    file_id: int = 0
    """The key of its row, where it has one."""
    before: str = ""
    """The sha256 of what it replaced."""
    added_to: tuple[str, ...] = ()
    taken_from: tuple[str, ...] = ()


def register(
    *,
    by: Identity,
    channel: Channel,
    files: Sequence[FileFacts],
    blobs: Mapping[str, int],
    also: Sequence[Channel] = (),
    replaces: bool = False,
) -> list[Registered]:
    """Enter files whose bytes are stored into the account and its channels, in a transaction of
    the caller's. Those that are refused, for their name has other bytes or a channel takes no
    such packages, are left out, and why is told."""
    channels = [channel, *also]
    refused = _refused_at_a_look(channels, files)
    taken = [facts for facts in files if facts.key not in refused]
    entered = enter(by=by, account=channel.account, files=taken, blobs=blobs)
    refuse_closed(entered.packages.values())  # since the look
    known = {facts.key: entered.known[facts.key] for facts in taken}
    other = {facts.key for facts in taken if known[facts.key].sha256 != facts.digests.sha256}
    judged = judge(
        by=by,
        into=channels,
        offered=[
            Offered(known[facts.key], facts.digests.sha256, facts.schema_version)
            for facts in taken
            if facts.key in other or known[facts.key].is_leaving
        ],
        replaces=replaces,
    )
    for each in channels:
        for refusal in refused_by(each, taken).values():
            raise refusal  # since the look: so rarely that the others may wait for another try
    refused |= judged.refused
    good = [facts for facts in taken if facts.key not in refused]
    changed = {known[facts.key].id: facts for facts in good if facts.key in other}
    overwrite(by=by, files=changed, blobs=blobs)
    arrived = arrive(
        by=by,
        channels=channels,
        entries=[
            Entry.of(known[facts.key].id, entered.packages[facts.name], facts) for facts in good
        ],
        before=Before.of(
            [known[facts.key] for facts in good], new=entered.new, changed=changed.keys()
        ),
        standing=judged.standing,
    )
    return [
        *(Registered(facts, refused[facts.key]) for facts in files if facts.key in refused),
        *(
            Registered(
                facts,
                arrived.outcome(file.id),
                file.id,
                file.sha256,
                tuple(arrived.added_to[file.id]),
                tuple(arrived.taken_from[file.id]),
            )
            for facts in good
            for file in [known[facts.key]]
        ),
    ]


def _refused_at_a_look(
    channels: Iterable[Channel], files: Iterable[FileFacts]
) -> dict[Key, Refusal]:
    """What `refused_by` will say, before rows are held."""
    channels, files = list(channels), list(files)
    closed = closed_among(channels[0].account, {facts.name for facts in files})
    newer = [facts for facts in files if facts.schema_version >= V3_SCHEMA]
    return {
        facts.key: v3_not_allowed(channel.name, facts.filename)
        for channel in channels
        for facts in newer
        if not channel.allows_v3
    } | {facts.key: closed[facts.name] for facts in files if facts.name in closed}


class Before(NamedTuple):
    """What was known of files that arrive, by their keys."""

    new: AbstractSet[int]
    """Nothing: their rows were not there."""
    deleted: AbstractSet[int]
    leaving: AbstractSet[int]
    replaced: AbstractSet[int]
    """They were there, with other bytes."""

    @classmethod
    def of(
        cls, known: Iterable[KnownFile], *, new: AbstractSet[int], changed: AbstractSet[int]
    ) -> Self:
        known = list(known)
        deleted = {file.id for file in known if file.is_deleted}
        leaving = {file.id for file in known if file.is_leaving}
        return cls(new, deleted, leaving, changed - deleted)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What became of files that arrived, by their keys: names of channels."""

    before: Before
    added_to: Mapping[int, list[str]]
    taken_from: Mapping[int, list[str]]

    def outcome(self, file_id: int) -> Outcome:
        if file_id in self.before.replaced:
            return Outcome.REPLACED
        before = self.before  # no union of them: there are hundreds, and each is asked for
        if file_id in before.new or file_id in before.deleted or file_id in before.leaving:
            return Outcome.CREATED
        return Outcome.ADDED if self.added_to[file_id] else Outcome.UNCHANGED


def arrive(
    *,
    by: Identity,
    channels: Sequence[Channel],
    entries: Sequence[Entry],
    before: Before,
    standing: Sequence[Channel],
) -> Arrived:
    """Let files be there, in these channels, now that their rows say what their bytes are.

    However files come into an account, they come through here. ``standing`` are the channels of
    those that had other bytes, or were about to be gone; these leave them for good.
    """
    bring_back(before.deleted | before.leaving)
    tell_replaced([entry for entry in entries if entry.file_id in before.replaced], standing)
    added_to: defaultdict[int, list[str]] = defaultdict(list)
    taken_from: defaultdict[int, list[str]] = defaultdict(list)
    for channel in channels:
        for file_id in put_entries(entries, channel, by, new=before.new):
            added_to[file_id].append(channel.name)
    left = [entry.placed for entry in entries if entry.file_id in before.leaving]
    wanted = {channel.pk for channel in channels}
    for channel in standing:
        for file_id in take_out(left, channel) if channel.pk not in wanted else ():
            taken_from[file_id].append(channel.name)
    if before.new or before.deleted or before.replaced:
        quotas.require_kept_within(channels[0].account)
    return Arrived(before, added_to, taken_from)


def put(file: PackageFile, channel: Channel, by: Identity) -> bool:
    """Put a file into a channel and mark the index stale; False when it stood there already."""
    for refusal in refused_by(channel, [file]).values():
        raise refusal
    return bool(put_all([file], channel, by))
