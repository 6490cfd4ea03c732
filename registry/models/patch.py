from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from registry.models.channel import Channel, ChannelFile


class Patch(models.Model):
    """A change of what a channel's indexes say of files, which leaves the files as they are.

    The records of a channel are the originals with its patches applied in the order of their
    numbers; a patch that was undone counts no more.
    """

    class Kind(models.TextChoices):
        # A whole set, in the form of conda-forge's: it takes the place of the one before it.
        INSTRUCTIONS = "instructions", "Patch instructions"
        EDIT = "edit", "An edited record"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="patches")
    subdir = models.CharField(max_length=32)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    instructions: models.JSONField[dict[str, object], dict[str, object]] = models.JSONField()
    note = models.CharField(max_length=500, blank=True)
    applied_at = models.DateTimeField(auto_now_add=True)
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        indexes = [models.Index(fields=["channel", "subdir"], name="patches_of_a_subdir")]


class PatchedRecord(models.Model):
    """What a channel's indexes say of a file instead of its own record."""

    entry = models.OneToOneField(
        ChannelFile, primary_key=True, on_delete=models.CASCADE, related_name="patched"
    )
    json = models.BinaryField()
    msgpack = models.BinaryField()

    if TYPE_CHECKING:
        entry_id: int
