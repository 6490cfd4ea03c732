from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from portal.fields import BY_BYTES
from registry.models.channel import Channel


class StaleMark(models.Model):
    """The published index of a subdir no longer says what the database says of one name.

    Written in the transaction of the change: the marks are the queue. They are only added and
    deleted, never shared, so a mark can't be taken for one that an index already covers.
    An empty subdir stands for the files of the channel itself, an empty filename for all files
    of the name, an empty name for everything.
    """

    class Stage(models.IntegerChoices):
        """What is still to be written; each stage leaves the mark to the next."""

        SHARDS = 0
        DOCUMENTS = 1
        SUMMARIES = 2  # what no installing client waits for

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="stale_marks", db_index=False
    )
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32, blank=True)
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64, blank=True)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255, blank=True)
    # Whether the list of removed files changes as well.
    removed = models.BooleanField(default=True)
    # Whether even what nobody waits for must follow at once: it shows what is hidden now.
    is_urgent = models.BooleanField(default=False)
    stage = models.PositiveSmallIntegerField(choices=Stage.choices, default=Stage.SHARDS)
    marked_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        indexes = [
            models.Index(fields=["channel", "subdir"], name="marks_of_a_subdir"),
            models.Index(fields=["marked_at"], name="marks_by_age"),
        ]


class PublishedIndex(models.Model):
    """The generation of index files that clients of one subdir are given now.

    ``files`` maps a file's name to ``{"key", "size", "etag"}``; changing the row switches all of
    them in one step. ``lease_*`` says which worker is making the next one, and
    ``summaries_lease_*`` which writes what nobody waits for, beside it.
    """

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="indexes", db_index=False
    )
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32, blank=True)
    members_only = models.BooleanField(default=False)  # also lists private packages
    generation = models.BigIntegerField(default=0)
    files: models.JSONField[dict[str, dict[str, object]], dict[str, dict[str, object]]] = (
        models.JSONField(default=dict)
    )
    record_count = models.BigIntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    documents_at = models.DateTimeField(null=True, blank=True)
    documents_ahead_bytes = models.BigIntegerField(default=0)  # at documents_at
    condensed_at = models.DateTimeField(null=True, blank=True)
    summaries_at = models.DateTimeField(null=True, blank=True)
    summaries_lease_holder = models.CharField(max_length=64, blank=True)
    summaries_lease_until = models.DateTimeField(null=True, blank=True)
    lease_holder = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "subdir", "members_only"], name="one_index_each"
            )
        ]


class CurrentVersion(models.Model):
    """A version whose files stand in ``current_repodata.json``: the newest of its name, or an
    older one that others lead to."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    version_key = models.BinaryField()
    is_newest = models.BooleanField()
    # Of all versions of the name, where this is the newest: tells whether they are others now.
    versions_digest = models.BinaryField()
    facts = models.BinaryField()  # `registry.conda.current.VersionFacts`, packed
    # Names and keys of the versions it leads to, packed; none where the newest leads nowhere.
    targets = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "subdir", "package_name", "version_key"],
                name="current_version_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["channel", "subdir"],
                condition=models.Q(targets__isnull=False),
                name="versions_with_targets",
            )
        ]


class CurrentFile(models.Model):
    """A file that stands in ``current_repodata.json``, as it is shown to one audience."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    subdir = models.CharField(db_collation=BY_BYTES, max_length=32)
    members_only = models.BooleanField()
    repodata_key = models.BinaryField()
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    is_newest = models.BooleanField()  # of the newest version of its name

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "subdir", "repodata_key", "members_only"],
                name="current_file_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["channel", "subdir", "package_name", "members_only"],
                name="current_files_of_a_name",
            ),
            models.Index(
                fields=["channel", "subdir", "members_only"],
                condition=models.Q(is_newest=False),
                name="older_current_files",
            ),
        ]


class ChanneldataEntry(models.Model):
    """What ``channeldata.json`` says of a name, serialized (CEP 38)."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    subdirs: models.JSONField[list[str], list[str]] = models.JSONField()
    entry = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "package_name"], name="channeldata_of_a_name_once"
            )
        ]
