"""Who may change packages and what concerns channels."""

from __future__ import annotations

from collections.abc import Collection

from accounts.identity import Identity
from accounts.models import Account, Organization
from accounts.rights import may_administer, require_ability, role_in
from accounts.roles import Permission, Role, permission_covers, role_covers
from accounts.scopes import Ability
from portal.errors import Forbidden, NotFound
from portal.sentences import gettext
from registry.access.limits import refuse_package_limits, require_within_limits
from registry.access.permissions import package_permission, permission_needed, publishable_names
from registry.access.reading import may_read_channel_by_role
from registry.models import Channel, ChannelFile, Package, PackageFile


def require_package(
    identity: Identity, package: Package, needed: Permission, ability: Ability = Ability.WRITE
) -> None:
    """Refuse whoever does not hold ``needed`` on a package that they may see."""
    require_ability(identity, ability)
    require_within_limits(identity, None, package.name)
    held = package_permission(identity, package)
    if held is None or not permission_covers(held, needed):
        raise permission_needed(needed, package.account, package.name)


def require_writing(identity: Identity, account: Account, package_names: Collection[str]) -> None:
    """Refuse who may not write all of these packages of the account."""
    require_ability(identity, Ability.WRITE)
    names = sorted(set(package_names))
    for name in names:
        require_within_limits(identity, None, name)
    writable = publishable_names(identity, account, set(names))
    for name in names:
        if name not in writable:
            raise permission_needed(Permission.WRITE, account, name)


def require_whole_package(
    identity: Identity, package: Package, needed: Permission, ability: Ability = Ability.WRITE
) -> None:
    """`require_package` for what concerns a package in all channels: a token that is limited to
    some of them may not."""
    require_package(identity, package, needed, ability)
    token = identity.token
    if token is not None and token.channels:
        raise Forbidden(
            gettext(
                "This token is limited to the channels %(channels)s, and this concerns "
                "%(package)s in all of them. Use another token."
            )
            % {"channels": ", ".join(token.channels), "package": package.name}
        )


def require_delete(identity: Identity, file: PackageFile) -> None:
    """Refuse deleting a file, which takes it out of all its channels."""
    for refusal in undeletable(identity, file.account, [file]).values():
        raise refusal


def require_changing(identity: Identity, file: PackageFile) -> None:
    """Refuse changing what all channels with a file say of it: who may is who may delete it."""
    require_delete(identity, file)


def undeletable(
    identity: Identity, account: Account, files: Collection[PackageFile]
) -> dict[int, Forbidden]:
    """Those of the account's files, by their keys, that they may not delete, and why."""
    require_ability(identity, Ability.WRITE)
    writable = publishable_names(identity, account, {file.name for file in files})
    refused = {
        file.pk: _not_deletable(identity, file) for file in files if file.name not in writable
    }
    token = identity.token
    if token is None or not token.channels:
        return refused
    inside, outside = set[int](), set[int]()
    ids = [file.pk for file in files]
    standing = ChannelFile.objects.filter(file__in=ids).values_list("file_id", "channel__name")
    for file_id, channel in standing:
        (inside if channel in token.channels else outside).add(file_id)
    for file in files:
        if file.pk not in refused and file.pk not in inside - outside:
            refused[file.pk] = Forbidden(
                gettext(
                    "This token is limited to the channels %(channels)s, and %(file)s stands "
                    "elsewhere too. Take it out of those, or use another token."
                )
                % {"channels": ", ".join(token.channels), "file": file.filename}
            )
    return refused


def _not_deletable(identity: Identity, file: PackageFile) -> Forbidden:
    try:
        require_within_limits(identity, None, file.name)
    except Forbidden as refusal:
        return refusal
    return permission_needed(Permission.WRITE, file.account, file.name)


def require_channel_write(identity: Identity, channel: Channel) -> None:
    """Refuse changes to what stands in a channel, as far as the channel itself decides."""
    require_ability(identity, Ability.WRITE)
    require_within_limits(identity, channel.name, None)
    if not may_read_channel_by_role(identity, channel):
        raise NotFound


def require_manage_channels(
    identity: Identity,
    account: Account,
    channel_name: str,
    ability: Ability = Ability.WRITE,
) -> None:
    """Refuse creating, changing or deleting a channel."""
    require_ability(identity, ability)
    require_within_limits(identity, channel_name, None)
    refuse_package_limits(identity)
    if not may_administer(identity, account):
        raise Forbidden(
            gettext("Only owners and admins of %(account)s may manage its channels.")
            % {"account": account.name}
        )


def may_create_channels(identity: Identity, account: Account) -> bool:
    """By role and the organization's policy; whoever may manage channels may not create them
    everywhere."""
    role = role_in(identity, account)
    if role is None:
        return False
    if not account.is_organization:
        return True
    least = {
        Organization.ChannelCreators.OWNERS: Role.OWNER,
        Organization.ChannelCreators.ADMINS: Role.ADMIN,
        Organization.ChannelCreators.MEMBERS: Role.MEMBER,
    }
    return role_covers(role, least[Organization.ChannelCreators(_policy(account).channel_creators)])


def _policy(account: Account) -> Organization:
    return Organization.objects.get(account=account)


def starts_private(account: Account) -> bool:
    """Whether new channels and packages are private, if nobody says otherwise."""
    return account.is_organization and _policy(account).starts_private


def require_create_channel(identity: Identity, account: Account, channel_name: str) -> None:
    require_ability(identity, Ability.WRITE)
    require_within_limits(identity, channel_name, None)
    refuse_package_limits(identity)
    if not may_create_channels(identity, account):
        raise _no_new_channels(account)


def require_new_channel(identity: Identity, account: Account) -> None:
    """For a channel that comes into being with an upload."""
    if may_create_channels(identity, account):
        return
    if may_administer(identity, account):
        raise _no_new_channels(account)
    raise NotFound


def _no_new_channels(account: Account) -> Forbidden:
    return Forbidden(
        gettext(
            "You may not create channels of %(account)s: its policy says who may. Ask an owner."
        )
        % {"account": account.name}
    )


def require_patching(
    identity: Identity, channel: Channel, ability: Ability = Ability.WRITE
) -> None:
    """Refuse who may not patch a channel, or see its patches.

    What a channel's index says against the files' own words is for who manages the channel, also
    where it is about one package: its maintainers publish another build instead. And patches
    name private packages, which are not for all who read the channel.
    """
    if not may_read_channel_by_role(identity, channel):
        raise NotFound
    require_manage_channels(identity, channel.account, channel.name, ability)


def require_collaborators(identity: Identity, package: Package) -> None:
    require_whole_package(identity, package, Permission.ADMIN, Ability.MODIFY_GROUPS)
