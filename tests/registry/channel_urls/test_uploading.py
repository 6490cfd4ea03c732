"""PUT to a channel's address, as Artifactory's clients and curl do."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any
from urllib.parse import quote

import pytest
from pytest_django import Settings

from registry.models import Channel, PackageFile
from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, put, run_pending_tasks, stored_files

HELLO = build_conda("hello", "1.0", subdir="linux-64")
PATH = f"linux-64/{HELLO.filename}"


def assert_nothing_happened() -> None:
    assert not PackageFile.objects.exists()
    assert stored_files() == []


@pytest.mark.parametrize(
    "built",
    [
        HELLO,
        build_tar_bz2("hello", "1.0", subdir="noarch", noarch="generic"),
        build_conda("odd-both", "2!1.0.dev3+g6a", build="g6a_0", subdir="osx-arm64"),
    ],
    ids=lambda built: built.filename,
)
def test_an_uploaded_file_is_served_and_listed(
    maintainer: Person, channel: ChannelAddress, built: BuiltPackage
) -> None:
    answer = maintainer.upload(built, to=channel)

    assert answer.status_code == 201
    facts = json.loads(answer.content)
    assert facts["filename"] == built.filename
    assert facts["sha256"] == built.sha256
    assert facts["outcome"] == "created"
    assert answer.headers["Location"] == facts["url"]
    assert get(answer.headers["Location"]).body == built.data
    run_pending_tasks()
    listed = maintainer.repodata(channel, facts["subdir"])
    assert [*listed["packages"], *listed["packages.conda"]] == [built.filename]


def test_the_same_file_again_is_no_error_and_no_second_one(
    maintainer: Person, owner: Person, channel: ChannelAddress
) -> None:
    dev = ChannelAddress("acme", "a/dev")

    assert maintainer.upload(HELLO, to=channel).status_code == 201
    again = maintainer.upload(HELLO, to=channel)
    elsewhere = owner.upload(HELLO, to=dev)

    assert again.status_code == 200
    assert json.loads(again.content)["outcome"] == "unchanged"
    assert elsewhere.status_code == 201
    assert json.loads(elsewhere.content)["outcome"] == "added"
    assert elsewhere.headers["Location"] == f"/conda/acme/label/a/dev/{PATH}"
    assert PackageFile.objects.count() == 1


def test_other_bytes_under_a_known_name_are_a_conflict(
    maintainer: Person, channel: ChannelAddress
) -> None:
    maintainer.upload(HELLO, to=channel)
    other = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})
    before = stored_files()

    answer = maintainer.upload(other, to=channel)

    assert answer.status_code == 409
    assert "Raise the build number" in json.loads(answer.content)["detail"]
    assert get(channel.url(PATH)).body == HELLO.data
    assert stored_files() == before


def test_all_addresses_of_a_channel_are_one(owner: Person, channel: ChannelAddress) -> None:
    token = owner.token().secret
    for url in (
        f"/conda/ACME/label/main/{PATH}",
        f"/conda/acme/main/{PATH}",
        f"/conda/t/{token}/acme/{PATH}",
        f"/t/{token}/conda/acme/{PATH}",
    ):
        given = None if token in url else token
        assert put(url, HELLO.data, token=given).status_code in {200, 201}

    assert Channel.objects.filter(account__name="acme").count() == 1
    assert PackageFile.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (f"?sha256={HELLO.sha256}", {}),
        (f"?sha256={HELLO.sha256.upper()}", {}),
        ("", {"X-Checksum-Sha256": HELLO.sha256, "X-Checksum-Md5": HELLO.md5}),
        (
            "",
            {
                "Content-Digest": "sha-512=:AAAA:, sha-256=:"
                + base64.b64encode(hashlib.sha256(HELLO.data).digest()).decode()
                + ":"
            },
        ),
    ],
)
def test_digests_that_are_right_change_nothing(
    maintainer: Person, channel: ChannelAddress, query: str, headers: dict[str, str]
) -> None:
    token = maintainer.token().secret

    answer = put(channel.url(PATH) + query, HELLO.data, token=token, headers=headers)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?sha256=" + "0" * 64, {}, 422),
        ("", {"X-Checksum-Sha256": "0" * 64}, 422),
        ("", {"X-Checksum-Md5": "0" * 32}, 422),
        ("", {"Content-Digest": "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"}, 422),
        ("?sha256=abc", {}, 400),
        ("", {"X-Checksum-Md5": "g" * 32}, 400),
        ("", {"Content-Digest": "sha-256=:AAA:"}, 400),
        (f"?sha256={HELLO.sha256}", {"X-Checksum-Sha256": "0" * 64}, 400),
    ],
)
def test_digests_that_are_wrong_refuse_the_file(
    maintainer: Person,
    channel: ChannelAddress,
    query: str,
    headers: dict[str, str],
    status: int,
) -> None:
    token = maintainer.token().secret

    answer = put(channel.url(PATH) + query, HELLO.data, token=token, headers=headers)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert_nothing_happened()


OTHER = build_conda("hello", "2.0", subdir="linux-64")


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        (PATH, b"no package at all", 422),
        (PATH, b"", 422),
        (PATH, HELLO.data[:-1], 422),
        (PATH, HELLO.data[:40], 422),
        (PATH, OTHER.data, 422),  # another file than the address says
        (PATH.replace("linux-64", "osx-64"), HELLO.data, 422),
        (PATH.replace(".conda", ".tar.bz2"), HELLO.data, 422),
        ("linux-64/hello.conda", HELLO.data, 422),
        ("linux-64/repodata.json", HELLO.data, 422),
        ("linux-64/Hello-1.0-0.conda", HELLO.data, 422),
        (HELLO.filename, HELLO.data, 400),
        ("linux-64/shards/" + "0" * 64 + ".msgpack.zst", HELLO.data, 400),
        ("notices.json", HELLO.data, 400),
        (f"label/1{PATH}", HELLO.data, 400),
        (f"label/x%20y/{PATH}", HELLO.data, 400),
        (f"label/nolabel/{PATH}", HELLO.data, 400),
        (f"linux-64/{PATH}", HELLO.data, 400),
    ],
)
def test_what_is_no_file_for_this_address_is_refused_with_a_sentence(
    owner: Person, channel: ChannelAddress, path: str, data: bytes, status: int
) -> None:
    answer = put(f"/conda/acme/{path}", data, token=owner.token().secret)

    assert answer.status_code == status, answer.content
    problem = json.loads(answer.content)
    assert problem["detail"].endswith((".", "!"))
    assert problem["type"] != "/docs/problems#refused"
    assert_nothing_happened()


class Unreadable(io.RawIOBase):
    """The body of a request that must be answered without it."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any, /) -> int:
        raise AssertionError("The body was read before it was decided who may send one.")


