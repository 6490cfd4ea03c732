"""``python -m benchmarks``: measure, and print one table."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import machine
from benchmarks.cost import PROJECT
from benchmarks.hosts import House, condarium, empty_house, plain_gunicorn
from benchmarks.imports import measure_imports
from benchmarks.increments import fill, fill_channel, measure_increments, name_of, sections_of
from benchmarks.installing import measure_installing
from benchmarks.packages import WIDEST_WINDOW_LOG, Payload, small_payload
from benchmarks.pages import measure_pages
from benchmarks.peers import Peer, available_peers
from benchmarks.reading import measure_download, measure_reading
from benchmarks.report import Section, at_most, table, write_json
from benchmarks.serving import measure_serving
from benchmarks.uploads import AT_ONCE, measure_memory, measure_uploads
from benchmarks.visible import measure_burst, measure_rates, visible_section
from tests.portal.front import NGINX

_PYTHON_OF_CONDA_INDEX = "CONDA_INDEX_PYTHON"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    only: tuple[str, ...] = ()
    rounds: int = 5
    large_bytes: int = 2**30
    small_uploads: int = 40
    requests: int = 400
    download_bytes: int = 40_000_000
    records: tuple[int, ...] = (1000, 10_000, 100_000, 600_000)
    most_peer_records: int = 100_000
    visible_uploads: int = 15
    burst_uploads: int = 200
    rate_uploads: int = 64
    imported_packages: int = 20_000
    served_records: int = 10_000
    shown_files: int = 10_000
    page_rounds: int = 5
    every_page: int = 1
    conda_index_python: str = ""

    @property
    def most_disk_bytes(self) -> int:
        # The payload, what is uploaded at once, the largest channel, and the rest.
        return (1 + AT_ONCE) * self.large_bytes + 8000 * max(self.records) + 2**29

    @property
    def busy_records(self) -> int:
        """The channel that bursts come into: the largest but one."""
        return sorted(self.records)[-2]


QUICK = Plan(
    rounds=3,
    records=(1000, 10_000, 100_000),
    most_peer_records=10_000,
    visible_uploads=7,
    imported_packages=2000,
)
SMOKE = Plan(
    rounds=1,
    large_bytes=4 * 2**20,
    small_uploads=2,
    requests=8,
    download_bytes=2**20,
    records=(30, 100),
    visible_uploads=2,
    burst_uploads=10,
    rate_uploads=8,
    imported_packages=20,
    served_records=100,
    shown_files=30,
    page_rounds=1,
    every_page=15,
)


def main() -> int:
    plan, folder, json_path = _arguments()
    folder.mkdir(parents=True, exist_ok=True)
    # Each process, of the peers too, would else compile anew what it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Told to end, it still ends its servers and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if shutil.disk_usage(folder).free < plan.most_disk_bytes:
        needed = plan.most_disk_bytes / 2**30
        print(f"{folder} has not the {needed:.1f} GiB free that are needed.", file=sys.stderr)
        return 1
    described, started = machine.description(), time.monotonic()
    sections: list[Section] = []
    try:
        for section in _measure(plan, folder):
            column = f", {section.column}" if section.column else ""
            _say(f"{time.monotonic() - started:5.0f} s  {section.title}{column}")
            sections.append(section)
    finally:
        # What was measured in half an hour is not lost to what fails, or is stopped, then.
        if sections:
            print(f"Condarium, {described}")
            print(table(sections))
            if json_path is not None:
                write_json(json_path, sections, described)
    return 0


# --- What is measured --------------------------------------------------------------------------


def _measure(plan: Plan, folder: Path) -> Iterator[Section]:
    """All that the plan names, each in a house of its own."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as work:
        empty = empty_house(Path(work))
        for name, measure in _MEASURED.items():
            if plan.only and name not in plan.only:
                continue
            with tempfile.TemporaryDirectory(dir=work, prefix=f"{name}-") as place:
                yield from measure(plan, empty.copied_to(Path(place)), Path(place))


def _index(plan: Plan, here: House, folder: Path) -> Iterator[Section]:
    """What one more package costs, beside the peers; then the same with web and worker."""
    payload = small_payload(folder / "payload")
    sizes = []
    for records in plan.records:
        sizes.append(fill(here, records))
        _say(f"        a channel of {records:,} records is there")
    measure_increments(
        here,
        folder,
        sizes,
        _peers(plan),
        payload,
        rounds=plan.rounds,
        most_peer_records=plan.most_peer_records,
    )
    yield from sections_of(sizes)
    busy = next(size.channel for size in sizes if size.channel.records == plan.busy_records)
    calm = [size.channel for size in sizes[1:] if size.channel.records <= busy.records]
    fill_channel(here, name_of(0), 0)
    with condarium(here) as host:
        for size in sizes:
            yield visible_section(host, size.channel, payload, uploads=plan.visible_uploads)
        yield measure_installing(host, busy, payload, folder, rounds=plan.rounds)
        yield measure_burst(host, busy, payload, uploads=plan.burst_uploads)
        for channel in (None, *calm):
            yield measure_rates(
                host, channel, payload, uploads=plan.rate_uploads, rounds=plan.rounds
            )


