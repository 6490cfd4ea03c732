"""Documents rest while more and more is published; whoever publishes one by one never waits."""

from __future__ import annotations

import time
from itertools import count

import pytest

from registry import indexing
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks

WRITING_SECONDS = 0.05


def upload(owner: Person, channel: ChannelAddress, number: int) -> None:
    answer = owner.upload(build_conda(f"package-{number}", "1.0"), to=channel)
    assert answer.status_code == 201, answer.body


def test_documents_rest_while_more_is_published_and_shards_do_not(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(owner, channel, 0)
    run_pending_tasks()
    seen: list[tuple[str, float]] = []
    numbers = count(2)

    def reach(name: str) -> None:
        if name == "generation-written" and not any(known == name for known, _ in seen):
            time.sleep(WRITING_SECONDS)  # so long the documents take
            upload(owner, channel, next(numbers))
        seen.append((name, time.monotonic()))

    monkeypatch.setattr("portal.failpoints.reach", reach)
    upload(owner, channel, 1)
    run_pending_tasks()

    switches = [(name, at) for name, at in seen if name.endswith("switched")]
    assert [name for name, _ in switches] == ["shards-switched", "generation-switched"] * 2
    (_, _), (_, first), (_, shards), (_, second) = switches
    rest = indexing._DOCUMENTS_REST * WRITING_SECONDS
    assert second - first >= rest
    assert shards - first < second - first
    listed = owner.repodata(channel, "noarch")["packages.conda"]
    assert set(listed) == {f"package-{number}-1.0-0.conda" for number in range(3)}


def test_whoever_waits_for_clients_to_see_it_waits_for_no_rest(
    owner: Person, channel: ChannelAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_DOCUMENTS_REST", 1e9)
    for number in range(3):
        upload(owner, channel, number)
        run_pending_tasks()

    assert len(owner.repodata(channel, "noarch")["packages.conda"]) == 3
