"""What the API shows of attestations."""

from __future__ import annotations

from rest_framework import serializers

from registry.models import Attestation


class AttestationSerializer(serializers.ModelSerializer[Attestation]):
    uploaded_by = serializers.CharField(
        source="uploaded_by.username", default=None, allow_null=True
    )

    class Meta:
        model = Attestation
        fields = [
            "number", "identity", "issuer", "repository", "ref", "commit", "run", "signed_at",
            "log_index", "target_channel", "bundle_sha256", "sidecar_sha256", "uploaded_at",
            "uploaded_by",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs = {
            "identity": {"help_text": "The workflow or the person in whose name it was signed."},
            "issuer": {"help_text": "Who vouched for that identity."},
            "signed_at": {"help_text": "When the signature was logged."},
            "sidecar_sha256": {"help_text": "Of the sidecar that ends with this attestation."},
        }
