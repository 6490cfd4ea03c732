"""What the API shows of channels, packages and files, and what may be sent of them.

Each field is listed by name: a new column is shown to nobody until it stands here.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.endpoint import Input
from accounts.roles import Permission
from registry.conda.description import MAX_DESCRIPTION_LENGTH, MAX_URL_LENGTH
from registry.conda.names import MAX_CHANNEL_NAME_LENGTH, MAX_FILENAME_LENGTH, MAX_NAME_LENGTH
from registry.conda.relations import MAX_RELATION_LENGTH
from registry.conda.subdirs import MAX_SUBDIR_LENGTH
from registry.models import Channel, ChannelFile, Collaborator, Notice, Package, PackageFile
from registry.models.channel import MAIN
from registry.models.package import DESCRIPTION_FIELDS
from registry.notices import MAX_MESSAGE_LENGTH

# --- Shown -------------------------------------------------------------------------------------


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    account = serializers.CharField(source="account.name")

    class Meta:
        model = Channel
        fields = [
            "account", "name", "description", "visibility", "is_locked", "lock_note",
            "is_immutable", "allows_v3", "base_relation", "overrides_relation", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class NoticeSerializer(serializers.ModelSerializer[Notice]):
    channel = serializers.CharField(source="channel.name")

    class Meta:
        model = Notice
        fields = [
            "id", "channel", "message", "level", "status", "created_at", "updated_at", "expires_at",
        ]  # fmt: skip
        read_only_fields = fields


class PackageSerializer(serializers.ModelSerializer[Package]):
    account = serializers.CharField(source="account.name")

    class Meta:
        model = Package
        fields = [
            "account", "name", "is_private", *DESCRIPTION_FIELDS, "pinned", "latest_version",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class LatestVersionSerializer(serializers.Serializer[dict[str, object]]):
    latest_version = serializers.CharField()
    uploaded_at = serializers.DateTimeField(help_text="When the last of its files came.")


class TotalDownloadsSerializer(serializers.Serializer[dict[str, int]]):
    total_downloads = serializers.IntegerField()


class FileSerializer(serializers.ModelSerializer[PackageFile]):
    account = serializers.CharField(source="account.name")
    package = serializers.CharField(source="package.name")
    uploaded_by = serializers.CharField(
        source="uploaded_by.username", default=None, allow_null=True
    )
    channels = serializers.SerializerMethodField(
        help_text="The channels it stands in, as far as you may know of them."
    )

    class Meta:
        model = PackageFile
        fields = [
            "account", "package", "subdir", "filename", "version", "build", "build_number",
            "size_bytes", "sha256", "md5", "uploaded_at", "uploaded_by", "channels",
        ]  # fmt: skip
        read_only_fields = fields

    def get_channels(self, file: PackageFile) -> list[str]:
        entries: list[ChannelFile] = file.visible_entries  # type: ignore[attr-defined]  # prefetched by `shown_files`
        return sorted(entry.channel.name for entry in entries)


class FileDetailSerializer(FileSerializer):
    """A file, with its record as repodata has it."""

    record = serializers.SerializerMethodField(help_text="The record in repodata.")

    class Meta(FileSerializer.Meta):
        fields = [*FileSerializer.Meta.fields, "record"]
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_record(self, file: PackageFile) -> dict[str, object]:
        return file.index


class EntrySerializer(serializers.Serializer[ChannelFile]):
    """That a file stands in a channel."""

    channel = serializers.CharField(source="channel.name")
    subdir = serializers.CharField()
    filename = serializers.CharField()
    added_at = serializers.DateTimeField()


class CollaboratorSerializer(serializers.Serializer[Collaborator]):
    user = serializers.CharField(
        source="user.username", default=None, allow_null=True, help_text="Null for a group."
    )
    group = serializers.CharField(
        source="group.name", default=None, allow_null=True, help_text="Null for a user."
    )
    permission = serializers.ChoiceField(choices=Permission.choices)
    added_by = serializers.CharField(source="added_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class FoundSerializer(serializers.Serializer[Package]):
    """A package that a search found."""

    account = serializers.CharField(source="account.name")
    name = serializers.CharField()
    summary = serializers.CharField()
    latest_version = serializers.CharField()
    is_private = serializers.BooleanField()


# --- Sent --------------------------------------------------------------------------------------


class ChannelInput(Input):
    name = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH)
    visibility = serializers.ChoiceField(
        choices=Channel.Visibility.choices,
        required=False,
        help_text="Public, unless the organization's policy says otherwise.",
    )
    description = serializers.CharField(max_length=1000, required=False, allow_blank=True)


class ChannelChangeInput(Input):
    visibility = serializers.ChoiceField(choices=Channel.Visibility.choices, required=False)
    description = serializers.CharField(max_length=1000, required=False, allow_blank=True)
    is_locked = serializers.BooleanField(
        required=False, help_text="Locked: nothing is put in or taken out."
    )
    lock_note = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Why, for those it stops."
    )
    is_immutable = serializers.BooleanField(
        required=False,
        help_text="No file in it is ever replaced, and a name that stood in it stays that file's "
        "for good, deleted or not.",
    )
    allows_v3 = serializers.BooleanField(
        required=False,
        help_text="Whether it takes packages of schema_version 3, which older clients don't see.",
    )
    base_relation = serializers.CharField(
        max_length=MAX_RELATION_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The channel that goes before this one (CEP 42), such as ../main; empty: none.",
    )
    overrides_relation = serializers.CharField(
        max_length=MAX_RELATION_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The channel that comes after this one, for what it lacks; empty: none.",
    )


class NoticeQuery(Input):
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH, required=False)
    status = serializers.ChoiceField(
        choices=Notice.Status.choices,
        required=False,
        help_text="For those who manage the channels: all of them that are so, also expired ones. "
        "Without it come those that conda shows.",
    )


class NoticeInput(Input):
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH)
    message = serializers.CharField(max_length=MAX_MESSAGE_LENGTH)
    level = serializers.ChoiceField(choices=Notice.Level.choices, default=Notice.Level.INFO)
    expires_at = serializers.DateTimeField(help_text="At most a year ahead.")
    status = serializers.ChoiceField(
        choices=Notice.Status.choices,
        default=Notice.Status.PUBLISHED,
        help_text="A draft is seen by those who manage the channel, and by nobody else.",
    )


class NoticeChangeInput(Input):
    message = serializers.CharField(max_length=MAX_MESSAGE_LENGTH, required=False)
    level = serializers.ChoiceField(choices=Notice.Level.choices, required=False)
    expires_at = serializers.DateTimeField(required=False, help_text="At most a year ahead.")
    status = serializers.ChoiceField(choices=Notice.Status.choices, required=False)


def _said(max_length: int) -> serializers.CharField:
    return serializers.CharField(max_length=max_length, required=False, allow_blank=True)


class PackageChangeInput(Input):
    is_private = serializers.BooleanField(required=False)
    summary = _said(1000)
    description = _said(MAX_DESCRIPTION_LENGTH)
    license = _said(255)
    license_url = _said(MAX_URL_LENGTH)
    home_url = _said(MAX_URL_LENGTH)
    dev_url = _said(MAX_URL_LENGTH)
    doc_url = _said(MAX_URL_LENGTH)
    source_url = _said(MAX_URL_LENGTH)
    follow = serializers.ListField(
        child=serializers.ChoiceField(choices=DESCRIPTION_FIELDS),
        required=False,
        help_text="Fields that are to follow the uploads again.",
    )


class CopyInput(Input):
    account = serializers.CharField(max_length=64, help_text="Whose the copy is to be.")
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH, default=MAIN)


class CollaboratorInput(Input):
    permission = serializers.ChoiceField(choices=Permission.choices)


class PackageQuery(Input):
    q = serializers.CharField(
        max_length=MAX_NAME_LENGTH, required=False, help_text="Names that contain this."
    )


class FileQuery(Input):
    package = serializers.CharField(max_length=MAX_NAME_LENGTH, required=False)
    version = serializers.CharField(max_length=64, required=False)
    subdir = serializers.CharField(max_length=MAX_SUBDIR_LENGTH, required=False)
    filename = serializers.CharField(max_length=MAX_FILENAME_LENGTH, required=False)
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH, required=False)


class SearchQuery(Input):
    q = serializers.CharField(
        max_length=200,
        help_text="Words of a name or a summary; names come first. Of two letters: what begins so.",
    )
