"""Attestations of package files: what is signed (CEP 27), and how it is handed on (CEP 50).

An attestation is a Sigstore bundle, a JSON object that holds a signed statement: this file name is
these bytes, published to that channel. Its bytes are kept as they came, for clients look at their
digest. Whether the signature holds is asked in `registry.conda.signatures`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from registry.conda.errors import InvalidMetadataError, PackageError, quote
from registry.conda.limits import MEBIBYTE, Limits
from registry.conda.strict_json import parse_object

MAX_BUNDLE_BYTES = MEBIBYTE
MAX_SIDECAR_BYTES = 4 * MEBIBYTE
"""py-rattler reads no sidecar that is larger."""
MAX_ATTESTATIONS = 20

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://schemas.conda.org/attestations-publish-1.schema.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

_LIMITS = Limits(json_depth=24)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_REMEDY = "sign the package anew"


class InvalidAttestationError(PackageError):
    """An attestation that cannot be taken, or not for this file."""

    slug = "invalid-attestation"


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed."""

    payload: bytes
    filename: str
    sha256: str
    target_channel: str | None


@dataclass(frozen=True, slots=True)
class Signer:
    """An identity that an issuer vouched for: a workflow by its address, or a person by e-mail.

    What only workflows have is empty for others.
    """

    identity: str
    issuer: str
    repository: str
    ref: str
    commit: str
    run: str
    signed_at: datetime
    log_index: int


def read_statement(bundle: bytes) -> Statement:
    """What a bundle says, before anybody has looked whether it is signed."""
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise InvalidAttestationError(
            f"The attestation has more than {MAX_BUNDLE_BYTES} bytes, the most that one may have. "
            "Send a single Sigstore bundle."
        )
    envelope = _object(_parsed(bundle, "The attestation"), "dsseEnvelope", "The attestation")
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise InvalidAttestationError(
            f"The attestation signs {quote(payload_type)}, and {PAYLOAD_TYPE!r} is wanted: sign "
            "an in-toto statement, as CEP 27 has it."
        )
    return _statement(_payload(envelope.get("payload")))


def _parsed(data: bytes, name: str) -> dict[str, object]:
    try:
        return parse_object(data, name=name, limits=_LIMITS, remedy=_REMEDY)
    except InvalidMetadataError as error:
        raise InvalidAttestationError(str(error)) from error


def _object(value: dict[str, object], key: str, name: str) -> dict[str, object]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise InvalidAttestationError(
            f"{name} has {quote(found)} as {key}, where an object is wanted. Send a Sigstore "
            "bundle with a signed statement, as CEP 27 has it."
        )
    return found


def _payload(encoded: object) -> bytes:
    try:
        if isinstance(encoded, str):
            return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise InvalidAttestationError(
        f"The payload of the attestation is {quote(encoded)}, which is no base64: {_REMEDY}."
    )


def _statement(payload: bytes) -> Statement:
    said = _parsed(payload, "The signed statement")
    for key, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if said.get(key) != wanted:
            raise InvalidAttestationError(
                f"The signed statement gives {key} as {quote(said.get(key))}, and {wanted!r} is "
                "wanted. Sign it as CEP 27 has it."
            )
    subjects = said.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        count = len(subjects) if isinstance(subjects, list) else "no"
        raise InvalidAttestationError(
            f"The signed statement is about {count} subjects, and exactly one is wanted: the "
            "package file. Sign each file by itself."
        )
    name = subjects[0].get("name")
    digest = _object(subjects[0], "digest", "The subject of the signed statement").get("sha256")
    if not isinstance(name, str):
        raise InvalidAttestationError(
            f"The subject of the signed statement is called {quote(name)}, and the full name of "
            f"the package file is wanted: {_REMEDY}."
        )
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        raise InvalidAttestationError(
            f"The signed statement gives the sha256 as {quote(digest)}, and 64 hexadecimal "
            f"digits are wanted: {_REMEDY}."
        )
    return Statement(payload, name, digest.lower(), _target_channel(said.get("predicate")))


def _target_channel(predicate: object) -> str | None:
    if predicate is None:
        return None
    channel = predicate.get("targetChannel") if isinstance(predicate, dict) else None
    if not isinstance(channel, str) or not channel.startswith(("https://", "http://")):
        raise InvalidAttestationError(
            "The predicate of the signed statement must be null, or an object with the address of "
            f"a channel as targetChannel; that is {quote(channel)}. Sign it as CEP 27 has it."
        )
    if channel.endswith("/"):
        raise InvalidAttestationError(
            f"The signed statement gives targetChannel as {quote(channel)}. Sign it without the "
            "slash at the end."
        )
    return channel


def check_statement(
    statement: Statement, *, filename: str, sha256: str, addresses: Collection[str]
) -> None:
    """Refuse a statement about another file, or for a channel that has none of these addresses."""
    if statement.filename != filename:
        raise InvalidAttestationError(
            f"The attestation is about {quote(statement.filename)}, and the file is {filename!r}. "
            "Send the one that was made for this file."
        )
    if statement.sha256 != sha256:
        raise InvalidAttestationError(
            f"The attestation is about a file with the sha256 {statement.sha256}, and the file has "
            f"{sha256}. Send the one that was made for this file."
        )
    channel = statement.target_channel
    if channel is not None and channel not in addresses:
        raise InvalidAttestationError(
            f"The attestation is for the channel {quote(channel)}, and no channel with this file "
            "has that address. Sign it for the address that clients read the channel at, or for "
            "no channel."
        )


def sidecar(bundles: Iterable[bytes]) -> bytes:
    """The file that clients read beside the package: the bundles in the order they came, each as
    it came."""
    return b"[" + b",".join(bundles) + b"]"
