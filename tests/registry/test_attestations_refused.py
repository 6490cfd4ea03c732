"""Attestations that are refused: signed wrong, about something else, too many, or by others."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from registry import attestations
from registry.attestations import InvalidAttestation, TooManyAttestations
from registry.conda.attestation import MAX_ATTESTATIONS, MAX_BUNDLE_BYTES
from registry.models import Attestation, PackageFile
from tests.cast import Person
from tests.conda_client import ChannelAddress, stored_files
from tests.registry.attesting import API, HELLO, MAIN, OTHER, PLACE, attach, the_file, upload
from tests.sigstore_world import (
    SIGNED_AT,
    Authority,
    Sigstore,
    _new_key,
    statement,
)

Change = Callable[[dict[str, Any]], None]


def altered(change: Change) -> Callable[[Sigstore], bytes]:
    def made(sigstore: Sigstore) -> bytes:
        bundle = sigstore.bundle(statement(HELLO, MAIN))
        change(bundle)
        return json.dumps(bundle).encode()

    return made


def said(channel: str | None = None, **changed: Any) -> Callable[[Sigstore], bytes]:
    return lambda sigstore: sigstore.sign(statement(HELLO, channel, **changed))


def signed(**how: Any) -> Callable[[Sigstore], bytes]:
    return lambda sigstore: sigstore.sign(statement(HELLO, MAIN), **how)


def raw(data: bytes) -> Callable[[Sigstore], bytes]:
    return lambda _: data


def _entry(bundle: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


def _flip(text: str) -> str:
    """One bit of what is in base64."""
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def _other_payload(bundle: dict[str, Any]) -> None:
    text = json.dumps(statement(HELLO, None)).encode()
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(text).decode()


def _other_signature(bundle: dict[str, Any]) -> None:
    [one] = bundle["dsseEnvelope"]["signatures"]
    one["sig"] = _flip(one["sig"])


def _flipped(*path: str) -> Change:
    def change(bundle: dict[str, Any]) -> None:
        place = _entry(bundle)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = _flip(place[path[-1]])

    return change


def _without(*path: str) -> Change:
    def change(bundle: dict[str, Any]) -> None:
        place = bundle
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


def _in_entry(**values: Any) -> Change:
    return lambda bundle: _entry(bundle).update(values)


def _no_proof_of_time(bundle: dict[str, Any]) -> None:
    del _entry(bundle)["inclusionPromise"]


def _another_checkpoint(bundle: dict[str, Any]) -> None:
    checkpoint = _entry(bundle)["inclusionProof"]["checkpoint"]
    checkpoint["envelope"] = checkpoint["envelope"].replace("\n3\n", "\n4\n")


def _twice(text: bytes, key: bytes) -> bytes:
    return text.replace(b'"%s": ' % key, b'"%s": "x", "%s": ' % (key, key), 1)


def _subject(**changed: Any) -> dict[str, Any]:
    return {"name": HELLO.filename, "digest": {"sha256": HELLO.sha256}, **changed}


_LATER = SIGNED_AT + timedelta(minutes=11)
BAD: dict[str, Callable[[Sigstore], bytes]] = {
    # About something else.
    "another file name": said(subject=[_subject(name="hello-1.1-0.conda")]),
    "a path as file name": said(subject=[_subject(name=PLACE)]),
    "no file name": said(subject=[_subject(name=None)]),
    "another digest": said(subject=[_subject(digest={"sha256": OTHER.sha256})]),
    "no digest": said(subject=[_subject(digest={})]),
    "a digest of another kind": said(subject=[_subject(digest={"sha512": "0" * 128})]),
    "half a digest": said(subject=[_subject(digest={"sha256": HELLO.sha256[:32]})]),
    "a digest that is none": said(subject=[_subject(digest=HELLO.sha256)]),
    "two subjects": said(subject=[_subject(), _subject()]),
    "no subject": said(subject=[]),
    "a subject that is no list": said(subject=_subject()),
    "another channel": said(f"{MAIN}/label/dev"),
    "another account's channel": said(f"{django_settings.BASE_URL}/conda/other"),
    "another host's channel": said("https://conda.example.net/conda/acme"),
    "a channel with a slash behind": said(f"{MAIN}/"),
    "a channel that is no address": said("acme"),
    "a predicate without a channel": said(predicate={}),
    "a predicate that is no object": said(predicate=[MAIN]),
    "another predicate type": said(predicateType="https://slsa.dev/provenance/v1"),
    "another statement type": said(_type="https://in-toto.io/Statement/v0.1"),
    "another payload type": signed(payload_type="text/plain"),
    "no statement": lambda sigstore: sigstore.sign(b"hello"),
    "a statement with a key twice": lambda sigstore: sigstore.sign(
        _twice(json.dumps(statement(HELLO)).encode(), b"predicateType")
    ),
    # Signed wrong.
    "an altered signature": altered(_other_signature),
    "an altered payload": altered(_other_payload),
    "no signature": altered(lambda bundle: bundle["dsseEnvelope"].update(signatures=[])),
    "two signatures": altered(
        lambda bundle: bundle["dsseEnvelope"].update(
            signatures=bundle["dsseEnvelope"]["signatures"] * 2
        )
    ),
    "another authority": signed(authority=Authority()),
    "another log of certificates": signed(certificate_log=_new_key()),
    "another transparency log": signed(log=_new_key()),
    "a certificate for something else": signed(code_signing=False),
    "signed when the certificate was over": signed(logged_at=_LATER),
    "signed before the certificate": signed(logged_at=SIGNED_AT - timedelta(minutes=1)),
    "something else was logged": signed(logged=statement(OTHER, MAIN)),
    # The log's part of it.
    "an altered promise": altered(_flipped("inclusionPromise", "signedEntryTimestamp")),
    "an altered body": altered(_flipped("canonicalizedBody")),
    "an altered root": altered(_flipped("inclusionProof", "rootHash")),
    "an altered proof": altered(
        lambda bundle: _entry(bundle)["inclusionProof"].update(
            hashes=[_flip(one) for one in _entry(bundle)["inclusionProof"]["hashes"]]
        )
    ),
    "an altered checkpoint": altered(_another_checkpoint),
    "another time than was promised": altered(
        _in_entry(integratedTime=str(int(SIGNED_AT.timestamp()) + 30))
    ),
    "another place in the log": altered(_in_entry(logIndex="2")),
    "nobody vouches for the time": altered(_no_proof_of_time),
    "no proof": altered(
        lambda bundle: _entry(bundle).pop("inclusionProof")
    ),
    "no entry": altered(lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[])),
    "two entries": altered(
        lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[_entry(bundle)] * 2)
    ),
    "no certificate": altered(_without("verificationMaterial", "certificate")),
    "no envelope": altered(_without("dsseEnvelope")),
    "another media type": altered(lambda bundle: bundle.update(mediaType="application/json")),
    # No bundle at all.
    "nothing": raw(b""),
    "no JSON": raw(b"hello"),
    "a list": lambda sigstore: b"[" + sigstore.sign(statement(HELLO)) + b"]",
    "two bundles in one part": lambda sigstore: sigstore.sign(statement(HELLO)) * 2,
    "a key twice": lambda sigstore: _twice(sigstore.sign(statement(HELLO)), b"mediaType"),
    "half a bundle": lambda sigstore: sigstore.sign(statement(HELLO))[:2000],
    "not a number": lambda sigstore: sigstore.sign(statement(HELLO))[:-1] + b', "x": NaN}',
    "UTF-16": lambda sigstore: sigstore.sign(statement(HELLO)).decode().encode("utf-16"),
    "lists 10,000 deep": raw(b'{"dsseEnvelope": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
    "more than a bundle may have": lambda sigstore: (
        sigstore.sign(statement(HELLO)) + b" " * MAX_BUNDLE_BYTES
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_attestation_lets_nothing_in(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore, kind: str
) -> None:
    answer = upload(maintainer, BAD[kind](sigstore))

    assert answer.status_code == 422, answer.content
    assert b"Nothing was stored." in answer.content
    assert not PackageFile.objects.exists()
    assert not Attestation.objects.exists()
    assert stored_files() == []


def test_50_megabytes_are_given_up_after_the_first(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    assert upload(maintainer, b" " * 50_000_000).status_code == 422
    assert stored_files() == []
    upload(maintainer, None)
    assert attach(maintainer, b" " * 50_000_000).status_code == 413


def test_the_public_sigstore_is_trusted_where_nothing_else_is_named(sigstore: Sigstore) -> None:
    bundle = sigstore.sign(statement(HELLO))
    django_settings.SIGSTORE_TRUSTED_ROOT = ""  # put back by the fixture

    with pytest.raises(InvalidAttestation, match="does not verify"):
        attestations.verify(
            bundle, filename=HELLO.filename, sha256=HELLO.sha256, addresses=frozenset()
        )


def test_all_addresses_of_a_channel_are_taken(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    site = django_settings.BASE_URL
    upload(owner, None)
    upload(owner, None, path="acme/a/b")
    good = (
        "conda/acme", "conda/acme/main", "conda/acme/label/main", "acme", "acme/main",
        "conda/acme/label/a/b", "conda/acme/a/b", "acme/a/b",
    )  # fmt: skip

    for path in good:
        bundle = sigstore.sign(statement(HELLO, f"{site}/{path}"))
        assert attach(owner, bundle).status_code == 201, path


def test_a_file_has_only_so_many(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, None)
    file = the_file()

    def add(*, large: bool = False) -> None:
        bundle = sigstore.sign(statement(HELLO))
        bundle += b" " * (MAX_BUNDLE_BYTES - len(bundle)) if large else b""
        attestations.add(by=owner.identity, file=file, bundle=bundle)

    for _ in range(3):
        add(large=True)
    with pytest.raises(TooManyAttestations):
        add(large=True)
    for _ in range(3, MAX_ATTESTATIONS):
        add()
    with pytest.raises(TooManyAttestations):
        add()


def test_who_may_not_publish_the_package_attaches_nothing(
    maintainer: Person, reader: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(maintainer, None)

    assert attach(reader, sigstore.sign(statement(HELLO))).status_code == 403
    assert Client().post(API, b"{}", content_type="application/json").status_code == 401
    assert not Attestation.objects.exists()
