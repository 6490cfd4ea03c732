"""A channel folder made by our writers, read by py-rattler and held against its own indexer."""

import asyncio
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest
import zstandard
from rattler import Channel, Gateway, MatchSpec, SourceConfig, solve
from rattler.index import index_fs

from registry.conda.layout import repodata_key
from registry.conda.repodata import write_repodata
from registry.conda.shards import ShardIndex, build_shard

PACKAGES: list[dict[str, Any]] = [
    {"name": "lib", "version": "1.0", "build": "0"},
    {"name": "lib", "version": "2.0", "build": "0"},
    {"name": "app", "version": "1.0", "build": "h1_0", "depends": ["lib >=1,<2"]},
    {"name": "old", "version": "1.0", "build": "0", "extension": ".tar.bz2"},
    {"name": "gone", "version": "1.0", "build": "0", "removed": True},
]


@dataclass(frozen=True)
class Archive:
    filename: str
    data: bytes
    index: dict[str, Any]
    removed: bool

    def record(self) -> dict[str, Any]:
        return self.index | {
            "md5": hashlib.md5(self.data).hexdigest(),
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "size": len(self.data),
        }

    def packed_record(self) -> bytes:
        raw = {
            "md5": hashlib.md5(self.data).digest(),
            "sha256": hashlib.sha256(self.data).digest(),
            "run_exports": {},
        }
        return msgspec.msgpack.encode(self.record() | raw)

    def fragment(self) -> bytes:
        return json.dumps(self.filename).encode() + b":" + msgspec.json.encode(self.record())


def tar(members: dict[str, bytes], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]  # mode varies
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def build(package: dict[str, Any]) -> Archive:
    extension = package.get("extension", ".conda")
    stem = f"{package['name']}-{package['version']}-{package['build']}"
    index = {
        "name": package["name"],
        "version": package["version"],
        "build": package["build"],
        "build_number": 0,
        "depends": package.get("depends", []),
        "subdir": "noarch",
        "noarch": "generic",
        "timestamp": 1_700_000_000_000,
    }
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": b'{"paths":[],"paths_version":1}',
    }
    if extension == ".tar.bz2":
        data = tar(info, "w:bz2")
    else:
        out = io.BytesIO()
        compressor = zstandard.ZstdCompressor()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            archive.writestr(f"pkg-{stem}.tar.zst", compressor.compress(tar({}, "w")))
            archive.writestr(f"info-{stem}.tar.zst", compressor.compress(tar(info, "w")))
        data = out.getvalue()
    return Archive(stem + extension, data, index, package.get("removed", False))


@cache
def archives() -> list[Archive]:
    """The packages, built once: the members of a zip carry the time at which they were added."""
    return sorted((build(package) for package in PACKAGES), key=lambda archive: archive.filename)


def write_channel(folder: Path, found: list[Archive]) -> None:
    noarch = folder / "noarch"
    (noarch / "shards").mkdir(parents=True)
    kept = [archive for archive in found if not archive.removed]
    parts = {
        "packages": [a for a in kept if a.filename.endswith(".tar.bz2")],
        "conda_packages": [a for a in kept if a.filename.endswith(".conda")],
    }
    removed = [archive.filename for archive in found if archive.removed]
    with (noarch / "repodata.json").open("wb") as out:
        layout = write_repodata(
            out,
            info={"subdir": "noarch"},
            packages=(archive.fragment() for archive in parts["packages"]),
            conda_packages=(archive.fragment() for archive in parts["conda_packages"]),
            removed=removed,
        )
    with (
        (noarch / "repodata.json").open("rb") as src,
        (noarch / "repodata.json.zst").open("wb") as out,
    ):
        zstandard.ZstdCompressor().copy_stream(src, out, size=layout.size_bytes)
    digests = []
    for name in sorted({archive.index["name"] for archive in found}):
        shard = build_shard(
            packed(kept, name),
            removed=[a.filename for a in found if a.removed and a.index["name"] == name],
        )
        (noarch / "shards" / shard.filename).write_bytes(shard.data)
        digests.append((name, shard.digest))
    with (noarch / "repodata_shards.msgpack.zst").open("wb") as out:
        out.write(ShardIndex({"subdir": "noarch"}, dict(digests)).encode())


