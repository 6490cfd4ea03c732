"""A file of hundreds of megabytes in three steps: neither memory nor disk hold it twice."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest
import requests
import zstandard

from benchmarks.machine import children_of, peak_memory_bytes
from tests.builders import build_conda
from tests.registry.dialects.anaconda.staging import BOUNDARY, encoded
from tests.servers import LiveServer, PreparedData

MB = 10**6
LARGE_BYTES = 300 * MB
BLOCK_BYTES = 2**20


@pytest.fixture
def host(tmp_path: Path, prepared_data: PreparedData) -> Iterator[tuple[LiveServer, str]]:
    with LiveServer(tmp_path / "host", data=prepared_data) as server:
        yield server, prepared_data.token
    shutil.rmtree(tmp_path / "host")


@dataclass
class Noise:
    """Bytes that can't be compressed."""

    left: int

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, size)
        self.left -= size
        return os.urandom(size)


def write_package(folder: Path, name: str, payload_bytes: int) -> Path:
    small = build_conda(name, "1.0", files={})
    packed = folder / "payload"
    with packed.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as out:
        _write_tar(out, f"share/{name}", payload_bytes)
    path = folder / small.filename
    with (
        zipfile.ZipFile(io.BytesIO(small.data)) as parts,
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
    ):
        for part in parts.infolist():
            if part.filename.startswith("pkg-"):
                archive.write(packed, part.filename)
            else:
                archive.writestr(zipfile.ZipInfo(part.filename), parts.read(part))
    packed.unlink()
    return path


def _write_tar(out: IO[bytes], path: str, size_bytes: int) -> None:
    with tarfile.open(fileobj=out, mode="w|") as tar:
        member = tarfile.TarInfo(path)
        member.size = size_bytes
        tar.addfile(member, Noise(size_bytes))


def digests(path: Path) -> tuple[str, str]:
    """The sha256, and the MD5 as forms have it."""
    sha256, md5 = hashlib.sha256(), hashlib.md5()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), base64.b64encode(md5.digest()).decode()


def post_form(url: str, fields: dict[str, str], path: Path) -> int:
    parts = [(name, value.encode(), None) for name, value in fields.items()]
    body = encoded([*parts, ("file", b"", path.name)])
    before, after = body[: body.rindex(b"\r\n--")], body[body.rindex(b"\r\n--") :]

    def blocks() -> Iterator[bytes]:
        yield before
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
        yield after

    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(len(body) + path.stat().st_size),
    }
    try:
        connection.request("POST", address.path, blocks(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def upload(server: LiveServer, token: str, path: Path) -> tuple[int, int]:
    """All three steps; the inodes of the file as it waits for its commit, and as it is kept."""
    sha256, md5 = digests(path)
    name = path.name.partition("-")[0]
    end = f"maria/{name}/1.0/noarch/{path.name}"
    api, headers = f"{server.url}/api", {"Authorization": f"token {token}"}
    announced = {"sha256": sha256}
    answer = requests.post(f"{api}/stage/{end}", json=announced, headers=headers, timeout=60)
    staged = answer.json()
    fields = {**staged["form_data"], "Content-Length": str(path.stat().st_size), "Content-MD5": md5}
    assert post_form(staged["post_url"], fields, path) == 201
    files = Path(server.env["CONDARIUM_DATA"]) / "files"
    waiting = (files / "staged" / staged["dist_id"]).stat().st_ino
    finished = {"dist_id": staged["dist_id"]}
    answer = requests.post(f"{api}/commit/{end}", json=finished, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return waiting, (files / "blobs" / sha256[:2] / sha256).stat().st_ino


def peak_bytes(pid: int) -> int:
    """The most that one of the server's processes ever had in memory."""
    return max([peak_memory_bytes(pid), *map(peak_bytes, children_of(pid))])


def test_a_large_file_is_neither_kept_in_memory_nor_copied(
    host: tuple[LiveServer, str], tmp_path: Path
) -> None:
    server, token = host
    upload(server, token, write_package(tmp_path, "small", 3 * MB))
    before = peak_bytes(server.pid)
    large = write_package(tmp_path, "large", LARGE_BYTES)

    waiting, kept = upload(server, token, large)

    large.unlink()
    assert peak_bytes(server.pid) - before < 32 * 2**20
    assert waiting == kept
