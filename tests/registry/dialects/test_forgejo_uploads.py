"""Uploading to Forgejo's conda registry: where to, what, and with which credential."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Organization
from registry.channels import change_channel, create_channel
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile
from tests.builders import (
    BuiltPackage,
    ZipPart,
    build_conda,
    build_tar_bz2,
    tar_of,
    zip_archive,
    zstd,
)
from tests.cast import Person
from tests.factories import PASSWORD, make_token
from tests.registry.dialects.forgejo_client import DUPLICATE, NOT_FOUND, Curl, basic, reason

pytestmark = pytest.mark.django_db


@pytest.fixture
def anyone() -> Curl:
    return Curl("acme")


@pytest.fixture
def curl(acme: Organization, owner: Person) -> Curl:
    """olga, with her name and a token."""
    return Curl("acme", basic("olga", owner.token().secret))


def nothing_is_stored() -> bool:
    return not (Blob.objects.exists() or PackageFile.objects.exists() or Package.objects.exists())


# --- Uploading ---------------------------------------------------------------------------------


def test_the_name_in_the_url_only_tells_the_format(anyone: Curl, curl: Curl) -> None:
    assert curl.put("dev/a%20name.of+its own.conda", build_conda("nu").data).status_code == 201
    assert PackageFile.objects.get().filename == "nu-1.0-0.conda"


@pytest.mark.parametrize(
    ("path", "channel"),
    [
        ("x.conda", "main"),
        ("dev/x.conda", "dev"),
        ("a/b/x.conda", "a/b"),
        ("a%2Fb/x.conda", "a/b"),
        ("dev//x.conda//", "dev"),
    ],
)
def test_an_upload_goes_to_the_channel_in_the_url(curl: Curl, path: str, channel: str) -> None:
    assert curl.put(path, build_conda("nu").data).status_code == 201
    assert ChannelFile.objects.get().channel.name == channel


@pytest.mark.parametrize(
    ("path", "channel"),
    [
        ("linux-64/x.conda", "main"),
        ("dev/linux-64/x.conda", "dev"),
        ("a/b/linux-64/x.conda", "a/b"),
    ],
)
def test_a_subdir_in_the_url_is_no_channel(curl: Curl, path: str, channel: str) -> None:
    built = build_conda("nu", subdir="linux-64")
    assert curl.put(path, built.data).status_code == 201
    entry = ChannelFile.objects.get()
    assert (entry.channel.name, entry.subdir) == (channel, "linux-64")


def test_a_package_must_belong_to_the_subdir_in_the_url(curl: Curl) -> None:
    response = curl.put("dev/linux-64/x.conda", build_conda("nu", subdir="osx-64").data)
    assert response.status_code == 400
    status, message = reason(response)
    assert status == "Bad Request"
    assert "'osx-64'" in message
    assert "'linux-64'" in message
    assert nothing_is_stored()


@pytest.mark.parametrize("path", ["x.whl", "x.tar.gz", "X.TAR.BZ2", ".conda", "dev/.conda"])
def test_a_put_of_no_archive_finds_no_route(anyone: Curl, curl: Curl, path: str) -> None:
    response = curl.put(path, build_conda().data)
    assert (response.status_code, response.content) == (404, b"")
    assert anyone.put(path, b"").status_code == 401


def test_the_same_file_twice_is_a_conflict_in_one_channel_only(curl: Curl) -> None:
    built = build_conda("nu")
    assert curl.put("x.conda", built.data).status_code == 201
    assert curl.put("dev/x.conda", built.data).status_code == 201
    for path in ("x.conda", "dev/x.conda", "main/x.conda"):
        response = curl.put(path, built.data)
        assert (response.status_code, response.content) == (409, DUPLICATE)
    assert PackageFile.objects.count() == 1


def test_other_bytes_under_a_known_name_are_a_conflict(curl: Curl) -> None:
    curl.put("x.conda", build_conda("nu", files={"a": "1"}).data)
    response = curl.put("x.conda", build_conda("nu", files={"a": "2"}).data)
    assert (response.status_code, response.content) == (409, DUPLICATE)


@pytest.mark.parametrize(
    "other",
    [
        build_conda("nu", build="1", build_number=1),
        build_conda("nu", subdir="linux-64"),
        build_tar_bz2("nu"),
    ],
    ids=["build", "subdir", "format"],
)
def test_a_version_may_have_several_files(curl: Curl, other: BuiltPackage) -> None:
    assert curl.put("x.conda", build_conda("nu").data).status_code == 201
    assert curl.put(other.filename, other.data).status_code == 201


def minimal(member: str, files: dict[str, str | bytes]) -> bytes:
    """A .conda of one part."""
    return zip_archive([ZipPart(member, zstd(tar_of(files)))])


def with_index(text: str | bytes) -> bytes:
    return minimal("info-x.tar.zst", {"info/index.json": text})


STRUCTURE = "package structure is invalid"
GOOD_INDEX = {"name": "nu", "version": "1.0", "build": "0", "subdir": "noarch"}


def changed(**fields: object) -> bytes:
    return with_index(json.dumps({**GOOD_INDEX, **fields}))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.conda", minimal("pkg-x.tar.zst", {}), STRUCTURE),
        ("x.conda", minimal("info-x.tar.zst", {"a": ""}), None),
        ("x.conda", minimal("info-x.tar.zst", {"info/a": ""}), STRUCTURE),
        ("x.conda", changed(name="Nu"), "package name is invalid"),
        ("x.conda", changed(name=""), "package name is invalid"),
        ("x.conda", changed(name="n/u"), "package name is invalid"),
        ("x.conda", changed(version=""), "package version is invalid"),
        ("x.conda", changed(version="1-0"), "package version is invalid"),
        ("x.conda", b"", STRUCTURE),
        ("x.tar.bz2", b"", STRUCTURE),
        ("x.conda", b"not a zip", STRUCTURE),
        ("x.conda", build_conda("nu").data[:-40], None),
        ("x.tar.bz2", build_tar_bz2("nu").data[:-40], None),
        ("x.conda", build_tar_bz2("nu").data, None),
        ("x.tar.bz2", build_conda("nu").data, None),
        ("x.conda", zip_archive([ZipPart("info-x.tar.zst", b"no zstd")]), None),
        ("x.conda", with_index("{"), None),
        ("x.conda", with_index("null"), None),
        ("x.conda", with_index(b"\xff"), None),
        ("x.conda", changed(noarch=True, subdir=7), None),
        ("x.conda", changed(build_number="none"), None),
        ("x.conda", changed(timestamp=[1]), None),
        ("x.conda", changed(build="a b"), None),
        ("x.conda", changed(depends="libc"), None),
    ],
)  # fmt: skip
def test_what_is_no_package_is_a_bad_request(
    curl: Curl, name: str, data: bytes, message: str | None
) -> None:
    response = curl.put(f"dev/{name}", data)
    assert response.status_code == 400
    said = reason(response)
    assert said[0] == "Bad Request"
    assert said[1] == message if message else len(said[1]) > 20
    assert nothing_is_stored()
    assert not Channel.objects.exists()


def test_a_package_without_a_subdir_is_noarch_if_it_says_so(curl: Curl) -> None:
    index = {key: value for key, value in GOOD_INDEX.items() if key != "subdir"}
    assert (
        curl.put("x.conda", with_index(json.dumps({**index, "noarch": "python"}))).status_code
        == 201
    )
    assert PackageFile.objects.get().subdir == "noarch"


def test_a_package_that_says_nothing_of_its_subdir_is_refused(curl: Curl) -> None:
    index = {key: value for key, value in GOOD_INDEX.items() if key != "subdir"}
    response = curl.put("x.conda", with_index(json.dumps(index)))
    assert response.status_code == 400
    assert "subdir" in reason(response)[1]
    assert nothing_is_stored()


@pytest.mark.parametrize("channel", ["t", "label", "1.0", "nolabel", "a/../b", "x" * 129])
def test_what_is_no_channel_name_is_a_bad_request(curl: Curl, channel: str) -> None:
    response = curl.put(f"{channel}/x.conda", build_conda().data)
    assert response.status_code == 400
    assert "channel name" in reason(response)[1]
    assert nothing_is_stored()


def multipart(*parts: tuple[str, bytes], boundary: str = "frontier", end: str = "--") -> bytes:
    body = b""
    for disposition, data in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
        body += data + b"\r\n"
    return body + f"--{boundary}{end}\r\n".encode()


MULTIPART = {"Content_Type": "multipart/form-data; boundary=frontier"}


def test_a_form_may_carry_the_archive(curl: Curl) -> None:
    built = build_conda("nu", files={"share/big": bytes(range(256)) * 20_000})
    body = multipart(
        ('name="note"', b"hello"),
        ('name="upload"; filename="any.conda"', built.data),
        ('name="second"; filename="other.conda"', b"not looked at"),
    )
    assert curl.put("x.conda", body, **MULTIPART).status_code == 201
    assert PackageFile.objects.get().sha256 == built.sha256


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", build_conda().data),
        ("multipart/form-data; boundary=frontier", build_conda().data),
        ("multipart/form-data; boundary=frontier", b"\r\n"),
        ("multipart/form-data; boundary=frontier", multipart(('name="note"', b"x"))),
        (
            "multipart/form-data; boundary=frontier",
            multipart(('name="f"; filename="x.conda"', build_conda().data))[:-20],
        ),
        ("application/x-www-form-urlencoded", build_conda().data),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", build_conda().data),
    ],
)  # fmt: skip
def test_a_form_without_an_archive_is_a_bad_request(
    curl: Curl, content_type: str, body: bytes
) -> None:
    response = curl.put("x.conda", body, Content_Type=content_type)
    assert response.status_code == 400
    assert "curl --upload-file" in reason(response)[1]
    assert nothing_is_stored()


def test_a_locked_channel_takes_nothing(acme: Organization, owner: Person, curl: Curl) -> None:
    channel = create_channel(by=owner.identity, account=acme.account, name="stable")
    change_channel(by=owner.identity, channel=channel, is_locked=True, lock_note="frozen")
    response = curl.put("stable/x.conda", build_conda().data)
    assert response.status_code == 403
    status, message = reason(response)
    assert status == "Forbidden"
    assert "frozen" in message


@pytest.mark.django_db(transaction=True)
def test_of_two_equal_uploads_at_once_one_is_the_first(curl: Curl) -> None:
    built = build_conda("nu")
    statuses: list[int] = []
    start = threading.Barrier(2)

    def upload() -> None:
        try:
            start.wait(timeout=10)
            statuses.append(curl.put("fresh/x.conda", built.data).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(statuses) == [201, 409]
    assert PackageFile.objects.count() == 1


def test_a_body_that_was_cut_is_refused(curl: Curl) -> None:
    data = build_conda().data
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data) + 1)}
    response: Any = Client().generic(
        "PUT",
        "/api/packages/acme/conda/x.conda",
        headers={"Authorization": curl.authorization},
        **environ,
    )
    assert response.status_code == 400
    assert "Send it again" in reason(response)[1]
    assert nothing_is_stored()


# --- Credentials -------------------------------------------------------------------------------


def test_every_form_of_credential_that_forgejo_takes(acme: Organization, owner: Person) -> None:
    secret = owner.token("api:write").secret
    forms = [
        basic("olga", PASSWORD),
        basic("olga", secret),
        basic("somebody", secret),
        basic(secret, ""),
        basic(secret, "x-oauth-basic"),
        f"token {secret}",
        f"Bearer {secret}",
    ]
    for number, authorization in enumerate(forms):
        response = Curl("acme", authorization).put("x.conda", build_conda(build=f"b{number}").data)
        assert response.status_code == 201, authorization.split()[0]


@pytest.mark.parametrize("scope", ["api:write", "conda", "repos", "all"])
def test_scopes_that_may_upload(acme: Organization, scope: str) -> None:
    secret = make_token(acme.account, scope).secret
    assert Curl("acme", basic("ci", secret)).put("x.conda", build_conda().data).status_code == 201


@pytest.mark.parametrize("scope", ["api:read", "conda:download"])
def test_scopes_that_may_not_upload_are_401(acme: Organization, scope: str) -> None:
    secret = make_token(acme.account, scope).secret
    response = Curl("acme", basic("ci", secret)).put("x.conda", build_conda().data)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Basic realm="Gitea Package API"'
    status, message = reason(response)
    assert status == "Unauthorized"
    assert scope in message
    assert nothing_is_stored()


def test_who_may_not_publish_is_asked_for_another_credential(
    acme: Organization, stranger: Person, reader: Person
) -> None:
    for person in (stranger, reader):
        response = Curl("acme", basic(person.name, person.token().secret)).put(
            "x.conda", build_conda().data
        )
        assert response.status_code == 401
        assert person.name in reason(response)[1]


def test_an_anonymous_put_tells_nothing(acme: Organization) -> None:
    answers = {
        (response.status_code, response.content, response["WWW-Authenticate"])
        for response in (
            Curl("acme").put("x.conda", b""),
            Curl("nobody-here").put("x.conda", b""),
            Curl("acme").put("not/a/../channel/x.conda", b""),
        )
    }
    assert len(answers) == 1
    assert {answer[0] for answer in answers} == {401}


@pytest.mark.parametrize(
    "authorization",
    ["Bearer cph-nothing", "token wrong", basic("olga", "wrong"), "Basic !", "Digest x"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_wrong_credential_is_refused_everywhere(
    acme: Organization, method: str, authorization: str
) -> None:
    for path in ("noarch/repodata.json", "no-such-thing", "x.conda"):
        response = Curl("acme", authorization).ask(method, path)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Basic realm="Gitea Package API"'


def test_a_secret_in_the_query_is_no_credential(acme: Organization, owner: Person) -> None:
    secret = owner.token().secret
    for name in ("token", "access_token"):
        response = Curl("acme").put(f"x.conda?{name}={secret}", build_conda().data)
        assert response.status_code == 401


def test_a_token_may_stand_in_the_path(acme: Organization, owner: Person) -> None:
    path = f"/t/{owner.token().secret}/api/packages/acme/conda/x.conda"
    assert Curl("acme").put(path, build_conda().data).status_code == 201


def test_a_collaborator_may_not_make_a_channel(
    acme: Organization, maintainer: Person, curl: Curl
) -> None:
    mine = Curl("acme", basic(maintainer.name, maintainer.token().secret))
    curl.put("x.conda", build_conda("nu").data)
    assert mine.put("x.conda", build_conda("xi").data).status_code == 201
    response = mine.put("new/x.conda", build_conda("xi").data)
    assert (response.status_code, response.content) == (404, NOT_FOUND)
