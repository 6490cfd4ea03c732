from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from portal.fields import BY_BYTES
from registry.models.channel import Channel, ChannelFile


class Patch(models.Model):
    """A change of what a channel's indexes say of files, which leaves the files as they are.

    The records of a channel are the originals with its patches applied in the order of their
    numbers; a patch that was undone counts no more.
    """

    class Kind(models.TextChoices):
        # A whole set, in the form of conda-forge's: it takes the place of the one before it.
        INSTRUCTIONS = "instructions", gettext_lazy("Patch instructions")
        # Of one file, over what the set says of it.
        EDIT = "edit", gettext_lazy("An edited record")

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="patches")
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    filename = models.CharField(
        db_collation=BY_BYTES, max_length=255, blank=True
    )  # of the file that was edited
    # What came of it: how many files it changed, and what it says to no effect.
    summary: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
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
        chunks: models.Manager[PatchChunk]

    class Meta:
        indexes = [models.Index(fields=["channel", "subdir", "filename"], name="patches_of_a_file")]


class PatchChunk(models.Model):
    """What a patch says of the dists from ``first`` to ``last``, compressed.

    A set may speak of as many files as conda-forge has: a row for each would take minutes to
    write, and the whole in one row would be read for every file that is put into the channel.
    """

    patch = models.ForeignKey(Patch, on_delete=models.CASCADE, related_name="chunks")
    # Bytes, for they sort alike everywhere, and text by a language's rules.
    first = models.BinaryField()
    last = models.BinaryField()
    data = models.BinaryField()

    if TYPE_CHECKING:
        patch_id: int

    class Meta:
        indexes = [models.Index(fields=["patch", "first"], name="chunks_of_a_patch")]


class PatchedRecord(models.Model):
    """What a channel's indexes say of a file instead of its own record."""

    entry = models.OneToOneField(
        ChannelFile, primary_key=True, on_delete=models.CASCADE, related_name="patched"
    )
    json = models.BinaryField()
    msgpack = models.BinaryField()
    # Null where the file's own is good (CEP 21).
    run_exports_json = models.BinaryField(null=True)

    if TYPE_CHECKING:
        entry_id: int
