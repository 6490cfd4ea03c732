"""What is imported from: package files in a folder, or a site that serves one as a mirror does."""

from __future__ import annotations

import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard
from django.core.management import CommandError, call_command

from tests.builders import BuiltPackage, build_conda, build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress, repodata, subdir_of

HELLO = build_conda("hello", "1.0", run_exports={"weak": ["hello >=1"]})
NEWER = build_conda("hello", "2.0", depends=["python >=3"], about={"summary": "Newer"})
OLD_KIND = build_tar_bz2("old", "0.9", subdir="linux-64")
GOOD = (HELLO, NEWER, OLD_KIND)


@dataclass(frozen=True)
class Outcome:
    out: str
    err: str
    code: int


def run(*arguments: str, **options: Any) -> Outcome:
    """The command as an operator runs it, with one process that reads."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    options.setdefault("processes", 1)
    try:
        call_command("import", *arguments, stdout=out, stderr=err, **options)
    except SystemExit as ended:
        code = ended.code
    except CommandError as error:
        return Outcome(out.getvalue(), err.getvalue() + str(error), error.returncode)
    return Outcome(out.getvalue(), err.getvalue(), code)


def folder_of(folder: Path, *packages: BuiltPackage, flat: bool = False) -> Path:
    for built in packages:
        place = folder if flat else folder / subdir_of(built)
        place.mkdir(parents=True, exist_ok=True)
        (place / built.filename).write_bytes(built.data)
    return folder


def listed(person: Person, channel: ChannelAddress, subdir: str) -> dict[str, Any]:
    document = repodata(person, channel, subdir)
    return {**document["packages"], **document["packages.conda"]}


@dataclass
class Site:
    """A web server with the files of a folder, as a mirror or a bucket is one."""

    folder: Path
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)
    elsewhere: str = ""
    """Another site, to which this one sends those who want package files."""
    slow_seconds: float = 0.0
    """How long it takes over what ends with ``slow``, unless that is changed meanwhile."""
    slow: str | tuple[str, ...] = ".conda"

    def publish(self, *packages: BuiltPackage, packed: bool = False, **info: Any) -> None:
        """Write files and the repodata that lists them."""
        folder_of(self.folder, *packages)
        for subdir in {subdir_of(built) for built in packages}:
            records = {
                built.filename: {
                    "depends": ["python >=3"] if built is NEWER else [],
                    "sha256": built.sha256,
                    "md5": built.md5,
                    "size": built.size,
                }
                for built in packages
                if subdir_of(built) == subdir
            }
            self.write(subdir, records, packed=packed, **info)

    def write(
        self, subdir: str, records: dict[str, Any], *, packed: bool = False, **info: Any
    ) -> None:
        document = {
            "info": {"subdir": subdir, **info},
            "packages": {n: r for n, r in records.items() if n.endswith(".tar.bz2")},
            "packages.conda": {n: r for n, r in records.items() if n.endswith(".conda")},
            "removed": ["gone-1.0-0.conda"],
            "repodata_version": 1,
        }
        data = json.dumps(document, indent=1).encode()
        name = "repodata.json.zst" if packed else "repodata.json"
        (self.folder / subdir).mkdir(parents=True, exist_ok=True)
        (self.folder / subdir / name).write_bytes(zstandard.compress(data) if packed else data)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site.folder))

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            site.asked.append((path, self.headers["Authorization"]))
            asked = time.monotonic()
            while path.endswith(site.slow) and time.monotonic() < asked + site.slow_seconds:
                time.sleep(0.02)
            if site.failures.get(path):
                self.send_response(site.failures[path].pop(0))
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if site.elsewhere and path.startswith("/download/"):
                self.send_response(302)
                self.send_header("Location", site.elsewhere + path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """The test tells what matters."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
