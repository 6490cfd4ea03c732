"""Shapes of what the REST API says of bins."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from registry.models import Binned


class BinnedSerializer(serializers.ModelSerializer[Binned]):
    subdir = serializers.CharField(source="file.subdir")
    filename = serializers.CharField(source="file.filename")
    package = serializers.CharField(source="file.name")
    version = serializers.CharField(source="file.version")
    size_bytes = serializers.IntegerField(source="file.size_bytes")
    sha256 = serializers.CharField(source="file.sha256")

    class Meta:
        model = Binned
        fields = (
            "subdir", "filename", "package", "version", "size_bytes", "sha256", "deleted_at",
            "deleted_by", "deleted_with", "reason", "kept_until",
        )  # fmt: skip


class RestoredSerializer(serializers.Serializer[dict[str, Any]]):
    subdir = serializers.CharField()
    filename = serializers.CharField()
    channels = serializers.ListField(
        child=serializers.CharField(), help_text="Those in which it stands again."
    )
    left_out = serializers.ListField(
        child=serializers.CharField(),
        help_text="Those in which it stood, and that are locked or don't take it any more.",
    )
