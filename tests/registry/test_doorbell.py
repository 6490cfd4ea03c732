"""Waking the worker when something was committed, and not before."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from registry import doorbell
from registry.doorbell import Doorbell

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 30.0
SHORT = 0.05


@pytest.fixture(autouse=True)
def folder() -> Path:
    folder = Path(settings.DATA_FOLDER)
    folder.mkdir(exist_ok=True)
    return folder


def seconds_waited(bell: Doorbell, at_most: float) -> float:
    started = time.monotonic()
    bell.wait(at_most)
    return time.monotonic() - started


def settled(bell: Doorbell) -> Doorbell:
    """The bell without what it tells itself at the start, on PostgreSQL."""
    bell.wait(SHORT)
    bell.wait(SHORT)
    return bell


def test_a_commit_rings() -> None:
    with Doorbell() as bell:
        settled(bell)
        with transaction.atomic():
            doorbell.ring()
            assert seconds_waited(bell, SHORT) >= SHORT * 0.9

        assert seconds_waited(bell, LONG) < LONG / 2


def test_what_is_rolled_back_does_not_ring() -> None:
    with Doorbell() as bell:
        settled(bell)
        with transaction.atomic():
            doorbell.ring()
            transaction.set_rollback(True)

        assert seconds_waited(bell, SHORT) >= SHORT * 0.9


def test_a_thread_of_the_worker_can_wake_it() -> None:
    with Doorbell() as bell:
        settled(bell)
        threading.Timer(SHORT, bell.nudge).start()

        assert seconds_waited(bell, LONG) < LONG / 2


def test_ringing_where_nobody_listens_does_nothing(folder: Path) -> None:
    doorbell.ring()
    assert list(folder.iterdir()) == []
    with Doorbell():
        pass

    doorbell.ring()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL carries the rings itself")
class TestThePipe:
    def test_nobody_else_may_ring(self, folder: Path) -> None:
        with Doorbell():
            assert (folder / "worker.bell").stat().st_mode & 0o777 == 0o600

    def test_who_rings_never_waits_for_room_in_it(self, folder: Path) -> None:
        with Doorbell() as bell:
            button = os.open(folder / "worker.bell", os.O_WRONLY | os.O_NONBLOCK)
            with contextlib.suppress(BlockingIOError):
                while os.write(button, b"!" * 65536):
                    pass
            os.close(button)

            doorbell.ring()

            assert seconds_waited(bell, LONG) < LONG / 2
            assert seconds_waited(bell, SHORT) >= SHORT * 0.9

    def test_what_a_backup_made_of_it_is_replaced(self, folder: Path) -> None:
        (folder / "worker.bell").write_bytes(b"")

        with Doorbell() as bell:
            doorbell.ring()
            assert seconds_waited(bell, LONG) < LONG / 2

    def test_without_one_the_worker_looks_now_and_then(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder.rmdir()

        with Doorbell() as bell:
            assert seconds_waited(bell, LONG) < LONG / 2

        assert "no doorbell" in caplog.text
