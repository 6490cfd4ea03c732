from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from registry.models.channel import Channel


class Notice(models.Model):
    """A message to those who use a channel: while it is published, conda shows it until it
    expires (CEP 6)."""

    class Level(models.TextChoices):
        INFO = "info", gettext_lazy("Info")
        WARNING = "warning", gettext_lazy("Warning")
        CRITICAL = "critical", gettext_lazy("Critical")

    class Status(models.TextChoices):
        DRAFT = "draft", gettext_lazy("Draft")
        PUBLISHED = "published", gettext_lazy("Published")
        ARCHIVED = "archived", gettext_lazy("Archived")

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="notices")
    # conda remembers by it what it has shown, of all channels of all hosts.
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    message = models.CharField(max_length=1000)
    level = models.CharField(max_length=8, choices=Level.choices, default=Level.INFO)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PUBLISHED)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [models.Index(fields=["channel", "expires_at"], name="notices_of_a_channel")]
