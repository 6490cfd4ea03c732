"""What somebody holds on packages: by role, through groups, and by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db.models import Q, QuerySet

from accounts.identity import Identity
from accounts.models import Account, Group
from accounts.rights import groups_in_force, may_administer, role_in
from accounts.roles import Permission, Role, permission_covers, permissions_covering, role_covers
from portal.errors import Forbidden
from portal.sentences import gettext
from registry.access.limits import within_package_limit
from registry.models import Collaborator, Package


def groups_of(identity: Identity) -> QuerySet[Group]:
    if identity.standing is not None:
        return Group.objects.filter(pk__in=identity.standing.groups)
    return groups_in_force(identity.user) if identity.user else Group.objects.none()


def collaborations_of(identity: Identity, needed: Permission) -> Q:
    """Packages that they hold ``needed`` on by name: as collaborator or through a group."""
    levels = permissions_covering(needed)
    groups = groups_of(identity)
    named = Collaborator.objects.filter(
        Q(user=identity.user) | Q(group__in=groups), permission__in=levels
    )
    standing = identity.standing
    if standing is not None:
        over_all = Q(account__in=_accounts_giving(standing.over_all, levels))
        is_named = bool(_accounts_giving(standing.by_name, levels))
        return over_all | Q(pk__in=named.values("package")) if is_named else over_all
    over_all_groups = groups.filter(all_packages=True, permission__in=levels)
    return Q(pk__in=named.values("package")) | Q(
        account__in=over_all_groups.order_by().values("organization__account")
    )


def _accounts_giving(rights: Mapping[int, Collection[str]], levels: Collection[str]) -> list[int]:
    return [account for account, held in rights.items() if not set(levels).isdisjoint(held)]


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
    held = _held(identity, account, package_name)
    if role is not None:
        held.add(Permission.READ)
    order = [Permission.ADMIN, Permission.WRITE, Permission.READ]
    return next((p.value for p in order if p in held), None)


def _held(identity: Identity, account: Account, package_name: str) -> set[str]:
    """What groups give them, over all packages or this one, and what the package itself does."""
    standing = identity.standing
    named = _naming(identity, account).filter(package__name=package_name)
    by_name = named.values_list("permission", flat=True)
    if standing is not None:
        held = set(standing.over_all.get(account.pk, ()))
        if account.pk in standing.by_name:
            held |= standing.named(account.pk, package_name, by_name)
        return held
    groups = groups_of(identity).filter(organization__account=account, all_packages=True)
    return set(groups.order_by().values_list("permission", flat=True).union(by_name))


def _naming(identity: Identity, account: Account) -> QuerySet[Collaborator]:
    """Where packages of the account name them, or a group of theirs."""
    theirs = Q(user=identity.user) | Q(group__in=groups_of(identity))
    return Collaborator.objects.filter(theirs, package__account=account)


def _writes_all(identity: Identity, account: Account) -> bool:
    """Whether a group lets them write all packages of the account."""
    levels = permissions_covering(Permission.WRITE)
    if identity.standing is not None:
        return account.pk in _accounts_giving(identity.standing.over_all, levels)
    groups = groups_of(identity).filter(
        organization__account=account, all_packages=True, permission__in=levels
    )
    return groups.exists()


def may_package(identity: Identity, package: Package, needed: Permission) -> bool:
    """The question of `require_package` for pages, which show no act that is not theirs."""
    held = package_permission(identity, package)
    return held is not None and permission_covers(held, needed)


def writes_anything(identity: Identity, account: Account) -> bool:
    """Whether a group or a collaboration lets them publish there."""
    if identity.user is None or account.suspended_at is not None:
        return False
    if _writes_all(identity, account):
        return True
    levels = permissions_covering(Permission.WRITE)
    if identity.standing is not None:
        return account.pk in _accounts_giving(identity.standing.by_name, levels)
    return _naming(identity, account).filter(permission__in=levels).exists()


def publishable_names(identity: Identity, account: Account, names: set[str]) -> set[str]:
    """Those of the package names that they may publish there, known or new."""
    names = {name for name in names if within_package_limit(identity, name)}
    if may_administer(identity, account):
        return names
    if identity.user is None or account.suspended_at is not None:
        return set()
    if _writes_all(identity, account):
        return names
    levels = permissions_covering(Permission.WRITE)
    if identity.standing is not None and len(names) == 1:
        # Pages of one package, which ask for what is held on it anyway.
        [name] = names
        return set() if _held(identity, account, name).isdisjoint(levels) else names
    named = _naming(identity, account).filter(package__name__in=names, permission__in=levels)
    return set(named.values_list("package__name", flat=True))


def permission_needed(needed: Permission, account: Account, name: str) -> Forbidden:
    return Forbidden(
        gettext(
            "This needs the permission to %(value)s %(name)s. Admins of %(account)s can give it."
        )
        % {"value": needed.value, "name": name, "account": account.name}
    )
