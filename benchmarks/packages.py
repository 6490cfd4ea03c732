"""Packages to upload: real ``.conda`` files, each with other bytes than the one before.

Writing a GiB of noise takes longer than uploading it. So the payload is made once, and lies in
one file; what stands before and behind it in the archive is made anew for each package, with
another build string, and the three are joined when they are sent.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import mmap
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

import zstandard

from benchmarks.channel import Entry

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _DATE = 20, 0x21
_FORMAT_VERSION = json.dumps({"conda_pkg_format_version": 2}).encode()
# What level 19 looks back over, and the most that clients unpack. Who unpacks holds it in memory.
USUAL_WINDOW_LOG, WIDEST_WINDOW_LOG = 23, 27
_FILE_BYTES = 16 * 1024 * 1024
_README = "share/hello/README"
_HELLO = {_README: b"Says hello.\n"}
_OF_THE_FILE = {"md5", "sha256", "size"}
_numbers = count(1)

Index = dict[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the archive's directory; stored as it is, as CEP 35 wants it."""

    name: str
    size_bytes: int
    crc32: int

    def local_header(self) -> bytes:
        name = self.name.encode()
        sizes = (self.crc32, self.size_bytes, self.size_bytes)
        return _LOCAL.pack(b"PK\3\4", _VERSION, 0, 0, 0, _DATE, *sizes, len(name), 0) + name

    def directory_entry(self, offset: int) -> bytes:
        name = self.name.encode()
        sizes = (self.crc32, self.size_bytes, self.size_bytes)
        facts = (_VERSION, _VERSION, 0, 0, 0, _DATE, *sizes, len(name), 0, 0, 0, 0, 0, offset)
        return _CENTRAL.pack(b"PK\1\2", *facts) + name


@dataclass(frozen=True, slots=True)
class Package:
    """One package file, in three parts that are sent one behind another."""

    filename: str
    name: str
    head: bytes
    payload: memoryview
    tail: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.head) + len(self.payload) + len(self.tail)

    def blocks(self, size: int) -> Iterator[bytes | memoryview]:
        yield self.head
        for start in range(0, len(self.payload), size):
            yield self.payload[start : start + size]
        yield self.tail

    def data(self) -> bytes:
        return b"".join(self.blocks(len(self.payload) or 1))


class Payload:
    """The packed files of packages: noise, which nothing packs any smaller."""

    def __init__(self, path: Path, data: memoryview, paths: list[Mapping[str, object]]) -> None:
        self.path = path
        self._data = data
        self._crc32 = zlib.crc32(data)
        self._paths = paths

    @classmethod
    @contextmanager
    def of_noise(
        cls, path: Path, size_bytes: int, *, window_log: int = USUAL_WINDOW_LOG
    ) -> Iterator[Payload]:
        """A payload in a file of its own, in files of up to 16 MiB; gone when the block ends."""
        paths: list[Mapping[str, object]] = []
        try:
            parameters = zstandard.ZstdCompressionParameters.from_level(
                1, window_log=window_log, write_checksum=True
            )
            packer = zstandard.ZstdCompressor(compression_params=parameters)
            with path.open("wb") as target, packer.stream_writer(target) as packed:
                _write_noise(packed, size_bytes, paths)
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
                memoryview(mapped) as data,
            ):
                yield cls(path, data, paths)
        finally:
            path.unlink(missing_ok=True)

    def package(
        self,
        name: str,
        version: str = "1.0",
        *,
        subdir: str = "noarch",
        depends: Sequence[str] | None = None,
    ) -> Package:
        """The next package: other bytes under another filename than all before."""
        if depends is None:
            depends = ["python >=3.11", "numpy >=1.26,<3", f"{name}-base >={version}"]
        index: Index = {
            "name": name,
            "version": version,
            "build": f"bench_{next(_numbers)}",
            "build_number": 0,
            "subdir": subdir,
            **({"noarch": "generic"} if subdir == "noarch" else {}),
            "depends": list(depends),
            "license": "BSD-3-Clause",
            "timestamp": 1_767_225_600_000,
        }
        return self._packed(f"{name}-{version}-{index['build']}", _info_files(index, self._paths))

    def package_of(self, entry: Entry) -> Package:
        """A small package with the metadata of a record; its digests and size are its own."""
        index = {key: value for key, value in entry.record.items() if key not in _OF_THE_FILE}
        files = _info_files(index, self._paths, entry.run_exports)
        if entry.filename.endswith(".conda"):
            return self._packed(entry.filename.removesuffix(".conda"), files)
        data = bz2.compress(_tar({**files, "info/files": f"{_README}\n".encode(), **_HELLO}), 1)
        return Package(entry.filename, entry.name, data, memoryview(b""), b"")

    def _packed(self, stem: str, info_files: Mapping[str, bytes]) -> Package:
        info = zstandard.compress(_tar(info_files))
        members = (
            Member("metadata.json", len(_FORMAT_VERSION), zlib.crc32(_FORMAT_VERSION)),
            Member(f"pkg-{stem}.tar.zst", len(self._data), self._crc32),
            Member(f"info-{stem}.tar.zst", len(info), zlib.crc32(info)),
        )
        metadata, packed, described = (member.local_header() for member in members)
        head = metadata + _FORMAT_VERSION + packed
        offsets = (0, len(metadata) + len(_FORMAT_VERSION), len(head) + len(self._data))
        directory = b"".join(
            member.directory_entry(offset) for member, offset in zip(members, offsets, strict=True)
        )
        directory_offset = offsets[2] + len(described) + len(info)
        end = _END.pack(b"PK\5\6", 0, 0, 3, 3, len(directory), directory_offset, 0)
        tail = described + info + directory + end
        return Package(f"{stem}.conda", stem.rsplit("-", 2)[0], head, self._data, tail)


def small_payload(path: Path) -> Payload:
    """A payload of one small file, for packages whose bytes do not matter."""
    data = zstandard.compress(_tar(_HELLO))
    path.write_bytes(data)
    return Payload(path, memoryview(data), [_path_entry(*each) for each in _HELLO.items()])


def _write_noise(
    packed: IO[bytes] | zstandard.ZstdCompressionWriter,
    size_bytes: int,
    paths: list[Mapping[str, object]],
) -> None:
    for number in count():
        left = size_bytes - number * _FILE_BYTES
        if left <= 0:
            break
        path, content = f"share/noise/{number}.bin", os.urandom(min(left, _FILE_BYTES))
        member = tarfile.TarInfo(path)
        member.size = len(content)
        packed.write(member.tobuf(tarfile.USTAR_FORMAT))
        packed.write(content + bytes(-len(content) % tarfile.BLOCKSIZE))
        paths.append(_path_entry(path, content))
    packed.write(bytes(2 * tarfile.BLOCKSIZE))


def _path_entry(path: str, content: bytes) -> Mapping[str, object]:
    return {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


def _info_files(
    index: Mapping[str, object],
    paths: list[Mapping[str, object]],
    run_exports: Mapping[str, object] | None = None,
) -> dict[str, bytes]:
    """The folder ``info/`` (CEP 34)."""
    documents: dict[str, object] = {
        "index": index,
        "paths": {"paths_version": 1, "paths": paths},
        "about": {"summary": "Made to be measured", "license": "BSD-3-Clause"},
        **({"run_exports": run_exports} if run_exports else {}),
    }
    return {
        f"info/{document}.json": json.dumps(value).encode() for document, value in documents.items()
    }


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
