"""The form that prefix.dev's clients upload with."""

from __future__ import annotations

from portal.errors import Refusal
from registry.dialects import multipart
from registry.dialects.multipart import FormFile, Part, Rules
from registry.storage import Readable

ATTESTATION_FIELD = "attestation"
_BLOCK_BYTES = multipart.BLOCK_BYTES


class AttestationNotTaken(Refusal):
    slug = "attestation-not-taken"
    title = "Attestations are not taken yet"
    status = 422


def _refuse_attestations(part: Part) -> None:
    if part.name == ATTESTATION_FIELD:
        raise AttestationNotTaken(
            "The upload comes with an attestation, and attestations are not verified "
            "here yet. Nothing was stored. Send the file without one."
        )


class FilePart(FormFile):
    """The part named ``file``; what it says of the file stands in its headers."""

    def __init__(self, content_type: str, body: Readable) -> None:
        super().__init__(content_type, body, Rules(refuse=_refuse_attestations))
        self.filename: str | None = self.head.header("X-File-Name") or self.head.filename
        self.sha256: str | None = self.head.header("X-File-Sha256")
