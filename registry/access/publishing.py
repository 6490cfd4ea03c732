"""Who may upload what to where."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_noop

from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import manageable_accounts, may_administer, require_ability, role_in
from accounts.roles import Permission, permissions_covering
from accounts.scopes import Ability
from portal.errors import Conflict, CredentialNeeded, Forbidden, NotFound
from portal.sentences import gettext
from registry.access.limits import require_within_limits
from registry.access.managing import require_new_channel
from registry.access.permissions import (
    collaborations_of,
    groups_of,
    publishable_names,
    writes_anything,
)
from registry.access.reading import (
    channel_by_name,
    find_account,
    may_read_channel_by_role,
    moved_channel,
)
from registry.models import Channel, Package


class ChannelGivenAway(Conflict):
    slug = "channel-given-away"
    title = gettext_noop("The channel belongs to another account now")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an upload wants to go; ``channel`` is None when it comes into being with it."""

    account: Account
    channel_name: str
    channel: Channel | None
    ability: Ability


def open_destination(
    identity: Identity,
    account_name: str,
    channel_name: str,
    ability: Ability = Ability.WRITE,
) -> Destination:
    """What can be decided about an upload before a byte of it is read.

    The name of the package is only known from the archive, so this asks whether they may publish
    anything there at all; `require_publish` asks the rest.
    """
    if identity.is_anonymous:
        raise CredentialNeeded(
            gettext(
                "Uploading needs a credential. Send a token: Authorization: Bearer <token>, or as "
                "the password of Basic authentication."
            )
        )
    account = find_account(account_name)
    require_ability(identity, ability)
    require_within_limits(identity, channel_name, None)
    administers = may_administer(identity, account)
    if not administers and not writes_anything(identity, account):
        raise Forbidden(
            gettext(
                "%(identity)s may not publish to %(account)s. Ask an admin of %(account)s "
                "for the permission to write."
            )
            % {"identity": identity.name, "account": account.name}
        )
    channel = channel_by_name(account, channel_name)
    if channel is not None:
        if not may_read_channel_by_role(identity, channel):
            raise NotFound
    else:
        _refuse_given_away(identity, account, channel_name)
        require_new_channel(identity, account)
    return Destination(account, channel_name, channel, ability)


def _refuse_given_away(identity: Identity, account: Account, channel_name: str) -> None:
    """An upload makes no channel where clients read one that was given away: they would lose it."""
    moved = moved_channel(account.name, channel_name)
    if moved is None or (moved.is_private and role_in(identity, account) is None):
        return
    raise ChannelGivenAway(
        gettext(
            "%(channel)s of %(account)s is a channel of %(now)s now, and takes uploads there. Use "
            "another channel, or let an admin of %(account)s make a new one of this name."
        )
        % {"channel": channel_name, "account": account.name, "now": moved.account.name}
    )


def publishable_accounts(identity: Identity) -> QuerySet[Account]:
    """The accounts where they may publish anything: by role, by a group, or by one package."""
    condition = Q(pk__in=manageable_accounts(identity).values("pk"))
    if identity.user is not None:
        levels = permissions_covering(Permission.WRITE)
        over_all = groups_of(identity).filter(all_packages=True, permission__in=levels)
        written = Package.objects.filter(collaborations_of(identity, Permission.WRITE))
        condition |= Q(pk__in=over_all.values("organization__account"))
        condition |= Q(pk__in=written.values("account"))
    return Account.objects.filter(condition, suspended_at=None)


def require_publish(identity: Identity, destination: Destination, package_name: str) -> None:
    """Refuse an upload of ``package_name``, now that the archive has told its name."""
    require_publish_all(identity, destination, {package_name})


def require_publish_all(
    identity: Identity, destination: Destination, package_names: Collection[str]
) -> None:
    """`require_publish` for files of several packages."""
    names = sorted(set(package_names))
    for name in names:
        require_within_limits(identity, destination.channel_name, name)
    publishable = publishable_names(identity, destination.account, set(names))
    for name in names:
        if name not in publishable:
            raise not_publishable(identity, destination, name)


def not_publishable(identity: Identity, destination: Destination, package_name: str) -> Forbidden:
    return Forbidden(
        gettext(
            "%(identity)s may not publish %(package_name)s to %(account)s. Ask an admin "
            "of %(account)s for the permission to write it."
        )
        % {
            "identity": identity.name,
            "package_name": package_name,
            "account": destination.account.name,
        }
    )
