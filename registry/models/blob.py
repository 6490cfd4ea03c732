from __future__ import annotations

from django.db import models


class Blob(models.Model):
    """Bytes by their sha256, shared by all package files with the same content.

    A row is a claim: made before the bytes are stored, and swept when no file came to need it.
    """

    sha256 = models.CharField(max_length=64, unique=True)
    md5 = models.CharField(max_length=32)
    size_bytes = models.BigIntegerField()
    claimed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["claimed_at"], name="blobs_by_last_claim")]

    def __str__(self) -> str:
        return self.sha256
