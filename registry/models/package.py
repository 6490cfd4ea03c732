from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from accounts.models import Account


class Package(models.Model):
    """A name under an account; comes into being with its first file.

    What describes it follows the newest upload.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="packages")
    name = models.CharField(max_length=64)
    is_private = models.BooleanField(default=False)
    summary = models.CharField(max_length=1000, blank=True)
    description = models.TextField(blank=True)
    license = models.CharField(max_length=255, blank=True)
    home_url = models.CharField(max_length=500, blank=True)
    dev_url = models.CharField(max_length=500, blank=True)
    doc_url = models.CharField(max_length=500, blank=True)
    source_url = models.CharField(max_length=500, blank=True)
    latest_version = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    if TYPE_CHECKING:
        account_id: int

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="package_names_differ")
        ]
        indexes = [
            # Few are private, and every index asks which.
            models.Index(
                fields=["account", "name"],
                condition=models.Q(is_private=True),
                name="private_packages",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account.name}/{self.name}"
