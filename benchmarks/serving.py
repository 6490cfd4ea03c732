"""Serving behind nginx, with the configuration that we ship, beside nginx on the bare files."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.channel import SUBDIR
from benchmarks.client import connected
from benchmarks.hosts import ACCOUNT, HostFailed, House, web_and_worker
from benchmarks.increments import Process, fill_channel, name_of, process_of, reindex
from benchmarks.load import WRK, Target, load_in_turn, sample_in_turn
from benchmarks.packages import Package, Payload
from benchmarks.report import Figure, Goal, Section, at_least, median_of
from tests.portal.front import NGINX, nginx_in_front
from tests.servers import LiveServer

_PRIVATE = "private"
_READY_SECONDS = 10.0
_PACKAGES_AT_A_TIME = 16
_SMALL_PACKAGE_BYTES = 20_000  # so little that what is done for each request shows
# The two differ by a few percent, and the machine from one second to the next by more: the shorter
# the turns and the more of them, the less of that is left in the median of the shares.
_TURNS_OF_A_ROUND = 8
_SECONDS_OF_WRK = 1  # it knows no shorter ones
_REQUESTS_FOR_WRK = 1000  # who wants fewer only sees that it runs
# As it comes, its log too, with the one thing set that matters for files.
_BARE = """\
{user}worker_processes auto;
pid {folder}/bare.pid;
error_log stderr alert;
events {{ worker_connections 8192; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    access_log {folder}/access.log;
    sendfile on;
    tcp_nopush on;
    gzip off;
    default_type application/octet-stream;
    server {{
        listen {address}:{port};
        location / {{ alias {files}/; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Served:
    """Both nginx, and the web processes behind one of them."""

    port: int
    bare_port: int
    front_pid: int
    bare_pid: int
    web_pid: int

    @property
    def web_pids(self) -> Sequence[int]:
        return machine.children_of(self.web_pid)

    def front_clock(self) -> float:
        return _workers_seconds(self.front_pid) + _workers_seconds(self.web_pid)

    def bare_clock(self) -> float:
        return _workers_seconds(self.bare_pid)


def _workers_seconds(parent_pid: int) -> float:
    # Asked each time: both listen before they have all of their workers.
    return sum(map(machine.cpu_seconds, machine.children_of(parent_pid)))


def measure_serving(
    house: House,
    folder: Path,
    *,
    records: int,
    requests: int,
    package_bytes: int,
    rounds: int,
) -> Iterator[Section]:
    """Needs the channel of so many records; makes a private one of a thousandth of them."""
    private = max(10, records // 100)
    fill_channel(house, _PRIVATE, private, "--private")
    reindex(house, _PRIVATE)
    with (
        process_of(house, folder / "files.log") as process,
        Payload.of_noise(folder / "noise", package_bytes) as large,
        Payload.of_noise(folder / "less-noise", _SMALL_PACKAGE_BYTES) as small,
        _served(house, folder) as served,
    ):
        yield _index_section(house, process, served, records, requests, rounds)
        yield _private_section(house, served, private, requests, rounds)
        yield _small_package_section(house, served, small, requests, rounds)
        yield _package_section(house, served, large, rounds)


def _index_section(
    house: House, process: Process, served: Served, records: int, requests: int, rounds: int
) -> Section:
    channel = name_of(records)
    files = process.ask("files", channel=channel, subdir=SUBDIR)
    root = house.data / "files"
    figures: list[Figure] = []
    for name in ("repodata_shards.msgpack.zst", "repodata.json.zst"):
        path = Path(str(files[name]))
        ours = Target("", served.port, f"/conda/{ACCOUNT}/{channel}/{SUBDIR}/{name}",
                      served.front_clock)  # fmt: skip
        bare = Target("", served.bare_port, f"/{path.relative_to(root)}", served.bare_clock)
        size = f"{path.stat().st_size / 1024:,.0f} KiB"
        # As many megabytes of each, more or less.
        times = max(160, min(requests, requests * 100_000 // path.stat().st_size))
        goal = at_least(0.95)
        again = ours.asking_again(""), bare.asking_again("")
        figures += _beside(ours, bare, f"GET {name}, {size}", times, rounds, goal)
        figures += _beside(*again, f"304 {name}", requests, rounds, goal)
    return Section(f"Index files behind nginx, {records:,} records", figures)


def _beside(
    ours: Target, bare: Target, what: str, requests: int, rounds: int, goal: Goal | None
) -> list[Figure]:
    turns = rounds * _TURNS_OF_A_ROUND
    if WRK is not None and requests >= _REQUESTS_FOR_WRK:
        load_in_turn([ours, bare], seconds=_SECONDS_OF_WRK, rounds=turns // 2)
    else:
        sample_in_turn([ours, bare], requests=requests // _TURNS_OF_A_ROUND, rounds=turns)
    shares = _shares(ours.per_cpu_second, bare.per_cpu_second)
    return [
        median_of(f"{what}: Condarium", ours.per_cpu_second, "per CPU-s"),
        median_of(f"{what}: bare nginx", bare.per_cpu_second, "per CPU-s"),
        median_of(f"{what}: share", shares, "×", goal),
    ]


def _shares(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Round by round: what the machine did beside it slowed both."""
    return [one / other for one, other in zip(ours, bare, strict=True)]


def _private_section(
    house: House, served: Served, records: int, requests: int, rounds: int
) -> Section:
    path = f"/conda/{ACCOUNT}/{_PRIVATE}/{SUBDIR}/repodata_shards.msgpack.zst"
    target = Target("GET", served.port, path, served.front_clock, house.credentials)
    again = target.asking_again("304")
    # Each costs many times what a file does that nginx sends by itself.
    sample_in_turn([target, again], requests=max(4, requests // 5), rounds=rounds)
    return Section(
        f"The index of a private channel behind nginx, {records:,} records, with a token",
        [
            median_of("GET the shard index", target.per_cpu_second, "per CPU-s"),
            median_of("304", again.per_cpu_second, "per CPU-s", at_least(1500)),
        ],
    )


def _targets_of(house: House, served: Served, package: Package) -> tuple[Target, Target]:
    """A package, uploaded and placed where nginx finds it: ours, and the same bytes bare."""
    path = f"/conda/{ACCOUNT}/downloads/noarch/{package.filename}"
    with connected(served.port, house.credentials) as client:
        client.put(path, package)
    root = house.data / "files"
    link = root / "tree/packages" / ACCOUNT / "downloads/@/noarch" / package.name / package.filename
    deadline = time.monotonic() + _READY_SECONDS
    while not link.exists():
        if time.monotonic() > deadline:
            raise HostFailed(f"{package.filename} did not come into the tree.")
        time.sleep(0.02)
    blob = f"/{link.resolve().relative_to(root.resolve())}"
    return (
        Target("Condarium", served.port, path, served.front_clock),
        Target("bare nginx", served.bare_port, blob, served.bare_clock),
    )


def _small_package_section(
    house: House, served: Served, payload: Payload, requests: int, rounds: int
) -> Section:
    package = payload.package("small")
    ours, bare = _targets_of(house, served, package)
    size = f"{package.size_bytes / 1024:,.0f} KiB"
    # No goal: each download is noted here, and by the bare one none.
    return Section(
        "A small package behind nginx, which notes each download",
        _beside(ours, bare, f"GET a package of {size}", requests, rounds, None),
    )


def _package_section(house: House, served: Served, payload: Payload, rounds: int) -> Section:
    package = payload.package("large")
    ours, bare = _targets_of(house, served, package)
    machine.forget_peaks(served.web_pids)
    sample_in_turn([ours, bare], requests=_PACKAGES_AT_A_TIME, rounds=rounds * _TURNS_OF_A_ROUND)
    peak = machine.most_memory_bytes(served.web_pids)
    wall = _shares(ours.megabytes_per_second, bare.megabytes_per_second)
    cpu = _shares(ours.per_cpu_second, bare.per_cpu_second)
    return Section(
        f"A package of {package.size_bytes / 1e6:,.0f} MB behind nginx",
        [
            median_of("Condarium", ours.megabytes_per_second, "MB/s wall"),
            median_of("bare nginx", bare.megabytes_per_second, "MB/s wall"),
            median_of("share, wall", wall, "×", at_least(0.95)),
            median_of("share, per second of CPU", cpu, "×"),
            Figure("memory of the largest web process", peak / 2**20, "MiB peak"),
        ],
    )


# --- Two nginx ---------------------------------------------------------------------------------


@contextmanager
def _served(house: House, folder: Path) -> Iterator[Served]:
    port, bare_port = machine.free_port(), machine.free_port()
    settings = {
        "CONDARIUM_URL": f"http://{machine.LOOPBACK}:{port}",
        "CONDARIUM_TRUSTED_PROXIES": "1",
        "CONDARIUM_ACCEL_PREFIX": "/_files",
    }
    with (
        LiveServer(house.data.parent, settings) as server,
        nginx_in_front(server, folder / "front", port=port),
    ):
        front = _nginx_pid()
        web, _ = web_and_worker(server.pid)
        with _bare_nginx(house, folder / "bare", bare_port) as pid:
            yield Served(port, bare_port, front, pid, web)


def _nginx_pid() -> int:
    """The one nginx that this process has started."""
    children = machine.children_of(os.getpid())
    return next(child for child in children if "nginx" in machine.command_of(child)[0])


@contextmanager
def _bare_nginx(house: House, folder: Path, port: int) -> Iterator[int]:
    assert NGINX is not None
    folder.mkdir()
    configuration = _BARE.format(
        # The data folder is its owner's alone; as root, nginx would work as somebody else.
        user="user root;\n" if os.geteuid() == 0 else "",
        folder=folder, address=machine.LOOPBACK, port=port, files=house.data / "files",
    )  # fmt: skip
    (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
    log = folder / "error.log"
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", str(log), "-g", "daemon off;"]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_it_listens(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        process.wait(_READY_SECONDS)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not machine.children_of(process.pid) or not machine.listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise HostFailed(f"nginx did not start.\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.02)
