"""What HTTP promises of the files of a channel: RFC 9110, and what clients rely on."""

from __future__ import annotations

import bz2
import json
from datetime import datetime, timedelta

import pytest
import zstandard
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.http import http_date
from pytest_django import Settings

from accounts.identity import ANONYMOUS
from registry import generations, placement, storage
from registry.channels import change_channel
from registry.delivery import Stored, deliver
from registry.finding import find_index_file
from registry.models import PackageFile, PublishedIndex
from registry.storage import FolderStore
from tests.builders import build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, ask, get, head, run_pending_tasks

INDEX_FILES = {
    "repodata.json": "application/json",
    "repodata.json.zst": "application/zstd",
    "repodata.json.bz2": "application/x-bzip2",
    "current_repodata.json": "application/json",
    "current_repodata.json.zst": "application/zstd",
    "run_exports.json": "application/json",
    "run_exports.json.zst": "application/zstd",
    "repodata_shards.msgpack.zst": "application/zstd",
}


def an_hour_ago() -> datetime:
    return timezone.now() - timedelta(hours=1)


def let_time_pass() -> None:
    """Until the Last-Modified of what was published is told."""
    PublishedIndex.objects.update(published_at=an_hour_ago())
    PackageFile.objects.update(uploaded_at=an_hour_ago())


def published(maintainer: Person, channel: ChannelAddress) -> None:
    for built in (
        build_conda("hello", "1.0", subdir="linux-64", files={"bin/hello": "x" * 4000}),
        build_tar_bz2("hello", "0.9", subdir="linux-64"),
        build_conda("data", "2", subdir="noarch"),
    ):
        assert maintainer.upload(built, to=channel).status_code == 201
    run_pending_tasks()
    let_time_pass()


# --- What is there -----------------------------------------------------------------------------


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_every_index_file_is_there_with_its_type_and_no_encoding(
    maintainer: Person, channel: ChannelAddress, subdir: str
) -> None:
    published(maintainer, channel)

    for name, content_type in INDEX_FILES.items():
        answer = get(channel.url(f"{subdir}/{name}"), Accept_Encoding="gzip, deflate, zstd, br")

        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not {"Content-Encoding", "Vary", "Set-Cookie"} & set(answer.headers)


def test_the_twins_of_an_index_file_say_the_same_under_tags_of_their_own(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)
    answers = [
        get(channel.url(f"linux-64/repodata.json{ending}")) for ending in ("", ".zst", ".bz2")
    ]
    plain, zst, bz = (answer.body for answer in answers)

    assert zstandard.ZstdDecompressor().decompress(zst) == bz2.decompress(bz) == plain
    assert len({answer.headers["ETag"] for answer in answers}) == 3
    assert all(answer.headers["ETag"].startswith('"') for answer in answers)


def test_noarch_is_there_before_anything_was_indexed(channel: ChannelAddress) -> None:
    for name in INDEX_FILES:
        answer = get(channel.url(f"noarch/{name}"))

        assert answer.status_code == 200
        assert answer.headers["ETag"]
    assert json.loads(get(channel.url("noarch/repodata.json")).body)["packages"] == {}


def test_noarch_is_there_while_its_first_index_is_being_written(
    acme: object, channel: ChannelAddress
) -> None:
    PublishedIndex.objects.create(channel=channel.row, subdir="noarch")

    assert get(channel.url("noarch/repodata.json")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "linux-64/repodata.json",  # nothing was ever published for it
        "noarch/index.html",
        "noarch/repodata.json.jlap",
        "noarch/missing-1-0.conda",
        "noarch/shards/" + "0" * 64 + ".msgpack.zst",
        "repodata.json",
        "",
        "label/unknown/noarch/repodata.json",
        "noarch/",
        "noarch",
    ],
)
def test_what_is_missing_is_404_in_the_same_bytes(channel: ChannelAddress, path: str) -> None:
    nowhere = get("/conda/nobody/noarch/repodata.json")

    answer = get(f"/conda/acme/{path}", Accept="text/html")

    assert nowhere.status_code == answer.status_code == 404
    assert answer.body == nowhere.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert head(f"/conda/acme/{path}").status_code == 404


def test_an_account_is_found_in_any_case_and_a_channel_in_its_own(
    maintainer: Person, owner: Person, channel: ChannelAddress
) -> None:
    built = build_conda("hello", subdir="noarch")
    assert owner.upload(built, to=ChannelAddress("acme", "Nightly/a")).status_code == 201

    assert get("/conda/ACME/Nightly/a/noarch/hello-1.0-0.conda").body == built.data
    assert get("/conda/acme/label/Nightly/a/noarch/hello-1.0-0.conda").body == built.data
    assert get("/conda/acme/Nightly%2Fa/noarch/hello-1.0-0.conda").body == built.data
    assert get("/conda/acme/nightly/a/noarch/hello-1.0-0.conda").status_code == 404


