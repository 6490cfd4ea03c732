"""Roles in an organization and permissions on packages, and which outranks which."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy


class Role(models.TextChoices):
    """What a member is in an organization."""

    OWNER = "owner", gettext_lazy("Owner")  # everything, also deleting the organization
    ADMIN = "admin", gettext_lazy("Admin")  # people, groups, tokens, channels, all packages
    MEMBER = "member", gettext_lazy("Member")  # reads; writes what groups and packages give


class Permission(models.TextChoices):
    """What a group or a collaborator may do with a package."""

    READ = "read", gettext_lazy("Read")  # sees and downloads
    WRITE = "write", gettext_lazy("Write")  # also uploads, moves, removes, edits the description
    ADMIN = "admin", gettext_lazy("Admin")  # also decides who may, visibility, deletion


_ROLE_RANK = {Role.MEMBER: 1, Role.ADMIN: 2, Role.OWNER: 3}
_PERMISSION_RANK = {Permission.READ: 1, Permission.WRITE: 2, Permission.ADMIN: 3}


def role_covers(held: str, needed: Role) -> bool:
    return _ROLE_RANK[Role(held)] >= _ROLE_RANK[needed]


def permission_covers(held: str, needed: Permission) -> bool:
    return _PERMISSION_RANK[Permission(held)] >= _PERMISSION_RANK[needed]


def permissions_covering(needed: Permission) -> list[str]:
    """Every permission that is enough where ``needed`` is asked for."""
    return [p.value for p in Permission if _PERMISSION_RANK[p] >= _PERMISSION_RANK[needed]]
