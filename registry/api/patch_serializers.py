"""What the API shows of patches, and what may be sent of them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.endpoint import Input
from registry.api.serializers import EntrySerializer
from registry.conda.names import MAX_CHANNEL_NAME_LENGTH
from registry.conda.record import MAX_SPEC_LENGTH, MAX_SPECS
from registry.conda.subdirs import MAX_SUBDIR_LENGTH
from registry.models import ChannelFile, Patch
from registry.patched import record_of_entry
from registry.patching import MAX_NOTE_LENGTH, SHOWN, Effect

_ANYTHING = {"type": "object", "additionalProperties": {}}


class PatchSerializer(serializers.ModelSerializer[Patch]):
    channel = serializers.CharField(source="channel.name")
    applied_by = serializers.CharField(source="applied_by.username", default=None, allow_null=True)
    undone_by = serializers.CharField(source="undone_by.username", default=None, allow_null=True)
    filename = serializers.CharField(help_text="Of an edit: the file. Empty for a set.")
    summary = serializers.SerializerMethodField(help_text="What it changed when it was applied.")

    class Meta:
        model = Patch
        fields = [
            "id", "channel", "subdir", "kind", "filename", "note", "summary",
            "applied_at", "applied_by", "undone_at", "undone_by",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(_ANYTHING)
    def get_summary(self, patch: Patch) -> dict[str, Any]:
        return patch.summary


class KeyChangeSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    before = serializers.JSONField(allow_null=True, help_text="Null: the key was not there.")
    after = serializers.JSONField(allow_null=True, help_text="Null: the key is taken away.")


class FileDiffSerializer(serializers.Serializer[Any]):
    filename = serializers.CharField()
    is_withdrawn = serializers.BooleanField(help_text="It leaves the index.")
    is_restored = serializers.BooleanField(help_text="It comes back to the index.")
    keys = KeyChangeSerializer(many=True)


class EffectSerializer(serializers.Serializer[Effect]):
    """What a patch changes of the index, or undoing one."""

    changed = serializers.IntegerField(help_text="Files of which the index says otherwise.")
    withdrawn = serializers.IntegerField(help_text="Those of them that leave the index.")
    restored = serializers.IntegerField(help_text="Those of them that come back.")
    revoked = serializers.IntegerField(help_text="Those of them that nobody can install.")
    unmatched = serializers.IntegerField(
        help_text="Names in the set that no file has. It counts for files that come later, too."
    )
    unmatched_names = serializers.ListField(
        child=serializers.CharField(), help_text=f"The first {SHOWN} of them."
    )
    ignored = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Keys in the set that no patch may change, and how often.",
    )
    diffs = FileDiffSerializer(many=True, help_text=f"The first {SHOWN} changes, one by one.")


class AppliedSerializer(serializers.Serializer[Any]):
    patch = PatchSerializer(allow_null=True, help_text="Null when nothing was to be changed.")
    effect = EffectSerializer()


class EntryRecordSerializer(EntrySerializer):
    """What a channel says of a file that stands in it."""

    is_withdrawn = serializers.BooleanField(help_text="A patch took it out of the index.")
    record = serializers.SerializerMethodField(help_text="The record in the channel's repodata.")
    original = serializers.SerializerMethodField(help_text="The record that is the file's own.")

    @extend_schema_field(_ANYTHING)
    def get_record(self, entry: ChannelFile) -> dict[str, Any]:
        return record_of_entry(entry)

    @extend_schema_field(_ANYTHING)
    def get_original(self, entry: ChannelFile) -> dict[str, Any]:
        return record_of_entry(entry, patched=False)


# --- Sent --------------------------------------------------------------------------------------


class PatchesQuery(Input):
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH)


class InstructionsQuery(PatchesQuery):
    subdir = serializers.CharField(max_length=MAX_SUBDIR_LENGTH)
    note = serializers.CharField(
        max_length=MAX_NOTE_LENGTH, required=False, help_text="Why, for those who look later."
    )
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Only tell what would change."
    )


class RecordInput(Input):
    depends = serializers.ListField(
        child=serializers.CharField(max_length=MAX_SPEC_LENGTH),
        max_length=MAX_SPECS,
        required=False,
        help_text="All it depends on, such as 'python >=3.10'.",
    )
    constrains = serializers.ListField(
        child=serializers.CharField(max_length=MAX_SPEC_LENGTH),
        max_length=MAX_SPECS,
        required=False,
        help_text="All that must not be installed in other versions beside it.",
    )
    note = serializers.CharField(
        max_length=MAX_NOTE_LENGTH,
        required=False,
        allow_blank=True,
        help_text="Why, for those who look later.",
    )
