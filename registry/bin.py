"""The bin of an account: deleted files, until their time is over or somebody wants them back.

Every deletion puts files there (`entering.put_into_bin`). What the bin holds does not count as
kept, since who deletes wants room at once; it never holds more than the account may keep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import require_admin
from accounts.scopes import Ability
from portal.errors import Forbidden, NotFound
from portal.sentences import gettext
from registry import access, quotas, sidecars
from registry.describing import follow_newest
from registry.entering import bring_back, revive
from registry.entries import put_all
from registry.holding import hold_channels, hold_files, hold_packages
from registry.models import Binned, Channel, PackageFile
from registry.quotas import Usage
from registry.refusing import refuse_changes, refused_by
from registry.rows import batched

_AT_ONCE = 500
_LINES = 100
_SWEPT_AT_ONCE = 10_000
_HOUSEKEEPING = Identity(user_agent="condarium housekeeping")


def binned_files(account: Account) -> QuerySet[Binned]:
    """What the bin of the account holds."""
    # That they are deleted is implied; an index has the deleted ones alone.
    rows = Binned.objects.filter(file__account=account, file__deleted_at__isnull=False)
    return rows.select_related("file__package", "file__account").defer("file__index", "file__about")


def usage_of_bin(account: Account) -> Usage:
    totals = binned_files(account).aggregate(
        used_bytes=Sum("file__size_bytes"), used_files=Count("*")
    )
    return Usage(totals["used_bytes"] or 0, totals["used_files"])


def _require(by: Identity, account: Account, files: Iterable[PackageFile]) -> None:
    access.require_writing(by, account, {file.name for file in files})
    if by.token is not None and by.token.channels:
        raise Forbidden(
            gettext(
                "This token is limited to the channels %(channels)s, and what is in the bin "
                "stands in none. Use another token."
            )
            % {"channels": ", ".join(by.token.channels)}
        )


# --- Back again ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restored:
    """A file that is there again, the channels it stands in again, and those it does not."""

    file: PackageFile
    channels: tuple[str, ...]
    left_out: tuple[str, ...]


def restore_files(
    *, by: Identity, account: Account, files: Sequence[PackageFile]
) -> list[Restored]:
    """Let deleted files of the account be there again, in the channels they stood in that are
    there, are not locked and take them; those that are in the bin no more are left out."""
    if any(file.account_id != account.pk for file in files):
        raise NotFound
    _require(by, account, files)
    with transaction.atomic():
        packages = hold_packages({file.package_id for file in files})
        held = hold_files({file.pk for file in files})
        standing = _standing(held)
        back = [f for pk, f in held.items() if pk in standing and f.account_id == account.pk]
        if not back:
            raise NotFound
        refuse_changes(back)
        names = {file.package_id for file in back}
        concerned = [package for pk, package in packages.items() if pk in names]
        revive(package for package in concerned if package.deleted_at is not None)
        bring_back(list(standing))
        restored = _put_back(by, account, back, standing)
        follow_newest(concerned)
        quotas.require_kept_within(account)
        _log(
            by,
            account,
            "file.restore",
            [
                (one.file, {"sha256": one.file.sha256, "channels": list(one.channels)})
                for one in restored
            ],
        )
    return restored


def _standing(held: Mapping[int, PackageFile]) -> dict[int, list[int]]:
    """Where files that are in the bin stood; nobody else restores them or gives them up."""
    found: dict[int, list[int]] = {}
    for some in batched(sorted(held), _AT_ONCE):
        rows = Binned.objects.filter(file__in=some).order_by("pk").select_for_update()
        found |= {row.file_id: row.channels for row in rows}
    return found


def _put_back(
    by: Identity,
    account: Account,
    files: Sequence[PackageFile],
    standing: Mapping[int, Collection[int]],
) -> list[Restored]:
    stood = {channel_id for ids in standing.values() for channel_id in ids}
    put: defaultdict[int, list[str]] = defaultdict(list)
    left_out: defaultdict[int, list[str]] = defaultdict(list)
    for channel in hold_channels(stood):
        if channel.account_id != account.pk or not access.may_read_channel_by_role(by, channel):
            continue
        wanted = [file for file in files if channel.pk in standing[file.pk]]
        good = _taken(channel, wanted)
        for some in batched(good, _AT_ONCE):
            put_all(some, channel, by)
        taken = {file.pk for file in good}
        for file in wanted:
            (put if file.pk in taken else left_out)[file.pk].append(channel.name)
    return [Restored(file, tuple(put[file.pk]), tuple(left_out[file.pk])) for file in files]


def _taken(channel: Channel, files: Sequence[PackageFile]) -> list[PackageFile]:
    if channel.is_locked:
        return []
    refused = refused_by(channel, files)
    return [file for file in files if file.filename not in refused]


# --- Gone for good -------------------------------------------------------------------------------


@transaction.atomic
def purge_files(*, by: Identity, account: Account, files: Sequence[PackageFile]) -> int:
    """Give up files of the account before their time in the bin is over; how many there were."""
    _require(by, account, files)
    return _purge(by, account, binned_files(account).filter(file__in=[file.pk for file in files]))


@transaction.atomic
def empty_bin(*, by: Identity, account: Account) -> int:
    """Give up all that the bin holds; how many files there were."""
    require_admin(by, account, Ability.WRITE)
    _require(by, account, [])
    return _purge(by, account, binned_files(account))


def _purge(by: Identity, account: Account, rows: QuerySet[Binned]) -> int:
    """The bytes are swept by housekeeping, unless other files share them."""
    gone = list(rows.select_for_update(of=("self",)).order_by("pk"))
    for some in batched([row.file_id for row in gone], _AT_ONCE):
        Binned.objects.filter(file__in=some).delete()
        sidecars.forget(some)
    lines = [(row.file, {"sha256": row.file.sha256}) for row in gone]
    _log(by, account, "file.purge", lines)
    return len(gone)


def sweep() -> int:
    """Give up what was long enough in bins, and what is too much for them."""
    now = timezone.now()
    overdue = Binned.objects.filter(kept_until__lte=now).order_by("kept_until")
    due: defaultdict[int, list[int]] = defaultdict(list)
    for account_id, file_id in overdue.values_list("file__account", "file")[:_SWEPT_AT_ONCE]:
        due[account_id].append(file_id)
    holders = Binned.objects.order_by().values_list("file__account", flat=True).distinct()
    count = 0
    for account in Account.objects.filter(pk__in=list(holders)).order_by("pk"):
        ids = due[account.pk] or _beyond_limit(account)
        for some in batched(ids, _AT_ONCE):
            with transaction.atomic():
                count += _purge(_HOUSEKEEPING, account, binned_files(account).filter(file__in=some))
    return count


def _beyond_limit(account: Account) -> list[int]:
    """What was deleted first, as far as the bin holds more than the account may keep."""
    most = quotas.limits_of(account).max_bytes
    if most is None:
        return []
    too_much = usage_of_bin(account).used_bytes - most
    rows = Binned.objects.filter(file__account=account).order_by("deleted_at", "pk")
    gone: list[int] = []
    for file_id, size in rows.values_list("file", "file__size_bytes").iterator():
        if too_much <= 0 or len(gone) >= _SWEPT_AT_ONCE:
            break
        gone.append(file_id)
        too_much -= size
    return gone


def _log(
    by: Identity,
    account: Account,
    action: str,
    lines: Sequence[tuple[PackageFile, Mapping[str, object]]],
) -> None:
    told = [(f"{file.subdir}/{file.filename}", detail) for file, detail in lines]
    if len(told) > _LINES:
        told = [(f"{len(told)} files", {"files": len(told)})]
    audit.record_all(by=by, account=account, action=action, lines=told)
