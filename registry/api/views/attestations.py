"""Attestations of package files over the REST API (CEP 27)."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from portal.body import open_body
from registry import access, attestations
from registry.api import attestation_serializers as shapes
from registry.conda.attestation import MAX_BUNDLE_BYTES
from registry.models import Attestation, PackageFile
from registry.receiving import upload_slot

_KINDS = ("application/json", "application/vnd.dev.sigstore.bundle")
_BUNDLE = {
    "application/json": {
        "type": "object",
        "additionalProperties": {},
        "description": (
            "A Sigstore bundle over an in-toto statement as CEP 27 has it. It is kept and handed "
            "on byte for byte."
        ),
    }
}


@extend_schema(tags=["attestations"])
class Attestations(Endpoint):
    ordering = "number"
    public_reads = True

    def _found(self, account: str, subdir: str, filename: str) -> PackageFile:
        return access.find_file(self.identity, account, subdir, filename)

    @extend_schema(
        operation_id="attestations_list", responses=shapes.AttestationSerializer(many=True)
    )
    def get(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Who signed the file, in the order the attestations came."""
        file = self._found(account, subdir, filename)
        rows = Attestation.objects.filter(file=file).select_related("uploaded_by").defer("bundle")
        return self.page(rows, shapes.AttestationSerializer)

    @extend_schema(
        operation_id="attestations_add",
        request=_BUNDLE,
        responses={200: shapes.AttestationSerializer, 201: shapes.AttestationSerializer},
    )
    def post(self, _request: Request, account: str, subdir: str, filename: str) -> Response:
        """Give the file one more attestation, which is verified; 200 when it had the very same.

        None can be taken back: it goes with the file.
        """
        file = self._found(account, subdir, filename)
        access.require_changing(self.identity, file)
        with upload_slot():
            added = attestations.add(by=self.identity, file=file, bundle=self._bundle())
        status = 201 if added.is_new else 200
        return self.shown(added.attestation, shapes.AttestationSerializer, status=status)

    def _bundle(self) -> bytes:
        kind = self.request.content_type or ""
        if not kind.strip().lower().startswith(_KINDS):
            raise UnsupportedMediaType(kind)
        return open_body(self.request.META, limit_bytes=MAX_BUNDLE_BYTES).read()
