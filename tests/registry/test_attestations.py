"""Attestations: verified when they come, kept as they came, and handed on (CEP 27, CEP 50)."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import zstandard
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Event, Organization
from registry import attestations, channels, indexing, patching, placement, storage
from registry import bin as bins
from registry.collaboration import set_privacy
from registry.generations import SHARD_INDEX, read_shard_index
from registry.models import Attestation, Package, PublishedIndex, Record
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_organization
from tests.registry.attesting import (
    API,
    HELLO,
    MAIN,
    OTHER,
    PLACE,
    attach,
    sidecar,
    the_file,
    upload,
)
from tests.registry.dialects.prefix.test_upload import encoded, file_part, post
from tests.sigstore_world import (
    COMMIT,
    SIGNED_AT,
    WORKFLOW,
    Sigstore,
    statement,
)


def records(channel: ChannelAddress, *, members: bool = False) -> list[Any]:
    """What repodata.json and the shard say of the file's sidecar."""
    run_pending_tasks()
    index = PublishedIndex.objects.get(channel=channel.row, subdir="noarch", members_only=members)
    store = storage.store()

    def data(key: str) -> bytes:
        size = store.size(key)
        assert size is not None
        return b"".join(store.blocks(key, start=0, length=size))

    document = json.loads(
        zstandard.ZstdDecompressor().decompress(data(str(index.files["repodata.json.zst"]["key"])))
    )
    digest = read_shard_index(index.files[SHARD_INDEX])["hello"]
    shard = msgspec.msgpack.decode(
        zstandard.ZstdDecompressor().decompress(
            data(storage.shard_key(channel.row.pk, "noarch", f"{digest.hex()}.msgpack.zst"))
        )
    )
    said = shard["packages.conda"][HELLO.filename].get("attestations_sha256")
    return [
        document["packages.conda"][HELLO.filename].get("attestations_sha256"),
        None if said is None else said.hex(),
    ]


