"""The form that prefix.dev's clients upload with."""

from __future__ import annotations

from registry.attestations import InvalidAttestation
from registry.conda.attestation import MAX_BUNDLE_BYTES
from registry.dialects import multipart
from registry.dialects.multipart import FormFile, KeptPart, Rules
from registry.storage import Readable

ATTESTATION_FIELD = "attestation"
_BLOCK_BYTES = multipart.BLOCK_BYTES
_ATTESTATION = KeptPart(
    ATTESTATION_FIELD,
    MAX_BUNDLE_BYTES,
    lambda reason: InvalidAttestation(f"{reason} Nothing was stored."),
)


class FilePart(FormFile):
    """The part named ``file``; what it says of the file stands in its headers. What is ``kept``
    beside it is its attestation, a Sigstore bundle."""

    def __init__(self, content_type: str, body: Readable) -> None:
        super().__init__(content_type, body, Rules(keeps=_ATTESTATION))
        self.filename: str | None = self.head.header("X-File-Name") or self.head.filename
        self.sha256: str | None = self.head.header("X-File-Sha256")
