"""A small Sigstore of our own: an authority for certificates, their log, and a transparency log.

All keys are made anew for each, and nothing listens anywhere. What a signing tool would fetch from
three services, `Sigstore.sign` makes at once; each step can be told to do it wrong.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry.conda.attestation import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from tests.builders import BuiltPackage

WORKFLOW = "https://github.com/acme/xz/.github/workflows/release.yml@refs/tags/v1.0"
ISSUER = "https://token.actions.githubusercontent.com"
COMMIT = "3fa2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4"
CLAIMS = {
    8: ISSUER,
    12: "https://github.com/acme/xz",
    13: COMMIT,
    14: "refs/tags/v1.0",
    21: "https://github.com/acme/xz/actions/runs/7/attempts/1",
}
SIGNED_AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
_LOG = "log.example.org"
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SHA256 = ec.ECDSA(hashes.SHA256())


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_public(key)).digest()


def _tlv(tag: int, data: bytes) -> bytes:
    """A value in DER, of up to 64 KiB."""
    size = len(data)
    if size < 0x80:
        return bytes([tag, size]) + data
    if size < 0x100:
        return bytes([tag, 0x81, size]) + data
    return bytes([tag, 0x82]) + struct.pack("!H", size) + data


def statement(built: BuiltPackage, channel: str | None = None, **changed: Any) -> dict[str, Any]:
    """What CEP 27 has a publisher say of a package; ``changed`` are keys of it."""
    said: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": built.filename, "digest": {"sha256": built.sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": None if channel is None else {"targetChannel": channel},
    }
    return {**said, **changed}


@dataclass
class Authority:
    """Who gives out certificates: a root and one below it, as Fulcio has them."""

    root_key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)

    @cached_property
    def root(self) -> x509.Certificate:
        return self._make("root", "root", self.root_key, self.root_key)

    @cached_property
    def certificate(self) -> x509.Certificate:
        return self._make("root", "intermediate", self.root_key, self.key)

    def _make(
        self,
        issuer: str,
        subject: str,
        signing: ec.EllipticCurvePrivateKey,
        key: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        public = signing.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(SIGNED_AT - timedelta(days=900))
            .not_valid_after(SIGNED_AT + timedelta(days=3000))
            .add_extension(usage, critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
        )
        if issuer != subject:
            code_signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(code_signing, critical=False)
        return builder.sign(signing, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.example.org"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )


@dataclass
class Sigstore:
    """``sign`` with nothing else makes what `trusted_root` leads to."""

    authority: Authority = field(default_factory=Authority)
    certificate_log: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)

    @cached_property
    def trusted_root(self) -> str:
        since = (SIGNED_AT - timedelta(days=800)).isoformat().replace("+00:00", "Z")

        def log(key: ec.EllipticCurvePrivateKey, name: str) -> dict[str, Any]:
            return {
                "baseUrl": f"https://{name}.example.org",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": _b64(_public(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": since},
                },
                "logId": {"keyId": _b64(_key_id(key))},
            }

        chain = (self.authority.certificate, self.authority.root)
        authority = {
            "subject": {"organization": "sigstore.example.org", "commonName": "root"},
            "uri": "https://authority.example.org",
            "certChain": {
                "certificates": [
                    {"rawBytes": _b64(one.public_bytes(Encoding.DER))} for one in chain
                ]
            },
            "validFor": {"start": since},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self.log, "log")],
                "certificateAuthorities": [authority],
                "ctlogs": [log(self.certificate_log, "certificates")],
                "timestampAuthorities": [],
            }
        )

    def sign(self, said: object, **how: Any) -> bytes:
        """A bundle over a statement, or over bytes that are none."""
        return json.dumps(self.bundle(said, **how)).encode()

    def bundle(
        self,
        said: object,
        *,
        identity: str = WORKFLOW,
        payload_type: str = PAYLOAD_TYPE,
        issued_at: datetime = SIGNED_AT,
        logged_at: datetime = SIGNED_AT + timedelta(seconds=20),
        authority: Authority | None = None,
        certificate_log: ec.EllipticCurvePrivateKey | None = None,
        log: ec.EllipticCurvePrivateKey | None = None,
        logged: object = None,
        code_signing: bool = True,
    ) -> dict[str, Any]:
        """The same as an object. Who else signs what may be named, and what else was logged."""
        key = _new_key()
        certificate = self._certificate(
            key,
            identity,
            issued_at,
            authority or self.authority,
            certificate_log or self.certificate_log,
            code_signing=code_signing,
        )
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        signature = key.sign(_encoded(payload_type, payload), _SHA256)
        of_log = payload if logged is None else json.dumps(logged).encode()
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [_entry(log or self.log, certificate, signature, of_log, logged_at)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": {
                "payload": _b64(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": _b64(signature), "keyid": ""}],
            },
        }

    def _certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        identity: str,
        issued_at: datetime,
        authority: Authority,
        certificate_log: ec.EllipticCurvePrivateKey,
        *,
        code_signing: bool,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        purpose = (
            ExtendedKeyUsageOID.CODE_SIGNING if code_signing else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(identity)
            if "://" in identity
            else x509.RFC822Name(identity)
        )
        claims = CLAIMS if "://" in identity else {8: "https://accounts.example.org"}
        public = authority.key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(authority.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(issued_at)
            .not_valid_after(issued_at + timedelta(minutes=10))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        )
        for number, text in claims.items():
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            value = x509.UnrecognizedExtension(oid, _tlv(0x0C, text.encode()))
            builder = builder.add_extension(value, critical=False)
        before = builder.sign(authority.key, hashes.SHA256())
        timestamp = _timestamp(certificate_log, authority.key, before, issued_at)
        extension = x509.UnrecognizedExtension(_SCTS, _tlv(0x04, timestamp))
        return builder.add_extension(extension, critical=False).sign(authority.key, hashes.SHA256())


def _timestamp(
    log: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    at: datetime,
) -> bytes:
    """The promise of a certificate log, in a list of one (RFC 6962)."""
    body = certificate.tbs_certificate_bytes
    milliseconds = int(at.timestamp() * 1000)
    signed = (
        struct.pack("!BBQH", 0, 0, milliseconds, 1)
        + _key_id(authority)
        + struct.pack("!I", len(body))[1:]
        + body
        + struct.pack("!H", 0)
    )
    signature = log.sign(signed, _SHA256)
    one = (
        struct.pack("!B32sQH", 0, _key_id(log), milliseconds, 0)
        + struct.pack("!BBH", 4, 3, len(signature))
        + signature
    )
    entry = struct.pack("!H", len(one)) + one
    return struct.pack("!H", len(entry)) + entry


def _encoded(payload_type: str, payload: bytes) -> bytes:
    """What is signed of an envelope (DSSE)."""
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _entry(
    log: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    signature: bytes,
    payload: bytes,
    at: datetime,
) -> dict[str, Any]:
    """The second of three entries of a transparency log, with promise, proof and checkpoint."""
    payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
    body = _canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": payload_hash,
                "payloadHash": payload_hash,
                "signatures": [
                    {
                        "signature": _b64(signature),
                        "verifier": _b64(certificate.public_bytes(Encoding.PEM)),
                    }
                ],
            },
        }
    )
    index, seconds = 1, int(at.timestamp())
    left, right = _leaf(b"before"), _leaf(b"after")
    top = _node(_node(left, _leaf(body)), right)
    note = f"{_LOG} - 1\n3\n{_b64(top)}\n"
    signed_note = _key_id(log)[:4] + log.sign(note.encode(), _SHA256)
    promised = _canonical(
        {
            "body": _b64(body),
            "integratedTime": seconds,
            "logID": _key_id(log).hex(),
            "logIndex": index,
        }
    )
    return {
        "logIndex": str(index),
        "logId": {"keyId": _b64(_key_id(log))},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": str(seconds),
        "inclusionPromise": {"signedEntryTimestamp": _b64(log.sign(promised, _SHA256))},
        "inclusionProof": {
            "logIndex": str(index),
            "rootHash": _b64(top),
            "treeSize": "3",
            "hashes": [_b64(left), _b64(right)],
            "checkpoint": {"envelope": f"{note}\n— {_LOG} {_b64(signed_note)}\n"},
        },
        "canonicalizedBody": _b64(body),
    }


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
