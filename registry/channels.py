"""Making, changing and deleting channels."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Account
from portal.errors import Conflict, InvalidInput, NotFound
from portal.sentences import gettext, ngettext
from registry import access, package_tree, tree
from registry.conda.errors import InvalidChannelNameError
from registry.conda.layout import V3_SCHEMA
from registry.conda.names import check_channel_name
from registry.conda.relations import InvalidRelationError, Place, has_circle, related_channel
from registry.conda.subdirs import NOARCH
from registry.entries import Touched, mark_stale
from registry.models import Channel, ChannelFile, MovedChannel, Package, PublishedIndex, Removal
from registry.models.channel import MAIN
from registry.publishing import InvalidChannelName, announce_channel, new_visibility
from registry.translating import translated

# What each index of a channel says of the channel itself.
_SAID_IN_INDEXES = {"allows_v3", "base_relation", "overrides_relation"}


def create_channel(
    *,
    by: Identity,
    account: Account,
    name: str,
    visibility: str | None = None,
    description: str = "",
) -> Channel:
    """Make an empty channel, which clients can use at once; as visible as the account's new
    channels are, if nothing is said."""
    access.require_create_channel(by, account, name)
    if visibility is None:
        visibility = new_visibility(account)
    try:
        check_channel_name(name)
    except InvalidChannelNameError as error:
        raise InvalidChannelName(error) from error
    try:
        with transaction.atomic():
            channel = Channel.objects.create(
                account=account, name=name, visibility=visibility, description=description[:1000]
            )
            # Whoever read another account's here reads this one from now on.
            MovedChannel.objects.filter(account=account, name=name).delete()
            announce_channel(by=by, channel=channel)
    except IntegrityError:
        raise Conflict(
            gettext("%(account)s already has a channel %(name)s.")
            % {"account": account.name, "name": name}
        ) from None
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
    is_immutable: bool | None = None,
    allows_v3: bool | None = None,
    base_relation: str | None = None,
    overrides_relation: str | None = None,
) -> Channel:
    """Change what is given, and log what changed."""
    access.require_manage_channels(by, channel.account, channel.name)
    wanted: dict[str, object] = {
        "visibility": visibility,
        "description": description,
        "is_locked": is_locked,
        "lock_note": lock_note,
        "is_immutable": is_immutable,
        "allows_v3": allows_v3,
        "base_relation": base_relation,
        "overrides_relation": overrides_relation,
    }
    changes: dict[str, object] = {}
    for field, value in wanted.items():
        if value is not None and getattr(channel, field) != value:
            changes[field] = [getattr(channel, field), value]
            setattr(channel, field, value)
    if changes:
        if "visibility" in changes:
            tree.withdraw(channel)
        if "is_immutable" in changes:
            package_tree.withdraw_promise(channel)
        if "allows_v3" in changes and not channel.allows_v3:
            _refuse_losing_v3(channel)
        if {"base_relation", "overrides_relation"} & changes.keys():
            _check_relations(by, channel)
        if _SAID_IN_INDEXES & changes.keys():
            mark_stale(channel, [Touched(subdir) for subdir in _subdirs(channel)])
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


def _refuse_losing_v3(channel: Channel) -> None:
    # Locked first: publishing looks at the switch under the same lock.
    Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first()
    count = ChannelFile.objects.filter(channel=channel, file__schema_version__gte=V3_SCHEMA).count()
    if count:
        files = ngettext("1 package file", "%(n)d package files", count) % {"n": count}
        raise Conflict(
            ngettext(
                "%(channel)s holds %(files)s for repodata v3, which clients would lose. "
                "Remove it from the channel first.",
                "%(channel)s holds %(files)s for repodata v3, which clients would lose. "
                "Remove them from the channel first.",
                count,
            )
            % {"channel": channel.name, "files": files}
        )


def _check_relations(by: Identity, channel: Channel) -> None:
    """Refuse relations on which clients give up (CEP 42)."""
    here = (channel.account.name, channel.name)
    related: dict[str, Place] = {}
    for field in ("base_relation", "overrides_relation"):
        relation = getattr(channel, field)
        if not relation:
            continue
        related[field] = place = _related(field, relation, here)
        if place == here:
            raise _wrong_relation(
                field,
                gettext("%(relation)s leads to this channel itself.") % {"relation": relation},
            )
        try:
            access.find_channel(by, *place)
        except NotFound:
            raise _wrong_relation(
                field,
                gettext("%(relation)s leads to %(place)s, and there is no such channel.")
                % {"relation": relation, "place": "/".join(place)},
            ) from None
    if len({*related.values()}) < len(related):
        raise _wrong_relation(
            "overrides_relation", gettext("One channel can't come before this one and after it.")
        )
    if related and has_circle(_order_of_channels(channel), here):
        raise _wrong_relation(
            next(iter(related)),
            gettext("The channels would stand in a circle, on which clients give up."),
        )


def _related(field: str, relation: str, here: Place) -> Place:
    try:
        return related_channel(relation, account=here[0], channel=here[1])
    except InvalidRelationError as error:
        raise _wrong_relation(field, translated(error)) from error


def _wrong_relation(field: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, errors={field: [sentence]})


def _order_of_channels(changed: Channel) -> dict[Place, set[Place]]:
    """Which channels come right after which; ``changed`` counts as it is going to be."""
    rows = Channel.objects.exclude(base_relation="", overrides_relation="").exclude(pk=changed.pk)
    order: dict[Place, set[Place]] = {}
    for channel in [changed, *rows.select_related("account").order_by()]:
        here = (channel.account.name, channel.name)
        if channel.base_relation:
            before = related_channel(channel.base_relation, account=here[0], channel=here[1])
            order.setdefault(before, set()).add(here)
        if channel.overrides_relation:
            after = related_channel(channel.overrides_relation, account=here[0], channel=here[1])
            order.setdefault(here, set()).add(after)
    return order


def _index_for_new_readers(channel: Channel) -> None:
    """Have every index of the channel written anew, for those who may read it from now on."""
    if not channel.is_private:
        _keep_index_for_members(channel)
    mark_stale(channel, [Touched(subdir) for subdir in ["", *_subdirs(channel)]])


def _subdirs(channel: Channel) -> list[str]:
    """Those that have an index; noarch always does."""
    published = PublishedIndex.objects.filter(channel=channel).values_list("subdir", flat=True)
    return sorted({*published, NOARCH} - {""})


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
        raise Conflict(
            gettext("main can't be deleted: it is what clients get who name no channel.")
        )
    if channel.is_locked:
        raise Conflict(
            gettext("%(channel)s is locked. Unlock it first.") % {"channel": channel.name}
        )
    audit.record(by=by, account=channel.account, action="channel.delete", target=channel.name)
    tree.withdraw(channel)
    # Before its entries: who publishes holds the channel first, too.
    Channel.objects.select_for_update().filter(pk=channel.pk).first()
    channel.delete()