def test_a_package_and_its_attestation_come_together(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    bundle = sigstore.sign(statement(HELLO, MAIN))

    assert upload(maintainer, bundle).status_code == 201

    whole = b"[" + bundle + b"]"
    digest = hashlib.sha256(whole).hexdigest()
    newest, exact = sidecar(channel), sidecar(channel, digest)
    assert newest.body == exact.body == whole
    assert newest.headers["Content-Type"] == exact.headers["Content-Type"] == "application/json"
    assert newest.headers["Cache-Control"] == "public, no-cache"
    assert exact.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert newest.headers["ETag"] == f'"{digest}"'
    assert sidecar(channel, If_None_Match=f'"{digest}"').status_code == 304
    assert records(channel) == [digest, digest]
    assert sidecar(channel, "0" * 64).status_code == 404
    kept = Attestation.objects.get()
    assert (kept.identity, kept.commit) == (WORKFLOW, COMMIT)
    assert kept.signed_at == SIGNED_AT + timedelta(seconds=20)
    assert kept.uploaded_by == maintainer.user
    event = Event.objects.get(action="file.attest")
    assert (event.target, event.detail["identity"]) == (PLACE, WORKFLOW)


def test_a_package_without_one_has_no_sidecar(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(maintainer, None)

    assert sidecar(channel).status_code == 404
    assert records(channel) == [None, None]
    assert b"attestations_sha256" not in bytes(Record.objects.get().json)


def test_one_more_is_added_behind_the_others(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    # Kept as it came, with the blanks that a tool wrote.
    first = json.dumps(sigstore.bundle(statement(HELLO)), indent=1).encode() + b"\n"
    second = sigstore.sign(statement(HELLO, MAIN), identity="jane@example.org")
    upload(maintainer, first)
    [before, _] = records(channel)

    assert attach(maintainer, second).status_code == 201
    assert attach(maintainer, second).status_code == 200
    assert upload(maintainer, second).status_code == 409

    whole = b"[" + first + b"," + second + b"]"
    assert sidecar(channel).body == whole
    [after, _] = records(channel)
    assert after == hashlib.sha256(whole).hexdigest()
    # Whoever read the index a moment ago finds what it named.
    assert sidecar(channel, before).body == b"[" + first + b"]"
    listed = get(API).json()["results"]
    assert [one["identity"] for one in listed] == [WORKFLOW, "jane@example.org"]
    assert [one["sidecar_sha256"] for one in listed] == [before, after]


def test_a_known_file_is_sent_again_with_an_attestation(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(maintainer, None)

    assert upload(maintainer, sigstore.sign(statement(HELLO))).status_code == 201
    assert records(channel)[0] is not None


def test_pages_say_who_signed(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(maintainer, sigstore.sign(statement(HELLO)))
    attach(maintainer, sigstore.sign(statement(HELLO), identity="jane@example.org"))

    for path in ("/acme/hello", f"/acme/hello/files/{PLACE}"):
        page = Client().get(path).content.decode()
        assert ">.github/workflows/release.yml@refs/tags/v1.0</dd>" in page
        for words in ("github.com/acme/xz</a>", COMMIT[:12], "jane@example.org"):
            assert words in page
    assert f'href="/conda/acme/{PLACE}.sigs"' in page


def test_lists_of_files_mark_those_that_are_signed(
    maintainer: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    unsigned = build_conda("hello", "1.0", build="1")
    upload(maintainer, None)
    upload(maintainer, None, built=unsigned)
    version, files = "/acme/hello/1.0", "/acme/hello/files"

    def asked(path: str) -> tuple[str, int]:
        with CaptureQueriesContext(connection) as queries:
            page = Client().get(path).content.decode()
        return page, len(queries)

    before = {path: asked(path) for path in (version, files)}
    assert not any("Signed" in page for page, _count in before.values())
    upload(maintainer, sigstore.sign(statement(HELLO)))
    attach(maintainer, sigstore.sign(statement(HELLO), identity="jane@example.org"))

    for path, (_page, count) in before.items():
        page, now = asked(path)
        assert now == count
        rows = re.findall(r'<th scope="row"><a class="mono".*?</th>', page, re.DOTALL)
        [row] = [row for row in rows if "Signed" in row]
        assert f">{HELLO.filename}</a>" in row
    assert "1 of 2 files; their pages say by whom" in asked(version)[0]
    upload(maintainer, sigstore.sign(statement(unsigned)), built=unsigned)
    assert "all files; their pages say by whom" in asked(version)[0]


# --- What becomes of them ------------------------------------------------------------------------


def test_private_attestations_are_like_missing_ones(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, sigstore.sign(statement(HELLO)), path="acme/secret")
    digest = Attestation.objects.get().sidecar_sha256
    token = owner.token().secret
    missing = get("/conda/missing/noarch/x-1-0.conda.sigs")

    for name in ("", digest):
        hidden = sidecar(private_channel, name)
        assert (hidden.status_code, hidden.body) == (404, missing.body)
        shown = sidecar(private_channel, name, token=token)
        assert shown.status_code == 200
        assert shown.headers["Cache-Control"].startswith("private, ")

    placement.add_to_channel(by=owner.identity, file=the_file(), channel=channel.row)
    set_privacy(by=owner.identity, package=Package.objects.get(), is_private=True)
    hidden = sidecar(channel, digest)
    assert (hidden.status_code, hidden.body) == (404, missing.body)
    assert records(channel, members=True) == [digest, digest]


def test_an_index_made_anew_says_the_same(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, None)
    for number in range(3):
        built = build_conda(f"other{number}", "1.0")
        owner.upload(built, to=channel)
    before = records(channel)
    attach(owner, sigstore.sign(statement(HELLO)))
    spliced = records(channel)
    names = (
        "repodata.json",
        "repodata.json.zst",
        "repodata_shards.msgpack.zst",
        "current_repodata.json",
    )
    bytes_before = [get(channel.url(f"noarch/{name}")).body for name in names]

    indexing.mark_everything(channel.row.__class__.objects.filter(pk=channel.row.pk))

    assert before == [None, None]
    assert records(channel) == spliced == [Attestation.objects.get().sidecar_sha256] * 2
    assert [get(channel.url(f"noarch/{name}")).body for name in names] == bytes_before


def test_patches_leave_it_where_it_is(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, sigstore.sign(statement(HELLO)))
    depends = ["python >=3.10"]
    patching.edit_record(by=owner.identity, channel=channel.row, file=the_file(), depends=depends)
    first = Attestation.objects.get().sidecar_sha256
    assert records(channel) == [first, first]

    attach(owner, sigstore.sign(statement(HELLO, MAIN)))

    second = Attestation.objects.get(number=2).sidecar_sha256
    assert records(channel) == [second, second]
    record = owner.repodata(channel, "noarch")["packages.conda"][HELLO.filename]
    assert record["depends"] == depends


def test_they_go_with_the_file_and_come_back_with_it(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, sigstore.sign(statement(HELLO)))
    digest = Attestation.objects.get().sidecar_sha256
    file = the_file()

    placement.delete_file(by=owner.identity, file=file)
    assert sidecar(channel).status_code == sidecar(channel, digest).status_code == 404
    bins.restore_files(by=owner.identity, account=file.account, files=[file])
    assert sidecar(channel).status_code == 200
    assert records(channel) == [digest, digest]

    placement.delete_file(by=owner.identity, file=file)
    bins.purge_files(by=owner.identity, account=file.account, files=[file])
    assert not Attestation.objects.exists()
    upload(owner, None)
    assert records(channel) == [None, None]


def test_other_bytes_have_none(owner: Person, channel: ChannelAddress, sigstore: Sigstore) -> None:
    upload(owner, sigstore.sign(statement(HELLO)))
    token = owner.token().secret
    part = file_part(OTHER.data, filename=OTHER.filename, sha256=OTHER.sha256)
    post("acme?force=true", encoded(part), token=token)

    assert sidecar(channel).status_code == 404
    assert records(channel) == [None, None]


def test_a_copy_has_the_same(owner: Person, channel: ChannelAddress, sigstore: Sigstore) -> None:
    make_organization("beta", owner=owner.user)
    upload(owner, sigstore.sign(statement(HELLO, MAIN)))
    attach(owner, sigstore.sign(statement(HELLO)))
    there = ChannelAddress("beta")

    placement.copy_file(by=owner.identity, file=the_file(), account_name="beta")

    digest = Attestation.objects.filter(file=the_file()).last().sidecar_sha256  # type: ignore[union-attr]  # there are two
    assert records(there) == records(channel) == [digest, digest]
    assert sidecar(there).body == sidecar(channel, digest).body


def test_a_locked_channel_keeps_its_record(
    owner: Person, channel: ChannelAddress, sigstore: Sigstore
) -> None:
    upload(owner, None)
    channels.change_channel(by=owner.identity, channel=channel.row, is_locked=True)

    assert attach(owner, sigstore.sign(statement(HELLO))).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_none_of_many_at_once_is_lost(
    owner: Person,
    acme: Organization,
    channel: ChannelAddress,
    sigstore: Sigstore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("registry.conda.attestation.MAX_ATTESTATIONS", 50)
    upload(owner, None)
    file = the_file()
    bundles = [sigstore.sign(statement(HELLO)) for _ in range(50)]

    def add(bundle: bytes) -> None:
        attestations.add(by=owner.identity, file=file, bundle=bundle)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, bundles))

    whole = sidecar(channel).body
    assert sorted(json.loads(whole), key=str) == sorted(map(json.loads, bundles), key=str)
    assert records(channel) == [hashlib.sha256(whole).hexdigest()] * 2
