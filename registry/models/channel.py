from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from accounts.models import Account
from portal.fields import BY_BYTES
from registry.conda.layout import repodata_key

if TYPE_CHECKING:
    from registry.models.file import PackageFile

MAIN = "main"


class Channel(models.Model):
    """A list of package files that clients install from, of one account.

    anaconda.org calls it a label, Forgejo a channel. Names are compared exactly: they stand in
    URLs that clients keep.
    """

    class Visibility(models.TextChoices):
        PUBLIC = "public", gettext_lazy("Public")
        PRIVATE = "private", gettext_lazy("Private")

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="channels")
    name = models.CharField(db_collation=BY_BYTES, max_length=128)
    description = models.CharField(max_length=1000, blank=True)
    visibility = models.CharField(
        max_length=7, choices=Visibility.choices, default=Visibility.PUBLIC
    )
    is_locked = models.BooleanField(default=False)
    lock_note = models.CharField(max_length=200, blank=True)
    # A name that stood in it stands for the same bytes for good.
    is_immutable = models.BooleanField(default=False)
    # Packages of schema_version 3 stand in a part of repodata that older clients can't read.
    allows_v3 = models.BooleanField(default=False)
    # CEP 42: a channel that goes before this one, and one that comes after it, as "../other".
    base_relation = models.CharField(max_length=256, blank=True)
    overrides_relation = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        account_id: int
        entries: models.Manager[ChannelFile]

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="channel_names_differ")
        ]

    def __str__(self) -> str:
        return f"{self.account.name}/{self.name}"

    @property
    def is_private(self) -> bool:
        return self.visibility == self.Visibility.PRIVATE


class ChannelFile(models.Model):
    """A package file that stands in a channel.

    Subdir, filename and name are the file's own, kept here so that one index of the database
    yields a subdir of a channel in the order of its repodata, or all files of a name in it. Each
    index costs every upload; those that begin alike are one (`PackageFile`, too).
    """

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    file = models.ForeignKey(
        "registry.PackageFile", on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    # The file's, without a look at the file: an index reads hundreds.
    record = models.ForeignObject(
        "registry.Record",
        from_fields=["file"],
        to_fields=["file"],
        on_delete=models.DO_NOTHING,
        related_name="+",
    )
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255)
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    # Bytes, for they sort alike everywhere, and text by a language's rules.
    repodata_key = models.BinaryField()
    # A patch took its record out; the file itself can still be fetched.
    is_withdrawn = models.BooleanField(default=False)
    added_at = models.DateTimeField(auto_now_add=True)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )

    objects: ClassVar[models.Manager[ChannelFile]] = models.Manager()

    if TYPE_CHECKING:
        channel_id: int
        file_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "file"], name="once_in_a_channel"),
            models.UniqueConstraint(
                fields=["channel", "subdir", "filename"], name="channel_filenames_differ"
            ),
        ]
        indexes = [
            # Whether files stand somewhere, and in which channels, without a look at the rows.
            models.Index(fields=["file", "channel"], name="channels_of_a_file"),
            models.Index(fields=["channel", "subdir", "repodata_key"], name="repodatas_order"),
            models.Index(
                fields=["channel", "subdir", "name", "repodata_key"], name="names_of_a_subdir"
            ),
        ]

    @classmethod
    def of(cls, file: PackageFile, channel: Channel, **more: object) -> Self:
        """The row, not saved, that puts the file into the channel."""
        return cls(
            channel=channel,
            file=file,
            subdir=file.subdir,
            filename=file.filename,
            name=file.name,
            repodata_key=repodata_key(file.filename, schema_version=file.schema_version),
            **more,
        )


class Removal(models.Model):
    """A filename that once stood in a channel's subdir: repodata lists it under ``removed``."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="removals", db_index=False
    )
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255)
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    repodata_key = models.BinaryField()
    removed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "subdir", "filename"], name="one_removal_each"
            )
        ]
        indexes = [
            models.Index(fields=["channel", "subdir", "repodata_key"], name="removals_in_order"),
            models.Index(fields=["channel", "subdir", "package_name"], name="removals_of_a_name"),
        ]