def packed(found: list[Archive], name: str) -> list[tuple[bytes, bytes]]:
    return [
        (repodata_key(a.filename, schema_version=1), a.packed_record())
        for a in found
        if a.index["name"] == name
    ]


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of a served channel and the list of paths that were asked of it."""
    folder = tmp_path / "served"
    write_channel(folder / "channel", archives())
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def send_head(self) -> io.BytesIO | BinaryIO | None:
            asked.append(f"{self.command} {self.path}")
            return super().send_head()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/channel", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (SourceConfig(bz2_enabled=False), "/noarch/shards/"),
        (SourceConfig(sharded_enabled=False, bz2_enabled=False), "/noarch/repodata.json.zst"),
        (
            SourceConfig(sharded_enabled=False, zstd_enabled=False, bz2_enabled=False),
            "/noarch/repodata.json",
        ),
    ],
    ids=["shards", "zst", "json"],
)
def test_py_rattler_solves_from_every_form_of_the_index(
    channel: tuple[str, list[str]], config: SourceConfig, asked: str, tmp_path: Path
) -> None:
    url, log = channel
    gateway = Gateway(cache_dir=tmp_path / "cache", default_config=config)

    solved = asyncio.run(
        solve([Channel(url)], [MatchSpec("app"), MatchSpec("old")], gateway=gateway)
    )

    assert sorted(record.file_name for record in solved) == [
        "app-1.0-h1_0.conda",
        "lib-1.0-0.conda",
        "old-1.0-0.tar.bz2",
    ]
    by_name = {archive.filename: archive for archive in archives()}
    assert all(
        record.sha256 == hashlib.sha256(by_name[record.file_name].data).digest()
        for record in solved
    )
    assert any(line.startswith("GET /channel" + asked) for line in log)


def test_py_rattler_finds_no_removed_package(
    channel: tuple[str, list[str]], tmp_path: Path
) -> None:
    gateway = Gateway(cache_dir=tmp_path / "cache")

    found = asyncio.run(
        gateway.query([Channel(channel[0])], ["noarch"], [MatchSpec("gone")], recursive=False)
    )

    assert sum(len(records) for records in found) == 0


def test_the_index_has_the_shape_of_rattlers_own(tmp_path: Path) -> None:
    found = [archive for archive in archives() if not archive.removed]
    write_channel(tmp_path / "ours", found)
    theirs = tmp_path / "theirs" / "noarch"
    theirs.mkdir(parents=True)
    for archive in found:
        (theirs / archive.filename).write_bytes(archive.data)
    asyncio.run(index_fs(theirs.parent, write_zst=True, write_shards=True))
    ours = tmp_path / "ours" / "noarch"

    our_repodata = json.loads((ours / "repodata.json").read_bytes())
    their_repodata = json.loads((theirs / "repodata.json").read_bytes())
    assert set(our_repodata) == (set(their_repodata) | {"removed", "repodata_version"}) - {"v3"}
    for section in ("packages", "packages.conda"):
        assert our_repodata[section] == comparable(their_repodata[section])

    our_index, their_index = shard_index(ours), shard_index(theirs)
    assert set(our_index["info"]) >= set(their_index["info"]) - {"created_at"}
    assert list(our_index["shards"]) == sorted(their_index["shards"])
    for name in our_index["shards"]:
        our_shard, their_shard = shard(ours, name), shard(theirs, name)
        for section in ("packages", "packages.conda"):
            assert comparable(our_shard[section]) == comparable(their_shard.get(section, {}))


def comparable(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without what only one of the two writes into a record here."""
    own = {"indexed_timestamp", "run_exports"}
    return {
        filename: {key: value for key, value in record.items() if key not in own}
        for filename, record in records.items()
    }


def shard_index(folder: Path) -> dict[str, Any]:
    packed_index = (folder / "repodata_shards.msgpack.zst").read_bytes()
    return decode(packed_index)


def shard(folder: Path, name: str) -> dict[str, Any]:
    digest: bytes = shard_index(folder)["shards"][name]
    return decode((folder / "shards" / f"{digest.hex()}.msgpack.zst").read_bytes())


def decode(data: bytes) -> dict[str, Any]:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        decoded: dict[str, Any] = msgspec.msgpack.decode(reader.read())
    return decoded
