"""Whether an attestation is signed as Sigstore has it, and by whom.

The library takes 0.4 s and 65 MB to import, so nobody imports this room before there is a bundle
to verify. Nothing is fetched: all that is needed stands in the bundle and in the trusted root.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import quote as url_quote

from cryptography.hazmat import asn1
from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier

from registry.conda.attestation import InvalidAttestationError, Signer, Statement
from registry.conda.errors import gettext_noop

log = logging.getLogger(__name__)

_PUBLIC_GOOD = "https://tuf-repo-cdn.sigstore.dev"

# What Fulcio writes into certificates: those of one line are in DER, the older ones bare text.
_FULCIO = "1.3.6.1.4.1.57264.1"
_USERNAME = f"{_FULCIO}.7"
_ISSUER, _OLD_ISSUER = f"{_FULCIO}.8", f"{_FULCIO}.1"
_REPOSITORY, _OLD_REPOSITORY = f"{_FULCIO}.12", f"{_FULCIO}.5"
_COMMIT, _OLD_COMMIT = f"{_FULCIO}.13", f"{_FULCIO}.3"
_REF, _OLD_REF = f"{_FULCIO}.14", f"{_FULCIO}.6"
_RUN = f"{_FULCIO}.21"


class _AnySigner:
    """The library's question who may sign. Everybody may here, and is told by name."""

    def verify(self, cert: Certificate) -> None:
        pass


def verify(bundle: bytes, statement: Statement, *, trusted_root: str = "") -> Signer:
    """Who signed the statement, which was read from the bundle.

    The signature, the certificate's chain and its entry in a log of certificates, the entry of
    the signature in the transparency log with its proof, and the time: all of it has to hold.
    ``trusted_root`` is a file to trust instead of the root that came with the library. Which
    signer is right is not asked here.
    """
    verifier = _verifier(trusted_root)
    try:
        parsed = Bundle.from_json(bundle)
    # Its parsers raise whatever they come upon: what they can't read, nobody verified.
    except Exception as error:
        log.info("an attestation could not be read", extra={"reason": str(error)[:500]})
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation is no Sigstore bundle with a certificate and one entry of the "
                "transparency log. Send what the signing tool wrote, versions 0.1 to 0.3."
            )
        ) from error
    try:
        _, payload = verifier.verify_dsse(parsed, _AnySigner())
        signer = _signer(parsed)
    except Exception as error:
        log.info("an attestation did not verify", extra={"reason": str(error)[:500]})
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation does not verify: its signature, its certificate or its entry of "
                "the transparency log is not what Sigstore would have made. Sign the package anew."
            )
        ) from error
    if payload != statement.payload:  # two readers of one bundle that disagree
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation can be read in two ways. Send what the signing tool wrote."
            )
        )
    return signer


@lru_cache(maxsize=2)
def _verifier(trusted_root: str) -> Verifier:
    if trusted_root:
        return Verifier(trusted_root=TrustedRoot.from_file(trusted_root))
    # Not Verifier.production(offline=True): that keeps a copy in the home folder for good, also
    # when a newer one came with a newer library.
    folder = resources.files("sigstore._store") / url_quote(_PUBLIC_GOOD, safe="")
    with resources.as_file(folder / "trusted_root.json") as path:
        return Verifier(trusted_root=TrustedRoot.from_file(str(path)))


def _signer(bundle: Bundle) -> Signer:
    certificate = bundle.signing_certificate
    [entry] = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"]
    repository = _said(certificate, _REPOSITORY)
    if not repository and (path := _said(certificate, _OLD_REPOSITORY)):
        repository = f"https://github.com/{path}"
    return Signer(
        identity=_identity(certificate),
        issuer=_said(certificate, _ISSUER) or _said(certificate, _OLD_ISSUER),
        repository=repository,
        ref=_said(certificate, _REF) or _said(certificate, _OLD_REF),
        commit=_said(certificate, _COMMIT) or _said(certificate, _OLD_COMMIT),
        run=_said(certificate, _RUN),
        signed_at=_signed_at(certificate, entry),
        log_index=int(entry["logIndex"]),
    )


def _signed_at(certificate: Certificate, entry: dict[str, Any]) -> datetime:
    # Only with the promise did the log sign the time. Without it an authority for timestamps did,
    # and the certificate, which holds for minutes, is near enough.
    if entry.get("inclusionPromise") and entry.get("integratedTime"):
        return datetime.fromtimestamp(int(entry["integratedTime"]), tz=UTC)
    return certificate.not_valid_before_utc


def _identity(certificate: Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    [name] = names
    if isinstance(name, UniformResourceIdentifier | RFC822Name):
        return _printable(name.value)
    if isinstance(name, OtherName) and name.type_id.dotted_string == _USERNAME:
        return _printable(asn1.decode_der(str, name.value))
    raise ValueError("the certificate is for nobody that can be named")


def _said(certificate: Certificate, oid: str) -> str:
    try:
        extension = certificate.extensions.get_extension_for_oid(ObjectIdentifier(oid)).value
    except ExtensionNotFound:
        return ""
    if not isinstance(extension, UnrecognizedExtension):
        raise TypeError(f"{oid} is read as something else")
    is_der = int(oid.rpartition(".")[2]) >= 8
    text = asn1.decode_der(str, extension.value) if is_der else extension.value.decode()
    return _printable(text)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the certificate says what can't be shown")
    return text
