from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models

from accounts.models import Account, Token
from portal.fields import BY_BYTES
from portal.sentences import Kept
from registry.models.blob import Blob
from registry.models.package import Package

DETAILS = ("index", "about", "run_exports", "channeldata_flags", "findings")
"""What is large of a file, and needed by few."""


class PackageFileQuerySet(models.QuerySet["PackageFile"]):
    def present(self) -> Self:
        """Those that clients can fetch."""
        return self.filter(deleted_at=None)

    def staying(self) -> Self:
        """Those that are there for people: without those that are about to be gone."""
        return self.present().filter(leaving_until=None)


class PackageFile(models.Model):
    """One ``.conda`` or ``.tar.bz2`` in one subdir of an account, in zero or more channels.

    A deleted file stays as a row: an immutable channel that it once stood in takes no other bytes
    under its name.
    """

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="files", db_index=False
    )
    package = models.ForeignKey(
        Package, on_delete=models.PROTECT, related_name="files", db_index=False
    )
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255)
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    version = models.CharField(db_collation=BY_BYTES, max_length=64)
    version_key = models.BinaryField()  # sorts as CEP 33 orders versions
    build = models.CharField(db_collation=BY_BYTES, max_length=64)
    build_number = models.BigIntegerField()
    blob = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="files")
    # What the bytes were, also when they are gone.
    sha256 = models.CharField(max_length=64)
    md5 = models.CharField(max_length=32)
    size_bytes = models.BigIntegerField()
    index: models.JSONField[dict[str, object], dict[str, object]] = models.JSONField()
    about: models.JSONField[dict[str, object], dict[str, object]] = models.JSONField(default=dict)
    run_exports: models.JSONField[dict[str, list[str]] | None, dict[str, list[str]] | None] = (
        models.JSONField(null=True)
    )
    channeldata_flags: models.JSONField[dict[str, bool], dict[str, bool]] = models.JSONField(
        default=dict
    )
    findings: models.JSONField[list[Kept], list[Kept]] = models.JSONField(default=list)
    schema_version = models.PositiveSmallIntegerField(default=1)
    indexed_timestamp_ms = models.BigIntegerField()
    uploaded_at = models.DateTimeField(auto_now_add=True)
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
    deleted_at = models.DateTimeField(null=True, blank=True)
    # Whoever deleted it is about to upload it anew: until then clients go on reading it.
    leaving_until = models.DateTimeField(null=True, blank=True)
    leaving_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    leaving_with = models.ForeignKey(
        Token, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    objects: ClassVar[models.Manager[PackageFile]] = PackageFileQuerySet.as_manager()

    if TYPE_CHECKING:
        account_id: int
        package_id: int
        blob_id: int | None

    class Meta:
        constraints = [
            # In this order, so that a file is found where nobody says its subdir.
            models.UniqueConstraint(
                fields=["account", "filename", "subdir"], name="a_filename_is_one_file"
            )
        ]
        indexes = [
            models.Index(fields=["package", "-uploaded_at", "-id"], name="files_of_a_package"),
            # The list of an account's packages, by what came last.
            models.Index(fields=["account", "-uploaded_at", "-id"], name="newest_of_an_account"),
            # The API's list of them, a page after the other. With what is asked of all that an
            # account or the host has: a row is fifty times as large.
            models.Index(
                fields=["account", "-id", "package", "size_bytes", "deleted_at", "leaving_until"],
                name="files_of_an_account",
            ),
            # With the version, so that a page of versions ends where it is full.
            models.Index(
                fields=["package", "-version_key", "version"], name="versions_of_a_package"
            ),
            # What an account keeps, and which packages of it: counted without a look at the rows.
            models.Index(
                fields=["account", "package", "size_bytes", "deleted_at"],
                name="usage_of_an_account",
            ),
            # Those of the bin are among them.
            models.Index(
                fields=["account", "-id"],
                condition=models.Q(deleted_at__isnull=False),
                name="deleted_files",
            ),
            models.Index(
                fields=["leaving_until"],
                condition=models.Q(leaving_until__isnull=False),
                name="files_that_leave",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subdir}/{self.filename}"

    @property
    def is_conda(self) -> bool:
        return self.filename.endswith(".conda")


class Record(models.Model):
    """What indexes say of a package file, serialized once in its life.

    A table of its own: an index reads a few hundred records in a row, and beside all else that is
    known of a file they would lie on as many pages of the database.
    """

    file = models.OneToOneField(
        PackageFile, primary_key=True, on_delete=models.CASCADE, related_name="record"
    )
    json = models.BinaryField()  # a member of repodata.json: "filename":{…}
    msgpack = models.BinaryField()  # the value in a shard
    run_exports_json = models.BinaryField()  # a member of run_exports.json

    if TYPE_CHECKING:
        file_id: int


class Announcement(models.Model):
    """Somebody who may delete a file looked at it, and may be about to upload it anew."""

    file = models.ForeignKey(PackageFile, on_delete=models.CASCADE, related_name="announcements")
    credential = models.CharField(max_length=40)
    announced_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["file", "credential"], name="one_announcement_each")
        ]
        indexes = [models.Index(fields=["announced_at"], name="announcements_by_age")]
