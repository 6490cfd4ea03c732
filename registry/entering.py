"""Entering package files into the database: the rows of one file, or of many.

What may be entered is decided elsewhere. Nothing here holds a channel: many are some hundred.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from portal import failpoints
from portal.prepared import Prepared
from registry import access, package_tree, sidecars
from registry.conda.facts import Digests, FileFacts
from registry.models import Binned, Blob, Package, PackageFile, Record, bulk

# So many at once are asked for by a query whose words are kept.
_FEW = 50

Key = tuple[str, str]
"""Subdir and filename: what a file is known by within its account."""


class KnownFile(NamedTuple):
    """A file that has its name already."""

    id: int
    subdir: str
    filename: str
    name: str
    sha256: str
    md5: str
    is_deleted: bool
    is_leaving: bool
    """Whether it is deleted for people, and will be for clients: `registry.replacing`."""
    is_damaged: bool
    """Whether its stored bytes are known not to be what was published: `registry.checking`."""

    @property
    def key(self) -> Key:
        return self.subdir, self.filename

    @property
    def is_there(self) -> bool:
        """Whether people are told that it is."""
        return not (self.is_deleted or self.is_leaving)


def known_files(account: Account, keys: Collection[Key]) -> dict[Key, KnownFile]:
    """The files that have these names, deleted ones too."""
    subdirs = {subdir for subdir, _ in keys}
    filenames = {filename for _, filename in keys}
    rows: Iterable[tuple[Any, ...]]
    if len(filenames) <= _FEW:
        rows = _KNOWN.rows(account.pk, list(subdirs), list(filenames))
    else:
        rows = _known_as(account.pk, subdirs, bulk.any_of(filenames))
    known = (
        KnownFile(
            pk, subdir, filename, name, sha256, md5,
            deleted_at is not None, leaving_until is not None, bool(damage),
        )
        for pk, subdir, filename, name, sha256, md5, deleted_at, leaving_until, damage in rows
    )  # fmt: skip
    return {file.key: file for file in known}


def _known_as(
    account_id: int, subdirs: Iterable[str], filenames: Iterable[str] | RawSQL
) -> QuerySet[PackageFile, Any]:
    return PackageFile.objects.filter(
        account=account_id, subdir__in=subdirs, filename__in=filenames
    ).values_list(
        "pk", "subdir", "filename", "name", "sha256", "md5", "deleted_at", "leaving_until",
        "blob__damage",
    )  # fmt: skip


_KNOWN = Prepared(_known_as, int, list[str], list[str])


class Claimed(NamedTuple):
    blobs: dict[str, int]
    """The key of each blob, by its sha256."""
    damaged: frozenset[str]
    """Those whose stored bytes are damaged: those that come take their place
    (`registry.checking.note_stored_anew`)."""


def claim(all_digests: Collection[Digests]) -> Claimed:
    """Keep bytes that are about to be stored from being swept until files need them.

    This is committed first: whoever sweeps unreferenced bytes locks the row, and either sees a
    fresh claim or has the bytes gone before anybody looks whether they are there.
    """
    now = timezone.now()
    wanted = {digests.sha256: digests for digests in all_digests}
    with transaction.atomic():
        bulk.insert(
            Blob,
            ("sha256", "md5", "size_bytes"),
            [(one.sha256, one.md5, one.size_bytes) for one in wanted.values()],
            keep_known=True,
            claimed_at=now,
        )
        if len(wanted) <= _FEW:
            _CLAIM_ANEW.update(list(wanted), now)
            rows = _CLAIMED.rows(list(wanted))
        else:
            claimed = Blob.objects.filter(sha256__in=bulk.any_of(wanted))
            claimed.exclude(claimed_at=now).update(claimed_at=now)
            rows = list(claimed.values_list("sha256", "pk", "damage"))
        blobs = {sha256: pk for sha256, pk, _ in rows}
        damaged = frozenset(sha256 for sha256, _, damage in rows if damage)
    if len(blobs) != len(wanted):  # some were swept meanwhile
        return claim(all_digests)
    failpoints.reach("claimed")
    return Claimed(blobs, damaged)


_CLAIM_ANEW = Prepared(
    lambda sha256s, now: Blob.objects.filter(sha256__in=sha256s).exclude(claimed_at=now),
    list[str],
    datetime,
    changes=lambda _sha256s, now: {"claimed_at": now},
)
_CLAIMED = Prepared(
    lambda sha256s: Blob.objects.filter(sha256__in=sha256s).values_list("sha256", "pk", "damage"),
    list[str],
)


class Entered(NamedTuple):
    """The files that stand under the names that were entered, with their packages."""

    known: dict[Key, KnownFile]
    new: set[int]
    """The keys of those that were not there before."""
    packages: dict[str, Package]


def enter(
    *, by: Identity, account: Account, files: Sequence[FileFacts], blobs: Mapping[str, int]
) -> Entered:
    """Enter files into the account, in a transaction of the caller's; a name that is there stays
    what it was."""
    packages = packages_of(account, {facts.name for facts in files})
    # With their packages locked, nobody else enters files of these names.
    newest = max((pk for (pk,) in _NEWEST.rows()), default=0)
    _insert_files(by, account, files, packages, blobs)
    known = known_files(account, [facts.key for facts in files])
    new = {file.id for file in known.values() if file.id > newest}
    _insert_records([facts for facts in files if known[facts.key].id in new], known)
    return Entered(known, new, packages)


_NEWEST = Prepared(lambda: PackageFile.objects.order_by("-pk").values_list("pk")[:1])


def packages_of(
    account: Account, names: Collection[str], *, private: Collection[str] = ()
) -> dict[str, Package]:
    """The packages of these names, those that were missing too; held, so that what is found out
    about their files holds until the commit. Those of ``private`` come into being hidden."""
    ensure_packages(account, names, private=private)
    rows = _PACKAGES.instances(account.pk, list(names))
    packages: dict[str, Package] = {row.name: row for row in rows}
    if len(packages) < len(set(names)):  # one was given to another account while we waited
        return packages_of(account, names, private=private)
    revive((row for row in packages.values() if row.deleted_at is not None), private=private)
    return packages


def ensure_packages(
    account: Account, names: Collection[str], *, private: Collection[str] = ()
) -> None:
    """`packages_of`, without holding them."""
    missing = set(names) - {name for (name,) in _NAMES.rows(account.pk, list(names))}
    if not missing:
        return
    if access.starts_private(account):
        private = missing
    bulk.insert(
        Package,
        ("name", "is_private"),
        [(name, name in private) for name in sorted(missing)],
        keep_known=True,
        account_id=account.pk,
    )


_PACKAGES = Prepared(
    lambda account_id, names: (
        Package.objects.filter(account=account_id, name__in=names)
        .order_by("pk")
        .select_for_update()
    ),
    int,
    list[str],
)
_NAMES = Prepared(
    lambda account_id, names: Package.objects.filter(
        account=account_id, name__in=names
    ).values_list("name"),
    int,
    list[str],
)


def revive(packages: Iterable[Package], *, private: Collection[str] = ()) -> None:
    """Let deleted packages, which are held, be there again. They stay as private as they were:
    what their files left behind in indexes does."""
    for package in packages:
        package.deleted_at, package.created_at = None, timezone.now()
        package.is_private |= package.name in private
        package.save(update_fields=["deleted_at", "created_at", "is_private"])


OF_THE_BYTES = (
    "version", "version_key", "build", "build_number", "blob_id", "sha256", "md5", "size_bytes",
    "index", "about", "run_exports", "channeldata_flags", "findings", "schema_version",
    "indexed_timestamp_ms",
)  # fmt: skip
"""What a row says of the bytes, in the order of `_said`; all else is the name's own."""


