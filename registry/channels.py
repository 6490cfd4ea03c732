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
from registry.models import Channel
from registry.models.channel import MAIN
from registry.publishing import InvalidChannelName, announce_channel


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
        audit.record(
            by=by,
            account=channel.account,
            action="channel.change",
            target=channel.name,
            detail=changes,
        )
    return channel


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