def test_notices_and_channeldata_lie_in_the_channel(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)

    assert json.loads(get(channel.url("notices.json")).body) == {"notices": []}
    assert set(json.loads(get(channel.url("channeldata.json")).body)["packages"]) == {
        "data",
        "hello",
    }


def test_channeldata_has_the_latest_build_time_of_a_name(
    maintainer: Person, channel: ChannelAddress
) -> None:
    for version, seconds in (("1.0", 1_600_000_000), ("2.0", 1_500_000_000)):
        built = build_conda("hello", version, timestamp=seconds * 1000)
        assert maintainer.upload(built, to=channel).status_code == 201
    run_pending_tasks()

    said = json.loads(get(channel.url("channeldata.json")).body)["packages"]["hello"]
    assert (said["version"], said["timestamp"]) == ("2.0", 1_600_000_000)


def test_a_shard_is_immutable_and_named_by_its_digest(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)
    row = PublishedIndex.objects.get(subdir="linux-64")
    (digest,) = generations.read_shard_index(row.files[generations.SHARD_INDEX]).values()

    answer = get(channel.url(f"linux-64/shards/{digest.hex()}.msgpack.zst"))

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["ETag"] == f'"{digest.hex()}"'
    assert answer.headers["Content-Type"] == "application/zstd"
    assert b"hello" in zstandard.ZstdDecompressor().decompress(answer.body)
    # In the folder of the subdir alone.
    other = get(channel.url(f"noarch/shards/{digest.hex()}.msgpack.zst"))
    assert other.status_code == 404


@pytest.mark.parametrize("is_immutable", [False, True])
def test_caches_keep_a_package_file_that_is_never_replaced(
    is_immutable: bool, owner: Person, maintainer: Person, channel: ChannelAddress
) -> None:
    change_channel(by=owner.identity, channel=channel.row, is_immutable=is_immutable)
    published(maintainer, channel)

    answer = get(channel.url("linux-64/hello-1.0-0.conda"))

    kept = "public, max-age=604800, immutable"
    asked_for_each_time = "public, max-age=0, must-revalidate"
    assert answer.headers["Cache-Control"] == (kept if is_immutable else asked_for_each_time)


def test_an_index_younger_than_its_second_has_no_last_modified(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)
    PublishedIndex.objects.update(published_at=timezone.now())

    answer = get(channel.url("linux-64/repodata.json"), If_Modified_Since=http_date())

    assert answer.status_code == 200
    assert "Last-Modified" not in answer.headers


def test_a_package_file_is_saved_under_its_name(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)

    answer = get(channel.url("linux-64/hello-1.0-0.conda"))

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="hello-1.0-0.conda"'
    assert "Content-Encoding" not in answer.headers


def test_a_withdrawn_file_stays_where_it_was_until_it_is_deleted(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)
    url = channel.url("linux-64/hello-1.0-0.conda")
    file = PackageFile.objects.get(filename="hello-1.0-0.conda")

    placement.remove_from_channel(by=maintainer.identity, file=file, channel=channel.row)
    assert get(url).status_code == 200
    assert get("/conda/acme/label/dev/linux-64/hello-1.0-0.conda").status_code == 404

    placement.delete_file(by=maintainer.identity, file=file)
    assert get(url).status_code == 404


# --- Names that clients write differently -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "build"),
    [
        ("odd-epoch", "1!2.0", "0"),
        ("odd-local", "1.0+local.7", "0"),
        ("odd-both", "2!1.0.dev3+g6a303834", "g6a303834"),
        ("odd-under", "1.0.1_", "0"),
        ("odd.dot", "1.0", "a.b+c_0"),
        ("_odd_lead", "1.0", "0"),
        ("odd-case", "1.0", "H1A_0"),
        ("n" * 64, "1." + "2" * 9, "b" * 64),
    ],
)
def test_raw_and_percent_encoded_names_are_one(
    maintainer: Person, channel: ChannelAddress, name: str, version: str, build: str
) -> None:
    built = build_conda(name, version, build=build, subdir="noarch")
    assert maintainer.upload(built, to=channel).status_code == 201
    encoded = "".join(f"%{ord(c):02x}" if c in "!+._" else c for c in built.filename)

    assert get(channel.url(f"noarch/{built.filename}")).body == built.data
    assert get(channel.url(f"noarch/{encoded}")).body == built.data


def test_a_plus_is_no_space_and_case_counts(maintainer: Person, channel: ChannelAddress) -> None:
    maintainer.upload(build_conda("odd", "1.0+a", build="H1", subdir="noarch"), to=channel)

    assert get(channel.url("noarch/odd-1.0%20a-H1.conda")).status_code == 404
    assert get(channel.url("noarch/odd-1.0+a-h1.conda")).status_code == 404
    assert get(channel.url("noarch/ODD-1.0+a-H1.conda")).status_code == 404


