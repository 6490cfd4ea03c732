from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.models import Group
from accounts.roles import Permission
from registry.models.package import Package


class Collaborator(models.Model):
    """A user or a group that may do something with one package."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="collaborators")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="collaborations",
    )
    group = models.ForeignKey(
        Group, null=True, on_delete=models.CASCADE, related_name="collaborations"
    )
    permission = models.CharField(
        max_length=5, choices=Permission.choices, default=Permission.WRITE
    )
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        package_id: int
        user_id: int | None
        group_id: int | None

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(group=None),
                name="collaborator_is_a_user_or_a_group",
            ),
            models.UniqueConstraint(fields=["package", "user"], name="user_collaborates_once"),
            models.UniqueConstraint(fields=["package", "group"], name="group_collaborates_once"),
        ]
