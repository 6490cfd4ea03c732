"""Holding rows as they are until a transaction ends, always in the same order.

Whoever changes what stands in channels holds first the packages, then the files, then the
channels concerned: acts that wait for each other crosswise would never end. With SQLite there is
one writer at a time, and nothing to hold.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from registry.models import Channel, Package, PackageFile
from registry.models.file import DETAILS
from registry.rows import batched

_AT_ONCE = 500


def hold_packages(ids: Collection[int]) -> dict[int, Package]:
    """The packages as they are now: nobody else enters, replaces or deletes files of theirs."""
    found: dict[int, Package] = {}
    for some in batched(sorted(set(ids)), _AT_ONCE):
        rows = Package.objects.select_related("account").filter(pk__in=some)
        found |= {row.pk: row for row in rows.order_by("pk").select_for_update(of=("self",))}
    return found


def hold_files(ids: Collection[int]) -> dict[int, PackageFile]:
    """The files as they are now, with their packages, of which `hold_packages` was asked before:
    nobody puts them into a channel or takes them out of one. What is large of them is not read."""
    found: dict[int, PackageFile] = {}
    for some in batched(sorted(set(ids)), _AT_ONCE):
        rows = PackageFile.objects.defer(*DETAILS).filter(pk__in=some).order_by("pk")
        held = {row.pk: row for row in rows.select_for_update()}
        wanted = {row.package_id for row in held.values()}
        packages = Package.objects.select_related("account").in_bulk(wanted)
        for row in held.values():
            row.package = packages[row.package_id]
            row.account = row.package.account
        found |= held
    return found


def keep_files(ids: Collection[int]) -> None:
    """`hold_files` for some hundreds of which nobody needs the rows."""
    if connection.vendor == "postgresql":
        rows = PackageFile.objects.filter(pk__in=ids).order_by("pk").select_for_update()
        list(rows.values_list("pk", flat=True))


def hold_channels(ids: Collection[int]) -> list[Channel]:
    """Those of the channels that are there, which stay; nobody patches or deletes them.

    Uploads don't keep each other waiting with it.
    """
    held = keep_channels(ids)
    return list(Channel.objects.select_related("account").filter(pk__in=held).order_by("pk"))


def keep_channels(ids: Collection[int], *, account_id: int | None = None) -> set[int]:
    """`hold_channels` for those that were read in this transaction: which of them are there yet,
    and of that account."""
    wanted = sorted(set(ids))
    if not wanted or connection.vendor != "postgresql":
        return set(wanted)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM registry_channel WHERE id = ANY(%s)"
            " AND (%s::bigint IS NULL OR account_id = %s) ORDER BY id FOR KEY SHARE",
            [wanted, account_id, account_id],
        )
        return {row[0] for row in cursor.fetchall()}
