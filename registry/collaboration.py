"""Deciding who may do what with a package: collaborators, groups, privacy."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import audit
from accounts.factors import second_factor_of
from accounts.identity import Identity
from accounts.models import (
    Account,
    Group,
    GroupMember,
    Membership,
    Organization,
    Token,
    User,
)
from accounts.rights import require_admin
from accounts.roles import Permission, Role, permissions_covering
from accounts.scopes import Ability, abilities
from portal.errors import Conflict, InvalidInput
from portal.sentences import gettext
from registry import access
from registry.hiding import hide_or_show
from registry.models import Collaborator, Package

MAX_CHOSEN = 500


@transaction.atomic
def set_collaborator(
    *,
    by: Identity,
    package: Package,
    permission: Permission,
    user: User | None = None,
    group: Group | None = None,
) -> tuple[Collaborator, bool]:
    """Give a user or a group a permission on ``package``, or change it; True when it is new."""
    access.require_collaborators(by, package)
    if (user is None) == (group is None):
        raise InvalidInput(gettext("Name either a user or a group as the collaborator."))
    if group is not None and group.organization.account_id != package.account_id:
        raise Conflict(
            gettext("The group %(group)s is not one of %(account)s.")
            % {"group": group.name, "account": package.account.name}
        )
    if user is not None and user.account_id == package.account_id:
        raise Conflict(
            gettext("%(user)s owns %(package)s already.")
            % {"user": user.username, "package": package.name}
        )
    collaborator, created = Collaborator.objects.get_or_create(
        package=package,
        user=user,
        group=group,
        defaults={"permission": permission, "added_by": by.user},
    )
    before = None if created else collaborator.permission
    if before != permission:
        collaborator.permission = permission
        collaborator.save(update_fields=["permission"])
        audit.record(
            by=by,
            account=package.account,
            action="collaborator.add" if created else "collaborator.change",
            target=f"{package.name}: {_who(collaborator)}",
            detail={"permission": str(permission), "before": before},
        )
    return collaborator, created


@transaction.atomic
def remove_collaborator(*, by: Identity, collaborator: Collaborator) -> None:
    """Take a permission away; it is gone at the next request, with their tokens too."""
    package = collaborator.package
    access.require_collaborators(by, package)
    audit.record(
        by=by,
        account=package.account,
        action="collaborator.remove",
        target=f"{package.name}: {_who(collaborator)}",
        detail={"permission": collaborator.permission},
    )
    collaborator.delete()


def _who(collaborator: Collaborator) -> str:
    if collaborator.user is not None:
        return collaborator.user.username
    return f"group {collaborator.group.name}" if collaborator.group is not None else "nobody"


@transaction.atomic
def set_privacy(*, by: Identity, package: Package, is_private: bool) -> bool:
    """Hide a package from all but members and collaborators, or show it; True when changed."""
    access.require_whole_package(by, package, Permission.ADMIN)
    if not hide_or_show(package, is_private=is_private):
        return False
    audit.record(
        by=by,
        account=package.account,
        action="package.hide" if is_private else "package.show",
        target=package.name,
    )
    return True


@transaction.atomic
def choose_packages(
    *, by: Identity, group: Group, shown: Sequence[str], chosen: Sequence[str]
) -> tuple[int, int]:
    """Have a group be for those of the ``shown`` packages that are ``chosen``, with its own
    permission, and for none of the others; how many were added, and removed.

    What the group holds already on a chosen package stays as it is.
    """
    organization = Organization.objects.locked(group.organization)
    require_admin(by, organization.account, Ability.MODIFY_GROUPS)
    names = set(shown) | set(chosen)
    if len(names) > MAX_CHOSEN:
        raise InvalidInput(
            gettext("There are %(names)s packages; choose among %(max_chosen)s at a time.")
            % {"names": len(names), "max_chosen": MAX_CHOSEN}
        )
    packages = Package.objects.filter(account=organization.account, name__in=names, deleted_at=None)
    held = set(
        Collaborator.objects.filter(group=group, package__in=packages).values_list(
            "package", flat=True
        )
    )
    wanted = set(chosen)
    added = [p for p in packages.order_by("name") if p.name in wanted and p.pk not in held]
    removed = [p for p in packages.order_by("name") if p.name not in wanted and p.pk in held]
    Collaborator.objects.bulk_create(
        Collaborator(package=package, group=group, permission=group.permission, added_by=by.user)
        for package in added
    )
    Collaborator.objects.filter(group=group, package__in=removed).delete()
    for action, some in (("collaborator.add", added), ("collaborator.remove", removed)):
        audit.record_all(
            by=by,
            account=organization.account,
            action=action,
            lines=[
                (f"{package.name}: group {group.name}", {"permission": group.permission})
                for package in some
            ],
        )
    return len(added), len(removed)


# --- Tokens that reach a package ---------------------------------------------------------------

_CHANGING = {
    Ability.WRITE,
    Ability.CHANNEL_UPLOAD,
    Ability.MODIFY_GROUPS,
    Ability.ADMINISTER,
}


def _holders(package: Package, needed: Permission) -> QuerySet[Account]:
    """The accounts that hold ``needed`` on the package: it's their own, or by role, by a group or
    as a collaborator."""
    levels = permissions_covering(needed)
    account = package.account
    by_role = [Role.OWNER, Role.ADMIN, *([Role.MEMBER] if needed == Permission.READ else [])]
    # A membership without a second factor that is asked for gives nothing.
    in_force = Q(organization__requires_second_factor=False) | second_factor_of("user_id")
    groups_in_force = Q(group__organization__requires_second_factor=False) | second_factor_of(
        "user_id"
    )
    members = Membership.objects.filter(in_force, organization__account=account, role__in=by_role)
    over_all = GroupMember.objects.filter(
        groups_in_force,
        group__organization__account=account,
        group__all_packages=True,
        group__permission__in=levels,
    )
    through_groups = GroupMember.objects.filter(
        groups_in_force,
        group__collaborations__package=package,
        group__collaborations__permission__in=levels,
    )
    named = Collaborator.objects.filter(package=package, permission__in=levels, user__isnull=False)
    people = User.objects.filter(
        Q(pk__in=members.values("user"))
        | Q(pk__in=over_all.values("user"))
        | Q(pk__in=through_groups.values("user"))
        | Q(pk__in=named.values("user"))
    )
    return Account.objects.filter(Q(pk=account.pk) | Q(pk__in=people.values("account")))


def reaching_tokens(package: Package, *, at_most: int) -> list[Token]:
    """The tokens that can change the package, or that can read it where it is private.

    What a token may follows from its scopes, its limits and what its owner holds now.
    """
    changing = set(_holders(package, Permission.WRITE).values_list("pk", flat=True))
    needed = Permission.READ if package.is_private else Permission.WRITE
    candidates = (
        Token.objects.filter(account__in=_holders(package, needed).values("pk"))
        .usable()
        .select_related("account")
        .order_by("account__name", "name", "id")
    )
    found: list[Token] = []
    for token in candidates.iterator(chunk_size=500):
        may = abilities(token.scopes)
        changes = token.account_id in changing and bool(may & _CHANGING)
        reads = package.is_private and Ability.DOWNLOAD in may
        inside = not token.packages or any(
            fnmatch.fnmatchcase(package.name, pattern) for pattern in token.packages
        )
        if inside and (changes or reads):
            found.append(token)
            if len(found) == at_most:
                break
    return found
