"""Entering package files into the database: the rows of one file, or of many.

What may be entered is decided elsewhere. Nothing here holds a channel: many are some hundred.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from django.db import transaction
from django.db.models import Max, OuterRef, Subquery
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from portal import failpoints
from registry.conda.facts import Digests, FileFacts
from registry.models import Blob, Package, PackageFile, Record, bulk

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


def known_files(account: Account, keys: Collection[Key]) -> dict[Key, KnownFile]:
    """The files that have these names, deleted ones too."""
    rows = PackageFile.objects.filter(
        account=account,
        subdir__in={subdir for subdir, _ in keys},
        filename__in={filename for _, filename in keys},
    ).values_list("pk", "subdir", "filename", "name", "sha256", "md5", "deleted_at")
    known = (KnownFile(*row[:6], row[6] is not None) for row in rows)
    return {(file.subdir, file.filename): file for file in known}


def claim(all_digests: Collection[Digests]) -> dict[str, int]:
    """Keep bytes that are about to be stored from being swept until files need them; the key of
    each blob by its sha256.

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
        rows = list(
            Blob.objects.filter(sha256__in=wanted).values_list("sha256", "pk", "claimed_at")
        )
        known = [pk for _, pk, claimed_at in rows if claimed_at != now]
        renewed = Blob.objects.filter(pk__in=known).update(claimed_at=now) if known else 0
    if len(rows) != len(wanted) or renewed != len(known):  # some were swept meanwhile
        return claim(all_digests)
    failpoints.reach("claimed")
    return {sha256: pk for sha256, pk, _ in rows}


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
    packages = _packages(account, {facts.name for facts in files})
    # With their packages locked, nobody else enters files of these names.
    newest = PackageFile.objects.aggregate(newest=Max("pk"))["newest"] or 0
    _insert_files(by, account, files, packages, blobs)
    known = known_files(account, [facts.key for facts in files])
    new = {file.id for file in known.values() if file.id > newest}
    _insert_records([facts for facts in files if known[facts.key].id in new], known)
    return Entered(known, new, packages)


def _packages(account: Account, names: Collection[str]) -> dict[str, Package]:
    """The packages of these names, those that were missing too; locked, so that what is found
    out about their files holds until the commit."""
    rows = Package.objects.filter(account=account, name__in=names)
    missing = set(names) - set(rows.values_list("name", flat=True))
    bulk.insert(
        Package,
        ("name",),
        [(name,) for name in sorted(missing)],
        keep_known=True,
        account_id=account.pk,
    )
    return {row.name: row for row in rows.order_by("pk").select_for_update()}


def _insert_files(
    by: Identity,
    account: Account,
    files: Sequence[FileFacts],
    packages: Mapping[str, Package],
    blobs: Mapping[str, int],
) -> None:
    bulk.insert(
        PackageFile,
        (
            "package_id", "subdir", "filename", "name", "version", "version_key", "build",
            "build_number", "blob_id", "sha256", "md5", "size_bytes", "index", "about",
            "run_exports", "channeldata_flags", "findings", "schema_version",
            "indexed_timestamp_ms",
        ),
        [
            (
                packages[facts.name].pk, facts.subdir, facts.filename, facts.name, facts.version,
                facts.version_key, facts.build, facts.build_number, blobs[facts.digests.sha256],
                facts.digests.sha256, facts.digests.md5, facts.digests.size_bytes, facts.index,
                facts.about, facts.run_exports, facts.channeldata_flags, facts.findings,
                facts.schema_version, facts.indexed_timestamp_ms,
            )
            for facts in files
        ],
        keep_known=True,
        account_id=account.pk,
        uploaded_by_id=by.user.pk if by.user else None,
        uploaded_with_id=by.token.pk if by.token else None,
    )  # fmt: skip


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
    """Let deleted files be there again, with the bytes that they had, which are stored anew."""
    if file_ids:
        blob = Blob.objects.filter(sha256=OuterRef("sha256")).values("pk")
        PackageFile.objects.filter(pk__in=file_ids).update(deleted_at=None, blob=Subquery(blob))
