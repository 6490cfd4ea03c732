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

import msgspec

from registry.conda.errors import InvalidMetadataError, PackageError, Phrase, gettext_noop, quote
from registry.conda.limits import MEBIBYTE, Limits
from registry.conda.strict_json import parse_object

MAX_BUNDLE_BYTES = MEBIBYTE
MAX_SIDECAR_BYTES = 4 * MEBIBYTE
"""py-rattler reads no sidecar that is larger."""
MAX_ATTESTATIONS = 20
SIDECAR_SUFFIX = ".sigs"

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://schemas.conda.org/attestations-publish-1.schema.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

_LIMITS = Limits(json_depth=24)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ATTESTATION = Phrase(gettext_noop("The attestation"))
_SUBJECT = Phrase(gettext_noop("The subject of the signed statement"))
_REMEDY = Phrase(gettext_noop("sign the package anew"))


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
            gettext_noop(
                "The attestation has more than %(most)s bytes, the most that one may have. Send a "
                "single Sigstore bundle."
            ),
            most=MAX_BUNDLE_BYTES,
        )
    envelope = _object(_parsed(bundle, _ATTESTATION), "dsseEnvelope", _ATTESTATION)
    payload_type = envelope.get("payloadType")
    if payload_type != PAYLOAD_TYPE:
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation signs %(payload_type)s, and %(wanted)s is wanted: sign an in-toto "
                "statement, as CEP 27 has it."
            ),
            payload_type=quote(payload_type),
            wanted=repr(PAYLOAD_TYPE),
        )
    return _statement(_payload(envelope.get("payload")))


def _parsed(data: bytes, name: str) -> dict[str, object]:
    try:
        return parse_object(data, name=name, limits=_LIMITS, remedy=_REMEDY)
    except InvalidMetadataError as error:
        raise InvalidAttestationError(error.template, **error.values) from error


def _object(value: dict[str, object], key: str, name: str) -> dict[str, object]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise InvalidAttestationError(
            gettext_noop(
                "%(name)s has %(found)s as %(key)s, where an object is wanted. Send a Sigstore "
                "bundle with a signed statement, as CEP 27 has it."
            ),
            name=name,
            found=quote(found),
            key=key,
        )
    return found


def _payload(encoded: object) -> bytes:
    try:
        if isinstance(encoded, str):
            return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise InvalidAttestationError(
        gettext_noop(
            "The payload of the attestation is %(encoded)s, which is no base64: %(remedy)s."
        ),
        encoded=quote(encoded),
        remedy=_REMEDY,
    )


def _statement(payload: bytes) -> Statement:
    said = _parsed(payload, Phrase(gettext_noop("The signed statement")))
    for key, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if said.get(key) != wanted:
            raise InvalidAttestationError(
                gettext_noop(
                    "The signed statement gives %(key)s as %(value)s, and %(wanted)s is wanted. "
                    "Sign it as CEP 27 has it."
                ),
                key=key,
                value=quote(said.get(key)),
                wanted=repr(wanted),
            )
    subjects = said.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        count = len(subjects) if isinstance(subjects, list) else "no"
        raise InvalidAttestationError(
            gettext_noop(
                "The signed statement is about %(count)s subjects, and exactly one is wanted: the "
                "package file. Sign each file by itself."
            ),
            count=count,
        )
    name = subjects[0].get("name")
    digest = _object(subjects[0], "digest", _SUBJECT).get("sha256")
    if not isinstance(name, str):
        raise InvalidAttestationError(
            gettext_noop(
                "The subject of the signed statement is called %(name)s, and the full name of the "
                "package file is wanted: %(remedy)s."
            ),
            name=quote(name),
            remedy=_REMEDY,
        )
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        raise InvalidAttestationError(
            gettext_noop(
                "The signed statement gives the sha256 as %(digest)s, and 64 hexadecimal digits "
                "are wanted: %(remedy)s."
            ),
            digest=quote(digest),
            remedy=_REMEDY,
        )
    return Statement(payload, name, digest.lower(), _target_channel(said.get("predicate")))


def _target_channel(predicate: object) -> str | None:
    if predicate is None:
        return None
    channel = predicate.get("targetChannel") if isinstance(predicate, dict) else None
    if not isinstance(channel, str) or not channel.startswith(("https://", "http://")):
        raise InvalidAttestationError(
            gettext_noop(
                "The predicate of the signed statement must be null, or an object with the address "
                "of a channel as targetChannel; that is %(channel)s. Sign it as CEP 27 has it."
            ),
            channel=quote(channel),
        )
    if channel.endswith("/"):
        raise InvalidAttestationError(
            gettext_noop(
                "The signed statement gives targetChannel as %(channel)s. Sign it without the "
                "slash at the end."
            ),
            channel=quote(channel),
        )
    return channel


def check_statement(
    statement: Statement, *, filename: str, sha256: str, addresses: Collection[str]
) -> None:
    """Refuse a statement about another file, or for a channel that has none of these addresses."""
    if statement.filename != filename:
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation is about %(about)s, and the file is %(filename)s. Send the one "
                "that was made for this file."
            ),
            about=quote(statement.filename),
            filename=repr(filename),
        )
    if statement.sha256 != sha256:
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation is about a file with the sha256 %(about)s, and the file has "
                "%(sha256)s. Send the one that was made for this file."
            ),
            about=statement.sha256,
            sha256=sha256,
        )
    channel = statement.target_channel
    if channel is not None and channel not in addresses:
        raise InvalidAttestationError(
            gettext_noop(
                "The attestation is for the channel %(channel)s, and no channel with this file has "
                "that address. Sign it for the address that clients read the channel at, or for no "
                "channel."
            ),
            channel=quote(channel),
        )


def bundles_of(sidecar: bytes) -> list[bytes]:
    """The bundles in a `sidecar`, each as it stands there; whether they hold is not looked at."""
    if len(sidecar) > MAX_SIDECAR_BYTES:
        raise InvalidAttestationError(
            gettext_noop(
                "The attestations have more than %(most)s bytes, the most that those of one file "
                "may have."
            ),
            most=MAX_SIDECAR_BYTES,
        )
    try:
        bundles = [bytes(raw) for raw in msgspec.json.decode(sidecar, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidAttestationError(
            gettext_noop("The attestations are no JSON array of Sigstore bundles (CEP 50).")
        ) from error
    if len(bundles) > MAX_ATTESTATIONS:
        raise InvalidAttestationError(
            gettext_noop(
                "There are %(count)s attestations, and a file has at most %(most)s of them."
            ),
            count=len(bundles),
            most=MAX_ATTESTATIONS,
        )
    return bundles


def sidecar(bundles: Iterable[bytes]) -> bytes:
    """The file that clients read beside the package: the bundles in the order they came, each as
    it came."""
    return b"[" + b",".join(bundles) + b"]"
