from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.models import Token
from registry.models.file import PackageFile


class Attestation(models.Model):
    """A signed statement about a package file that was verified when it came (CEP 27).

    Clients read all of a file's in one sidecar (CEP 50). Each row knows the sidecar that ended
    with it, so the older ones, which indexes of a moment ago name, can be put together again.
    """

    file = models.ForeignKey(
        PackageFile, on_delete=models.CASCADE, related_name="attestations", db_index=False
    )
    number = models.PositiveSmallIntegerField()  # from 1, in the order they came
    bundle = models.BinaryField()  # byte for byte as it was sent
    bundle_sha256 = models.CharField(max_length=64)
    sidecar_sha256 = models.CharField(max_length=64)
    target_channel = models.TextField(blank=True)
    identity = models.TextField()
    issuer = models.TextField(blank=True)
    repository = models.TextField(blank=True)
    ref = models.TextField(blank=True)
    commit = models.TextField(blank=True)
    run = models.TextField(blank=True)
    signed_at = models.DateTimeField()
    log_index = models.BigIntegerField()
    uploaded_at = models.DateTimeField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    uploaded_with = models.ForeignKey(
        Token, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    if TYPE_CHECKING:
        file_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["file", "number"], name="attestations_in_order"),
            models.UniqueConstraint(fields=["file", "bundle_sha256"], name="an_attestation_once"),
        ]

    def __str__(self) -> str:
        return f"{self.identity} on {self.file_id}"
