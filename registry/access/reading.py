"""Who may know of what, and read it. Finding and authorizing are one step."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.identity import Identity
from accounts.models import Account, Organization, User
from accounts.rights import manageable_accounts, memberships_in_force, role_in
from accounts.roles import Permission
from accounts.scopes import Ability
from portal.errors import NotFound
from portal.prepared import Prepared
from registry.access.limits import within_channel_limit, within_package_limit
from registry.access.permissions import collaborations_of, package_permission, publishable_names
from registry.models import Channel, ChannelFile, MovedChannel, Package, PackageFile, Removal


def find_account(name: str) -> Account:
    """The account of that name, however it is capitalised. Accounts are known to everybody."""
    try:
        return cast(Account, _ACCOUNT.get(name.lower()))
    except Account.DoesNotExist:
        raise NotFound from None


_ACCOUNT = Prepared(
    lambda name: Account.objects.select_related("user", "organization").filter(name=name), str
)


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


def may_read_channel_by_role(identity: Identity, channel: Channel) -> bool:
    """Like `may_read_channel`, whatever the scopes: an upload token need not download."""
    return not channel.is_private or role_in(identity, channel.account) is not None


def find_channel(identity: Identity, account_name: str, channel_name: str) -> Channel:
    """The channel, if they may know of it; one query for a public one."""
    try:
        channel = cast(Channel, _CHANNEL.get(account_name.lower(), channel_name))
    except Channel.DoesNotExist:
        raise NotFound from None
    if not may_read_channel(identity, channel):
        raise NotFound
    return channel


_CHANNEL = Prepared(
    lambda account_name, name: Channel.objects.select_related("account").filter(
        account__name=account_name, name=name
    ),
    str,
    str,
)


def channel_by_name(account: Account, name: str) -> Channel | None:
    """The channel of that name, whoever may know of it."""
    try:
        channel = cast(Channel, _CHANNEL_BY_NAME.get(account.pk, name))
    except Channel.DoesNotExist:
        return None
    channel.account = account
    return channel


_CHANNEL_BY_NAME = Prepared(
    lambda account_id, name: Channel.objects.filter(account=account_id, name=name).order_by(),
    int,
    str,
)


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


def visible_packages(
    identity: Identity, account: Account | None = None, *, of_few: bool = False
) -> QuerySet[Package]:
    """Packages they may know of.

    Public ones that stand in a public channel, or stood in one and now stand in none (its page
    then says where it went), and all of their accounts and of those they collaborate on. ``of_few``
    is for who goes on to name some of all there are.
    """
    packages = Package.objects.select_related("account").filter(deleted_at=None)
    if account is not None:
        packages = packages.filter(account=account)
        if _belongs(identity, account):
            return packages
    somewhere = ChannelFile.objects.filter(file__package=OuterRef("pk"))
    stood_in_public = Removal.objects.filter(
        channel__account=OuterRef("account"),
        channel__visibility=Channel.Visibility.PUBLIC,
        package_name=OuterRef("name"),
    )
    if account is not None or of_few:
        # Implied. Without a comparison PostgreSQL reads all files there are into a table of its
        # own, to show a page of fifty packages.
        somewhere = somewhere.filter(file__package__lte=OuterRef("pk"))
        stood_in_public = stood_in_public.filter(package_name__lte=OuterRef("name"))
    in_public = somewhere.filter(channel__visibility=Channel.Visibility.PUBLIC)
    known = Q(Exists(in_public)) | (~Q(Exists(somewhere)) & Q(Exists(stood_in_public)))
    visible = Q(is_private=False) & known
    acting = identity.account
    if acting is not None and identity.can(Ability.DOWNLOAD):
        private = Q(account=acting)
        if identity.user is not None:
            private |= Q(account__in=_joined(identity, identity.user))
            private |= collaborations_of(identity, Permission.READ)
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
            perhaps |= Q(account__in=_joined(identity, identity.user))
            perhaps |= collaborations_of(identity, Permission.READ)
    return perhaps


def known_by_a_file(identity: Identity) -> QuerySet[Package]:
    """Those of the `visible_packages` of which they are shown a file: what else is asked of all
    follows from that. For sessions, which no token limits."""
    return Package.objects.filter(perhaps_visible(identity), deleted_at=None)


def _names_within_limit(identity: Identity, condition: Q) -> list[int]:
    rows = Package.objects.filter(condition).values_list("pk", "name").distinct()
    return [pk for pk, name in rows.iterator() if within_package_limit(identity, name)]


def written_packages(identity: Identity) -> QuerySet[Package]:
    """The packages that they may write, of all accounts."""
    written = Q(account__in=manageable_accounts(identity).values("pk"))
    if identity.user is not None:
        written |= collaborations_of(identity, Permission.WRITE)
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


def _shown_files(identity: Identity, account: Account, *, of_few: bool = False) -> Q:
    """Of files of visible packages: those in channels they may read; all, where they may write."""
    readable = ChannelFile.objects.filter(
        file=OuterRef("pk"), channel__in=visible_channels(identity, account).values("pk")
    )
    if of_few:
        # Implied. Without a comparison PostgreSQL reads all that the channels list into a table of
        # its own, which is worth it for many files.
        readable = readable.filter(file__lte=OuterRef("pk"))
    shown = Q(Exists(readable))
    if _sees_beyond_channels(identity) and account.suspended_at is None:
        if identity.standing is not None and account.pk in identity.standing.administered:
            return Q()
        shown |= Q(account__in=manageable_accounts(identity).values("pk"))
        if identity.user is not None:
            written = Package.objects.filter(account=account).filter(
                collaborations_of(identity, Permission.WRITE)
            )
            shown |= Q(package__in=written.values("pk"))
    return shown


def visible_files(identity: Identity, package: Package) -> QuerySet[PackageFile]:
    """Files of a visible package: those in channels they may read; all, for who may write."""
    return shown_files_of(identity, package.account, package)


def shown_files_of(
    identity: Identity, account: Account, package: Package | OuterRef
) -> QuerySet[PackageFile]:
    """The `visible_files` of a package of the account, or of the one that a query comes to."""
    return (
        PackageFile.objects.staying()
        .filter(package=package)
        .filter(_shown_files(identity, account))
    )


def shown_files(identity: Identity, account: Account) -> QuerySet[PackageFile]:
    """Of packages of the account that they may know of, the files that they see: for lists of
    packages, which were asked of already."""
    return (
        PackageFile.objects.staying()
        .filter(account=account)
        .filter(_shown_files(identity, account))
    )


def visible_files_of_account(
    identity: Identity, account: Account, among: Q | None = None, *, in_order: bool = False
) -> QuerySet[PackageFile]:
    """The `visible_files` of all packages of the account, or those of them that are ``among``.

    Their packages are asked of at once, which is more than the first few files of many are worth:
    for a page ``in_order`` of an index each file is asked for its package, and nothing after the
    last one on the page. ``among`` need not say whose the files are, which follows from their
    packages: said beside what an index of its own has, it has databases walk through all of the
    account's.
    """
    packages = visible_packages(identity, account)
    files = PackageFile.objects.filter(Q(account=account) if among is None else among)
    if in_order:
        files = files.filter(Exists(packages.filter(pk=OuterRef("package"))))
    else:
        if among is not None:
            packages = packages.filter(pk__in=files.order_by().values("package"))
        files = files.filter(package__in=packages.values("pk"))
    return (
        files.staying()
        .filter(_shown_files(identity, account, of_few=in_order))
        .select_related("account", "package")
    )


def listed_files(
    identity: Identity,
    account: Account,
    *,
    package: str = "",
    channel: str = "",
    filename: str = "",
    **others: str,
) -> QuerySet[PackageFile]:
    """The `visible_files_of_account` that are called so, for pages of a list in order of
    ``-place``: the newest come first. ``others`` are fields of files. Raises `NotFound` of a
    channel that they may not know of.

    It goes along one index, which has what is named in the order of the list, or of a filename
    the few files of the name.
    """
    place = F("pk")
    among = None
    listed = find_channel(identity, account.name, channel) if channel else None
    if filename:
        # Apart: with an order to keep, SQLite goes through all files of the account instead.
        named = PackageFile.objects.filter(account=account, filename=filename)
        among = Q(pk__in=named.values("pk"))
        others |= {"name": package} if package else {}
    elif package:
        row = Package.objects.filter(account=account, name=package).first()
        among = Q(package=row) if row else Q(pk__in=[])
    elif listed is not None:
        # The same key, as the index of the channel's entries has it.
        among, place = Q(entries__channel=listed), F("entries__file_id")
    files = visible_files_of_account(identity, account, among, in_order=True)
    if listed is not None and (filename or package):
        standing = ChannelFile.objects.filter(channel=listed, file=OuterRef("pk"))
        files = files.filter(Exists(standing))
    return files.filter(**others).annotate(place=place)


def find_file(identity: Identity, account_name: str, subdir: str, filename: str) -> PackageFile:
    account = find_account(account_name)
    named = Q(account=account, subdir=subdir, filename=filename)
    file = visible_files_of_account(identity, account, named).first()
    if file is None:
        raise NotFound
    return file
