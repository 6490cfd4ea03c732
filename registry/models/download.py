from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from registry.models.file import PackageFile


class Download(models.Model):
    """How often a package file was fetched on one day (UTC)."""

    file = models.ForeignKey(
        PackageFile, on_delete=models.CASCADE, related_name="downloads", db_index=False
    )
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    if TYPE_CHECKING:
        file_id: int

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "day"], name="one_count_a_day")]
        indexes = [
            # What was downloaded lately, of all packages.
            models.Index(fields=["day"], name="downloads_of_a_day"),
            # Of one package a hundred thousand days may be added up, without a look at the rows.
            models.Index(fields=["file", "day", "count"], name="counts_of_a_file"),
        ]


class DownloadTotal(models.Model):
    """How often a package file was fetched since it came, so that nobody has to add up days."""

    file = models.OneToOneField(
        PackageFile, primary_key=True, on_delete=models.CASCADE, related_name="download_total"
    )
    count = models.PositiveBigIntegerField(default=0)

    if TYPE_CHECKING:
        file_id: int
