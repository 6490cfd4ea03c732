"""Deciding who may do what with a package: collaborators, groups, privacy."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.identity import Identity
from accounts.models import Group, User
from accounts.roles import Permission
from portal.errors import Conflict, InvalidInput
from registry import access
from registry.hiding import hide_or_show
from registry.models import Collaborator, Package


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
        raise InvalidInput("Name either a user or a group as the collaborator.")
    if group is not None and group.organization.account_id != package.account_id:
        raise Conflict(f"The group {group.name} is not one of {package.account.name}.")
    if user is not None and user.account_id == package.account_id:
        raise Conflict(f"{user.username} owns {package.name} already.")
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
