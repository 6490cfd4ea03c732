"""What is held while work goes on, though the database is away for a moment."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from pytest_django import Settings

from accounts.identity import OPERATOR
from accounts.models import Account
from registry import indexing, jobs
from registry.models import CurrentFile, Job, PublishedIndex, StaleMark
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get

pytestmark = pytest.mark.django_db(transaction=True)
_FAILURES = 3


@pytest.fixture
def outage() -> Iterator[list[str]]:
    """The first statements of threads that renew leases fail, as when a file is locked; which."""
    failed: list[str] = []

    def fail(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if len(failed) < _FAILURES:
            failed.append(sql)
            raise OperationalError("database is locked")
        return execute(sql, *rest)

    def connected(connection: BaseDatabaseWrapper, **_: object) -> None:
        if threading.current_thread().name == "lease":
            connection.execute_wrappers.append(fail)

    connection_created.connect(connected)
    yield failed
    connection_created.disconnect(connected)


@pytest.fixture(autouse=True)
def short_leases(settings: Settings) -> None:
    settings.INDEX_LEASE_SECONDS = settings.JOB_LEASE_SECONDS = 0.2


def wait_for_later(until: Callable[[], datetime | None], failed: list[str]) -> bool:
    """Whether the lease is prolonged after all failures."""
    first = until()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now = until()
        if len(failed) == _FAILURES and first and now and now > first:
            return True
        time.sleep(0.01)
    return False


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "lease" in record.getMessage()]


def test_the_lease_of_an_index_outlives_an_outage(
    channel: ChannelAddress, outage: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    rows = PublishedIndex.objects.filter(channel=channel.row, subdir="noarch")
    with indexing.lease(channel.row.pk, "noarch") as held:
        assert held
        assert wait_for_later(lambda: rows.values_list("lease_until", flat=True).get(), outage)
    assert logged(caplog) == ["a lease could not be renewed; trying again"]


def test_the_lease_of_a_job_outlives_an_outage(
    channel: ChannelAddress, outage: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    @jobs.work("test.long")
    def _long(job: jobs.Running) -> None:
        until = Job.objects.values_list("lease_until", flat=True)
        job.note(str(wait_for_later(until.get, outage)))

    account = Account.objects.get(pk=channel.row.account_id)
    jobs.start(by=OPERATOR, account=account, kind="test.long", params={}, title="Long")
    try:
        assert jobs.run_next()
    finally:
        del jobs._works["test.long"]

    assert [line["line"] for line in Job.objects.get().lines] == ["True"]
    assert logged(caplog) == ["a lease could not be renewed; trying again"]


def test_summaries_begun_ahead_wait_for_who_publishes_for_clients(
    owner: Person, channel: ChannelAddress
) -> None:
    assert owner.upload(build_conda("hello", "1.0"), to=channel).status_code == 201
    here = channel.row.pk, "noarch"
    done: list[bool] = []

    def sum_up() -> None:
        done.append(indexing.bring_summaries_up_to_date_ahead(*here))
        connection.close()

    other = threading.Thread(target=sum_up)
    with indexing.lease(*here) as held:
        assert held is not None
        other.start()
        deadline = time.monotonic() + 20
        while not CurrentFile.objects.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert CurrentFile.objects.exists()
        other.join(0.3)
        assert other.is_alive()
        assert indexing.publish_shards(*held)
    other.join(20)
    assert done == [True]
    assert not StaleMark.objects.filter(subdir="noarch").exists()
    current = json.loads(get(channel.url("noarch/current_repodata.json")).body)
    assert list(current["packages.conda"]) == ["hello-1.0-0.conda"]


def test_summaries_begun_ahead_of_nobody_are_left_for_another_time(
    owner: Person, channel: ChannelAddress
) -> None:
    assert owner.upload(build_conda("hello", "1.0"), to=channel).status_code == 201
    here = channel.row.pk, "noarch"
    assert not indexing.bring_summaries_up_to_date_ahead(*here)
    assert indexing.bring_up_to_date(*here)
    current = json.loads(get(channel.url("noarch/current_repodata.json")).body)
    assert list(current["packages.conda"]) == ["hello-1.0-0.conda"]
