from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import User
from accounts.roles import Permission
from registry.models.job import new_key
from registry.models.package import Package


def end_of_invitation() -> datetime:
    return timezone.now() + settings.INVITATION_LIFETIME


class PackageInvitationQuerySet(models.QuerySet["PackageInvitation"]):
    def open(self, now: datetime | None = None) -> Self:
        return self.filter(expires_at__gt=now or timezone.now(), package__deleted_at=None)

    def for_user(self, user: User) -> Self:
        """Those to an address that they have proven theirs."""
        addresses = EmailAddress.objects.filter(user=user, verified=True)
        return self.filter(email__in=addresses.values("email"))


class PackageInvitation(models.Model):
    """An offer to collaborate on a package, to somebody who may have no account yet.

    The row is gone once it is answered. Its key finds it and proves nothing: who answers has
    shown that the address is theirs.
    """

    key = models.CharField(max_length=24, unique=True, default=new_key, editable=False)
    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    permission = models.CharField(
        max_length=5, choices=Permission.choices, default=Permission.WRITE
    )
    # Who may not decide on the package any more invites to it no more.
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=end_of_invitation)

    objects: ClassVar[models.Manager[PackageInvitation]] = PackageInvitationQuerySet.as_manager()

    if TYPE_CHECKING:
        package_id: int
        invited_by_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["package", "email"], name="address_invited_once_to_a_package"
            )
        ]
        indexes = [models.Index(fields=["email"], name="package_invitations_of_email")]

    def __str__(self) -> str:
        return f"{self.package}: {self.email}"
