"""``python -m benchmarks``: measure, and print one table."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.hosts import PROJECT, Condarium, condarium, plain_gunicorn
from benchmarks.packages import WIDEST_WINDOW_LOG, Payload
from benchmarks.reading import measure_download, measure_reading
from benchmarks.report import Figure, table, write_json
from benchmarks.uploads import AT_ONCE, measure_memory, measure_uploads
from benchmarks.visible import fill, measure_visible

CHANNEL = "main"
Section = tuple[str, list[Figure]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    large_bytes: int = 2**30
    small_uploads: int = 40
    requests: int = 200
    download_bytes: int = 100_000_000
    records: tuple[int, ...] = (10, 1000, 5000)
    visible_uploads: int = 40

    @property
    def most_disk_bytes(self) -> int:
        # The payload, what is uploaded at once, and the rest.
        return (1 + AT_ONCE) * self.large_bytes + 4 * self.download_bytes + 2**28


QUICK = Plan(rounds=3, records=(10, 1000))
SMOKE = Plan(
    rounds=1,
    large_bytes=4 * 2**20,
    small_uploads=2,
    requests=8,
    download_bytes=2**20,
    records=(3, 10),
    visible_uploads=2,
)


def main() -> int:
    plan, folder, json_path = _arguments()
    folder.mkdir(parents=True, exist_ok=True)
    # Told to end, it still ends its servers and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if shutil.disk_usage(folder).free < plan.most_disk_bytes:
        needed = plan.most_disk_bytes / 2**30
        print(f"{folder} has not the {needed:.1f} GiB free that are needed.", file=sys.stderr)
        return 1
    described, started = machine.description(), time.monotonic()
    sections: list[Section] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as work:
        for section in measure(plan, Path(work)):
            _say(f"{time.monotonic() - started:4.0f} s  {section[0]}")
            sections.append(section)
    print(f"Condarium, {described}")
    print(table(sections))
    if json_path is not None:
        write_json(json_path, sections, described)
    return 0


def measure(plan: Plan, folder: Path) -> Iterator[Section]:
    with ExitStack() as stack:
        host = stack.enter_context(condarium(folder))
        yield from _uploads(plan, folder, host)
        yield from _index(plan, folder, host)


def _uploads(plan: Plan, folder: Path, host: Condarium) -> Iterator[Section]:
    with plain_gunicorn(folder) as peer:
        with Payload.of_noise(folder / "small", 1_000_000) as payload:
            yield (
                f"Uploads of 1 MB, {plan.small_uploads} one by one",
                measure_uploads(
                    host, peer, payload, folder, count=plan.small_uploads, rounds=plan.rounds
                ),
            )
        with Payload.of_noise(folder / "large", plan.large_bytes) as payload:
            size = _size(plan.large_bytes)
            yield (
                f"Upload of {size}",
                measure_uploads(host, peer, payload, folder, count=1, rounds=plan.rounds),
            )
            yield (
                f"{AT_ONCE} uploads of {size} at once",
                measure_memory(host, payload, goal="goal: ≤ 200"),
            )
    size_bytes = plan.large_bytes // 4
    with Payload.of_noise(folder / "wide", size_bytes, window_log=WIDEST_WINDOW_LOG) as payload:
        yield (
            f"{AT_ONCE} uploads of {_size(size_bytes)} at once, packed with the widest window",
            measure_memory(host, payload),
        )


def _index(plan: Plan, folder: Path, host: Condarium) -> Iterator[Section]:
    first = 0
    for records in plan.records:
        fill(host, folder, channel=CHANNEL, first=first, count=records - first)
        first = records
        if records == plan.records[1]:
            yield (
                f"Reading a channel of {records:,} records, {plan.requests} requests each time",
                measure_reading(host, channel=CHANNEL, requests=plan.requests, rounds=plan.rounds),
            )
        yield (
            f"From acknowledged to visible, {records:,} records, {plan.visible_uploads} one by one",
            measure_visible(host, folder, channel=CHANNEL, count=plan.visible_uploads),
        )
    with Payload.of_noise(folder / "download", plan.download_bytes) as payload:
        yield (
            "Downloading",
            measure_download(host, payload, channel="downloads", rounds=plan.rounds),
        )


def _arguments() -> tuple[Plan, Path, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="fewer rounds, and no 5,000 records")
    how_much.add_argument(
        "--smoke", action="store_true", help="only see that it runs: the figures mean nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there, too")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        default=PROJECT / "build",
        help="work below it, on the file system that it is on (build)",
    )
    given = parser.parse_args()
    plan = QUICK if given.quick else SMOKE if given.smoke else Plan()
    return plan, given.folder.absolute(), given.json


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:g} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:g} MiB"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
