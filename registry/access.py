"""Who may read, publish to, or manage what: the only place that decides it.

Effective right = what the credential allows (scopes, limits) ∩ what its owner may do at this
request. What a viewer may not know of is `NotFound`; known but forbidden is `Forbidden`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext

from accounts.identity import Identity
from accounts.models import Account, Group, Organization, User
from accounts.rights import (
    groups_in_force,
    manageable_accounts,
    may_administer,
    memberships_in_force,
    require_ability,
    role_in,
)
from accounts.roles import Permission, Role, permission_covers, permissions_covering, role_covers
from accounts.scopes import Ability
from portal.errors import Conflict, CredentialNeeded, Forbidden, NotFound
from registry.models import (
    Channel,
    ChannelFile,
    Collaborator,
    MovedChannel,
    Package,
    PackageFile,
    Removal,
)


class ChannelGivenAway(Conflict):
    slug = "channel-given-away"
    title = "The channel belongs to another account now"


# --- Limits of tokens --------------------------------------------------------------------------


def within_channel_limit(identity: Identity, channel_name: str) -> bool:
    limits = identity.token.channels if identity.token else []
    return not limits or channel_name in limits


def within_package_limit(identity: Identity, package_name: str) -> bool:
    patterns = identity.token.packages if identity.token else []
    return not patterns or any(fnmatch.fnmatchcase(package_name, p) for p in patterns)


def _require_within_limits(identity: Identity, channel: str | None, package: str | None) -> None:
    token = identity.token
    if token is None:
        return
    if channel is not None and not within_channel_limit(identity, channel):
        raise Forbidden(
            gettext(
                "This token is limited to the channels %(channels)s; this is %(channel)s. "
                "Use another token."
            )
            % {"channels": ", ".join(token.channels), "channel": channel}
        )
    if package is not None and not within_package_limit(identity, package):
        raise Forbidden(
            gettext(
                "This token is limited to the packages %(packages)s; the file is "
                "%(package)s. Use another token."
            )
            % {"packages": ", ".join(token.packages), "package": package}
        )


# --- Reading -----------------------------------------------------------------------------------


def find_account(name: str) -> Account:
    """The account of that name, however it is capitalised. Accounts are known to everybody."""
    account = (
        Account.objects.select_related("user", "organization").filter(name=name.lower()).first()
    )
    if account is None:
        raise NotFound
    return account


def reads_privately(identity: Identity, account: Account) -> bool:
    """Whether they may see what is private in the account, as far as the role goes."""
    return identity.can(Ability.DOWNLOAD) and role_in(identity, account) is not None


def _joined(identity: Identity, user: User) -> list[int] | QuerySet[Organization, Any]:
    """The accounts that they belong to."""
    if identity.standing is not None:
        return identity.standing.joined
    in_force = memberships_in_force(user).values("organization")
    return Organization.objects.filter(pk__in=in_force).values_list("account")


def _belongs(identity: Identity, account: Account) -> bool:
    """Whether it is known already that they belong to the account, which is not suspended."""
    standing = identity.standing
    return standing is not None and account.pk in standing.open_accounts


def visible_channels(identity: Identity, account: Account) -> QuerySet[Channel]:
    if _belongs(identity, account):
        return Channel.objects.filter(account=account).select_related("account")
    return readable_channels(identity).filter(account=account).select_related("account")


def readable_channels(identity: Identity) -> QuerySet[Channel]:
    """The channels of all accounts that they may know of."""
    visible = Q(visibility=Channel.Visibility.PUBLIC)
    acting = identity.account
    if acting is not None and identity.can(Ability.DOWNLOAD):
        private = Q(account__in=_accounts_in_force(identity, acting))
        if identity.token is not None and identity.token.channels:
            private &= Q(name__in=identity.token.channels)
        visible |= private
    return Channel.objects.filter(visible)


def _accounts_in_force(identity: Identity, acting: Account) -> list[int] | QuerySet[Account, Any]:
    """Their own account and those they belong to, as far as none is suspended."""
    if identity.standing is not None:
        return identity.standing.open_accounts
    belonging = Q(pk=acting.pk)
    if identity.user is not None:
        belonging |= Q(pk__in=_joined(identity, identity.user))
    return Account.objects.filter(belonging, suspended_at=None).values_list("pk")


def readable_files(identity: Identity) -> QuerySet[PackageFile]:
    """Files in channels that they may read, of all accounts; their packages are asked of apart."""
    readable = readable_channels(identity).values("pk")
    standing = ChannelFile.objects.filter(file=OuterRef("pk"), channel__in=readable)
    return PackageFile.objects.staying().filter(Exists(standing))


def may_read_channel(identity: Identity, channel: Channel) -> bool:
    return not channel.is_private or (
        within_channel_limit(identity, channel.name) and reads_privately(identity, channel.account)
    )


def find_channel(identity: Identity, account_name: str, channel_name: str) -> Channel:
    """The channel, if they may know of it; one query for a public one."""
    channel = (
        Channel.objects.select_related("account")
        .filter(account__name=account_name.lower(), name=channel_name)
        .first()
    )
    if channel is None or not may_read_channel(identity, channel):
        raise NotFound
    return channel


def find_channel_to_read(identity: Identity, account_name: str, channel_name: str) -> Channel:
    """`find_channel` for clients, which read a channel that was given away at its old address,
    too: there was never another one for them."""
    try:
        return find_channel(identity, account_name, channel_name)
    except NotFound:
        moved = moved_channel(account_name, channel_name)
        if moved is None or not may_read_channel(identity, moved):
            raise
        return moved


def moved_channel(account_name: str, channel_name: str) -> Channel | None:
    """Which channel of another account stood here once."""
    row = (
        MovedChannel.objects.select_related("channel__account")
        .filter(account__name=account_name.lower(), name=channel_name)
        .first()
    )
    return row.channel if row is not None else None


def sees_members_index(identity: Identity, channel: Channel) -> bool:
    """Whether a public channel is shown to them with its private packages."""
    return (
        not channel.is_private
        and not identity.is_anonymous
        and within_channel_limit(identity, channel.name)
        and reads_privately(identity, channel.account)
    )


def _groups(identity: Identity) -> QuerySet[Group]:
    if identity.standing is not None:
        return Group.objects.filter(pk__in=identity.standing.groups)
    return groups_in_force(identity.user) if identity.user else Group.objects.none()


def _collaborations(identity: Identity, needed: Permission) -> Q:
    """Packages that they hold ``needed`` on by name: as collaborator or through a group."""
    levels = permissions_covering(needed)
    groups = _groups(identity)
    named = Collaborator.objects.filter(
        Q(user=identity.user) | Q(group__in=groups), permission__in=levels
    )
    over_all = groups.filter(all_packages=True, permission__in=levels)
    return Q(pk__in=named.values("package")) | Q(
        account__in=over_all.order_by().values("organization__account")
    )


def visible_packages(identity: Identity, account: Account | None = None) -> QuerySet[Package]:
    """Packages they may know of.

    Public ones that stand in a public channel, or stood in one and now stand in none (its page
    then says where it went), and all of their accounts and of those they collaborate on.
    """
    packages = Package.objects.select_related("account").filter(deleted_at=None)
    if account is not None:
        packages = packages.filter(account=account)
        if _belongs(identity, account):
            return packages
    somewhere = ChannelFile.objects.filter(file__package=OuterRef("pk"))
    in_public = somewhere.filter(channel__visibility=Channel.Visibility.PUBLIC)
    stood_in_public = Removal.objects.filter(
        channel__account=OuterRef("account"),
        channel__visibility=Channel.Visibility.PUBLIC,
        package_name=OuterRef("name"),
    )
    known = Q(Exists(in_public)) | (~Q(Exists(somewhere)) & Q(Exists(stood_in_public)))
    visible = Q(is_private=False) & known
    acting = identity.account
    if acting is not None and identity.can(Ability.DOWNLOAD):
        private = Q(account=acting)
        if identity.user is not None:
            private |= Q(account__in=_joined(identity, identity.user))
            private |= _collaborations(identity, Permission.READ)
        if identity.token is not None and identity.token.packages:
            # Patterns are matched in Python; tokens have few, and accounts' packages have names.
            names = _names_within_limit(identity, private)
            private &= Q(pk__in=names)
        visible |= private
    return packages.filter(visible)


def perhaps_visible(identity: Identity) -> Q:
    """What holds for all `visible_packages`, and costs little to ask of many."""
    perhaps = Q(is_private=False)
    if identity.account is not None and identity.can(Ability.DOWNLOAD):
        perhaps |= Q(account=identity.account)
        if identity.user is not None:
            joined = Organization.objects.filter(memberships__user=identity.user)
            perhaps |= Q(account__in=joined.values("account"))
            perhaps |= _collaborations(identity, Permission.READ)
    return perhaps


def _names_within_limit(identity: Identity, condition: Q) -> list[int]:
    rows = Package.objects.filter(condition).values_list("pk", "name").distinct()
    return [pk for pk, name in rows.iterator() if within_package_limit(identity, name)]


def written_packages(identity: Identity) -> QuerySet[Package]:
    """The packages that they may write, of all accounts."""
    written = Q(account__in=manageable_accounts(identity).values("pk"))
    if identity.user is not None:
        written |= _collaborations(identity, Permission.WRITE)
    return Package.objects.filter(written, deleted_at=None).select_related("account")


def find_package(identity: Identity, account_name: str, package_name: str) -> Package:
    package = (
        visible_packages(identity)
        .filter(account__name=account_name.lower(), name=package_name)
        .first()
    )
    if package is None:
        raise NotFound
    return package


def find_package_to_write(identity: Identity, account_name: str, package_name: str) -> Package:
    """`find_package`, for acts of those who may write it: their token need not download."""
    package = (
        Package.objects.select_related("account")
        .filter(account__name=account_name.lower(), name=package_name, deleted_at=None)
        .first()
    )
    if package is None:
        raise NotFound
    writes = identity.can(Ability.WRITE) and publishable_names(
        identity, package.account, {package.name}
    )
    return package if writes else find_package(identity, account_name, package_name)


def may_download(identity: Identity, file: PackageFile, channel: Channel) -> bool:
    """Whether the bytes are theirs to fetch through ``channel``, which they may read."""
    if not (file.package.is_private or channel.is_private):
        return True
    if not within_package_limit(identity, file.name):
        return False
    return (
        not file.package.is_private
        or reads_privately(identity, channel.account)
        or (
            identity.can(Ability.DOWNLOAD)
            and package_permission(identity, file.package) is not None
        )
    )


def _sees_beyond_channels(identity: Identity) -> bool:
    """Whether those who may write a package are shown its files in channels they can't read, and
    in none, so that they can move them. A token limited to channels stays within them."""
    limited = identity.token is not None and bool(identity.token.channels)
    return not limited and (identity.can(Ability.READ) or identity.can(Ability.WRITE))


def _shown_files(identity: Identity, account: Account) -> Q:
    """Of files of visible packages: those in channels they may read; all, where they may write."""
    readable = ChannelFile.objects.filter(
        file=OuterRef("pk"), channel__in=visible_channels(identity, account).values("pk")
    )
    shown = Q(Exists(readable))
    if _sees_beyond_channels(identity) and account.suspended_at is None:
        if identity.standing is not None and account.pk in identity.standing.administered:
            return Q()
        shown |= Q(account__in=manageable_accounts(identity).values("pk"))
        if identity.user is not None:
            written = Package.objects.filter(account=account).filter(
                _collaborations(identity, Permission.WRITE)
            )
            shown |= Q(package__in=written.values("pk"))
    return shown


def visible_files(identity: Identity, package: Package) -> QuerySet[PackageFile]:
    """Files of a visible package: those in channels they may read; all, for who may write."""
    return (
        PackageFile.objects.staying()
        .filter(package=package)
        .filter(_shown_files(identity, package.account))
    )


def visible_files_of_account(identity: Identity, account: Account) -> QuerySet[PackageFile]:
    """The `visible_files` of all packages of the account, without asking for each of them."""
    return (
        PackageFile.objects.staying()
        .filter(account=account, package__in=visible_packages(identity, account).values("pk"))
        .filter(_shown_files(identity, account))
        .select_related("account", "package")
    )


def find_file(identity: Identity, account_name: str, subdir: str, filename: str) -> PackageFile:
    account = find_account(account_name)
    file = (
        visible_files_of_account(identity, account).filter(subdir=subdir, filename=filename).first()
    )
    if file is None:
        raise NotFound
    return file


# --- Publishing --------------------------------------------------------------------------------


def package_permission(identity: Identity, package: Package) -> str | None:
    """The highest permission they hold on a package by role, group and collaboration."""
    return permission_on(identity, package.account, package.name)


def permission_on(identity: Identity, account: Account, package_name: str) -> str | None:
    """The same by name, for a package that may not exist yet."""
    role = role_in(identity, account)
    if role is not None and role_covers(role, Role.ADMIN):
        return Permission.ADMIN
    if identity.user is None or account.suspended_at is not None:
        return None
    over_all = _groups(identity).filter(organization__account=account, all_packages=True)
    named = Collaborator.objects.filter(
        package__account=account, package__name=package_name
    ).filter(Q(user=identity.user) | Q(group__in=_groups(identity)))
    permissions = over_all.order_by().values_list("permission", flat=True)
    held = set(permissions.union(named.values_list("permission", flat=True)))
    if role is not None:
        held.add(Permission.READ)
    order = [Permission.ADMIN, Permission.WRITE, Permission.READ]
    return next((p.value for p in order if p in held), None)


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
    _require_within_limits(identity, channel_name, None)
    administers = may_administer(identity, account)
    if not administers and not writes_anything(identity, account):
        raise Forbidden(
            gettext(
                "%(identity)s may not publish to %(account)s. Ask an admin of %(account)s "
                "for the permission to write."
            )
            % {"identity": identity.name, "account": account.name}
        )
    channel = Channel.objects.filter(account=account, name=channel_name).first()
    if channel is not None:
        channel.account = account
        if not may_read_channel_by_role(identity, channel):
            raise NotFound
    else:
        _refuse_given_away(identity, account, channel_name)
        _require_new_channel(identity, account)
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


def may_read_channel_by_role(identity: Identity, channel: Channel) -> bool:
    """Like `may_read_channel`, whatever the scopes: an upload token need not download."""
    return not channel.is_private or role_in(identity, channel.account) is not None


def writes_anything(identity: Identity, account: Account) -> bool:
    """Whether a group or a collaboration lets them publish there."""
    if identity.user is None or account.suspended_at is not None:
        return False
    levels = permissions_covering(Permission.WRITE)
    return (
        _groups(identity)
        .filter(organization__account=account, all_packages=True, permission__in=levels)
        .exists()
        or Collaborator.objects.filter(package__account=account, permission__in=levels)
        .filter(Q(user=identity.user) | Q(group__in=_groups(identity)))
        .exists()
    )


def publishable_accounts(identity: Identity) -> QuerySet[Account]:
    """The accounts where they may publish anything: by role, by a group, or by one package."""
    condition = Q(pk__in=manageable_accounts(identity).values("pk"))
    if identity.user is not None:
        levels = permissions_covering(Permission.WRITE)
        over_all = _groups(identity).filter(all_packages=True, permission__in=levels)
        written = Package.objects.filter(_collaborations(identity, Permission.WRITE))
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
        _require_within_limits(identity, destination.channel_name, name)
    publishable = publishable_names(identity, destination.account, set(names))
    for name in names:
        if name not in publishable:
            raise not_publishable(identity, destination, name)


def publishable_names(identity: Identity, account: Account, names: set[str]) -> set[str]:
    """Those of the package names that they may publish there, known or new."""
    names = {name for name in names if within_package_limit(identity, name)}
    if may_administer(identity, account):
        return names
    if identity.user is None or account.suspended_at is not None:
        return set()
    levels = permissions_covering(Permission.WRITE)
    over_all = _groups(identity).filter(
        organization__account=account, all_packages=True, permission__in=levels
    )
    if over_all.exists():
        return names
    named = Collaborator.objects.filter(
        package__account=account, package__name__in=names, permission__in=levels
    ).filter(Q(user=identity.user) | Q(group__in=_groups(identity)))
    return set(named.values_list("package__name", flat=True))


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


# --- Managing ----------------------------------------------------------------------------------


def require_package(
    identity: Identity, package: Package, needed: Permission, ability: Ability = Ability.WRITE
) -> None:
    """Refuse whoever does not hold ``needed`` on a package that they may see."""
    require_ability(identity, ability)
    _require_within_limits(identity, None, package.name)
    held = package_permission(identity, package)
    if held is None or not permission_covers(held, needed):
        raise _permission_needed(needed, package.account, package.name)


def require_writing(identity: Identity, account: Account, package_names: Collection[str]) -> None:
    """Refuse who may not write all of these packages of the account."""
    require_ability(identity, Ability.WRITE)
    names = sorted(set(package_names))
    for name in names:
        _require_within_limits(identity, None, name)
    writable = publishable_names(identity, account, set(names))
    for name in names:
        if name not in writable:
            raise _permission_needed(Permission.WRITE, account, name)


def _permission_needed(needed: Permission, account: Account, name: str) -> Forbidden:
    return Forbidden(
        gettext(
            "This needs the permission to %(value)s %(name)s. Admins of %(account)s can give it."
        )
        % {"value": needed.value, "name": name, "account": account.name}
    )


def may_package(identity: Identity, package: Package, needed: Permission) -> bool:
    """The question of `require_package` for pages, which show no act that is not theirs."""
    held = package_permission(identity, package)
    return held is not None and permission_covers(held, needed)


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
        _require_within_limits(identity, None, file.name)
    except Forbidden as refusal:
        return refusal
    return _permission_needed(Permission.WRITE, file.account, file.name)


def require_channel_write(identity: Identity, channel: Channel) -> None:
    """Refuse changes to what stands in a channel, as far as the channel itself decides."""
    require_ability(identity, Ability.WRITE)
    _require_within_limits(identity, channel.name, None)
    if not may_read_channel_by_role(identity, channel):
        raise NotFound


def _refuse_package_limits(identity: Identity) -> None:
    token = identity.token
    if token is not None and token.packages:
        raise Forbidden(
            gettext(
                "This token is limited to the packages %(packages)s, and a channel concerns "
                "all that stand in it. Use another token."
            )
            % {"packages": ", ".join(token.packages)}
        )


def require_manage_channels(
    identity: Identity,
    account: Account,
    channel_name: str,
    ability: Ability = Ability.WRITE,
) -> None:
    """Refuse creating, changing or deleting a channel."""
    require_ability(identity, ability)
    _require_within_limits(identity, channel_name, None)
    _refuse_package_limits(identity)
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
    _require_within_limits(identity, channel_name, None)
    _refuse_package_limits(identity)
    if not may_create_channels(identity, account):
        raise _no_new_channels(account)


def _require_new_channel(identity: Identity, account: Account) -> None:
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
