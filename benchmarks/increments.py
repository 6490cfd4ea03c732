"""What one more package costs an index: Condarium beside the indexers it is compared to.

All of them take the same packages in the same rounds. Condarium's figures begin where its worker
begins, with the upload committed; a package's own bytes were read when it was received, which the
figures of uploads have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.channel import SUBDIR, Channel
from benchmarks.cost import PROJECT, Cost, cost_of, figures_of, median_cpu
from benchmarks.hosts import ACCOUNT, HostFailed, House
from benchmarks.packages import Package, Payload
from benchmarks.peers import CONDA_INDEX, CONDA_INDEX_SHARDS, RATTLER, Peer, Place, place
from benchmarks.report import Figure, Goal, Section, at_least, at_most, median_of

STAGES = ("shards", "documents", "summaries")
_OF_A_STAGE = {
    "shards": "in the shards",
    "documents": "in repodata.json.zst, too",
    "summaries": "in everything",
}
_OURS_IN_A_ROUND = 5
_MIB = 2**20
_STOP_SECONDS = 10.0
_FILL_SECONDS = 900.0
_MOST_RECORDS_AT_BEST_LEVEL = 100_000  # of more it takes minutes


@dataclass(slots=True)
class Size:
    """A channel of so many records of ours, and what each further package cost it."""

    channel: Channel
    reindexed: Cost
    stages: dict[str, list[Cost]] = field(default_factory=lambda: {name: [] for name in STAGES})
    plain: list[Cost] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    sizes: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return name_of(self.channel.records)

    @property
    def column(self) -> str:
        return f"{self.channel.records:,}"


def name_of(records: int) -> str:
    return f"of-{records}"


class Process:
    """`benchmarks.indexer`, warm: each call is answered once it is done."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, do: str, **words: object) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, "account": ACCOUNT, **words}), file=self._process.stdin)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(encoding="utf-8")[-4000:]
            raise HostFailed(f"{do} failed.\n{said}")
        answer: dict[str, object] = json.loads(line)
        return answer


