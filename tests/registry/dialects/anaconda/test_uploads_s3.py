"""Uploads whose bytes go straight to the S3, past us, and what their commits make of them."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from django.db import connection
from pytest_django import Settings

from registry import housekeeping, post_forms, storage
from registry.models import PackageFile, Stage
from registry.post_forms import Kind
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.registry.dialects.anaconda.calls import error, said
from tests.registry.dialects.anaconda.staging import (
    added_by_the_client,
    commit,
    encoded,
    fields_of,
    post,
    stage,
    staged,
)
from tests.servers import LOOPBACK, S3Server

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("in_s3")]

HELLO = build_conda("hello", "1.0", subdir="linux-64")
OTHER = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})
Document = dict[str, Any]


@pytest.fixture
def document(maintainer: Person, channel: ChannelAddress) -> Document:
    return staged(maintainer, HELLO)


def send(
    document: Document, data: bytes = HELLO.data, changed: Mapping[str, str] = {}
) -> requests.Response:
    """As the stock client does: by requests, with a file name and no credential."""
    fields = {**document["form_data"], **added_by_the_client(data), **changed}
    files = {"file": ("linux-64/hello-1.0-0.conda", data)}
    return requests.post(document["post_url"], data=fields, files=files, timeout=30)


def in_the_bucket(s3: S3Server, prefix: str) -> list[str]:
    client = s3.client()
    try:
        found = client.list_objects_v2(Bucket=s3.bucket, Prefix=prefix).get("Contents", [])
        return sorted(item["Key"] for item in found)
    finally:
        client.close()


@pytest.fixture(autouse=True)
def empty_bucket(s3: S3Server, in_s3: None) -> None:
    """It is the same for all tests of a worker."""
    client = s3.client()
    for key in [*in_the_bucket(s3, "staged/"), *in_the_bucket(s3, "blobs/")]:
        client.delete_object(Bucket=s3.bucket, Key=key)
    client.close()


def test_the_bytes_go_straight_to_the_bucket(
    maintainer: Person, channel: ChannelAddress, document: Document, s3: S3Server
) -> None:
    assert document["post_url"] == f"{s3.endpoint}/{s3.bucket}"
    assert all(isinstance(value, str) for value in document["form_data"].values())
    assert s3.secret_key not in json.dumps(document)

    assert send(document).status_code == 201
    assert in_the_bucket(s3, "staged/") == [f"staged/{document['dist_id']}"]
    first = said(commit(maintainer, HELLO, document))

    assert first["sha256"] == HELLO.sha256
    assert in_the_bucket(s3, "staged/") == []
    assert in_the_bucket(s3, "blobs/") == [storage.blob_key(HELLO.sha256)]
    assert said(commit(maintainer, HELLO, document)) == first
    run_pending_tasks()
    assert HELLO.filename in maintainer.repodata(channel, "linux-64")["packages.conda"]
    location = get(channel.url(f"linux-64/{HELLO.filename}")).headers["Location"]
    with urllib.request.urlopen(location, timeout=10) as response:
        assert response.read() == HELLO.data


def test_who_gives_the_file_no_name_sends_it_to_us(
    maintainer: Person, channel: ChannelAddress, s3: S3Server
) -> None:
    # Of this S3, which would refuse a large one.
    document = staged(maintainer, HELLO, agent="rattler_upload/0.10.0")
    assert document["post_url"] == "http://testserver/api/-/staged"

    body = encoded(fields_of(document, HELLO.data, filename=None))
    assert post(document["post_url"], body).status_code == 201

    assert in_the_bucket(s3, "staged/") == [f"staged/{document['dist_id']}"]
    assert commit(maintainer, HELLO, document).status_code == 200
    assert in_the_bucket(s3, "staged/") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"x-amz-signature": "0" * 64},
        {"key": "blobs/00/0000"},
        {"policy": base64.b64encode(b'{"expiration": "2099-01-01T00:00:00Z"}').decode()},
        {"x-amz-date": "20200101T000000Z"},
    ],
    ids=["signature", "key", "policy", "date"],
)
def test_a_form_that_was_altered_is_refused(
    document: Document, s3: S3Server, changed: dict[str, str]
) -> None:
    answer = send(document, changed=changed)

    assert answer.status_code == 403
    assert "<Code>" in answer.text
    assert in_the_bucket(s3, "staged/") == []
    assert in_the_bucket(s3, "blobs/") == []


def test_a_form_is_good_for_a_short_while(
    maintainer: Person, channel: ChannelAddress, settings: Settings, s3: S3Server
) -> None:
    settings.STAGE_FORM_SECONDS = -1

    answer = send(staged(maintainer, HELLO))

    assert answer.status_code == 403
    assert "expired" in answer.text
    assert in_the_bucket(s3, "staged/") == []


def test_a_file_that_is_too_large_is_refused_by_the_s3(
    maintainer: Person, channel: ChannelAddress, settings: Settings, s3: S3Server
) -> None:
    settings.MAX_UPLOAD_BYTES = HELLO.size - 1

    answer = send(staged(maintainer, HELLO))

    assert answer.status_code == 400
    assert "<Code>EntityTooLarge</Code>" in answer.text
    assert in_the_bucket(s3, "staged/") == []


@pytest.mark.parametrize(
    ("data", "limit_bytes", "status", "says"),
    [
        (OTHER.data, 2**30, 422, "sha256"),
        (HELLO.data[:-1], 2**30, 422, "sha256"),
        (HELLO.data, HELLO.size - 1, 413, "larger"),
    ],
    ids=["other bytes", "cut", "too large"],
)
def test_what_lies_in_the_bucket_is_judged_by_the_commit(
    maintainer: Person,
    document: Document,
    settings: Settings,
    s3: S3Server,
    data: bytes,
    limit_bytes: int,
    status: int,
    says: str,
) -> None:
    assert send(document, data).status_code == 201
    settings.MAX_UPLOAD_BYTES = limit_bytes

    assert says in error(commit(maintainer, HELLO, document), status)

    assert error(commit(maintainer, HELLO, document), 404)
    assert in_the_bucket(s3, "staged/") == []
    assert in_the_bucket(s3, "blobs/") == []
    assert not PackageFile.objects.exists()


def test_what_never_came_is_said(maintainer: Person, document: Document) -> None:
    assert "Send the form" in error(commit(maintainer, HELLO, document), 409)
    assert send(document).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_same_file_by_many_at_once_is_one_file(
    maintainer: Person, channel: ChannelAddress, s3: S3Server
) -> None:
    secret = maintainer.token("api:write").secret
    statuses: list[int] = []

    def run() -> None:
        try:
            mine = staged(secret, HELLO)
            statuses.append(send(mine).status_code)
            statuses.append(commit(secret, HELLO, mine).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert sorted(statuses) == [200] * 4 + [201] * 4
    assert PackageFile.objects.count() == 1
    assert in_the_bucket(s3, "staged/") == []


def test_what_no_upload_waits_for_is_swept(
    maintainer: Person, document: Document, s3: S3Server
) -> None:
    send(document)
    assert housekeeping.sweep_stages() == 0
    Stage.objects.all().delete()
    send(document)  # the form outlives its stage

    assert housekeeping.sweep_stages() == 1
    assert in_the_bucket(s3, "staged/") == []


def test_where_clients_do_not_see_the_s3_the_form_comes_to_us(
    maintainer: Person, channel: ChannelAddress, settings: Settings, s3: S3Server
) -> None:
    settings.ACCEL_PREFIX = "/_files"
    document = staged(maintainer, HELLO)
    assert document["post_url"] == "http://testserver/api/-/staged"

    answer = post(document["post_url"], encoded(fields_of(document, HELLO.data)))

    assert answer.status_code == 201, answer.content
    assert in_the_bucket(s3, "staged/") == [f"staged/{document['dist_id']}"]
    assert commit(maintainer, HELLO, document).status_code == 200
    assert in_the_bucket(s3, "staged/") == []
    assert in_the_bucket(s3, "blobs/") == [storage.blob_key(HELLO.sha256)]


def test_the_address_of_the_form_is_that_which_clients_see(
    maintainer: Person, channel: ChannelAddress, settings: Settings, s3: S3Server
) -> None:
    settings.S3_PUBLIC_ENDPOINT = s3.endpoint.replace(LOOPBACK, "localhost")

    document = staged(maintainer, HELLO)

    assert document["post_url"] == f"{settings.S3_PUBLIC_ENDPOINT}/{s3.bucket}"
    assert send(document).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200


# --- S3s of other makers -----------------------------------------------------------------------


@dataclass
class OtherS3:
    """Takes forms by the rules of another maker, as far as a form's policy goes."""

    names_fields: bool | None
    """Whether all fields must stand in the policy; None takes no forms."""
    status: int = 501
    taken: list[str] = field(default_factory=list)

    def answer(self, fields: dict[str, str]) -> int:
        if self.names_fields is None:
            return self.status
        policy = json.loads(base64.b64decode(fields["policy"]))
        named = {
            (str(condition[1]) if isinstance(condition, list) else next(iter(condition))).strip("$")
            for condition in policy["conditions"]
        }
        signed = {"x-amz-signature", "policy", "file"}
        if self.names_fields and not fields.keys() <= named | signed:
            return 403
        self.taken.append(fields["key"])
        return 201


