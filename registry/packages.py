"""Making, describing and deleting packages and their releases."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from accounts.roles import Permission
from portal.errors import CredentialNeeded, InvalidInput, NotFound
from portal.sentences import gettext
from registry import access
from registry.conda.errors import PackageError
from registry.conda.names import check_package_name, check_version
from registry.describing import cleaned, redescribe
from registry.entering import revive
from registry.hiding import hide_or_show
from registry.holding import hold_packages
from registry.models import Collaborator, Package, PackageFile, Release, Removal
from registry.models.package import DESCRIPTION_FIELDS
from registry.placement import delete_files
from registry.publishing import InvalidPackage
from registry.refusing import package_locked

# --- Packages ------------------------------------------------------------------------------------


@transaction.atomic
def create_package(
    *,
    by: Identity,
    account_name: str,
    name: str,
    is_private: bool = False,
    fields: Mapping[str, str] | None = None,
) -> tuple[Package, bool]:
    """Make a package without files, or find the one of that name as it is; True when it is new.

    Whoever may publish the name may. Until files of it stand somewhere, only those see it who may
    see what is private in the account.
    """
    if by.is_anonymous:
        raise CredentialNeeded
    account = access.find_account(account_name)
    try:
        check_package_name(name)
    except PackageError as error:
        raise InvalidPackage(error) from error
    access.require_writing(by, account, {name})
    said = cleaned(_known(fields or {}))
    package, created = Package.objects.get_or_create(
        account=account, name=name, defaults={"is_private": is_private, **said}
    )
    package = hold_packages([package.pk])[package.pk]
    if package.deleted_at is not None:
        revive([package])
        if is_private:
            hide_or_show(package, is_private=True)
        Package.objects.filter(pk=package.pk).update(**said)
        package.refresh_from_db()
        created = True
    package.account = account
    if created:
        audit.record(
            by=by,
            account=account,
            action="package.create",
            target=package.name,
            detail={"is_private": package.is_private},
        )
    return package, created


@transaction.atomic
def change_package(
    *, by: Identity, package: Package, fields: Mapping[str, str], pins: bool = True
) -> Package:
    """Say what describes a package. What is said with ``pins`` stays whatever is uploaded; without,
    which is a part of uploading, the next upload says it anew, and what is pinned is left alone."""
    require = access.require_whole_package if pins else access.require_package
    require(by, package, Permission.WRITE)
    held = _held(package)
    said = cleaned(_known(fields), strict=pins)
    if not pins:
        said = {field: value for field, value in said.items() if field not in held.pinned}
    pinned = sorted({*held.pinned, *said}) if pins else held.pinned
    changed = {field: value for field, value in said.items() if getattr(held, field) != value}
    if changed or pinned != held.pinned:
        detail = {"changed": sorted(changed), "pinned": pinned}
        _write(held, {**changed, "pinned": pinned})
        audit.record(
            by=by, account=held.account, action="package.change", target=held.name, detail=detail
        )
    return held


@transaction.atomic
def unpin(*, by: Identity, package: Package, fields: Collection[str]) -> Package:
    """Let fields that were pinned follow the uploads again: they say what the newest one says."""
    access.require_whole_package(by, package, Permission.WRITE)
    held = _held(package)
    freed = {field for field in _known(dict.fromkeys(fields, "")) if field in held.pinned}
    if not freed:
        return held
    pinned = [field for field in held.pinned if field not in freed]
    _write(held, {"pinned": pinned, **redescribe(held, freed)})
    audit.record(
        by=by,
        account=held.account,
        action="package.change",
        target=held.name,
        detail={"unpinned": sorted(freed), "pinned": pinned},
    )
    return held


def _known(fields: Mapping[str, str]) -> Mapping[str, str]:
    unknown = sorted(set(fields) - set(DESCRIPTION_FIELDS))
    if unknown:
        raise InvalidInput(
            gettext(
                "%(unknown)r is nothing that describes a package. There are: "
                "%(description_fields)s."
            )
            % {"unknown": unknown[0][:40], "description_fields": ", ".join(DESCRIPTION_FIELDS)}
        )
    return fields


def _held(package: Package) -> Package:
    held = hold_packages([package.pk]).get(package.pk)
    if held is None or held.deleted_at is not None:
        raise NotFound
    return held


def _write(package: Package, values: Mapping[str, object]) -> None:
    for field, value in values.items():
        setattr(package, field, value)
    package.save(update_fields=[*values, "updated_at"])


@transaction.atomic
def archive_package(*, by: Identity, package: Package, note: str = "") -> Package:
    """Let a package take no more files, and say so wherever it is shown; reading goes on. The note
    of one that is archived can be changed so."""
    access.require_whole_package(by, package, Permission.ADMIN)
    held = _held(package)
    said = " ".join(note.split())[:300]
    if held.archived_at is None or held.archive_note != said:
        values = {"archived_at": held.archived_at or timezone.now(), "archive_note": said}
        _write(held, values)
        audit.record(
            by=by,
            account=held.account,
            action="package.archive",
            target=held.name,
            detail={"note": said},
        )
    return held


@transaction.atomic
def unarchive_package(*, by: Identity, package: Package) -> Package:
    access.require_whole_package(by, package, Permission.ADMIN)
    held = _held(package)
    if held.archived_at is not None:
        _write(held, {"archived_at": None, "archive_note": ""})
        audit.record(by=by, account=held.account, action="package.unarchive", target=held.name)
    return held


@transaction.atomic
def lock_package(*, by: Identity, package: Package, note: str = "") -> Package:
    """Let nobody upload, replace, move or delete files of a package until it is unlocked. The note
    of one that is locked can be changed so."""
    access.require_whole_package(by, package, Permission.ADMIN)
    held = _held(package)
    said = " ".join(note.split())[:200]
    if held.locked_at is None or held.lock_note != said:
        since = held.locked_at or timezone.now()
        who = held.locked_by_name if held.locked_at else by.name
        _write(held, {"locked_at": since, "locked_by_name": who, "lock_note": said})
        audit.record(
            by=by,
            account=held.account,
            action="package.lock",
            target=held.name,
            detail={"note": said},
        )
    return held


@transaction.atomic
def unlock_package(*, by: Identity, package: Package) -> Package:
    access.require_whole_package(by, package, Permission.ADMIN)
    held = _held(package)
    if held.locked_at is not None:
        _write(held, {"locked_at": None, "locked_by_name": "", "lock_note": ""})
        audit.record(by=by, account=held.account, action="package.unlock", target=held.name)
    return held


def require_deleting(by: Identity, package: Package) -> None:
    """Refuse who may not delete a package: with it go the rights of its collaborators, on which
    its admins decide."""
    access.require_package(by, package, Permission.WRITE)
    if Collaborator.objects.filter(package=package).exists():
        access.require_whole_package(by, package, Permission.ADMIN)


@transaction.atomic
def delete_package(
    *, by: Identity, package: Package, because: Mapping[str, object] | None = None
) -> int:
    """Delete a package with all of its files, everything that was said of it, and the rights of
    its collaborators; how many files there were.

    Where there are collaborators it takes an admin of the package: their rights go with it.
    """
    access.require_package(by, package, Permission.WRITE)
    held = _held(package)
    if held.locked_at is not None:
        raise package_locked(held)
    require_deleting(by, held)
    count = delete_files(by=by, files=_files(held), because=because)
    Collaborator.objects.filter(package=held).delete()
    Release.objects.filter(package=held).delete()
    if _left_nothing(held):
        held.delete()
    else:
        _write(
            held,
            {
                **dict.fromkeys(DESCRIPTION_FIELDS, ""),
                "pinned": [],
                "latest_version": "",
                "deleted_at": timezone.now(),
                "archived_at": None,
                "archive_note": "",
            },
        )
    audit.record(
        by=by,
        account=package.account,
        action="package.delete",
        target=package.name,
        detail={"files": count, **(because or {})},
    )
    return count


def _files(package: Package, **which: str) -> list[PackageFile]:
    files = PackageFile.objects.present().select_related("account", "package")
    return list(files.filter(package=package, **which).order_by("pk"))


def _left_nothing(package: Package) -> bool:
    """Whether nobody can tell that there ever was a file of it."""
    removals = Removal.objects.filter(
        channel__account=package.account_id, package_name=package.name
    )
    return not (PackageFile.objects.filter(package=package).exists() or removals.exists())


# --- Releases ------------------------------------------------------------------------------------


@transaction.atomic
def ensure_release(
    *, by: Identity, package: Package, version: str, fields: Mapping[str, str] | None = None
) -> tuple[Release, bool]:
    """What is said of a version, which need not have files yet; one that is there stays as it is.
    True when it is new."""
    access.require_package(by, package, Permission.WRITE)
    _check_version(version)
    return Release.objects.get_or_create(
        package=_held(package), version=version, defaults=cleaned(_known(fields or {}))
    )


@transaction.atomic
def change_release(
    *, by: Identity, package: Package, version: str, fields: Mapping[str, str]
) -> Release:
    """Say what describes one version; what uploads say of it is left alone."""
    access.require_package(by, package, Permission.WRITE)
    held = _held(package)
    said = cleaned(_known(fields), strict=True)
    release = Release.objects.filter(package=held, version=version).first()
    if release is None:
        if not PackageFile.objects.staying().filter(package=held, version=version).exists():
            raise NotFound
        release = Release.objects.create(package=held, version=version)
    changed = sorted(field for field, value in said.items() if getattr(release, field) != value)
    if changed:
        for field in changed:
            setattr(release, field, said[field])
        release.save(update_fields=[*changed, "updated_at"])
        audit.record(
            by=by,
            account=held.account,
            action="release.change",
            target=f"{held.name} {version}",
            detail={"changed": changed},
        )
    return release


@transaction.atomic
def delete_release(
    *, by: Identity, package: Package, version: str, because: Mapping[str, object] | None = None
) -> int:
    """Delete all files of a version and what was said of it; how many files there were."""
    access.require_package(by, package, Permission.WRITE)
    held = _held(package)
    files = _files(held, version=version)
    count = delete_files(by=by, files=files, because=because)
    gone, _ = Release.objects.filter(package=held, version=version).delete()
    if not (count or gone):
        raise NotFound
    audit.record(
        by=by,
        account=held.account,
        action="release.delete",
        target=f"{held.name} {version}",
        detail={"files": count, **(because or {})},
    )
    return count


def _check_version(version: str) -> None:
    try:
        check_version(version)
    except PackageError as error:
        raise InvalidPackage(error) from error
