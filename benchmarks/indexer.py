"""Condarium's own work in a process of its own: one line of JSON asks, one answers.

``publish`` takes a package file in, as an upload does, and ``step`` brings one index up to date, as
a worker does. Two of these run side by side, so that neither's memory is the other's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

from benchmarks import machine


def main() -> None:
    django.setup()
    acts: dict[str, Callable[..., dict[str, object]]] = {
        "publish": _publish,
        "step": _step,
        "files": _files,
        "condense": _condense,
    }
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(acts[asked.pop("do")](**asked)), flush=True)


def _publish(account: str, channel: str, paths: list[str]) -> dict[str, object]:
    from accounts.identity import Identity
    from accounts.models import User
    from registry import publishing

    by = Identity(user=User.objects.select_related("account").get(username=account))
    for path in paths:
        with Path(path).open("rb") as body:
            publishing.publish(
                by=by,
                account_name=account,
                channel_name=channel,
                body=body,
                claims=publishing.Claims(filename=Path(path).name),
            )
    return {}


def _step(account: str, channel: str, subdir: str, plain: bool) -> dict[str, object]:
    """Each stage's end, in seconds since the beginning, and the most memory until then.

    ``plain`` makes repodata.json, too, as the first client that asks for it does; where it is
    among the published files, there is nothing left to make.
    """
    from registry import indexing

    channel_id = _channel_id(account, channel)
    machine.forget_peak(os.getpid())
    answer: dict[str, object] = {}
    cpu, wall = time.process_time(), time.perf_counter()
    with indexing.lease(channel_id, subdir) as held:
        if held is None:
            raise RuntimeError(f"Somebody else is at the index of {channel}/{subdir}.")
        for stage, publish in (
            ("shards", indexing.publish_shards),
            ("documents", indexing.publish_documents),
        ):
            publish(*held)
            answer[stage] = [time.perf_counter() - wall, time.process_time() - cpu]
    indexing.publish_summaries(channel_id, subdir)
    answer["summaries"] = [time.perf_counter() - wall, time.process_time() - cpu]
    answer["peak_bytes"] = machine.peak_memory_bytes(os.getpid())
    if plain:
        answer["plain"] = _make_plain(channel_id, subdir)
    return answer


def _make_plain(channel_id: int, subdir: str) -> list[float]:
    from registry import generations
    from registry.models import PublishedIndex

    cpu, wall = time.process_time(), time.perf_counter()
    index = PublishedIndex.objects.get(channel=channel_id, subdir=subdir, members_only=False)
    if "repodata.json" not in index.files:
        generations.plain_of(index.files["repodata.json.zst"]).make()
    return [time.perf_counter() - wall, time.process_time() - cpu]


def _files(account: str, channel: str, subdir: str) -> dict[str, object]:
    """Where the published files of an index lie."""
    from django.conf import settings

    from registry.models import PublishedIndex

    index = PublishedIndex.objects.get(
        channel=_channel_id(account, channel), subdir=subdir, members_only=False
    )
    folder = Path(settings.DATA_FOLDER) / "files"
    return {name: str(folder / str(facts["key"])) for name, facts in index.files.items()}


def _condense(account: str, channel: str, subdir: str) -> dict[str, object]:
    """What the worker does when a subdir has been at rest for a while."""
    from django.db.models import F
    from django.utils import timezone

    from registry import condensing
    from registry.models import PublishedIndex

    rows = PublishedIndex.objects.filter(channel=_channel_id(account, channel), subdir=subdir)
    rows.update(documents_at=timezone.now() - 100 * condensing.AT_REST_AFTER)
    cpu = time.process_time()
    while not rows.filter(condensed_at__gt=F("documents_at")).exists():
        if not condensing.condense_some():
            raise RuntimeError(f"{channel}/{subdir} is not condensed.")
    return {"cpu_seconds": time.process_time() - cpu}


def _channel_id(account: str, channel: str) -> int:
    from registry.models import Channel

    return Channel.objects.get(account__name=account, name=channel).pk


if __name__ == "__main__":
    main()
