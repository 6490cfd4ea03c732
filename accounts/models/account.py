from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy

from accounts.names import MAX_LENGTH, AccountNameValidator
from portal.fields import BY_BYTES

if TYPE_CHECKING:
    from accounts.models.organization import Organization
    from accounts.models.user import User


class Account(models.Model):
    """A name that owns things: a user or an organization. One namespace for both.

    Everything that is owned points here; `User` and `Organization` point here too.
    """

    class Kind(models.TextChoices):
        USER = "user", gettext_lazy("User")
        ORGANIZATION = "organization", gettext_lazy("Organization")

    name = models.CharField(
        db_collation=BY_BYTES,
        max_length=MAX_LENGTH,
        unique=True,
        validators=[AccountNameValidator()],
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    display_name = models.CharField(max_length=128, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    website = models.URLField(max_length=255, blank=True)
    links: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    # The address that everybody is shown; empty: none.
    public_email = models.EmailField(max_length=254, blank=True)
    # A deleted account is a row that owns what the sweeps have not taken yet, and its log.
    deleted_at = models.DateTimeField(null=True, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    # Where it has an end, a sweep lifts it then (`accounts.suspension`).
    suspended_until = models.DateTimeField(null=True, blank=True)
    suspended_for = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        user: User
        organization: Organization

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(name=Lower("name")), name="account_name_is_lower_case"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_organization(self) -> bool:
        return self.kind == self.Kind.ORGANIZATION

    @property
    def title(self) -> str:
        return self.display_name or self.name