@contextmanager
def process_of(house: House, log: Path) -> Iterator[Process]:
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.indexer"],
            cwd=PROJECT,
            env=dict(house.environ()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            yield Process(process, log)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()


def fill(house: House, records: int) -> Size:
    """A channel with all its records, and its index made from nothing."""
    channel = fill_channel(house, name_of(records), records)
    return Size(channel, reindex(house, name_of(records)))


def fill_channel(
    house: House, name: str, records: int, *options: str, account: str = ACCOUNT
) -> Channel:
    command = [sys.executable, "-m", "benchmarks.fill", account, name, str(records), *options]
    cost_of(command, house.environ(), timeout_seconds=_FILL_SECONDS)
    return Channel(records, seed=records)


def reindex(house: House, channel: str, *, account: str = ACCOUNT) -> Cost:
    command = [sys.executable, "manage.py", "reindex", f"{account}/{channel}"]
    return cost_of(command, house.environ())


def measure_increments(
    house: House,
    folder: Path,
    sizes: Sequence[Size],
    peers: Sequence[Peer],
    payload: Payload,
    *,
    rounds: int,
    most_peer_records: int,
) -> None:
    """Give every size its costs, and those of the peers, one round after another."""
    with ExitStack() as stack:
        publisher = stack.enter_context(process_of(house, folder / "publisher.log"))
        # One for each, so that the memory in a column is that of its size.
        workers = {
            size.name: stack.enter_context(process_of(house, folder / f"worker-{size.name}.log"))
            for size in sizes
        }
        for size in sizes:
            worker = workers[size.name]
            first = payload.package("first", subdir=SUBDIR)
            if size.channel.records <= most_peer_records:
                size.places = [
                    place(peer, folder / f"peer-{number}-{size.name}", size.channel, first)
                    for number, peer in enumerate(peers)
                ]
            _publish_and_step(publisher, worker, size, folder, first)
            _forget(size)  # what was done for the first time
        uploads = {size.name: _uploads(size, payload, rounds) for size in sizes}
        for number in range(rounds):
            for size in sizes:
                packages, worker = uploads[size.name][number], workers[size.name]
                for package in packages:
                    is_last = package is packages[-1]
                    _publish_and_step(publisher, worker, size, folder, package, plain=is_last)
                for place_ in size.places:
                    place_.add(packages[0])
        for size in sizes:
            size.sizes = _sizes(workers[size.name], size)


def _uploads(size: Size, payload: Payload, rounds: int) -> list[list[Package]]:
    """For each round some packages: new builds of names that the channel has."""
    names = size.channel.names_of_uploads(rounds * _OURS_IN_A_ROUND)
    packages = [payload.package(name, "90.0", subdir=SUBDIR) for name in names]
    return [packages[number::rounds] for number in range(rounds)]


def _publish_and_step(
    publisher: Process,
    worker: Process,
    size: Size,
    folder: Path,
    package: Package,
    *,
    plain: bool = False,
) -> None:
    path = folder / package.filename
    path.write_bytes(package.data())
    publisher.ask("publish", channel=size.name, paths=[str(path)])
    path.unlink()
    answer = worker.ask("step", channel=size.name, subdir=SUBDIR, plain=plain)
    for stage in STAGES:
        size.stages[stage].append(_cost(answer, stage))
    if plain:
        size.plain.append(_cost(answer, "plain"))


def _cost(answer: Mapping[str, object], stage: str) -> Cost:
    took, peak_bytes = answer[stage], answer["peak_bytes"]
    assert isinstance(took, list)
    assert isinstance(peak_bytes, int)
    return Cost(took[0], took[1], peak_bytes)


def _forget(size: Size) -> None:
    for stage in size.stages.values():
        stage.clear()


def _sizes(worker: Process, size: Size) -> dict[str, float]:
    """How large the published files are, and what one plain frame costs and is."""
    files = worker.ask("files", channel=size.name, subdir=SUBDIR)
    packed = Path(str(files["repodata.json.zst"]))
    plain = plain_frame(packed, 3)
    sizes = {
        "text": plain["text"],
        "ours": packed.stat().st_size,
        "plain_cpu": plain["cpu_seconds"],
        "plain": plain["frame"],
    }
    if size.channel.records <= _MOST_RECORDS_AT_BEST_LEVEL:
        sizes["best"] = plain_frame(packed, 19)["frame"]
        condensed = worker.ask("condense", channel=size.name, subdir=SUBDIR)
        files = worker.ask("files", channel=size.name, subdir=SUBDIR)
        sizes["condensed"] = Path(str(files["repodata.json.zst"])).stat().st_size
        sizes["condense_cpu"] = float(str(condensed["cpu_seconds"]))
    return sizes


def plain_frame(packed: Path, level: int) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_zstd", str(packed), str(level)],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FILL_SECONDS,
        check=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


# --- Figures -----------------------------------------------------------------------------------


def sections_of(sizes: Sequence[Size]) -> Iterator[Section]:
    for size in sizes:
        yield Section("One more package, by records of the subdir", _costs(size), size.column)
    for size in sizes:
        figures = [*_against_peers(size), *_against_zstd(size)]
        yield Section("The same as multiples, of CPU time", figures, size.column)
    for size in sizes:
        yield Section("Size of repodata.json.zst", _size_figures(size), size.column)
    for size in sizes:
        figures = figures_of("all files anew", [size.reindexed], memory_goal=at_most(200))
        yield Section("The whole index made anew", figures, size.column)
    if len(sizes) > 1:
        yield _growth(sizes[0], sizes[-1])


def _costs(size: Size) -> list[Figure]:
    figures = []
    is_largest = size.channel.records >= 600_000
    for stage, wall_goal in (("shards", 20), ("documents", 100), ("summaries", 0)):
        costs = size.stages[stage]
        goal = at_most(wall_goal) if is_largest and wall_goal else None
        what = f"Condarium, {_OF_A_STAGE[stage]}"
        figures += [
            median_of(f"{what}: CPU", [cost.cpu_seconds * 1000 for cost in costs], "CPU-ms"),
            median_of(f"{what}: wall", [cost.wall_seconds * 1000 for cost in costs], "ms", goal),
        ]
    plain = [cost.cpu_seconds * 1000 for cost in size.plain]
    figures.append(median_of("Condarium, repodata.json when asked for: CPU", plain, "CPU-ms"))
    peak = max(cost.peak_bytes for cost in size.stages["summaries"])
    figures.append(Figure("Condarium: memory", peak / _MIB, "MiB peak", at_most(100)))
    for place_ in size.places:
        figures += figures_of(place_.peer.name, place_.costs)
    return figures


def _against_peers(size: Size) -> list[Figure]:
    """Each peer against what Condarium did until the same files were there."""
    records = size.channel.records
    goals: dict[tuple[str, int], Goal] = {
        (RATTLER, 1000): at_least(20),
        (RATTLER, 100_000): at_least(500),
        (CONDA_INDEX, 1000): at_least(50),
        (CONDA_INDEX, 100_000): at_least(500),
        (CONDA_INDEX_SHARDS, 100_000): at_least(200),
    }
    ours = {
        RATTLER: median_cpu(size.stages["documents"]),
        CONDA_INDEX: median_cpu(size.stages["summaries"]),
        CONDA_INDEX_SHARDS: median_cpu(size.stages["shards"]),
    }
    figures = []
    for name, theirs in [(each.peer.name, median_cpu(each.costs)) for each in size.places]:
        goal = goals.get((name, records))
        figures.append(Figure(f"{name} / Condarium", theirs / ours[name], "×", goal))
        if name == RATTLER:
            # It writes repodata.json each time, too, which nobody may have asked for.
            times = theirs / (ours[name] + median_cpu(size.plain))
            figures.append(Figure(f"{name} / Condarium, with repodata.json", times, "×"))
    return figures


def _against_zstd(size: Size) -> list[Figure]:
    plain = size.sizes["plain_cpu"]
    share = median_cpu(size.stages["documents"]) / plain
    goal = at_most(0.1) if size.channel.records >= 600_000 else None
    return [
        Figure("one plain zstd -3 of repodata.json", plain * 1000, "CPU-ms"),
        Figure("Condarium, in repodata.json.zst / that", share, "×", goal),
    ]


def _size_figures(size: Size) -> list[Figure]:
    sizes = size.sizes
    figures = [
        Figure("the text", sizes["text"] / 1e6, "MB"),
        Figure("as Condarium publishes it", sizes["ours"] / 1e6, "MB"),
        Figure("as one plain frame at level 3", sizes["plain"] / 1e6, "MB"),
    ]
    if "best" in sizes:
        ratio = sizes["ours"] / sizes["best"]
        figures += [
            Figure("as one plain frame at level 19", sizes["best"] / 1e6, "MB"),
            Figure("Condarium / level 19", ratio, "×", at_most(1.15)),
            Figure("as Condarium has it after a rest", sizes["condensed"] / 1e6, "MB"),
            Figure("what that took", sizes["condense_cpu"], "CPU-s"),
            Figure(
                "Condarium after a rest / level 19",
                sizes["condensed"] / sizes["best"],
                "×",
                at_most(1.06),
            ),
        ]
    return figures


def _growth(small: Size, large: Size) -> Section:
    times = large.channel.records // small.channel.records
    goal = at_most(10) if times >= 600 else None
    figures = []
    for stage in STAGES[:2]:
        wall = [median([c.wall_seconds for c in s.stages[stage]]) for s in (small, large)]
        cpu = [median_cpu(s.stages[stage]) for s in (small, large)]
        what = _OF_A_STAGE[stage]
        is_held = stage == "shards"
        figures += [
            Figure(f"{what}: wall", wall[1] / wall[0], "×", goal if is_held else None),
            Figure(f"{what}: CPU", cpu[1] / cpu[0], "×", goal if is_held else None),
        ]
    return Section(
        f"Growth: {large.column} records against {small.column}, {times} × more", figures
    )
