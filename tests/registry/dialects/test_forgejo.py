"""Forgejo's conda registry, as its users and its own integration test speak to it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import msgspec
import pytest
import zstandard
from django.utils import timezone

from accounts.models import Organization
from registry.channels import create_channel
from registry.indexing import run_overdue
from registry.models import PackageFile
from tests.builders import (
    build_conda,
    build_minimal_conda,
    build_minimal_tar_bz2,
)
from tests.cast import Person
from tests.factories import PASSWORD
from tests.registry.dialects.forgejo_client import DUPLICATE, NOT_FOUND, Answer, Curl, basic, reason

pytestmark = pytest.mark.django_db

INDEXES = [
    ("repodata.json", "application/json"),
    ("repodata.json.bz2", "application/x-bzip2"),
    ("current_repodata.json", "application/json"),
    ("current_repodata.json.bz2", "application/x-bzip2"),
]


@pytest.fixture
def anyone() -> Curl:
    return Curl("acme")


@pytest.fixture
def curl(acme: Organization, owner: Person) -> Curl:
    """olga, with her name and a token."""
    return Curl("acme", basic("olga", owner.token().secret))


# --- Forgejo's own test ------------------------------------------------------------------------


def test_the_walk_of_forgejos_own_test(anyone: Curl, curl: Curl) -> None:
    archive = build_minimal_tar_bz2("test_package", "1.0.1", build="xxx")
    conda = build_minimal_conda("test_package", "1.0.1", build="xxx")
    assert archive.filename == "test_package-1.0.1.tar.bz2"
    for path, data in (
        (archive.filename, archive.data),
        (f"test-channel/{conda.filename}", conda.data),
    ):
        assert anyone.put(path, data).status_code == 401
        created = curl.put(path, data)
        assert (created.status_code, created.content) == (201, b"")
        assert "Content-Type" not in created.headers
        again = curl.put(path, data)
        assert (again.status_code, again.content) == (409, DUPLICATE)
    run_overdue()

    stored = "noarch/test_package-1.0.1-xxx"
    fetched = anyone.get(f"{stored}.tar.bz2")
    assert (fetched.status_code, fetched.content) == (200, archive.data)
    assert anyone.get(f"test-channel/{stored}.tar.bz2").content == NOT_FOUND
    assert anyone.get(f"{stored}.conda").content == NOT_FOUND
    fetched = anyone.get(f"test-channel/{stored}.conda")
    assert (fetched.status_code, fetched.content) == (200, conda.data)

    for name, content_type in INDEXES:
        for channel, section, empty, built in (
            ("", "packages", "packages.conda", archive),
            ("test-channel/", "packages.conda", "packages", conda),
        ):
            response = anyone.get(f"{channel}noarch/{name}")
            assert response["Content-Type"] == content_type
            document = anyone.document(f"{channel}noarch/{name}")
            assert document["info"]["subdir"] == "noarch"
            assert document["removed"] == {}
            assert document[empty] == {}
            (record,) = document[section].values()
            assert record["name"] == "test_package"
            assert record["version"] == "1.0.1"
            assert record["subdir"] == "noarch"
            assert record["build"] == "xxx"
            assert record["build_number"] == 0
            assert record["depends"] == []
            assert record["md5"] == built.md5
            assert record["sha256"] == built.sha256
            assert record["size"] == built.size


def test_a_record_keeps_what_forgejo_drops(anyone: Curl, curl: Curl) -> None:
    built = build_conda(
        "nu", subdir="linux-64", depends=["libc >=2"], constrains=["old <1"],
        index={"license": "MIT", "license_family": "MIT", "track_features": "fast"},
        timestamp=1_700_000_000_000,
    )  # fmt: skip
    curl.put("whatever.conda", built.data)
    run_overdue()

    record = anyone.document("linux-64/repodata.json")["packages.conda"]["nu-1.0-0.conda"]

    assert record["depends"] == ["libc >=2"]
    assert record["constrains"] == ["old <1"]
    assert record["track_features"] == "fast"
    assert (record["license"], record["license_family"]) == ("MIT", "MIT")
    assert record["timestamp"] == 1_700_000_000_000


# --- Reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "repodata.json",
        "noarch/x.CONDA",
        "noarch/repodata.json.jlap",
        "noarch/repodata_from_packages.json",
        "noarch/index.html",
        "noarch/patch_instructions.json",
        "no-such-thing",
    ],
)
def test_what_forgejo_does_not_route_is_404_with_nothing(curl: Curl, path: str) -> None:
    for method in ("GET", "HEAD"):
        response = curl.ask(method, path)
        assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(curl: Curl, method: str) -> None:
    response = curl.ask(method, "noarch/repodata.json")
    assert (response.status_code, response.content) == (405, b"")
    assert response["Allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(("name", "content_type"), INDEXES)
def test_noarch_is_there_as_soon_as_the_channel_is(
    anyone: Curl, curl: Curl, name: str, content_type: str
) -> None:
    curl.put("x.conda", build_conda("nu", subdir="linux-64").data)

    for _ in range(2):  # before the index was made, and after
        response = anyone.get(f"noarch/{name}")
        assert response.status_code == 200
        assert response["Content-Type"] == content_type
        document = anyone.document(f"noarch/{name}")
        assert document["info"] == {"subdir": "noarch"}
        assert document["packages"] == document["packages.conda"] == document["removed"] == {}
        run_overdue()

    response = anyone.get(f"osx-64/{name}")
    assert (response.status_code, response.content) == (404, NOT_FOUND)


def test_removed_is_an_object_here_whatever_was_removed(anyone: Curl, curl: Curl) -> None:
    curl.put("x.conda", build_conda("nu").data)
    curl.put("x.conda", build_conda("xi").data)
    curl.delete("/api/v1/packages/acme/conda/nu/1.0")
    run_overdue()

    for name, _ in INDEXES:
        document = anyone.document(f"noarch/{name}")
        assert document["removed"] == {}
        assert list(document["packages.conda"]) == ["xi-1.0-0.conda"]
    packed = anyone.get("noarch/repodata.json.zst").content
    assert json.loads(zstandard.decompress(packed))["removed"] == ["nu-1.0-0.conda"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        *INDEXES,
        ("repodata.json.zst", "application/zstd"),
        ("repodata_shards.msgpack.zst", "application/zstd"),
        ("run_exports.json", "application/json"),
        ("run_exports.json.zst", "application/zstd"),
    ],
)
def test_head_and_conditions_on_an_index(
    anyone: Curl, curl: Curl, name: str, content_type: str
) -> None:
    curl.put("dev/x.conda", build_conda("nu").data)
    run_overdue()
    whole = anyone.get(f"dev/noarch/{name}")
    data = whole.content

    head = anyone.head(f"dev/noarch/{name}")

    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Type"] == content_type
    assert int(head["Content-Length"]) == len(data) == int(whole["Content-Length"])
    assert head["ETag"] == whole["ETag"]
    assert "Content-Encoding" not in whole.headers
    known = anyone.get(f"dev/noarch/{name}", If_None_Match=whole["ETag"])
    assert (known.status_code, known.content) == (304, b"")
    part = anyone.get(f"dev/noarch/{name}", Range="bytes=-5")
    assert (part.status_code, part.content) == (206, data[-5:])


def test_each_form_of_a_document_has_its_own_etag(anyone: Curl, curl: Curl) -> None:
    curl.put("x.conda", build_conda("nu").data)
    run_overdue()
    paths = ["noarch/repodata.json", "noarch/repodata.json.bz2", "noarch/repodata.json.zst"]
    paths += [f"/conda/acme/{path}" for path in paths[:2]]
    assert len({anyone.get(path)["ETag"] for path in paths}) == len(paths)


def test_an_index_and_its_etag_change_with_an_upload(anyone: Curl, curl: Curl) -> None:
    curl.put("x.conda", build_conda("nu").data)
    run_overdue()
    before = anyone.get("noarch/repodata.json.bz2")["ETag"]
    curl.put("x.conda", build_conda("xi").data)
    run_overdue()
    after = anyone.get("noarch/repodata.json.bz2", If_None_Match=before)
    assert after.status_code == 200
    assert list(anyone.document("noarch/repodata.json.bz2")["packages.conda"]) == [
        "nu-1.0-0.conda",
        "xi-1.0-0.conda",
    ]


def test_shards_and_the_files_of_the_channel_are_here_too(anyone: Curl, curl: Curl) -> None:
    curl.put("a/b/x.conda", build_conda("nu").data)
    run_overdue()

    shard_index = anyone.get("a/b/noarch/repodata_shards.msgpack.zst").content
    shards = msgspec.msgpack.decode(zstandard.decompress(shard_index))["shards"]
    shard = anyone.get(f"a/b/noarch/shards/{shards['nu'].hex()}.msgpack.zst")
    assert shard.status_code == 200
    assert hashlib.sha256(shard.content).digest() == shards["nu"]
    assert anyone.get(f"a/b/noarch/shards/{'0' * 64}.msgpack.zst").content == NOT_FOUND
    assert list(anyone.document("a/b/channeldata.json")["packages"]) == ["nu"]
    assert anyone.document("a/b/notices.json") == {"notices": []}


def test_a_package_file_comes_with_forgejos_headers(anyone: Curl, curl: Curl) -> None:
    built = build_conda("nu", "1!2.0+g")
    curl.put("x.conda", built.data)
    PackageFile.objects.update(uploaded_at=timezone.now() - timedelta(minutes=1))

    response = anyone.get("noarch/nu-1%212.0%2Bg-0.conda")

    assert response.content == built.data
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == (
        "attachment; filename=\"nu-1!2.0+g-0.conda\"; filename*=UTF-8''nu-1%212.0%2Bg-0.conda"
    )
    assert response["Access-Control-Expose-Headers"] == "Content-Disposition"
    assert response["Cache-Control"] == "private, max-age=300"
    assert response["Content-Length"] == str(built.size)
    assert "Last-Modified" in response.headers
    raw = anyone.get("noarch/nu-1!2.0+g-0.conda")
    assert raw.content == built.data


def test_head_conditions_and_ranges_on_a_package_file(anyone: Curl, curl: Curl) -> None:
    built = build_conda("nu")
    curl.put("x.conda", built.data)
    PackageFile.objects.update(uploaded_at=timezone.now() - timedelta(minutes=1))
    path = "noarch/nu-1.0-0.conda"

    head = anyone.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Length"] == str(built.size)
    assert anyone.get(path, If_None_Match=head["ETag"]).status_code == 304
    since = anyone.get(path, If_Modified_Since=head["Last-Modified"])
    assert (since.status_code, since["Cache-Control"]) == (304, "private, max-age=300")
    part = anyone.get(path, Range="bytes=4-9")
    assert (part.status_code, part.content) == (206, built.data[4:10])
    beyond = anyone.get(path, Range=f"bytes={built.size}-")
    assert beyond.status_code == 416
    assert reason(beyond)[0] == "Requested Range Not Satisfiable"


def test_capitals_of_a_file_name_do_not_count(anyone: Curl, curl: Curl) -> None:
    built = build_conda("nu", build="H1A_0")
    curl.put("dev/x.conda", built.data)

    assert anyone.get("dev/noarch/NU-1.0-h1a_0.conda").content == built.data
    assert anyone.get("Dev/noarch/nu-1.0-H1A_0.conda").content == NOT_FOUND
    assert anyone.get("dev/NoArch/nu-1.0-H1A_0.conda").content == NOT_FOUND
    assert Curl("ACME").get("dev/noarch/nu-1.0-H1A_0.conda").content == built.data


def test_two_files_that_differ_in_capitals_are_two(anyone: Curl, curl: Curl) -> None:
    lower, upper = build_conda("nu", build="ha_0"), build_conda("nu", build="HA_0")
    for built in (lower, upper):
        assert curl.put("x.conda", built.data).status_code == 201
    assert anyone.get("noarch/nu-1.0-ha_0.conda").content == lower.data
    assert anyone.get("noarch/nu-1.0-HA_0.conda").content == upper.data
    assert anyone.get("noarch/nu-1.0-Ha_0.conda").content == NOT_FOUND


@pytest.mark.parametrize(
    "path",
    ["noarch/repodata.json", "noarch/repodata.json.zst", "noarch/nu-1.0-0.conda", "notices.json"],
)
def test_what_may_not_be_known_of_is_what_is_missing(
    acme: Organization, owner: Person, stranger: Person, curl: Curl, path: str
) -> None:
    create_channel(by=owner.identity, account=acme.account, name="secret", visibility="private")
    assert curl.put("secret/x.conda", build_conda("nu").data).status_code == 201
    run_overdue()
    assert curl.get(f"secret/{path}").status_code == 200

    outsiders = [Curl("acme"), Curl("acme", basic("sven", stranger.token().secret))]
    for outsider in outsiders:
        answers = {
            (response.status_code, response.content, *sorted(response.headers.items()))
            for response in (
                _without_id(outsider.get(f"secret/{path}")),
                _without_id(outsider.get(f"no-such-channel/{path}")),
                _without_id(Curl("nobody-here", outsider.authorization).get(f"secret/{path}")),
            )
        }
        assert len(answers) == 1
        assert next(iter(answers))[:2] == (404, NOT_FOUND)


def _without_id(response: Answer) -> Answer:
    response.headers.pop("X-Request-Id", None)
    return response


@pytest.mark.parametrize("path", ["noarch/nu%00-1.0-0.conda", "d%00v/noarch/repodata.json"])
def test_a_nul_in_an_address_is_a_bad_request(curl: Curl, path: str) -> None:
    assert curl.get(path).status_code == 400
    assert curl.put("d%00v/x.conda", build_conda().data).status_code == 400


def test_a_user_has_a_registry_too(owner: Person) -> None:
    mine = Curl("olga", basic("olga", PASSWORD))
    assert mine.put("x.conda", build_conda("nu").data).status_code == 201
    run_overdue()
    assert list(mine.document("noarch/repodata.json")["packages.conda"]) == ["nu-1.0-0.conda"]
