from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from registry.models.channel import Channel


class RetentionRule(models.Model):
    """Which files a channel doesn't keep (`registry.retention`).

    Patterns are globs of ``name/version/build``, several with spaces between them.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="retention_rules")
    keep_newest = models.PositiveIntegerField(null=True, blank=True)
    younger_than_days = models.PositiveIntegerField(null=True, blank=True)
    keep_pattern = models.CharField(max_length=500, blank=True)
    remove_pattern = models.CharField(max_length=500, blank=True)
    is_enabled = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # When it runs next; whoever runs it moves this on, so that nobody else runs it meanwhile.
    due_at = models.DateTimeField(null=True, blank=True)
    ran_at = models.DateTimeField(null=True, blank=True)
    # What the last run did: `registry.retention.Run`.
    last_run: models.JSONField[dict[str, object] | None, dict[str, object] | None] = (
        models.JSONField(null=True, blank=True)
    )

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(is_enabled=True),
                name="retention_rules_that_run",
            )
        ]
