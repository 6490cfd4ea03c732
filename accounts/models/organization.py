from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.account import Account
from accounts.roles import Role

if TYPE_CHECKING:
    from accounts.models.user import User


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def locked(self, organization: Organization) -> Organization:
        """The row as it is now, held until the transaction ends: its people change one by one.

        SQLite has no such lock and needs none: its transactions begin with the write lock.
        """
        rows = self.select_for_update(of=("self",)).select_related("account")
        return rows.get(pk=organization.pk)


class Organization(models.Model):
    """An account that has members and groups instead of a password, and a policy for them."""

    class ChannelCreators(models.TextChoices):
        OWNERS = "owners", _("Owners")
        ADMINS = "admins", _("Owners and admins")
        MEMBERS = "members", _("All members")

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="organization")
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="Membership",
        through_fields=("organization", "user"),
        related_name="organizations",
    )
    # The policy (`accounts.policies`).
    requires_second_factor = models.BooleanField(default=False)
    token_max_days = models.PositiveIntegerField(null=True, blank=True)
    channel_creators = models.CharField(
        max_length=8, choices=ChannelCreators.choices, default=ChannelCreators.ADMINS
    )
    starts_private = models.BooleanField(default=False)  # new channels and packages

    objects = OrganizationQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: int
        memberships: models.Manager[Membership]

    def __str__(self) -> str:
        return self.account.name


class Membership(models.Model):
    """A user's role in an organization; an organization never has no owner."""

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    # Whether everybody may know; members know each other.
    is_public = models.BooleanField(default=False)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        organization_id: int
        user_id: int

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="one_membership_each")
        ]


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self, now: datetime | None = None) -> Self:
        return self.filter(
            accepted_at=None,
            declined_at=None,
            withdrawn_at=None,
            expires_at__gt=now or timezone.now(),
        )

    def for_user(self, user: User) -> Self:
        """Those that ``user`` may accept: by name, or by an address they have proven theirs."""
        addresses = apps.get_model("account", "EmailAddress").objects.filter(
            user=user, verified=True
        )
        return self.filter(
            models.Q(user=user) | models.Q(user=None, email__in=addresses.values("email"))
        )


class Invitation(models.Model):
    """An offer to join, sent to an address; only a hash of its key is kept.

    ``user`` is set when they were invited by name: then it is theirs alone, and their address
    is shown to nobody.
    """

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="invitations"
    )
    email = models.EmailField(max_length=254)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="invitations"
    )
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.MEMBER)
    key_digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    declined_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    if TYPE_CHECKING:
        organization_id: int
        user_id: int | None

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["email"], name="invitations_of_an_address")]

    @property
    def addressee(self) -> str:
        """Who was invited, as the inviter knew them."""
        return self.user.username if self.user else self.email
