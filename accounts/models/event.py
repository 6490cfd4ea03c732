from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.models.account import Account


class Event(models.Model):
    """One line of the audit log: who, with which token, from where, did what to what.

    Names are kept beside the references, so that a line still reads after its actor has gone.
    Lines are only ever added.
    """

    account = models.ForeignKey(
        Account, null=True, on_delete=models.SET_NULL, related_name="events", db_index=False
    )
    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=48)
    target = models.CharField(max_length=400, blank=True)
    detail: models.JSONField[dict[str, object], dict[str, object]] = models.JSONField(
        default=dict, blank=True
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor_name = models.CharField(max_length=64, blank=True)
    token = models.ForeignKey(
        "accounts.Token", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    token_name = models.CharField(max_length=100, blank=True)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    if TYPE_CHECKING:
        account_id: int | None
        actor_id: int | None
        token_id: int | None

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["account", "-id"], name="log_of_an_account")]
