"""Deleting a file that is about to be uploaded anew, so that no client ever misses it.

Uploaders that know of no replacing (`anaconda upload --force`, rattler-build's) look at a file, or
are refused over it, then delete it and upload another one. Between the two steps the index would
lack it for as long as the upload takes. So who deletes what they just looked at has it *leave*: for
people it is gone, clients go on reading it, and the upload then replaces it in one step. If none
comes, it is deleted when its time is over.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import NotFound
from portal.sentences import gettext
from registry import access, placement
from registry.entries import channels_with
from registry.holding import hold_channels, hold_files, hold_packages
from registry.models import Announcement, PackageFile
from registry.refusing import (
    ChannelLocked,
    FileExists,
    PackageLocked,
    immutable_channels,
    refuse_changes,
    refuse_locked_around,
)

log = logging.getLogger(__name__)

ANNOUNCED_FOR = timedelta(seconds=60)
LEAVING_FOR = timedelta(minutes=10)


def announce(by: Identity, file: PackageFile) -> None:
    """Note that ``by`` looked at a file or was refused over it, if they may delete it: they may be
    about to upload it anew."""
    if not by.can(Ability.WRITE) or access.undeletable(by, file.account, [file]):
        return
    Announcement.objects.update_or_create(
        file=file, credential=_credential(by), defaults={"announced_at": timezone.now()}
    )


def _credential(by: Identity) -> str:
    return f"token {by.token.pk}" if by.token else f"user {by.user.pk}" if by.user else ""


def leave(by: Identity, file: PackageFile) -> bool:
    """Have a file leave that the same credential announced a moment ago; False where it is to be
    deleted at once, since nothing was announced or no client reads it."""
    if not _take_announcement(by, file):
        return False
    with transaction.atomic():
        hold_packages([file.package_id])
        held = hold_files([file.pk]).get(file.pk)
        if held is None or held.deleted_at or held.leaving_until:
            raise NotFound
        access.require_delete(by, held)
        refuse_changes([held])
        channels = hold_channels([channel_id for _, channel_id in channels_with([held.pk])])
        for channel in channels:
            refuse_locked_around(by, held.filename, channel)
        _refuse_immutable(held)
        if not channels:
            return False
        PackageFile.objects.filter(pk=held.pk).update(
            leaving_until=timezone.now() + LEAVING_FOR, leaving_by=by.user, leaving_with=by.token
        )
    return True


def _take_announcement(by: Identity, file: PackageFile) -> bool:
    """Whether there is one. It counts once, also when what follows is refused."""
    recent = Announcement.objects.filter(
        file=file,
        credential=_credential(by),
        announced_at__gte=timezone.now() - ANNOUNCED_FOR,
    )
    return bool(recent.delete()[0])


def _refuse_immutable(file: PackageFile) -> None:
    key = (file.subdir, file.filename)
    for channel in immutable_channels(file.account, [key]).values():
        where = gettext("a private channel") if channel.is_private else channel.name
        raise FileExists(
            gettext(
                "%(file)s stands or stood in %(where)s, which is immutable, so it can't be "
                "replaced. Raise the build number. To delete it for good, ask for it again."
            )
            % {"file": file.filename, "where": where}
        )


def prolong(*, account: Account, subdir: str, filename: str, until: datetime) -> None:
    """Let a file that leaves stay readable until then, for its upload has begun."""
    PackageFile.objects.filter(
        account=account, subdir=subdir, filename=filename, leaving_until__lt=until
    ).update(leaving_until=until)


def sweep() -> int:
    """Delete what left and was not uploaded anew in time, in the name of who wanted it gone."""
    now = timezone.now()
    Announcement.objects.filter(announced_at__lt=now - ANNOUNCED_FOR).delete()
    overdue = PackageFile.objects.present().filter(leaving_until__lte=now)
    return sum(_delete(pk) for pk in list(overdue.values_list("pk", flat=True)[:10_000]))


def _delete(pk: int) -> int:
    try:
        with transaction.atomic():
            package_id = PackageFile.objects.values_list("package_id", flat=True).get(pk=pk)
            hold_packages([package_id])
            file = hold_files([pk])[pk]
            if file.leaving_until is None or file.leaving_until > timezone.now():
                return 0  # it was uploaded anew, or is about to be
            by = Identity(user=file.leaving_by, token=file.leaving_with)
            return placement.carry_out_deletion(by=by, files=[file])
    except (ChannelLocked, PackageLocked) as refusal:
        # It was locked since, or a channel it stands in, and stays there until that is over.
        log.warning("a file can't leave: %s", refusal.slug, extra={"file_id": pk})
        return 0