@pytest.mark.parametrize(
    ("who", "scopes", "limits", "url", "status"),
    [
        (None, [], {}, "/conda/acme/", 401),
        ("stranger", ["all"], {}, "/conda/acme/", 403),
        ("reader", ["all"], {}, "/conda/acme/", 403),
        ("maintainer", ["conda:download"], {}, "/conda/acme/", 403),
        ("maintainer", ["api:read"], {}, "/conda/acme/", 403),
        ("maintainer", ["all"], {"channels": ["dev"]}, "/conda/acme/", 403),
        ("maintainer", ["all"], {}, "/conda/acme/unknown/", 404),
        ("stranger", ["all"], {}, "/conda/acme/unknown/", 403),
        ("stranger", ["all"], {}, "/conda/acme/label/secret/", 403),
        ("stranger", ["all"], {}, "/conda/nobody/", 404),
        ("maintainer", ["all"], {}, "/conda/sven/", 403),
    ],
)
def test_who_may_not_is_refused_before_the_body_is_read(
    request: pytest.FixtureRequest,
    channel: ChannelAddress,
    private_channel: ChannelAddress,
    maintainer: Person,
    reader: Person,
    stranger: Person,
    who: str | None,
    scopes: list[str],
    limits: dict[str, Any],
    url: str,
    status: int,
) -> None:
    person = request.getfixturevalue(who) if who else None
    token = person.token(*scopes, **limits).secret if person else None

    answer = put(
        url + PATH,
        b"",
        token=token,
        environ={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "2000000000"},
    )

    assert answer.status_code == status, answer.content
    assert_nothing_happened()


