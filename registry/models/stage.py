from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Account, Token
from portal.fields import BY_BYTES
from registry.models.file import PackageFile


class StageQuerySet(models.QuerySet["Stage"]):
    def waiting(self) -> Self:
        """Those whose upload may still be committed."""
        return self.filter(file=None, expires_at__gt=timezone.now())


class Stage(models.Model):
    """A package file that was announced, and whose bytes come by a request without a credential.

    They lie in the store until the upload is committed. The row then says what became of it, and
    stays until it expires: who asks for the commit again gets the same answer.
    """

    key = models.CharField(max_length=24, unique=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="stages")
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    version = models.CharField(db_collation=BY_BYTES, max_length=64)
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255)
    channels: models.JSONField[list[str], list[str]] = models.JSONField()
    # What was announced, else what came first; empty until one of the two is known.
    sha256 = models.CharField(max_length=64, blank=True)
    # Known from the moment when our own host has received the bytes.
    md5 = models.CharField(max_length=32, blank=True)
    size_bytes = models.BigIntegerField(null=True)
    opened_at = models.DateTimeField(auto_now_add=True)
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    opened_with = models.ForeignKey(Token, null=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField()
    file = models.ForeignKey(PackageFile, null=True, on_delete=models.CASCADE, related_name="+")

    objects: ClassVar[models.Manager[Stage]] = StageQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: int
        file_id: int | None

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], name="stages_by_end"),
            models.Index(fields=["account", "subdir", "filename"], name="stages_of_a_file"),
        ]

    def __str__(self) -> str:
        return f"{self.subdir}/{self.filename}"
