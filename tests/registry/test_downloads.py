from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from registry import downloads
from registry.models import Download, DownloadTotal, PackageFile
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, head, run_pending_tasks

HELLO = build_conda("hello", "1.0", subdir="noarch")


@pytest.fixture
def url(maintainer: Person, channel: ChannelAddress) -> str:
    assert maintainer.upload(HELLO, to=channel).status_code == 201
    return channel.url(f"noarch/{HELLO.filename}")


def counted() -> int:
    downloads.flush()
    return sum(Download.objects.values_list("count", flat=True))


def test_downloads_are_counted_and_written_together(url: str) -> None:
    get(url)
    with CaptureQueriesContext(connection) as queries:
        get(url)
    assert not any(query["sql"].startswith(("INSERT", "UPDATE")) for query in queries)
    assert not Download.objects.exists()

    assert downloads.flush() == 2
    get(url)
    downloads.flush()

    row = Download.objects.get()
    assert (row.file.filename, row.count) == (HELLO.filename, 3)


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({}, 1),
        ({"Range": "bytes=0-"}, 1),
        ({"Range": "bytes=0-99"}, 1),
        ({"Range": "bytes=0-1,5-6"}, 1),
        ({"Range": "bytes=10-"}, 0),
        ({"Range": "bytes=-100"}, 0),
        ({"Range": "bytes=99999-"}, 0),
        ({"If_None_Match": f'"{HELLO.sha256}"'}, 0),
    ],
)
@pytest.mark.parametrize("accel_prefix", ["", "/-/files"])
def test_what_counts_is_a_file_from_its_beginning(
    settings: Settings, url: str, accel_prefix: str, headers: dict[str, str], count: int
) -> None:
    settings.ACCEL_PREFIX = accel_prefix

    get(url, **headers)

    assert counted() == count


def test_looking_is_no_download(url: str, channel: ChannelAddress) -> None:
    run_pending_tasks()
    head(url)
    get(channel.url("noarch/repodata.json"))
    get(channel.url("noarch/nothing-1-0.conda"))

    assert counted() == 0


def test_many_threads_lose_no_count(url: str) -> None:
    file_id = PackageFile.objects.get().pk

    def fetch() -> None:
        for _ in range(500):
            downloads.count(file_id)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted() == 4000


def test_files_that_are_gone_are_no_trouble_for_the_others(url: str) -> None:
    downloads.count(2**40)
    get(url)

    assert counted() == 1


def test_days_are_counted_apart(url: str) -> None:
    file = PackageFile.objects.get()
    Download.objects.create(file=file, day=date(2024, 2, 29), count=7)
    get(url)
    downloads.flush()

    assert sorted(Download.objects.values_list("count", flat=True)) == [1, 7]


def test_a_total_is_what_all_days_add_up_to(url: str) -> None:
    file = PackageFile.objects.get()
    for _ in range(2):
        get(url)
        get(url)
        downloads.flush()

    assert DownloadTotal.objects.get().count == 4
    downloads.count(file.pk)
    file.delete()
    assert downloads.flush() == 1
    assert not DownloadTotal.objects.exists()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(downloads._counter, "_most", 10)

    for file_id in range(1000):
        downloads.count(file_id)

    assert downloads.flush() == 10


@pytest.fixture
def writing_by_itself(settings: Settings) -> Iterator[None]:
    settings.COUNTS_FLUSH_SECONDS = 0.05
    yield
    downloads.stop()
    assert not any(thread.name == "downloads" for thread in threading.enumerate())


@pytest.mark.django_db(transaction=True)
def test_they_are_written_by_themselves(writing_by_itself: None, url: str) -> None:
    get(url)

    for _ in range(200):
        if Download.objects.exists():
            break
        threading.Event().wait(0.05)

    assert Download.objects.get().count == 1
