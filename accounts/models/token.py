from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models.account import Account


class TokenQuerySet(models.QuerySet["Token"]):
    def usable(self) -> Self:
        """Tokens that still open something: neither revoked nor expired."""
        now = timezone.now()
        return self.filter(revoked_at=None).filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=now)
        )

    def ending_soon(self) -> Self:
        """Live tokens whose end is near. Whoever rotated one has done what there was to do."""
        now = timezone.now()
        return self.ending(now, now + settings.TOKEN_WARNING)

    def ending(self, now: datetime, soon: datetime) -> Self:
        """`ending_soon`, by what is now and what is soon."""
        return self.filter(
            revoked_at=None, expires_at__gt=now, expires_at__lte=soon, replaced_by=None
        )


class Token(models.Model):
    """A secret for machines; only its hash is stored.

    It belongs to a user, or, issued by an admin, to an organization: then it acts for the
    organization whoever made it, and outlives their membership.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=8)  # the last characters, to tell tokens apart
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    channels: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    packages: models.JSONField[list[str], list[str]] = models.JSONField(default=list, blank=True)
    # Where it was asked for, in the words of the program that did; shown, never followed.
    hostname = models.CharField(max_length=255, blank=True)
    note_url = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The token whose rights it took over; that one ends by itself, a while later.
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="replaced_by"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)
    last_used_agent = models.CharField(max_length=200, blank=True)
    # When its account was told by mail that it ends soon.
    warned_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Token]] = TokenQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: int
        created_by_id: int | None
        replaces_id: int | None

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"],
                condition=models.Q(revoked_at=None),
                name="names_of_live_tokens_differ",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()
