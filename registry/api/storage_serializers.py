"""What the API shows of storage and of retention, and what may be sent of rules."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api.endpoint import Input
from portal.sentences import shown
from registry.conda.names import MAX_CHANNEL_NAME_LENGTH
from registry.models import RetentionRule
from registry.retention import MAX_DAYS, MAX_NEWEST, MAX_PATTERN_LENGTH


class UsageSerializer(serializers.Serializer[dict[str, Any]]):
    used_bytes = serializers.IntegerField()
    used_files = serializers.IntegerField()


class ChannelUsageSerializer(UsageSerializer):
    """A file in several channels is counted in each of them."""

    channel = serializers.CharField()


class StorageSerializer(UsageSerializer):
    account = serializers.CharField()
    max_bytes = serializers.IntegerField(allow_null=True, help_text="Null: there is no limit.")
    max_files = serializers.IntegerField(allow_null=True, help_text="Null: there is no limit.")
    channels = ChannelUsageSerializer(many=True)
    unlisted = UsageSerializer(help_text="Files that stand in no channel.")


class StoredPackageSerializer(UsageSerializer):
    name = serializers.CharField()


# --- Retention ---------------------------------------------------------------------------------


class KeptSentence(serializers.CharField):
    """What `portal.sentences` kept, said in English as all of the API is."""

    def to_representation(self, value: object) -> str:
        return shown(value)


class LastRunSerializer(serializers.Serializer[dict[str, Any]]):
    removed = serializers.IntegerField(help_text="Taken out of the channel, and kept elsewhere.")
    deleted = serializers.IntegerField()
    freed_bytes = serializers.IntegerField()
    note = KeptSentence(help_text="Why nothing went, or not all of it.")
    is_complete = serializers.BooleanField(help_text="False: there is more to go.")


class RuleSerializer(serializers.ModelSerializer[RetentionRule]):
    channel = serializers.CharField(source="channel.name")
    last_run = LastRunSerializer(allow_null=True)

    class Meta:
        model = RetentionRule
        fields = [
            "id", "channel", "keep_newest", "younger_than_days", "keep_pattern", "remove_pattern",
            "is_enabled", "created_at", "due_at", "ran_at", "last_run",
        ]  # fmt: skip
        read_only_fields = fields


class UnkeptSerializer(serializers.Serializer[dict[str, Any]]):
    subdir = serializers.CharField()
    filename = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    size_bytes = serializers.IntegerField()
    added_at = serializers.DateTimeField(help_text="When it came into the channel.")
    is_deleted = serializers.BooleanField(
        help_text="Whether it is deleted: it stands in no other channel."
    )


class PreviewSerializer(serializers.Serializer[dict[str, Any]]):
    files = serializers.IntegerField(help_text="How many would go, of all.")
    deleted_files = serializers.IntegerField(help_text="How many of them would be deleted.")
    freed_bytes = serializers.IntegerField()
    left_alone = serializers.CharField(
        allow_blank=True, help_text="Why nothing goes all the same, such as a lock; mostly empty."
    )
    offset = serializers.IntegerField()
    results = UnkeptSerializer(many=True)


class TermsInput(Input):
    keep_newest = serializers.IntegerField(
        min_value=1,
        max_value=MAX_NEWEST,
        allow_null=True,
        required=False,
        help_text="Keep so many of the highest versions of each name on each platform.",
    )
    younger_than_days = serializers.IntegerField(
        min_value=1,
        max_value=MAX_DAYS,
        allow_null=True,
        required=False,
        help_text="Keep what came into the channel in the last so many days.",
    )
    keep_pattern = serializers.CharField(
        max_length=MAX_PATTERN_LENGTH,
        allow_blank=True,
        required=False,
        help_text="Keep what matches: globs of name/version/build, with spaces between them.",
    )
    remove_pattern = serializers.CharField(
        max_length=MAX_PATTERN_LENGTH,
        allow_blank=True,
        required=False,
        help_text="Remove only what matches; empty: everything that nothing keeps.",
    )
    is_enabled = serializers.BooleanField(
        required=False, help_text="Whether it runs, once a day. Look at its preview first."
    )


class RuleInput(TermsInput):
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH)


class RuleQuery(Input):
    channel = serializers.CharField(max_length=MAX_CHANNEL_NAME_LENGTH, required=False)


class PreviewQuery(Input):
    offset = serializers.IntegerField(min_value=0, max_value=10**9, default=0)
    limit = serializers.IntegerField(min_value=1, max_value=1000, default=100)
