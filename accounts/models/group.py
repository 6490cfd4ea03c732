from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.models.organization import Organization
from accounts.roles import Permission
from portal.fields import BY_BYTES


class Group(models.Model):
    """Members who hold the same permission over packages of their organization.

    Over all of them, or over chosen ones: those that name the group as a collaborator. The
    group ``owners`` of the pages is no row: it is whoever has the role owner.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    description = models.CharField(max_length=255, blank=True)
    permission = models.CharField(max_length=5, choices=Permission.choices, default=Permission.READ)
    all_packages = models.BooleanField(default=False)
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="GroupMember",
        through_fields=("group", "user"),
        related_name="package_groups",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        organization_id: int
        members: models.Manager[GroupMember]

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="group_names_differ")
        ]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """A member of the organization who is in one of its groups."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="group_memberships"
    )
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        group_id: int
        user_id: int

    class Meta:
        ordering = ["user__username"]
        constraints = [models.UniqueConstraint(fields=["group", "user"], name="once_in_a_group")]
