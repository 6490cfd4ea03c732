from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class BlobQuerySet(models.QuerySet["Blob"]):
    def damaged(self) -> Self:
        return self.exclude(damage="")


class Blob(models.Model):
    """Bytes by their sha256, shared by all package files with the same content.

    A row is a claim: made before the bytes are stored, and swept when no file came to need it.
    """

    class Damage(models.TextChoices):
        """What is wrong with stored bytes, as far as was seen (`registry.checking`)."""

        NONE = "", _("Whole")
        MISSING = "missing", _("Missing")
        SIZE = "size", _("Of another size")
        CONTENT = "content", _("Other bytes")
        UNREADABLE = "unreadable", _("Unreadable")

    sha256 = models.CharField(max_length=64, unique=True)
    md5 = models.CharField(max_length=32)
    size_bytes = models.BigIntegerField()
    claimed_at = models.DateTimeField()
    # They are hashed when they arrive, and read again by a chore.
    checked_at = models.DateTimeField(default=timezone.now)
    damage = models.CharField(max_length=10, choices=Damage.choices, blank=True)

    objects: ClassVar[models.Manager[Blob]] = BlobQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["claimed_at"], name="blobs_by_last_claim"),
            models.Index(fields=["checked_at"], name="blobs_by_last_check"),
            models.Index(
                fields=["checked_at"], condition=~models.Q(damage=""), name="damaged_blobs"
            ),
        ]

    def __str__(self) -> str:
        return self.sha256
