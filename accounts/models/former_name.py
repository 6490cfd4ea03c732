from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone

from accounts.models.account import Account
from accounts.names import MAX_LENGTH
from portal.fields import BY_BYTES


class FormerNameQuerySet(models.QuerySet["FormerName"]):
    def reserved(self) -> Self:
        """Those that nobody else may take: of accounts that are there, and of deleted ones for a
        while."""
        return self.filter(
            models.Q(account__isnull=False) | models.Q(reserved_until__gt=timezone.now())
        )


class FormerName(models.Model):
    """A name that an account had: a renamed one's leads on, a deleted one's is kept free."""

    name = models.CharField(db_collation=BY_BYTES, max_length=MAX_LENGTH, unique=True)
    account = models.ForeignKey(
        Account, null=True, on_delete=models.SET_NULL, related_name="former_names"
    )
    since = models.DateTimeField(auto_now_add=True)
    reserved_until = models.DateTimeField(null=True, blank=True)  # of a deleted account

    objects = FormerNameQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: int | None

    class Meta:
        ordering = ["-since"]

    def __str__(self) -> str:
        return self.name
