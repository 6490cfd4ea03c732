"""Placement of all files that a query names, of however many: in one step, and some at a time.

`registry.placement` does the same for files that are at hand, and decides everything.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from django.db import transaction
from django.db.models import QuerySet

from accounts.identity import Identity
from accounts.models import Account
from registry import access, placement, quotas
from registry.access import Destination
from registry.entries import channels_with
from registry.holding import hold_files, hold_packages
from registry.models import Channel, PackageFile
from registry.publishing import channel_of
from registry.refusing import refuse_locked
from registry.rows import batched

_AT_ONCE = 500


@transaction.atomic
def add_all(*, by: Identity, files: QuerySet[PackageFile], destination: Destination) -> int:
    """Put files that the account has into one more of its channels; how many did not stand
    there."""
    access.require_publish_all(by, destination, _names(files))
    channel = channel_of(by, destination)
    refuse_locked(channel)
    missing = files.exclude(entries__channel=channel)
    return sum(
        len(placement.add_some(by=by, ids=some, channel=channel)) for some in _batches(missing)
    )


@transaction.atomic
def remove_all(*, by: Identity, files: QuerySet[PackageFile], channel: Channel) -> int:
    """Take files out of a channel; how many stood there."""
    access.require_channel_write(by, channel)
    access.require_writing(by, channel.account, _names(files))
    refuse_locked(channel)
    standing = files.filter(entries__channel=channel)
    return sum(
        len(placement.remove_some(by=by, ids=some, channel=channel)) for some in _batches(standing)
    )


@transaction.atomic
def delete_unlisted(*, by: Identity, account: Account, at_most: int) -> int:
    """Delete files of the account that stand in no channel, the largest first; how many went.

    It is looked anew when they are held: what somebody puts into a channel meanwhile stays.
    """
    files = list(quotas.unlisted_files(account)[:at_most])
    hold_packages({file.package_id for file in files})
    held = hold_files([file.pk for file in files])
    listed = {file_id for file_id, _ in channels_with(held)}
    return placement.delete_files(
        by=by,
        files=[
            file
            for pk, file in held.items()
            if pk not in listed and file.deleted_at is None and file.leaving_until is None
        ],
    )


def _names(files: QuerySet[PackageFile]) -> set[str]:
    return set(files.order_by().values_list("name", flat=True).distinct())


def _batches(files: QuerySet[PackageFile]) -> Iterator[Sequence[int]]:
    """The keys of the files, some at a time; all of their packages are held before the first of
    them, so that nobody waits for another crosswise."""
    packages = files.order_by().values_list("package_id", flat=True).distinct()
    for some_packages in batched(sorted(packages), _AT_ONCE):
        hold_packages(some_packages)
    # Eight bytes for each of them: asking anew for every batch costs more than all else.
    ids = array("q", files.order_by("pk").values_list("pk", flat=True).iterator())
    yield from batched(ids, _AT_ONCE)