def _said(facts: FileFacts, blobs: Mapping[str, int]) -> tuple[object, ...]:
    return (
        facts.version, facts.version_key, facts.build, facts.build_number,
        blobs[facts.digests.sha256], facts.digests.sha256, facts.digests.md5,
        facts.digests.size_bytes, facts.index, facts.about, facts.run_exports,
        facts.channeldata_flags, facts.findings, facts.schema_version, facts.indexed_timestamp_ms,
    )  # fmt: skip


def _insert_files(
    by: Identity,
    account: Account,
    files: Sequence[FileFacts],
    packages: Mapping[str, Package],
    blobs: Mapping[str, int],
) -> None:
    bulk.insert(
        PackageFile,
        ("package_id", "subdir", "filename", "name", *OF_THE_BYTES),
        [
            (packages[facts.name].pk, *facts.key, facts.name, *_said(facts, blobs))
            for facts in files
        ],
        keep_known=True,
        account_id=account.pk,
        uploaded_by_id=by.user.pk if by.user else None,
        uploaded_with_id=by.token.pk if by.token else None,
    )


def overwrite(*, by: Identity, files: Mapping[int, FileFacts], blobs: Mapping[str, int]) -> None:
    """Let known files, by their keys, have other bytes from now on; those that were deleted are
    there again. Their packages and they are held."""
    if not files:
        return
    package_tree.withdraw_files(files)
    give_up_bytes(files)
    take_out_of_bin(files)
    sidecars.drop(files)
    bulk.update([_row(file_id, facts, blobs) for file_id, facts in files.items()], OF_THE_BYTES)
    PackageFile.objects.filter(pk__in=files).update(
        deleted_at=None,
        uploaded_at=timezone.now(),
        uploaded_by=by.user,
        uploaded_with=by.token,
        **STAYING,
    )
    bulk.update(
        [
            Record(
                file_id=file_id,
                json=facts.record_json,
                msgpack=facts.record_msgpack,
                run_exports_json=facts.run_exports_json,
            )
            for file_id, facts in files.items()
        ],
        ("json", "msgpack", "run_exports_json"),
    )


