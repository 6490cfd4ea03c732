"""Shapes of what the REST API says of transfers of packages and channels."""

from __future__ import annotations

from rest_framework import serializers

from accounts.api.endpoint import Input
from registry.models import ChannelTransfer, Job, Transfer


class TransferInput(Input):
    account = serializers.CharField(max_length=64, help_text="To whom it is offered.")
    keeps_collaborators = serializers.BooleanField(
        default=False, help_text="Whether people who collaborate on it go on doing so."
    )


class TransferSerializer(serializers.ModelSerializer[Transfer]):
    package = serializers.CharField(source="package.name")
    account = serializers.CharField(source="source.name", help_text="Whose it is.")
    target = serializers.CharField(source="target.name", help_text="Who may accept it.")
    offered_by = serializers.CharField(source="offered_by_name")

    class Meta:
        model = Transfer
        fields = (
            "key", "package", "account", "target", "keeps_collaborators", "offered_by",
            "offered_at", "expires_at",
        )  # fmt: skip


class ChannelTransferInput(Input):
    account = serializers.CharField(max_length=64, help_text="To whom it is offered.")


class ChannelTransferSerializer(serializers.ModelSerializer[ChannelTransfer]):
    channel = serializers.CharField(source="channel.name")
    account = serializers.CharField(source="source.name", help_text="Whose it is.")
    target = serializers.CharField(source="target.name", help_text="Who may accept it.")
    offered_by = serializers.CharField(source="offered_by_name")

    class Meta:
        model = ChannelTransfer
        fields = ("key", "channel", "account", "target", "offered_by", "offered_at", "expires_at")


class StartedJobSerializer(serializers.ModelSerializer[Job]):
    """What takes longer than a request; its page tells how far it is."""

    title = serializers.CharField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = ("key", "title", "state", "url")

    def get_url(self, job: Job) -> str:
        return f"/-/jobs/{job.key}"
