"""What HTTP promises of the files of a channel: RFC 9110, and what clients rely on."""

from __future__ import annotations

import bz2
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from django.conf import settings as django_settings
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.http import http_date, parse_http_date
from pytest_django import Settings

from accounts.identity import ANONYMOUS
from registry import generations, placement, storage
from registry.channels import change_channel
from registry.delivery import Stored, deliver, find_index_file
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


@dataclass(frozen=True)
class Served:
    """A file as it is served, and what it holds."""

    url: str
    data: bytes
    etag: str


@contextmanager
def no_storage() -> Iterator[None]:
    """Within, every look into the store fails."""
    hidden = Path(django_settings.FILES_FOLDER)
    aside = hidden.with_name("aside")
    hidden.rename(aside)
    try:
        yield
    finally:
        aside.rename(hidden)


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


@pytest.fixture(params=["repodata.json", "hello-1.0-0.conda"])
def served(request: pytest.FixtureRequest, maintainer: Person, channel: ChannelAddress) -> Served:
    """An index file or a package file."""
    built = build_conda("hello", "1.0", subdir="linux-64", files={"bin/hello": "x" * 4000})
    assert maintainer.upload(built, to=channel).status_code == 201
    run_pending_tasks()
    let_time_pass()
    url = channel.url(f"linux-64/{request.param}")
    answer = get(url)
    assert answer.status_code == 200
    return Served(url, answer.body, answer.headers["ETag"])


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


# --- HEAD, conditions, ranges ------------------------------------------------------------------


def test_head_is_get_without_the_body_and_without_the_store(served: Served) -> None:
    given = {k: v for k, v in get(served.url).headers.items() if k != "X-Request-Id"}

    with no_storage():
        answer = head(served.url, Range="bytes=0-1")

    asked = {k: v for k, v in answer.headers.items() if k != "X-Request-Id"}
    assert answer.status_code == 200
    assert asked == given
    assert answer.body == b""


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ('"other", {etag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("nonsense", 200),
        ("", 200),
    ],
)
def test_who_has_it_already_is_told_so(served: Served, tags: str, status: int) -> None:
    asked = tags.format(etag=served.etag)
    with no_storage() if status == 304 else nullcontext():
        answers = [ask(method, served.url, If_None_Match=asked) for method in ("GET", "HEAD")]

    for answer in answers:
        assert answer.status_code == status
        assert answer.headers["ETag"] == served.etag
        if status == 304:
            assert answer.body == b""
            assert answer.headers["Cache-Control"].startswith("public, max-age=")
            assert "Last-Modified" in answer.headers
            assert not {"Content-Length", "Content-Type", "Content-Range"} & set(answer.headers)


@pytest.mark.parametrize(
    ("offset_seconds", "status"), [(0, 304), (3600, 304), (-1, 200), (None, 200)]
)
def test_the_time_of_the_last_change_is_a_condition_too(
    served: Served, offset_seconds: int | None, status: int
) -> None:
    modified = parse_http_date(get(served.url).headers["Last-Modified"])
    since = "yesterday" if offset_seconds is None else http_date(modified + offset_seconds)

    assert get(served.url, If_Modified_Since=since).status_code == status
    # The tag says more than the time does.
    both = get(served.url, If_Modified_Since=since, If_None_Match='"other"')
    assert both.status_code == 200


def test_an_index_younger_than_its_second_has_no_last_modified(
    maintainer: Person, channel: ChannelAddress
) -> None:
    published(maintainer, channel)
    PublishedIndex.objects.update(published_at=timezone.now())

    answer = get(channel.url("linux-64/repodata.json"), If_Modified_Since=http_date())

    assert answer.status_code == 200
    assert "Last-Modified" not in answer.headers


RANGES = [
    # what is asked for, first and last byte (None: the whole), of a file of `size` bytes
    ("bytes=0-0", (0, 0)),
    ("bytes=0-9", (0, 9)),
    ("bytes=10-", (10, -1)),
    ("bytes=5-100000000", (5, -1)),
    ("bytes=-7", (-7, -1)),
    ("bytes=-100000000", (0, -1)),
    ("Bytes=1-2", (1, 2)),
    ("bytes=0-1,3-4", None),
    ("bytes=" + ",".join(["0-0"] * 1000), None),
    ("bytes=9-5", None),
    ("bytes=-", None),
    ("bytes=", None),
    ("bytes=a-b", None),
    ("bytes=+1-2", None),
    ("bytes=1-٢", None),
    ("lines=0-1", None),
    ("bytes=" + "9" * 40 + "-", None),
]


@pytest.mark.parametrize(("asked", "expected"), RANGES)
def test_one_range_is_given_and_all_else_gets_the_whole(
    served: Served, asked: str, expected: tuple[int, int] | None
) -> None:
    size = len(served.data)

    answer = get(served.url, Range=asked)

    if expected is None:
        assert answer.status_code == 200
        assert answer.body == served.data
        assert "Content-Range" not in answer.headers
        return
    first, last = (at if at >= 0 else at + size for at in expected)
    assert answer.status_code == 206
    assert answer.body == served.data[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)
    assert answer.headers["ETag"] == served.etag


@pytest.mark.parametrize("asked", ["bytes={size}-", "bytes=100000000-", "bytes=-0"])
def test_a_range_outside_of_the_file_is_416(served: Served, asked: str) -> None:
    size = len(served.data)

    answer = get(served.url, Range=asked.format(size=size))

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    ("condition", "status"),
    [("{etag}", 206), ("{modified}", 206), ('"other"', 200), ("W/{etag}", 200), ("junk", 200)],
)
def test_a_range_of_another_generation_is_not_given(
    served: Served, condition: str, status: int
) -> None:
    modified = get(served.url).headers["Last-Modified"]
    condition = condition.format(etag=served.etag, modified=modified)

    answer = get(served.url, Range="bytes=4-", If_Range=condition)

    assert answer.status_code == status
    assert answer.body == (served.data[4:] if status == 206 else served.data)


def test_an_unchanged_file_is_304_whatever_range_is_asked_for(served: Served) -> None:
    answer = get(served.url, Range="bytes=0-9", If_None_Match=served.etag)

    assert answer.status_code == 304


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


def test_bytes_that_are_gone_are_an_answer_not_a_crash(served: Served) -> None:
    with no_storage():
        answer = get(served.url)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


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
