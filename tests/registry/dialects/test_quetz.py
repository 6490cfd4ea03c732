"""Quetz' upload, as rattler-build and quetz-client send it, and what it refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from pytest_django import Settings

from registry.models import Channel, PackageFile
from tests.builders import BuiltPackage, build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get, stored_files

HELLO = build_conda("hello", "1.0", subdir="linux-64")
OTHER = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})
API = "/quetz/api/channels"


def post(
    channel: str,
    package: BuiltPackage = HELLO,
    *,
    token: str | None,
    query: str = "?force=false&sha256={sha256}&wait=0",
    filename: str | None = None,
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    client = Client(headers={"X-API-Key": token} if token else {}, enforce_csrf_checks=True)
    path = f"{API}/{channel}/upload/{filename or quote(package.filename)}"
    path += query.format(sha256=package.sha256)
    # Neither client says what type the bytes are of.
    return client.generic("POST", path, package.data, content_type="", **(environ or {}))


def detail(answer: Answer, status: int) -> str:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    body = json.loads(answer.content)
    assert list(body) == ["detail"]
    return str(body["detail"])


def refused(answer: Answer, status: int) -> str:
    """Check the form of a refusal and that it left nothing behind; what it says."""
    assert not PackageFile.objects.exists()
    assert stored_files() == []
    return detail(answer, status)


def test_a_file_is_published(maintainer: Person, channel: ChannelAddress) -> None:
    answer = post("acme", token=maintainer.token("api:write").secret)

    assert detail(answer, 201) == "linux-64/hello-1.0-0.conda is in acme/main."
    assert get(channel.url(f"linux-64/{HELLO.filename}")).body == HELLO.data


@pytest.mark.parametrize("scope", ["api:write", "conda", "all"])
def test_a_token_for_channel_addresses_is_enough(
    scope: str, maintainer: Person, channel: ChannelAddress
) -> None:
    assert post("acme", token=maintainer.token(scope).secret).status_code == 201


def test_the_key_may_come_as_any_other_credential_does(
    maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    environ = {"HTTP_AUTHORIZATION": f"Bearer {token}"}

    assert post("acme", token=None, environ=environ).status_code == 201


def test_rattler_build_sends_chunks_of_no_announced_length(
    maintainer: Person, channel: ChannelAddress
) -> None:
    environ = {
        "wsgi.input": io.BytesIO(HELLO.data),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }

    assert post("acme", token=maintainer.token().secret, environ=environ).status_code == 201


def test_quetz_client_writes_truth_as_python_does(
    maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    for force, status in (("False", 201), ("False", 409), ("True", 201)):
        query = f"?force={force}&sha256={{sha256}}&wait=0"
        assert post("acme", token=token, query=query).status_code == status


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("acme", "main"),
        ("ACME", "main"),
        ("acme/main", "main"),
        ("acme/dev", "dev"),
        ("acme%2Fdev", "dev"),
        ("acme/a/b", "a/b"),
        ("acme%2fa%2Fb", "a/b"),
        # The file comes after the last upload/.
        ("acme/upload", "upload"),
        ("acme/upload/dev", "upload/dev"),
    ],
)
def test_the_channel_comes_after_the_account(
    path: str, name: str, owner: Person, channel: ChannelAddress
) -> None:
    assert post(path, token=owner.token().secret).status_code == 201

    assert get(ChannelAddress("acme", name).url(f"linux-64/{HELLO.filename}")).status_code == 200


@pytest.mark.parametrize("safe", ["", "!+"])
def test_raw_and_percent_encoded_names_are_the_same(
    safe: str, maintainer: Person, channel: ChannelAddress
) -> None:
    odd = build_conda("odd", "1!2.0+a", build="b.c_0")

    answer = post(
        "acme", odd, token=maintainer.token().secret, filename=quote(odd.filename, safe=safe)
    )

    assert answer.status_code == 201
    assert PackageFile.objects.get().filename == odd.filename


@pytest.mark.parametrize("query", ["", "?sha256=&wait=0", "?sha256={sha256}&force=", "?force=0"])
def test_what_clients_say_of_the_file_may_be_left_out(
    query: str, settings: Settings, maintainer: Person, channel: ChannelAddress
) -> None:
    settings.UPLOAD_WAITERS = 0

    assert post("acme", token=maintainer.token().secret, query=query).status_code == 201


@pytest.mark.parametrize(("force", "status"), [("false", 409), ("true", 201)])
def test_the_same_file_again_is_a_duplicate_unless_forced(
    force: str, status: int, maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    post("acme", token=token)

    again = post("acme", token=token, query=f"?force={force}&sha256={{sha256}}&wait=0")

    assert ("Duplicate" in detail(again, status)) is (status == 409)
    assert PackageFile.objects.count() == 1


@pytest.mark.parametrize(("force", "status"), [("false", 409), ("true", 201)])
def test_other_bytes_under_a_known_name_are_taken_by_force_only(
    force: str, status: int, maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token().secret
    post("acme", token=token)

    answer = post("acme", OTHER, token=token, query=f"?force={force}&sha256={{sha256}}&wait=0")

    said = detail(answer, status)
    duplicate = "Duplicate: acme already has linux-64/hello-1.0-0.conda"
    assert said.startswith(duplicate) is (status == 409)
    there = get(channel.url(f"linux-64/{HELLO.filename}")).body
    assert there == (OTHER.data if status == 201 else HELLO.data)


def test_a_token_that_may_only_upload_replaces_nothing(
    maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token("conda").secret
    post("acme", token=token)

    answer = post("acme", OTHER, token=token, query="?force=true&sha256={sha256}&wait=0")

    assert "api:write" in detail(answer, 403)
    assert get(channel.url(f"linux-64/{HELLO.filename}")).body == HELLO.data


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("?wait=0&sha256=" + "0" * 64, 406, "Wrong SHA256 checksum"),
        ("?wait=0&sha256=abc", 400, "64 hexadecimal digits"),
        ("?wait=0&force=perhaps", 400, "true or false"),
        ("?wait=soon", 400, "a whole number of seconds"),
    ],
)
def test_what_is_said_wrongly_of_the_file_is_refused(
    query: str, status: int, says: str, maintainer: Person, channel: ChannelAddress
) -> None:
    answer = post("acme", token=maintainer.token().secret, query=query)

    assert says in refused(answer, status)


@pytest.mark.parametrize(
    "filename",
    [
        "other-1.0-0.conda",
        "hello-1.0-0.tar.bz2",
        "hello.conda",
        "hello-1.0-0.zip",
        "x",
        "..",
        "%00",
    ],
)
def test_a_name_that_is_not_the_file_s_is_refused(
    filename: str, maintainer: Person, channel: ChannelAddress
) -> None:
    answer = post("acme", token=maintainer.token().secret, filename=filename)

    assert refused(answer, 404 if filename == "%00" else 422)


def test_what_is_no_package_is_refused(maintainer: Person, channel: ChannelAddress) -> None:
    nonsense = BuiltPackage(HELLO.filename, b"nonsense")

    assert refused(post("acme", nonsense, token=maintainer.token().secret), 422)


# --- Who may -----------------------------------------------------------------------------------


class Unread(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body was read")

    def readinto(self, _: Any) -> int:
        raise AssertionError("the body was read")


UNREAD = {"wsgi.input": Unread()}


def test_who_may_not_is_refused_before_the_body_is_read(
    owner: Person, reader: Person, stranger: Person, channel: ChannelAddress
) -> None:
    for token, status in (
        (None, 401),
        ("cph-u-nonsense", 401),
        (reader.token().secret, 403),
        (stranger.token().secret, 403),
        (owner.token("conda:download").secret, 403),
    ):
        answer = post("acme", token=token, environ=UNREAD)

        assert len(refused(answer, status)) > 20
        assert ("WWW-Authenticate" in answer.headers) is (status == 401)


def test_an_unknown_channel_is_not_told_from_a_hidden_one(
    stranger: Person, maintainer: Person, private_channel: ChannelAddress
) -> None:
    for token, channel in (
        (maintainer.token().secret, "acme/unknown"),
        (maintainer.token().secret, "nobody"),
        (maintainer.token().secret, "nobody/secret"),
        (stranger.token().secret, "nobody"),
    ):
        answer = post(channel, token=token, environ=UNREAD)

        assert refused(answer, 404) == "There is nothing here, or you may not see it."
    assert set(Channel.objects.values_list("name", flat=True)) == {"secret"}


def test_a_name_no_channel_can_have_is_refused(owner: Person, channel: ChannelAddress) -> None:
    for name in ("acme/linux-64", "acme/label/dev", "acme/-", "acme//dev"):
        assert refused(post(name, token=owner.token().secret, environ=UNREAD), 400)


def test_a_browser_that_is_signed_in_is_nobody_here(owner: Person, channel: ChannelAddress) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)

    answer = client.post(
        f"{API}/acme/upload/{HELLO.filename}", HELLO.data, content_type="application/octet-stream"
    )

    assert refused(answer, 401)


def test_a_front_server_can_ask_before_it_takes_the_body_in(
    maintainer: Person, channel: ChannelAddress
) -> None:
    asked = {"HTTP_X_UPLOAD_CHECK": "1", **UNREAD}

    yes = post("acme", token=maintainer.token().secret, environ=asked)
    no = post("acme", token=None, environ=asked)

    assert yes.status_code == 204
    assert (no.status_code, no.headers["X-Refused-Status"]) == (403, "401")
    assert "credential" in json.loads(no.headers["X-Refused-Words"])["detail"]


# --- What else is there ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_files_are_posted_and_nothing_else(method: str, channel: ChannelAddress) -> None:
    answer: Any = Client().generic(method, f"{API}/acme/upload/{HELLO.filename}")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        assert method in detail(answer, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/quetz",
        "/quetz/",
        "/quetz/api/channels",
        "/quetz/api/channels/acme",
        "/quetz/api/channels/acme/",
        "/quetz/api/channels/acme/upload",
        "/quetz/api/channels/acme/upload/",
        "/quetz/api/channels//upload/x.conda",
        "/quetz/api/channels/acme/upload/a/b.conda",
        "/quetz/api/channels/acme/files/",
        "/quetz/api/dummylogin/alice",
        "/quetz/get/acme/noarch/repodata.json",
        "/quetz/api/channels/acme%0A/upload/x.conda",
    ],
)
def test_there_is_nothing_else_and_it_is_said_in_json(path: str, channel: ChannelAddress) -> None:
    for method in ("GET", "POST"):
        answer: Any = Client(headers={"Accept": "text/html"}).generic(method, path)

        assert detail(answer, 404) == "There is nothing here, or you may not see it."
