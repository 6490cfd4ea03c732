"""``make bench`` is run by hand and rarely; this shows that it still runs."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zstandard

import benchmarks.__main__ as benchmarks
from benchmarks.channel import Channel, write_repodata
from benchmarks.client import UnexpectedAnswer
from benchmarks.load import WRK, Target
from benchmarks.machine import LOOPBACK
from benchmarks.packages import small_payload
from registry.conda.archive import read_package
from tests.documents.blocks import in_text
from tests.servers import PROJECT

OTHERS = [name for name in benchmarks._MEASURED if name != "index"]


@pytest.mark.long
def test_the_benchmarks_measure_everything_and_leave_nothing_behind(tmp_path: Path) -> None:
    sections = [
        section
        for command, arguments in (
            (in_text("make bench"), [part for name in OTHERS for part in ("--only", name)]),
            # In minutes that would mean something; what it asks for is looked at below.
            (in_text('make bench ARGS="--only index --quick"').replace("--quick", "$ARGS"), []),
        )
        for section in _measured(command, arguments, tmp_path)
    ]
    values = {
        (section["title"], section["column"], figure["what"]): figure["value"]
        for section in sections
        for figure in section["figures"]
    }
    assert len(values) > 100
    assert [what for what, value in values.items() if value <= 0] == []


def _measured(command: str, arguments: list[str], folder: Path) -> list[dict[str, Any]]:
    work, figures = folder / "work", folder / "figures.json"
    given = ["--smoke", "--folder", str(work), "--json", str(figures), *arguments]
    env = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        ["bash", "-eu", "-c", command],
        cwd=PROJECT,
        env={**env, "ARGS": shlex.join(given)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert list(work.iterdir()) == []
    sections: list[dict[str, Any]] = json.loads(figures.read_text(encoding="utf-8"))["sections"]
    assert all(section["title"] in done.stdout for section in sections)
    return sections


def test_a_part_is_measured_in_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = in_text('make bench ARGS="--only index --quick"').split('"')[1].split()
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])

    plan, _, _ = benchmarks._arguments()

    assert plan.only == ("index",)
    assert max(plan.records) < max(benchmarks.Plan().records)


class OneFile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/file" else 404)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(
    WRK is None and not os.environ.get("CI"), reason="wrk is missing: install Debian's package wrk."
)
def test_what_wrk_asked_for_is_counted_unless_something_went_wrong() -> None:
    with ThreadingHTTPServer((LOOPBACK, 0), OneFile) as server:
        threading.Thread(target=server.serve_forever).start()
        file = Target("file", server.server_port, "/file", time.process_time)
        missing = Target("missing", server.server_port, "/missing", time.process_time)
        try:
            file.load(1)
            with pytest.raises(UnexpectedAnswer):
                missing.load(1)
        finally:
            server.shutdown()

    assert file.per_cpu_second[0] > 0
    assert missing.per_cpu_second == []


@pytest.mark.parametrize("records", [0, 1, 2, 700])
def test_a_made_up_channel_has_as_many_records_as_asked_for(records: int) -> None:
    channel = Channel(records)

    entries = list(channel.entries())

    assert len({entry.filename for entry in entries}) == records
    assert {entry.name for entry in entries} == set(channel.names)
    for formats in (".conda", ".tar.bz2"):
        filenames = [entry.filename for entry in entries if entry.filename.endswith(formats)]
        assert filenames == sorted(filenames)


def test_the_same_seed_makes_the_same_channel() -> None:
    one, same, other = (list(Channel(200, seed=seed).entries()) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_a_made_up_channel_packs_as_real_ones_do(tmp_path: Path) -> None:
    path = tmp_path / "repodata.json"
    write_repodata(path, Channel(10_000))
    text = path.read_bytes()

    assert 520 < len(text) / 10_000 < 580
    assert 95 < len(zstandard.compress(text, 3)) / 10_000 < 110


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_a_made_up_record_becomes_a_package_that_can_be_taken_in(
    tmp_path: Path, extension: str
) -> None:
    entry = next(each for each in Channel(400).entries() if each.filename.endswith(extension))

    package = small_payload(tmp_path / "payload").package_of(entry)

    data = package.data()
    contents = read_package(io.BytesIO(data), size_bytes=len(data))
    assert package.filename == entry.filename
    assert contents.index["depends"] == entry.record["depends"]
    assert contents.run_exports == entry.run_exports
