"""Several subdirs side by side, and what is done now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from registry.lanes import Chore, Chores, Lanes, Pair

A_WHILE = 10.0


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + A_WHILE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Indexer:
    """Work that is begun when a lane begins it, and done when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Pair] = []
        self.moments: dict[Pair, list[float]] = {}
        self.side_by_side = 0
        self.answers: dict[Pair, list[bool]] = {}
        self.broken: set[Pair] = set()
        self._long: dict[Pair, threading.Event] = {}

    def lasts(self, pair: Pair) -> threading.Event:
        """The event that ends the work on the pair."""
        return self._long.setdefault(pair, threading.Event())

    def has_begun(self, pair: Pair, *, times: int = 1) -> bool:
        return self.begun.count(pair) >= times

    def __call__(self, channel_id: int, subdir: str) -> bool:
        pair = (channel_id, subdir)
        self.side_by_side = max(self.side_by_side, self.begun.count(pair) + 1)
        self.begun.append(pair)
        self.moments.setdefault(pair, []).append(time.monotonic())
        if pair in self._long:
            assert self._long[pair].wait(A_WHILE)
        if pair in self.broken:
            raise RuntimeError("broken")
        answers = self.answers.get(pair, [])
        return answers.pop(0) if answers else True


def test_a_long_rebuild_holds_up_nobody_but_its_own_subdir() -> None:
    work = Indexer()
    rebuilt = work.lasts((1, "linux-64"))
    lanes = Lanes(2, work, finished=lambda: None)

    lanes.take([(1, "linux-64")])
    for number in range(2, 6):
        wait_until(lambda: lanes.free == 1)
        lanes.take([(1, "linux-64"), (number, "noarch")])
        wait_until(partial(work.has_begun, (number, "noarch")))

    assert work.begun.count((1, "linux-64")) == 1
    rebuilt.set()
    assert lanes.wait_until_idle(A_WHILE)


def test_no_more_is_begun_than_there_are_lanes() -> None:
    work = Indexer()
    pairs = [(number, "noarch") for number in range(4)]
    ends = [work.lasts(pair) for pair in pairs]
    lanes = Lanes(2, work, finished=lambda: None)

    lanes.take(pairs)
    wait_until(lambda: len(work.begun) == 2)

    assert (lanes.busy, lanes.free, work.begun) == (2, 0, pairs[:2])
    for end in ends:
        end.set()
    assert lanes.wait_until_idle(A_WHILE)


def test_the_end_of_each_work_is_told() -> None:
    told = threading.Semaphore(0)
    lanes = Lanes(1, Indexer(), finished=told.release)

    lanes.take([(1, "noarch")])

    assert told.acquire(timeout=A_WHILE)


def test_the_files_of_a_channel_follow_its_subdir() -> None:
    work = Indexer()
    rebuilt = work.lasts((1, "noarch"))
    lanes = Lanes(3, work, finished=lambda: None)

    lanes.take([(1, ""), (1, "noarch")])
    wait_until(lambda: (1, "noarch") in work.begun)
    lanes.take([(1, ""), (2, "")])
    wait_until(lambda: (2, "") in work.begun)
    before = list(work.begun)
    rebuilt.set()
    wait_until(lambda: work.begun.count((1, "")) == before.count((1, "")) + 1)

    assert lanes.wait_until_idle(A_WHILE)


def test_what_another_worker_has_is_tried_again_after_a_rest() -> None:
    work = Indexer()
    work.answers[1, "noarch"] = [False, False, False, True]
    lanes = Lanes(1, work, finished=lambda: None)
    rests = set()

    def is_done_with_all_tries() -> bool:
        lanes.take([(1, "noarch")])
        rests.add(lanes.seconds_to_next_try(at_most=A_WHILE))
        return work.has_begun((1, "noarch"), times=4)

    wait_until(is_done_with_all_tries)
    assert lanes.wait_until_idle(A_WHILE)

    # However late we ask, nothing is begun before it has rested, each time for longer.
    moments = work.moments[1, "noarch"][:4]
    for rest, (before, after) in zip((0.05, 0.1, 0.2), pairwise(moments), strict=True):
        assert after - before >= rest
    assert 0 < min(rests) <= max(rests - {A_WHILE}) <= 0.2
    assert lanes.seconds_to_next_try(at_most=A_WHILE) == A_WHILE


def test_the_trouble_of_one_channel_is_logged_and_keeps_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Indexer()
    work.broken.add((1, "noarch"))
    lanes = Lanes(1, work, finished=lambda: None)

    for _ in range(3):
        lanes.take([(1, "noarch"), (2, "noarch")])
        assert lanes.wait_until_idle(A_WHILE)

    assert work.begun.count((1, "noarch")) == 1
    assert (2, "noarch") in work.begun
    (record,) = [r for r in caplog.records if r.message == "an index failed"]
    assert (record.__dict__["channel"], record.__dict__["subdir"]) == (1, "noarch")


def test_a_stop_does_not_wait_for_a_long_rebuild() -> None:
    work = Indexer()
    end = work.lasts((1, "noarch"))
    lanes = Lanes(1, work, finished=lambda: None)
    lanes.take([(1, "noarch")])

    assert not lanes.wait_until_idle(0.05)

    end.set()
    assert lanes.wait_until_idle(A_WHILE)


def test_idle_work_is_done_piece_by_piece_while_nobody_waits() -> None:
    pieces = [True, True, False]
    done: list[str] = []
    waiting = threading.Event()
    waiting.set()

    def piece() -> bool:
        done.append("piece")
        return pieces.pop(0)

    chores = [
        Chore(piece, every_seconds=0.01, when_idle=True),
        Chore(lambda: done.append("sweep"), every_seconds=0.01),
    ]
    Chores(chores, is_idle=lambda: not waiting.is_set() and bool(pieces))

    wait_until(lambda: done.count("sweep") >= 3)
    assert "piece" not in done
    waiting.clear()
    wait_until(lambda: done.count("piece") == 3)


def test_a_chore_that_fails_is_done_again() -> None:
    done: list[int] = []

    def fail_once() -> None:
        done.append(1)
        if len(done) == 1:
            raise RuntimeError("broken")

    Chores([Chore(fail_once, every_seconds=0.01)], is_idle=lambda: True)

    wait_until(lambda: len(done) > 1)
