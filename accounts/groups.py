"""Acts on the groups of an organization."""

from __future__ import annotations

import re

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, membership, rights
from accounts.identity import Identity
from accounts.models import Group, GroupMember, Membership, Organization, User
from accounts.roles import Permission, Role
from accounts.scopes import Ability
from portal.errors import Conflict, InvalidInput, NotFound
from portal.sentences import gettext

MAX_NAME_LENGTH = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*\Z")
# Whoever has the role owner, and the page where groups are made.
RESERVED = frozenset({"owners", "new"})


def held_groups(identity: Identity, organization: Organization) -> QuerySet[Group]:
    """The groups through which they hold something: all, for who administers the organization."""
    groups = Group.objects.filter(organization=organization)
    if rights.may_administer(identity, organization.account):
        return groups
    return groups.filter(members__user=identity.user) if identity.user else groups.none()


def _begin(by: Identity, organization: Organization) -> Organization:
    held = Organization.objects.locked(organization)
    rights.require_admin(by, held.account, Ability.MODIFY_GROUPS)
    return held


def _clean_name(organization: Organization, name: str, *, besides: Group | None = None) -> str:
    """The name as it is kept; names that differ in capital letters only count as the same."""
    name = name.strip()
    reason = ""
    if not name or len(name) > MAX_NAME_LENGTH or not _NAME.match(name):
        reason = gettext(
            "Use at most %(max_name_length)s letters, digits, spaces, dots, dashes and "
            "underscores, and begin with a letter or a digit."
        ) % {"max_name_length": MAX_NAME_LENGTH}
    elif name.lower() in RESERVED:
        reason = gettext("The name %(name)s is reserved. Choose another.") % {"name": name}
    if reason:
        raise InvalidInput(
            gettext("The group's name is not usable. %(reason)s") % {"reason": reason},
            {"name": [reason]},
        )
    same = Group.objects.filter(organization=organization, name__iexact=name)
    if besides is not None:
        same = same.exclude(pk=besides.pk)
    if same.exists():
        raise Conflict(
            gettext("%(account)s already has a group %(name)s.")
            % {"account": organization.account.name, "name": name}
        )
    return name


def _clean_permission(permission: str) -> Permission:
    try:
        return Permission(permission)
    except ValueError:
        known = ", ".join(Permission.values)
        reason = gettext(
            "There is no permission %(permission)r. The permissions are: %(known)s."
        ) % {"permission": permission, "known": known}
        raise InvalidInput(reason, {"permission": [reason]}) from None


def _clean_description(description: str) -> str:
    description = description.strip()
    if len(description) > 255:
        reason = gettext(
            "The description has %(description)s characters; at most 255 are kept."
        ) % {"description": len(description)}
        raise InvalidInput(reason, {"description": [reason]})
    return description


@transaction.atomic
def create_group(
    *,
    by: Identity,
    organization: Organization,
    name: str,
    permission: str = Permission.READ,
    all_packages: bool = False,
    description: str = "",
) -> Group:
    organization = _begin(by, organization)
    group = Group.objects.create(
        organization=organization,
        name=_clean_name(organization, name),
        permission=_clean_permission(permission),
        all_packages=all_packages,
        description=_clean_description(description),
    )
    audit.record(
        by=by,
        account=organization.account,
        action="group.create",
        target=group.name,
        detail={"permission": group.permission, "all_packages": all_packages},
    )
    return group


def _current(group: Group) -> Group:
    """The group as it is now; call it while the organization's row is held."""
    current = Group.objects.select_related("organization__account").filter(pk=group.pk).first()
    if current is None:
        raise NotFound
    return current


@transaction.atomic
def change_group(
    *,
    by: Identity,
    group: Group,
    name: str | None = None,
    permission: str | None = None,
    all_packages: bool | None = None,
    description: str | None = None,
) -> Group:
    """Change what is given; the event tells what was before. No change writes no event."""
    organization = _begin(by, group.organization)
    group = _current(group)
    wanted: dict[str, object] = {}
    if name is not None:
        wanted["name"] = _clean_name(organization, name, besides=group)
    if permission is not None:
        wanted["permission"] = _clean_permission(permission).value
    if all_packages is not None:
        wanted["all_packages"] = all_packages
    if description is not None:
        wanted["description"] = _clean_description(description)
    changed = {key: value for key, value in wanted.items() if getattr(group, key) != value}
    if not changed:
        return group
    before = {key: getattr(group, key) for key in changed}
    for key, value in changed.items():
        setattr(group, key, value)
    group.save(update_fields=list(changed))
    audit.record(
        by=by,
        account=organization.account,
        action="group.change",
        target=group.name,
        detail={"before": before, "after": changed},
    )
    return group


@transaction.atomic
def delete_group(*, by: Identity, group: Group) -> None:
    """Delete the group and what it gave; its members stay members of the organization."""
    organization = _begin(by, group.organization)
    group = _current(group)
    members = GroupMember.objects.filter(group=group)
    names = list(members.order_by("user__username").values_list("user__username", flat=True))
    audit.record(
        by=by,
        account=organization.account,
        action="group.delete",
        target=group.name,
        detail={"permission": group.permission, "members": names},
    )
    group.delete()


@transaction.atomic
def add_to_group(*, by: Identity, group: Group, user: User) -> GroupMember:
    organization = _begin(by, group.organization)
    group = _current(group)
    if not Membership.objects.filter(organization=organization, user=user).exists():
        raise InvalidInput(
            gettext("%(user)s is not a member of %(account)s. Invite them first.")
            % {"user": user.username, "account": organization.account.name}
        )
    member, created = GroupMember.objects.get_or_create(
        group=group, user=user, defaults={"added_by": by.user}
    )
    if not created:
        raise Conflict(
            gettext("%(user)s is in the group %(group)s already.")
            % {"user": user.username, "group": group.name}
        )
    audit.record(
        by=by,
        account=organization.account,
        action="group.add-member",
        target=f"{group.name}: {user.username}",
    )
    return member


@transaction.atomic
def enlist(*, by: Identity, group: Group, user: User) -> bool:
    """Have ``user`` be in the group, and a member of the organization if they are none yet.
    False when they were in it already."""
    organization = _begin(by, group.organization)
    if GroupMember.objects.filter(group=group, user=user).exists():
        return False
    if not Membership.objects.filter(organization=organization, user=user).exists():
        membership.add_member(by=by, organization=organization, user=user, role=Role.MEMBER)
    add_to_group(by=by, group=group, user=user)
    return True


@transaction.atomic
def remove_from_group(*, by: Identity, group: Group, user: User) -> None:
    organization = _begin(by, group.organization)
    group = _current(group)
    deleted, _ = GroupMember.objects.filter(group=group, user=user).delete()
    if not deleted:
        raise NotFound
    audit.record(
        by=by,
        account=organization.account,
        action="group.remove-member",
        target=f"{group.name}: {user.username}",
    )