def _uploads(plan: Plan, here: House, folder: Path) -> Iterator[Section]:
    with condarium(here) as host, plain_gunicorn(folder) as peer:
        with Payload.of_noise(folder / "small", 1_000_000) as payload:
            yield Section(
                f"Uploads of 1 MB, {plan.small_uploads} one by one",
                measure_uploads(
                    host, peer, payload, folder, count=plan.small_uploads, rounds=plan.rounds
                ),
            )
        with Payload.of_noise(folder / "large", plan.large_bytes) as payload:
            size = _size(plan.large_bytes)
            yield Section(
                f"Upload of {size}",
                measure_uploads(host, peer, payload, folder, count=1, rounds=plan.rounds),
            )
            yield Section(
                f"{AT_ONCE} uploads of {size} at once",
                measure_memory(host, payload, goal=at_most(200)),
            )
        size_bytes = plan.large_bytes // 4
        with Payload.of_noise(folder / "wide", size_bytes, window_log=WIDEST_WINDOW_LOG) as payload:
            yield Section(
                f"{AT_ONCE} uploads of {_size(size_bytes)} at once, packed with the widest window",
                measure_memory(host, payload),
            )


def _reading(plan: Plan, here: House, folder: Path) -> Iterator[Section]:
    records = plan.records[0]
    fill(here, records)
    with (
        condarium(here) as host,
        Payload.of_noise(folder / "download", plan.download_bytes) as payload,
    ):
        yield Section(
            f"Reading {records:,} records by Python alone, {plan.requests} requests each time",
            measure_reading(
                host, channel=name_of(records), requests=plan.requests, rounds=plan.rounds
            ),
        )
        yield Section(
            "Downloading by Python alone",
            measure_download(host, payload, channel="downloads", rounds=plan.rounds),
        )


def _import(plan: Plan, here: House, folder: Path) -> Iterator[Section]:
    yield measure_imports(
        here,
        folder,
        small_payload(folder / "payload"),
        _peers(plan),
        packages=plan.imported_packages,
        rounds=plan.rounds,
    )


def _serving(plan: Plan, here: House, folder: Path) -> Iterator[Section]:
    if NGINX is None:
        _say("nginx is not installed: what it serves is left out.")
        return
    fill(here, plan.served_records)
    yield from measure_serving(
        here,
        folder,
        records=plan.served_records,
        requests=25 * plan.requests,
        package_bytes=plan.download_bytes,
        rounds=plan.rounds,
    )


def _pages(plan: Plan, here: House, _folder: Path) -> Iterator[Section]:
    yield measure_pages(
        here, files=plan.shown_files, rounds=plan.page_rounds, every=plan.every_page
    )


_MEASURED: dict[str, Callable[[Plan, House, Path], Iterator[Section]]] = {
    # First: where thousands of files were deleted in the last minutes, as each of the others does
    # at its end, ext4 takes several times as long to make thousands.
    "import": _import,
    "index": _index,
    "uploads": _uploads,
    "reading": _reading,
    "serving": _serving,
    "pages": _pages,
}


def _peers(plan: Plan) -> list[Peer]:
    peers = available_peers(plan.conda_index_python)
    if not any(peer.is_conda_index for peer in peers):
        _say("conda-index is left out: no Python that has it, and conda, was named (--help).")
    return peers


# --- The command line --------------------------------------------------------------------------


def _arguments() -> tuple[Plan, Path, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument(
        "--quick", action="store_true", help="fewer rounds, no 600,000 records, smaller peers"
    )
    how_much.add_argument(
        "--smoke", action="store_true", help="only see that it runs: the figures mean nothing"
    )
    parser.add_argument(
        "--only", action="append", choices=list(_MEASURED), default=[], help="measure only this"
    )
    parser.add_argument(
        "--largest-peers",
        action="store_true",
        help="let the peers, too, index 600,000 records: an hour more, and 6 GB of memory",
    )
    parser.add_argument(
        "--conda-index-python",
        metavar="PYTHON",
        default=os.environ.get(_PYTHON_OF_CONDA_INDEX, ""),
        help=f"a Python that imports conda_index and conda (${_PYTHON_OF_CONDA_INDEX})",
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
    plan = replace(
        plan,
        only=tuple(given.only),
        conda_index_python=given.conda_index_python,
        most_peer_records=max(plan.records) if given.largest_peers else plan.most_peer_records,
    )
    return plan, given.folder.absolute(), given.json


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:g} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:g} MiB"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