# --- Methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["noarch/repodata.json", "noarch/a-1-0.conda", "nothing"])
def test_other_methods_are_refused_with_the_ones_there_are(
    channel: ChannelAddress, method: str, path: str
) -> None:
    answer = ask(method, channel.url(path))

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, PUT"


# --- What it costs -----------------------------------------------------------------------------


def test_a_read_costs_a_handful_of_queries(maintainer: Person, channel: ChannelAddress) -> None:
    published(maintainer, channel)
    row = PublishedIndex.objects.get(subdir="linux-64")
    (digest,) = generations.read_shard_index(row.files[generations.SHARD_INDEX]).values()
    token = maintainer.token("conda").secret
    get(channel.url("notices.json"), token=token)  # the minute's note of its use

    for path, most in (
        ("linux-64/repodata.json", 2),
        ("linux-64/repodata.json.zst", 2),
        ("linux-64/repodata.json.bz2", 2),
        ("linux-64/repodata_shards.msgpack.zst", 2),
        ("linux-64/hello-1.0-0.conda", 2),
        (f"linux-64/shards/{digest.hex()}.msgpack.zst", 2),
        ("notices.json", 2),
    ):
        for credential, more in ((None, 0), (token, 1)):
            with CaptureQueriesContext(connection) as queries:
                assert get(channel.url(path), token=credential).status_code == 200
            assert len(queries) <= most + more, [query["sql"] for query in queries]


# --- Behind a front server ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["linux-64/repodata.json", "linux-64/hello-1.0-0.conda", "noarch/repodata.json.zst"]
)
def test_a_front_server_is_given_the_place_instead_of_the_bytes(
    settings: Settings, maintainer: Person, channel: ChannelAddress, path: str
) -> None:
    published(maintainer, channel)
    whole = get(channel.url(path))
    settings.ACCEL_PREFIX = "/-/files"

    answer = get(channel.url(path), Range="bytes=0-3")

    key = answer.headers["X-Accel-Redirect"].removeprefix("/-/files/")
    store = storage.store()
    assert isinstance(store, FolderStore)
    assert (store.root / key).read_bytes() == whole.body
    assert answer.body == b""
    assert answer.status_code == 200
    for name in ("ETag", "Cache-Control", "Content-Type", "Last-Modified"):
        assert answer.headers[name] == whole.headers[name]
    unchanged = get(channel.url(path), If_None_Match=whole.headers["ETag"])
    assert unchanged.status_code == 304
    assert "X-Accel-Redirect" not in unchanged.headers


def test_what_lies_in_memory_is_answered_without_the_front_server(
    settings: Settings, channel: ChannelAddress
) -> None:
    settings.ACCEL_PREFIX = "/-/files/"

    answer = get(channel.url("noarch/repodata.json"))

    assert "X-Accel-Redirect" not in answer.headers
    assert json.loads(answer.body)["info"] == {"subdir": "noarch"}


# --- A file with another end ---------------------------------------------------------------------


def ask_of(stored: Stored, method: str = "GET", **headers: str) -> Answer:
    """Deliver as a dialect does; the answer's body is read at once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response: Answer = deliver(RequestFactory(headers=named).generic(method, "/"), stored)
    response.body = b"".join(
        response.streaming_content if response.streaming else [response.content]
    )
    for close in response._resource_closers:
        close()
    return response


def test_a_file_with_another_end_is_a_file_of_its_own(
    maintainer: Person, channel: ChannelAddress
) -> None:
    built = build_conda("hello", "1.0", subdir="linux-64")
    maintainer.upload(built, to=channel)
    nothing_indexed = find_index_file(ANONYMOUS, channel.row, "noarch", "repodata.json")
    run_pending_tasks()
    indexed = find_index_file(ANONYMOUS, channel.row, "linux-64", "repodata.json")

    for stored in (nothing_indexed, indexed):
        assert stored is not None
        assert stored.removed_offset is not None
        offset, tail = stored.removed_offset, b'{"an":"object"}}'
        whole = ask_of(stored).body
        assert whole[offset:].startswith(b"[]")
        expected = whole[:offset] + tail
        changed = stored.with_tail(offset, tail)

        assert ask_of(changed).body == expected
        assert changed.etag not in {stored.etag, stored.with_tail(offset, b"x").etag}
        assert ask_of(changed, "HEAD").headers["Content-Length"] == str(len(expected))
        assert ask_of(changed, If_None_Match=changed.etag).status_code == 304
        for start, stop in ((0, 9), (5, offset + 3), (offset - 1, offset), (offset + 2, 99_999)):
            part = ask_of(changed, Range=f"bytes={start}-{stop}")
            assert part.status_code == 206
            assert part.body == expected[start : stop + 1]
            assert part.headers["Content-Length"] == str(len(part.body))
