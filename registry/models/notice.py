from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from registry.models.channel import Channel


class Notice(models.Model):
    """A message that conda shows to those who use a channel, until it expires (CEP 6)."""

    class Level(models.TextChoices):
        INFO = "info", "Info"
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    message = models.CharField(max_length=1000)
    level = models.CharField(max_length=8, choices=Level.choices, default=Level.INFO)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["channel", "expires_at"], name="notices_of_a_channel")]
