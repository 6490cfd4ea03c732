"""Making, changing and deleting channels."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from portal.errors import Conflict
from registry import access
from registry.conda.errors import InvalidChannelNameError
from registry.conda.names import check_channel_name
from registry.models import Channel, ChannelFile, Package, PublishedIndex, Removal
from registry.models.channel import MAIN
from registry.publishing import InvalidChannelName, Touched, announce_channel, mark_stale


def create_channel(
    *,
    by: Identity,
    account: Account,
    name: str,
    visibility: str = Channel.Visibility.PUBLIC,
    description: str = "",
) -> Channel:
    """Make an empty channel, which clients can use at once."""
    access.require_manage_channels(by, account, name)
    try:
        check_channel_name(name)
    except InvalidChannelNameError as error:
        raise InvalidChannelName(str(error)) from error
    try:
        with transaction.atomic():
            channel = Channel.objects.create(
                account=account, name=name, visibility=visibility, description=description[:1000]
            )
            announce_channel(by=by, channel=channel)
    except IntegrityError:
        raise Conflict(f"{account.name} already has a channel {name}.") from None
    return channel


@transaction.atomic
def change_channel(
    *,
    by: Identity,
    channel: Channel,
    visibility: str | None = None,
    description: str | None = None,
    is_locked: bool | None = None,
    lock_note: str | None = None,
) -> Channel:
    """Change what is given, and log what changed."""
    access.require_manage_channels(by, channel.account, channel.name)
    wanted: dict[str, object] = {
        "visibility": visibility,
        "description": description,
        "is_locked": is_locked,
        "lock_note": lock_note,
    }
    changes: dict[str, object] = {}
    for field, value in wanted.items():
        if value is not None and getattr(channel, field) != value:
            changes[field] = [getattr(channel, field), value]
            setattr(channel, field, value)
    if changes:
        channel.save(update_fields=list(changes))
        if "visibility" in changes:
            _index_for_new_readers(channel)
        audit.record(
            by=by,
            account=channel.account,
            action="channel.change",
            target=channel.name,
            detail=changes,
        )
    return channel


def _index_for_new_readers(channel: Channel) -> None:
    """Have every index of the channel written anew, for those who may read it from now on."""
    if not channel.is_private:
        _keep_index_for_members(channel)
    subdirs = PublishedIndex.objects.filter(channel=channel).values_list("subdir", flat=True)
    mark_stale(channel, [Touched(subdir) for subdir in sorted({*subdirs, "", "noarch"})])


def _keep_index_for_members(channel: Channel) -> None:
    """Show nobody else what was written for members: until there is an index for all, an index
    that names private packages stays theirs."""
    hidden = set(
        ChannelFile.objects.filter(channel=channel, file__package__is_private=True)
        .values_list("subdir", flat=True)
        .distinct()
    )
    hidden |= set(
        Removal.objects.filter(
            channel=channel,
            package_name__in=Package.objects.filter(
                account=channel.account_id, is_private=True
            ).values("name"),
        ).values_list("subdir", flat=True)
    )
    if not hidden:
        return
    for index in PublishedIndex.objects.filter(
        channel=channel, subdir__in={*hidden, ""}, members_only=False
    ):
        PublishedIndex.objects.update_or_create(
            channel=channel,
            subdir=index.subdir,
            members_only=True,
            defaults={
                "generation": index.generation,
                "files": index.files,
                "record_count": index.record_count,
                "published_at": index.published_at,
            },
        )
        # A worker that began before loses its place: the number it counted from is gone.
        PublishedIndex.objects.filter(pk=index.pk).update(
            generation=index.generation + 1, files={}, record_count=0
        )


@transaction.atomic
def delete_channel(*, by: Identity, channel: Channel) -> None:
    """Delete a channel; its files stay with the account, in their other channels or in none."""
    access.require_manage_channels(by, channel.account, channel.name)
    if channel.name == MAIN:
        raise Conflict("main can't be deleted: it is what clients get who name no channel.")
    if channel.is_locked:
        raise Conflict(f"{channel.name} is locked. Unlock it first.")
    audit.record(by=by, account=channel.account, action="channel.delete", target=channel.name)
    channel.delete()
