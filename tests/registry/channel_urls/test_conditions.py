"""HEAD, conditions and ranges: RFC 9110, of an index file and of a package file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from django.utils.http import http_date, parse_http_date

from registry import publishing
from registry.models import PackageFile, PublishedIndex
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, ask, get, head, run_pending_tasks
from tests.factories import make_organization, make_user

CHANNEL = ChannelAddress("acme")


@dataclass(frozen=True)
class Served:
    """A file as it is served, and what it holds."""

    url: str
    data: bytes
    etag: str


@contextmanager
def no_storage() -> Iterator[None]:
    """Within, every look into the store fails."""
    hidden = Path(settings.FILES_FOLDER)
    aside = hidden.with_name("aside")
    hidden.rename(aside)
    try:
        yield
    finally:
        aside.rename(hidden)


@pytest.fixture(scope="module")
def lasting_files(ground: Path) -> None:
    owner = Person(make_user("olga"))
    acme = make_organization("acme", owner=owner.user)
    publishing.ensure_channel(by=owner.identity, account=acme.account, name="main")
    built = build_conda("hello", "1.0", subdir="linux-64", files={"bin/hello": "x" * 4000})
    assert owner.upload(built, to=CHANNEL).status_code == 201
    run_pending_tasks()
    # Until the Last-Modified of what was published is told.
    an_hour_ago = timezone.now() - timedelta(hours=1)
    PublishedIndex.objects.update(published_at=an_hour_ago)
    PackageFile.objects.update(uploaded_at=an_hour_ago)


@pytest.fixture(params=["repodata.json", "hello-1.0-0.conda"])
def served(request: pytest.FixtureRequest, db: None, ground: Path, lasting_files: None) -> Served:
    """An index file or a package file."""
    shutil.copytree(ground, settings.DATA_FOLDER)
    url = CHANNEL.url(f"linux-64/{request.param}")
    answer = get(url)
    assert answer.status_code == 200
    return Served(url, answer.body, answer.headers["ETag"])


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


def test_bytes_that_are_gone_are_an_answer_not_a_crash(served: Served) -> None:
    with no_storage():
        answer = get(served.url)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
