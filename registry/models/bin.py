from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from registry.models.blob import Blob
from registry.models.file import PackageFile


class Binned(models.Model):
    """A deleted file that can come back: its bytes, and where it stood.

    A row of its own, so that everything that asks for a file's bytes finds a deleted one without.
    """

    file = models.OneToOneField(
        PackageFile, primary_key=True, on_delete=models.CASCADE, related_name="binned"
    )
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="binned")
    # Keys of channels: one that was made anew under an old name is another one.
    channels: models.JSONField[list[int], list[int]] = models.JSONField(default=list)
    deleted_at = models.DateTimeField()
    kept_until = models.DateTimeField()
    deleted_by = models.CharField(max_length=64, blank=True)
    deleted_with = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    if TYPE_CHECKING:
        file_id: int
        blob_id: int

    class Meta:
        indexes = [
            models.Index(fields=["kept_until"], name="binned_by_end"),
            models.Index(fields=["-deleted_at", "-file"], name="binned_by_time"),
        ]

    def __str__(self) -> str:
        return str(self.file)
