"""Taking package files in.

Publishing is written once: receive, read, authorize, store, register. Dialects and pages parse
their request, call `publish`, and word the answer.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal import failpoints
from portal.errors import Conflict, Forbidden, NotFound, Refusal
from registry import access, storage, tasks
from registry.access import Destination
from registry.conda.archive import PackageContents
from registry.conda.errors import (
    FilenameMismatchError,
    InvalidChannelNameError,
    PackageError,
)
from registry.conda.names import ArchiveFormat, check_channel_name
from registry.conda.record import (
    PackageMetadata,
    make_record,
    parse_index,
    record_json,
    record_msgpack,
)
from registry.conda.run_exports import run_exports_fragment
from registry.conda.version import sort_key
from registry.describing import describe
from registry.models import (
    Blob,
    Channel,
    ChannelFile,
    Package,
    PackageFile,
    Record,
    Removal,
    StaleMark,
)
from registry.reading import read_contents
from registry.storage import Incoming, Readable

_CLOCK_SKEW_MS = 3_600_000


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


@dataclass(frozen=True, slots=True)
class _ReadPackage:
    """An archive that was received, read and found good."""

    metadata: PackageMetadata
    contents: PackageContents
    incoming: Incoming


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
        _check_digests(incoming, claims)
        package = _read(incoming, claims)
        access.require_publish(by, destination, package.metadata.dist.name)
        _refuse_other_bytes(destination.account, package)
        blob = _store(incoming)
        return _register(by=by, destination=destination, package=package, blob=blob)


def refuse_locked(channel: Channel) -> None:
    if channel.is_locked:
        note = f": “{channel.lock_note}”" if channel.lock_note else ""
        raise ChannelLocked(
            f"{channel.name} is locked{note}. Use another channel, or ask an admin of "
            f"{channel.account.name}."
        )


def _check_digests(incoming: Incoming, claims: Claims) -> None:
    for kind, claimed, actual in (
        ("sha256", claims.sha256, incoming.sha256),
        ("md5", claims.md5, incoming.md5),
    ):
        if claimed is not None and not hmac.compare_digest(
            claimed.strip().lower().encode(), actual.encode()
        ):
            raise DigestMismatch(
                f"The {kind} of what arrived is {actual}, but {claimed[:80]!r} was announced. "
                "Send the file again."
            )


def _read(incoming: Incoming, claims: Claims) -> _ReadPackage:
    try:
        contents = read_contents(incoming, archive_format=claims.format, minimal=claims.minimal)
        metadata = parse_index(contents.index, format=contents.format, subdir=claims.subdir)
        if claims.filename is not None and claims.filename != metadata.filename:
            raise FilenameMismatchError(
                f"The file was sent as {claims.filename[:80]!r}, but its metadata says "
                f"{metadata.filename!r}. Send it under that name, or build it again."
            )
    except PackageError as error:
        raise InvalidPackage(error) from error
    return _ReadPackage(metadata, contents, incoming)


def _refuse_other_bytes(account: Account, package: _ReadPackage) -> None:
    """Say early, and before anything is stored, that the name has other bytes."""
    known = (
        PackageFile.objects.filter(
            account=account,
            subdir=package.metadata.subdir,
            filename=package.metadata.filename,
        )
        .only("sha256", "deleted_at", "subdir", "filename")
        .first()
    )
    if known is not None and known.sha256 != package.incoming.sha256:
        raise _other_bytes(account, known)


def _other_bytes(account: Account, known: PackageFile) -> Conflict:
    name = f"{known.subdir}/{known.filename}"
    if known.deleted_at is not None:
        return FilenameRetired(
            f"{account.name} once had another {name} (sha256 {known.sha256[:12]}…), and clients "
            "keep files by name. Raise the build number."
        )
    return FileExists(
        f"{account.name} already has {name} with other content (sha256 {known.sha256[:12]}…). "
        "Raise the build number."
    )


def _store(incoming: Incoming) -> Blob:
    """Make the bytes durable, and keep them from being swept until a file needs them."""
    # The claim is committed first: whoever sweeps unreferenced bytes locks the row, and either
    # sees a fresh claim or has the bytes gone before we look whether they are there.
    blob, created = Blob.objects.get_or_create(
        sha256=incoming.sha256,
        defaults={
            "md5": incoming.md5,
            "size_bytes": incoming.size_bytes,
            "claimed_at": timezone.now(),
        },
    )
    if not created and not Blob.objects.filter(pk=blob.pk).update(claimed_at=timezone.now()):
        return _store(incoming)
    failpoints.reach("claimed")
    storage.store().keep(incoming.file, incoming.path, storage.blob_key(incoming.sha256))
    failpoints.reach("stored")
    return blob


def _register(
    *, by: Identity, destination: Destination, package: _ReadPackage, blob: Blob
) -> Published:
    with transaction.atomic():
        channel = channel_of(by, destination)
        refuse_locked(channel)
        file, created = _file_of(by, destination.account, package, blob)
        added = put(file, channel, by)
        if created or added:
            audit.record(
                by=by,
                account=destination.account,
                action="file.publish" if created else "file.add",
                target=f"{file.subdir}/{file.filename}",
                detail={"channel": channel.name, "sha256": file.sha256, "size": file.size_bytes},
            )
        failpoints.reach("before-commit")
    failpoints.reach("after-commit")
    outcome = Outcome.CREATED if created else Outcome.ADDED if added else Outcome.UNCHANGED
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


def _file_of(
    by: Identity, account: Account, package: _ReadPackage, blob: Blob
) -> tuple[PackageFile, bool]:
    metadata, incoming = package.metadata, package.incoming
    key = {"account": account, "subdir": metadata.subdir, "filename": metadata.filename}
    row, _ = Package.objects.get_or_create(account=account, name=metadata.dist.name)
    row.account = account
    try:
        with transaction.atomic():
            return _insert_file(by, row, package, blob), True
    except IntegrityError:
        # Somebody was faster, or the file has been here: then only its bytes matter.
        known = PackageFile.objects.select_for_update().select_related("package").get(**key)
    return known_file(account, known, sha256=incoming.sha256, blob=blob)


def known_file(
    account: Account, known: PackageFile, *, sha256: str, blob: Blob | None
) -> tuple[PackageFile, bool]:
    """A file that has the name already: the same bytes come back, others are refused."""
    if known.sha256 != sha256:
        raise _other_bytes(account, known)
    if known.deleted_at is None:
        return known, False
    known.deleted_at, known.blob = None, blob
    known.save(update_fields=["deleted_at", "blob"])
    return known, True


def _insert_file(
    by: Identity, package_row: Package, package: _ReadPackage, blob: Blob
) -> PackageFile:
    metadata, contents, incoming = package.metadata, package.contents, package.incoming
    now_ms = time.time_ns() // 1_000_000
    record = make_record(
        metadata,
        md5=incoming.md5,
        sha256=incoming.sha256,
        size_bytes=incoming.size_bytes,
        indexed_timestamp_ms=now_ms,
    )
    file = PackageFile.objects.create(
        account=package_row.account,
        package=package_row,
        subdir=metadata.subdir,
        filename=metadata.filename,
        name=metadata.dist.name,
        version=metadata.dist.version,
        version_key=sort_key(metadata.dist.version),
        build=metadata.dist.build,
        build_number=metadata.build_number,
        blob=blob,
        sha256=incoming.sha256,
        md5=incoming.md5,
        size_bytes=incoming.size_bytes,
        index=record,
        about=contents.about,
        run_exports=contents.run_exports,
        findings=[*contents.findings, *_age_findings(metadata, now_ms)],
        schema_version=metadata.schema_version,
        channeldata_flags=contents.install_traits(),
        indexed_timestamp_ms=now_ms,
        uploaded_by=by.user,
        uploaded_with=by.token,
    )
    Record.objects.create(
        file=file,
        json=record_json(metadata.filename, record),
        msgpack=record_msgpack(record, contents.run_exports),
        run_exports_json=run_exports_fragment(metadata.filename, contents.run_exports),
    )
    return file


def _age_findings(metadata: PackageMetadata, now_ms: int) -> list[str]:
    # CEP 47: clients go by our own time, so a faked age harms nobody; it is still worth a look.
    if metadata.timestamp_ms > now_ms + _CLOCK_SKEW_MS:
        return ["The build time in its metadata lies in the future."]
    return []


def put(file: PackageFile, channel: Channel, by: Identity) -> bool:
    """Put a file into a channel and mark the index stale; False when it stood there already."""
    added = _list(ChannelFile.of(file, channel, added_by=by.user))
    if added:
        describe(file, channel)
        Removal.objects.filter(channel=channel, subdir=file.subdir, filename=file.filename).delete()
        mark_stale(channel, [Touched.by(file), Touched("", file.name)])
    return added


def _list(entry: ChannelFile) -> bool:
    if ChannelFile.objects.filter(channel=entry.channel_id, file=entry.file_id).exists():
        return False
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:  # somebody was faster
        return False
    return True


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change made stale: a file's record in a subdir, all of a name's when no filename
    is given, everything without a name. An empty subdir is the channel itself."""

    subdir: str
    name: str = ""
    filename: str = ""

    @classmethod
    def by(cls, file: PackageFile) -> Touched:
        return cls(file.subdir, file.name, file.filename)


def mark_stale(channel: Channel, touched: Iterable[Touched]) -> None:
    """Note, in the transaction of the change, what of the channel's indexes it touched."""
    marks = [
        StaleMark(
            channel=channel,
            subdir=what.subdir,
            package_name=what.name,
            filename=what.filename,
            # The channel's own files are summaries, all of them.
            stage=StaleMark.Stage.SHARDS if what.subdir else StaleMark.Stage.SUMMARIES,
        )
        for what in touched
    ]
    StaleMark.objects.bulk_create(marks)
    tasks.ring(channel.pk, sorted({mark.subdir for mark in marks}))