@pytest.mark.parametrize("scope", ["conda", "api:write", "repos", "all"])
def test_scopes_that_upload_through_channel_addresses(
    maintainer: Person, channel: ChannelAddress, scope: str
) -> None:
    token = maintainer.token(scope).secret

    assert put(channel.url(PATH), HELLO.data, token=token).status_code == 201


def test_a_token_for_other_packages_is_refused_when_the_name_is_known(
    maintainer: Person, channel: ChannelAddress
) -> None:
    token = maintainer.token("conda", packages=["world*"]).secret

    answer = put(channel.url(PATH), HELLO.data, token=token)

    assert answer.status_code == 403
    assert_nothing_happened()


def test_a_locked_channel_takes_nothing(maintainer: Person, channel: ChannelAddress) -> None:
    Channel.objects.update(is_locked=True, lock_note="Frozen until Monday")

    answer = maintainer.upload(HELLO, to=channel)

    assert answer.status_code == 403
    assert "Frozen until Monday" in answer.json()["detail"]
    assert_nothing_happened()


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"CONTENT_LENGTH": str(HELLO.size + 1)}, 400),
        ({"CONTENT_LENGTH": "5368709121"}, 413),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 400),  # and a length
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"CONTENT_LENGTH": ""}, 422),  # neither: an empty body
    ],
)
def test_a_body_of_doubtful_length_is_refused(
    maintainer: Person, channel: ChannelAddress, environ: dict[str, Any], status: int
) -> None:
    token = maintainer.token().secret

    answer = put(
        channel.url(PATH),
        HELLO.data,
        token=token,
        environ={"wsgi.input": io.BytesIO(HELLO.data), **environ},
    )

    assert answer.status_code == status, answer.content
    assert_nothing_happened()


def test_a_chunked_body_needs_no_length(maintainer: Person, channel: ChannelAddress) -> None:
    answer = put(
        channel.url(PATH),
        b"",
        token=maintainer.token().secret,
        environ={
            "wsgi.input": io.BytesIO(HELLO.data),
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "",
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )

    assert answer.status_code == 201


def test_whatever_a_client_calls_the_body_it_is_the_file(
    maintainer: Person, channel: ChannelAddress
) -> None:
    url, token = channel.url(PATH), maintainer.token().secret

    # As curl --data-binary does.
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert put(url, HELLO.data, token=token, headers=headers).status_code == 201


def test_uploads_leave_threads_to_those_who_read(
    settings: Settings, maintainer: Person, channel: ChannelAddress
) -> None:
    settings.UPLOAD_SLOTS = 1
    token = maintainer.token().secret
    second: list[int] = []

    class Meanwhile(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            if not second:
                second.append(0)
                refused = put(channel.url(PATH), HELLO.data, token=token)
                second[0] = refused.status_code
                assert refused.headers["Retry-After"]
            return super().readinto(buffer)

    first = put(
        channel.url(PATH), HELLO.data, token=token, environ={"wsgi.input": Meanwhile(HELLO.data)}
    )

    assert (first.status_code, second) == (201, [503])
    assert put(channel.url(PATH), HELLO.data, token=token).status_code == 200


def test_raw_and_percent_encoded_names_upload_the_same_file(
    maintainer: Person, channel: ChannelAddress
) -> None:
    built = build_conda("odd", "1!2.0+a", build="b.c_0", subdir="noarch")
    token = maintainer.token().secret

    raw = put(channel.url(f"noarch/{built.filename}"), built.data, token=token)
    encoded = put(channel.url(f"noarch/{quote(built.filename)}"), built.data, token=token)

    assert (raw.status_code, encoded.status_code) == (201, 200)
