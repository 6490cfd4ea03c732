"""The same with an S3 as the store: packages by signed addresses, index files through us."""

from __future__ import annotations

import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings

from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, head, run_pending_tasks
from tests.servers import S3Server

pytestmark = pytest.mark.services

HELLO = build_conda("hello", "1.0+x", subdir="linux-64", files={"x": "x" * 5000})
PATH = f"linux-64/{HELLO.filename}"


@pytest.fixture
def filled(in_s3: None, maintainer: Person, channel: ChannelAddress) -> ChannelAddress:
    assert maintainer.upload(HELLO, to=channel).status_code == 201
    run_pending_tasks()
    return channel


def test_a_package_comes_from_an_address_that_is_good_for_a_short_while(
    filled: ChannelAddress,
) -> None:
    answer = get(filled.url(PATH))

    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.body == b""
    with urllib.request.urlopen(answer.headers["Location"], timeout=10) as response:
        assert response.read() == HELLO.data
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert HELLO.filename in response.headers["Content-Disposition"]
    part = urllib.request.Request(answer.headers["Location"], headers={"Range": "bytes=-100"})
    with urllib.request.urlopen(part, timeout=10) as response:
        assert response.read() == HELLO.data[-100:]


def test_an_address_is_signed_for_the_method_that_asked(filled: ChannelAddress) -> None:
    location = head(filled.url(PATH)).headers["Location"]

    asked = urllib.request.Request(location, method="HEAD")
    with urllib.request.urlopen(asked, timeout=10) as response:
        assert response.headers["Content-Length"] == str(HELLO.size)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(location, timeout=10)
    assert caught.value.code == 403
    caught.value.close()


def test_index_files_are_streamed_with_their_ranges(filled: ChannelAddress) -> None:
    for name in ("repodata.json", "repodata.json.zst", "repodata.json.bz2"):
        whole = get(filled.url(f"linux-64/{name}"))
        part = get(filled.url(f"linux-64/{name}"), Range="bytes=5-20")
        unchanged = get(filled.url(f"linux-64/{name}"), If_None_Match=whole.headers["ETag"])

        assert (whole.status_code, part.status_code, unchanged.status_code) == (200, 206, 304)
        assert whole.headers["Content-Length"] == str(len(whole.body))
        assert part.body == whole.body[5:21]


def test_a_package_that_is_known_already_needs_no_address(filled: ChannelAddress) -> None:
    assert get(filled.url(PATH), If_None_Match=f'"{HELLO.sha256}"').status_code == 304


def test_a_front_server_is_given_the_signed_path(
    settings: Settings, filled: ChannelAddress, s3: S3Server
) -> None:
    settings.ACCEL_PREFIX = "/_files/"

    answer = get(filled.url("linux-64/repodata.json"))

    place = urlsplit(answer.headers["X-Accel-Redirect"])
    assert place.path.startswith(f"/_files/{s3.bucket}/index/")
    address = f"{s3.endpoint}{place.path.removeprefix('/_files')}?{place.query}"
    with urllib.request.urlopen(address, timeout=10) as response:
        assert b"hello" in response.read()