def _row(file_id: int, facts: FileFacts, blobs: Mapping[str, int]) -> PackageFile:
    row = PackageFile(pk=file_id)
    for column, value in zip(OF_THE_BYTES, _said(facts, blobs), strict=True):
        setattr(row, column, value)
    return row


def give_up_bytes(file_ids: Collection[int]) -> None:
    """Have the bytes of these files swept a grace from now, unless others need them: clients that
    read an index a moment ago are still on their way."""
    held = Blob.objects.filter(files__in=file_ids).order_by("pk").select_for_update(of=("self",))
    blobs = {blob.pk for blob in held}
    Blob.objects.filter(pk__in=blobs).update(claimed_at=timezone.now())


def _insert_records(files: Sequence[FileFacts], known: Mapping[Key, KnownFile]) -> None:
    bulk.insert(
        Record,
        ("file_id", "json", "msgpack", "run_exports_json"),
        [
            (known[one.key].id, one.record_json, one.record_msgpack, one.run_exports_json)
            for one in files
        ],
        keep_known=True,
    )


def bring_back(file_ids: Collection[int]) -> None:
    """Let deleted files be there again, with the bytes that they had, which are stored."""
    if file_ids:
        blob = Blob.objects.filter(sha256=OuterRef("sha256")).values("pk")
        PackageFile.objects.filter(pk__in=file_ids).update(
            deleted_at=None, blob=Subquery(blob), **STAYING
        )
        take_out_of_bin(file_ids)


def put_into_bin(
    by: Identity, files: Iterable[PackageFile], standing: Mapping[int, Collection[int]], reason: str
) -> None:
    """Keep the bytes of files that are being deleted, and where they stood: the keys of channels
    by theirs."""
    if not settings.BIN_KEPT:
        return
    now = timezone.now()
    bulk.insert(
        Binned,
        ("file_id", "blob_id", "channels"),
        [
            (file.pk, file.blob_id, json.dumps(sorted(standing.get(file.pk, ()))))
            for file in files
            if file.blob_id is not None
        ],
        deleted_at=now,
        kept_until=now + settings.BIN_KEPT,
        deleted_by="" if by.is_anonymous else by.name,
        deleted_with=by.token.name if by.token else "",
        reason=reason[:500],
    )


def take_out_of_bin(file_ids: Collection[int]) -> None:
    """Forget that these files could come back: they are there, or others have their names."""
    Binned.objects.filter(file__in=file_ids).delete()


STAYING: dict[str, None] = {"leaving_until": None, "leaving_by": None, "leaving_with": None}
"""What is written of files that are not about to be gone."""
