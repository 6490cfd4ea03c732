"""Sweeping old index files, while others may be writing new ones."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from registry import housekeeping, indexing, storage
from registry.models import ChoreRun
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks


def shards(channel: ChannelAddress) -> set[Path]:
    folder = settings.FILES_FOLDER / storage.index_folder(channel.row.pk, "noarch") / "shards"
    return set(folder.iterdir())


@pytest.fixture
def aged(owner: Person, channel: ChannelAddress) -> ChannelAddress:
    """A channel with an index that was replaced long ago."""
    for version in ("1.0", "2.0"):
        assert owner.upload(build_conda("hello", version), to=channel).status_code == 201
        run_pending_tasks()
    long_ago = (timezone.now() - timedelta(days=30)).timestamp()
    for path in settings.FILES_FOLDER.rglob("*"):
        os.utime(path, (long_ago, long_ago))
    return channel


def test_what_no_index_names_any_more_goes_and_the_rest_stays(aged: ChannelAddress) -> None:
    before = shards(aged)
    assert len(before) == 2

    assert housekeeping.sweep_old_index_files() > 0

    left = shards(aged)
    assert len(left) == 1
    assert left < before
    for path in (
        "noarch/repodata.json",
        "noarch/repodata_shards.msgpack.zst",
        f"noarch/shards/{left.pop().name}",
        "channeldata.json",
    ):
        assert get(aged.url(path)).status_code == 200
    assert housekeeping.sweep_old_index_files() == 0


def test_nothing_is_swept_from_under_a_worker_who_may_count_on_it(aged: ChannelAddress) -> None:
    before = shards(aged)

    with indexing.lease(aged.row.pk, "noarch") as held:
        assert held is not None
        housekeeping.sweep_old_index_files()
        assert shards(aged) == before

    housekeeping.sweep_old_index_files()
    assert len(shards(aged)) == 1


# --- What is noted of it -------------------------------------------------------------------------


def test_a_sweep_that_fails_is_noted_and_keeps_no_other_from_its_work(
    db: None, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def broken() -> int:
        raise LookupError("a bug")

    def hourly() -> int:
        done.append("hourly")
        return 3

    housekeeping.also_sweep("a broken thing", broken)
    housekeeping.also_sweep("an hourly thing", hourly, every_seconds=3600)
    try:
        assert housekeeping.keep_house()["an hourly thing"] == 3
        assert housekeeping.keep_house()["an hourly thing"] == 0
        ChoreRun.objects.update(began_at=timezone.now() - timedelta(hours=2))
        assert housekeeping.keep_house()["an hourly thing"] == 3
    finally:
        del housekeeping._OF_OTHERS["a broken thing"], housekeeping._OF_OTHERS["an hourly thing"]

    assert done == ["hourly", "hourly"]
    runs = {run.name: run for run in ChoreRun.objects.all()}
    broken_run, hourly_run, blobs = (
        runs[name] for name in ("a broken thing", "an hourly thing", "blobs")
    )
    assert (broken_run.failure, broken_run.ended_at) == ("LookupError", None)
    assert broken_run.failed_at
    assert blobs.ended_at
    assert hourly_run.seconds is not None
    assert [r.__dict__["chore"] for r in caplog.records if r.message == "a sweep failed"] == [
        "a broken thing"
    ] * 3