@pytest.fixture
def other_s3(request: pytest.FixtureRequest) -> Iterator[tuple[OtherS3, Any]]:
    maker: OtherS3 = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = list(message_from_bytes(head + body).walk())[1:]
            fields = {
                str(part.get_param("name", header="Content-Disposition")): str(part.get_payload())
                for part in parts
            }
            self.reply(maker.answer(fields))

        def do_DELETE(self) -> None:
            maker.taken.remove(self.path.partition("/packages/")[2])
            self.reply(204)

        def reply(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    s3 = S3Server(f"http://{LOOPBACK}:{server.server_port}", "key", "secret", "packages", 0)
    client = s3.client()
    try:
        yield maker, client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("other_s3", "kind"),
    [
        (OtherS3(names_fields=True), Kind.NAMED),
        (OtherS3(names_fields=None), Kind.NOT_TAKEN),
        (OtherS3(names_fields=None, status=405), Kind.NOT_TAKEN),
    ],
    indirect=["other_s3"],
)
def test_it_is_found_out_which_forms_an_s3_takes(other_s3: tuple[OtherS3, Any], kind: Kind) -> None:
    maker, client = other_s3

    assert post_forms.kind_of_s3(client, "packages", "staged") is kind
    form = post_forms.sign_for_s3(
        client, "packages", "staged/x", kind=kind, limit_bytes=9, seconds=60, names_file=False
    )
    assert (form is None) == (kind is Kind.NOT_TAKEN)
    assert maker.taken == []  # and what was tried is taken away again


def test_this_s3_takes_forms_that_do_not_name_all_fields(s3: S3Server) -> None:
    client = s3.client()
    try:
        assert post_forms.kind_of_s3(client, s3.bucket, "staged") is Kind.UNNAMED
    finally:
        client.close()
    assert in_the_bucket(s3, "staged/") == []


@pytest.mark.parametrize("other_s3", [OtherS3(names_fields=None, status=503)], indirect=True)
def test_an_s3_that_fails_is_asked_again(
    other_s3: tuple[OtherS3, Any], maintainer: Person, channel: ChannelAddress, settings: Settings
) -> None:
    _, client = other_s3
    settings.S3_OPTIONS = {**settings.S3_OPTIONS, "endpoint_url": client.meta.endpoint_url}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": settings.S3_OPTIONS,
        },
    }
    storage._store.cache_clear()

    for _ in range(2):
        assert "again" in error(stage(maintainer, HELLO), 503)
