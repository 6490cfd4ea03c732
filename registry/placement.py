"""Deciding in which channels a package file stands, and whether it stays.

No byte moves for any of it: a file belongs to its account, and channels are lists of files.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from accounts.roles import Permission
from portal.errors import Conflict, NotFound
from registry import access
from registry.conda.layout import removal_key
from registry.describing import follow_newest
from registry.entering import bring_back, known_files
from registry.models import (
    Blob,
    Channel,
    ChannelFile,
    Package,
    PackageFile,
    Record,
    Removal,
)
from registry.models.channel import MAIN
from registry.publishing import (
    ChannelLocked,
    Outcome,
    Published,
    Touched,
    channel_of,
    mark_stale,
    open_destination,
    put,
    refuse_locked,
    refuse_other_bytes,
)


@transaction.atomic
def add_to_channel(*, by: Identity, file: PackageFile, channel: Channel) -> bool:
    """Put a file that the account has into one more of its channels; no byte moves."""
    access.require_channel_write(by, channel)
    access.require_package(by, file.package, Permission.WRITE)
    _refuse_foreign(file, channel)
    refuse_locked(channel)
    added = put(_lock_present(file), channel, by)
    if added:
        _record(by, "file.add", file, channel)
    return added


def _lock_present(file: PackageFile) -> PackageFile:
    """The file as it is now, and until the end of the transaction: one that is being deleted
    must not be listed again."""
    present = (
        PackageFile.objects.present()
        .select_for_update(of=("self",))
        .select_related("package")
        .filter(pk=file.pk)
        .first()
    )
    if present is None:
        raise NotFound
    return present


@transaction.atomic
def remove_from_channel(*, by: Identity, file: PackageFile, channel: Channel) -> bool:
    """Take a file's record out of a channel's repodata; the bytes stay where they are."""
    access.require_channel_write(by, channel)
    access.require_package(by, file.package, Permission.WRITE)
    refuse_locked(channel)
    removed = _take_out(file, channel)
    if removed:
        _record(by, "file.remove", file, channel)
    return removed


def _take_out(file: PackageFile, channel: Channel) -> bool:
    removed, _ = ChannelFile.objects.filter(channel=channel, file=file).delete()
    if removed:
        Removal.objects.get_or_create(
            channel=channel,
            subdir=file.subdir,
            filename=file.filename,
            defaults={"package_name": file.name, "repodata_key": removal_key(file.filename)},
        )
        mark_stale(channel, [Touched.by(file), Touched("", file.name)])
    return bool(removed)


def _refuse_foreign(file: PackageFile, channel: Channel) -> None:
    if file.account_id != channel.account_id:
        raise Conflict(
            f"{file.filename} belongs to another account than {channel.name}. Copy it there."
        )


def _record(by: Identity, action: str, file: PackageFile, channel: Channel) -> None:
    audit.record(
        by=by,
        account=channel.account,
        action=action,
        target=f"{file.subdir}/{file.filename}",
        detail={"channel": channel.name, "sha256": file.sha256},
    )


@transaction.atomic
def copy_file(
    *, by: Identity, file: PackageFile, account_name: str, channel_name: str = MAIN
) -> Published:
    """Give another account the same file: the bytes are shared, the record is the same."""
    if not access.visible_files(by, file.package).filter(pk=file.pk).exists():
        raise NotFound
    destination = open_destination(by, account_name, channel_name)
    access.require_publish(by, destination, file.name)
    account = destination.account
    if account.pk == file.account_id:
        channel = channel_of(by, destination)
        added = add_to_channel(by=by, file=file, channel=channel)
        return Published(file, channel, Outcome.ADDED if added else Outcome.UNCHANGED)
    channel = channel_of(by, destination)
    copied, created = _copied_file(by, account, _lock_present(file))
    added = put(copied, channel, by)
    if created or added:
        audit.record(
            by=by,
            account=account,
            action="file.copy",
            target=f"{file.subdir}/{file.filename}",
            detail={"channel": channel.name, "from": file.account.name, "sha256": file.sha256},
        )
    outcome = Outcome.CREATED if created else Outcome.ADDED if added else Outcome.UNCHANGED
    return Published(copied, channel, outcome)


# What a copy has of its own; everything else describes the bytes.
_NOT_COPIED = {"id", "account", "package", "uploaded_at", "uploaded_by", "uploaded_with"}


def _copied_file(by: Identity, account: Account, file: PackageFile) -> tuple[PackageFile, bool]:
    key = {"account": account, "subdir": file.subdir, "filename": file.filename}
    package, _ = Package.objects.get_or_create(
        account=account, name=file.name, defaults={"is_private": file.package.is_private}
    )
    fields = {
        field.name: getattr(file, field.name)
        for field in PackageFile._meta.concrete_fields  # noqa: SLF001 - Django's documented API
        if field.name not in _NOT_COPIED
    }
    try:
        with transaction.atomic():
            copied = PackageFile.objects.create(
                **{**fields, "account": account, "package": package},
                uploaded_by=by.user,
                uploaded_with=by.token,
            )
            record = Record.objects.get(file=file)
            Record.objects.create(
                file=copied,
                json=record.json,
                msgpack=record.msgpack,
                run_exports_json=record.run_exports_json,
            )
            return copied, True
    except IntegrityError:
        known = PackageFile.objects.select_for_update().select_related("package").get(**key)
    was_deleted = known.deleted_at is not None
    files = known_files(account, [(file.subdir, file.filename)])
    refuse_other_bytes(account, files[file.subdir, file.filename], sha256=file.sha256)
    if was_deleted:
        bring_back([known.pk])
        known.refresh_from_db(fields=["deleted_at", "blob"])
    return known, was_deleted


@transaction.atomic
def delete_file(*, by: Identity, file: PackageFile) -> bool:
    """Take a file out of all channels and give its bytes up.

    Its name stays spoken for. The bytes are swept after a grace, since clients that read the
    index a moment ago still ask for them.
    """
    access.require_delete(by, file)
    return _delete(by=by, file=file)


def _delete(*, by: Identity, file: PackageFile) -> bool:
    # Nobody puts it into a channel while it is taken out of all of them.
    PackageFile.objects.select_for_update().filter(pk=file.pk).first()
    locked = (
        Channel.objects.select_related("account").filter(entries__file=file, is_locked=True).first()
    )
    if locked is not None:
        if not access.may_read_channel_by_role(by, locked):
            raise ChannelLocked(
                f"{file.filename} stands in a channel that is locked. Ask an admin of "
                f"{file.account.name}."
            )
        refuse_locked(locked)
    for channel in Channel.objects.select_related("account").filter(entries__file=file):
        _take_out(file, channel)
    changed = PackageFile.objects.filter(pk=file.pk, deleted_at=None).update(
        deleted_at=timezone.now(), blob=None
    )
    if changed:
        if file.blob_id is not None:
            Blob.objects.filter(pk=file.blob_id).update(claimed_at=timezone.now())
        follow_newest(file.package)
        audit.record(
            by=by,
            account=file.account,
            action="file.delete",
            target=f"{file.subdir}/{file.filename}",
            detail={"sha256": file.sha256},
        )
    return bool(changed)


def delete_version(*, by: Identity, package: Package, version: str, channel: Channel | None) -> int:
    """Delete all files of a version, or those of them that stand in ``channel`` only there.

    With a channel, a file that also stands in others is only taken out of this one.
    """
    with transaction.atomic():
        access.require_package(by, package, Permission.WRITE)
        files = PackageFile.objects.select_related("account", "package").filter(
            package=package, version=version, deleted_at=None
        )
        if channel is not None:
            files = files.filter(entries__channel=channel)
        count = 0
        for file in files:
            elsewhere = (
                channel is not None
                and ChannelFile.objects.filter(file=file).exclude(channel=channel).exists()
            )
            if elsewhere and channel is not None:
                count += remove_from_channel(by=by, file=file, channel=channel)
            else:
                access.require_delete(by, file)
                count += _delete(by=by, file=file)
        return count
