"""What somebody holds on packages: by role, through groups, and by name."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.identity import Identity
from accounts.models import Account, Group
from accounts.rights import groups_in_force, may_administer, role_in
from accounts.roles import Permission, Role, permission_covers, permissions_covering, role_covers
from portal.errors import Forbidden
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
    over_all = groups.filter(all_packages=True, permission__in=levels)
    return Q(pk__in=named.values("package")) | Q(
        account__in=over_all.order_by().values("organization__account")
    )


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
    over_all = groups_of(identity).filter(organization__account=account, all_packages=True)
    named = Collaborator.objects.filter(
        package__account=account, package__name=package_name
    ).filter(Q(user=identity.user) | Q(group__in=groups_of(identity)))
    permissions = over_all.order_by().values_list("permission", flat=True)
    held = set(permissions.union(named.values_list("permission", flat=True)))
    if role is not None:
        held.add(Permission.READ)
    order = [Permission.ADMIN, Permission.WRITE, Permission.READ]
    return next((p.value for p in order if p in held), None)


def may_package(identity: Identity, package: Package, needed: Permission) -> bool:
    """The question of `require_package` for pages, which show no act that is not theirs."""
    held = package_permission(identity, package)
    return held is not None and permission_covers(held, needed)


def writes_anything(identity: Identity, account: Account) -> bool:
    """Whether a group or a collaboration lets them publish there."""
    if identity.user is None or account.suspended_at is not None:
        return False
    levels = permissions_covering(Permission.WRITE)
    return (
        groups_of(identity)
        .filter(organization__account=account, all_packages=True, permission__in=levels)
        .exists()
        or Collaborator.objects.filter(package__account=account, permission__in=levels)
        .filter(Q(user=identity.user) | Q(group__in=groups_of(identity)))
        .exists()
    )


def publishable_names(identity: Identity, account: Account, names: set[str]) -> set[str]:
    """Those of the package names that they may publish there, known or new."""
    names = {name for name in names if within_package_limit(identity, name)}
    if may_administer(identity, account):
        return names
    if identity.user is None or account.suspended_at is not None:
        return set()
    levels = permissions_covering(Permission.WRITE)
    over_all = groups_of(identity).filter(
        organization__account=account, all_packages=True, permission__in=levels
    )
    if over_all.exists():
        return names
    named = Collaborator.objects.filter(
        package__account=account, package__name__in=names, permission__in=levels
    ).filter(Q(user=identity.user) | Q(group__in=groups_of(identity)))
    return set(named.values_list("package__name", flat=True))


def permission_needed(needed: Permission, account: Account, name: str) -> Forbidden:
    return Forbidden(
        gettext(
            "This needs the permission to %(value)s %(name)s. Admins of %(account)s can give it."
        )
        % {"value": needed.value, "name": name, "account": account.name}
    )
