"""Packages made in memory: good ones, and the parts from which bad ones are put together.

Good packages come from the standard library's tar and ZIP writers, as those of conda's own
tools do. ``header`` and ``zip_archive`` write any nonsense they are asked for.
"""

import bz2
import functools
import hashlib
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import zstandard

USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
FORMAT_VERSION = b'{"conda_pkg_format_version": 2}'

Files = Mapping[str, bytes | str]


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """A package file as a build tool leaves it."""

    filename: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.data).hexdigest()

    @property
    def size(self) -> int:
        return len(self.data)


# --- Good packages --------------------------------------------------------------------------


def build_conda(
    name: str = "hello",
    version: str = "1.0",
    *,
    build: str = "0",
    build_number: int = 0,
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    noarch: str | None = None,
    about: Mapping[str, object] | None = None,
    run_exports: object = None,
    files: Files | None = None,
    index: Mapping[str, object] | None = None,
    timestamp: int | None = None,
    level: int = 1,
) -> BuiltPackage:
    """A ``.conda``. ``index`` overrides keys of index.json; None takes one out."""
    parts = package_files(
        name,
        version,
        build=build,
        build_number=build_number,
        subdir=subdir,
        depends=depends,
        constrains=constrains,
        noarch=noarch,
        about=about,
        run_exports=run_exports,
        files=files,
        index=index,
        timestamp=timestamp,
    )
    stem = f"{name}-{version}-{build}"
    info = {path: data for path, data in parts.items() if path.startswith("info/")}
    payload = {path: data for path, data in parts.items() if not path.startswith("info/")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member, data in (
            ("metadata.json", FORMAT_VERSION),
            (f"pkg-{stem}.tar.zst", zstd(tar_of(payload), level=level)),
            (f"info-{stem}.tar.zst", zstd(tar_of(info), level=level)),
        ):
            archive.writestr(zipfile.ZipInfo(member), data)
    return BuiltPackage(f"{stem}.conda", buffer.getvalue())


def build_tar_bz2(
    name: str = "hello",
    version: str = "1.0",
    *,
    build: str = "0",
    build_number: int = 0,
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    noarch: str | None = None,
    about: Mapping[str, object] | None = None,
    run_exports: object = None,
    files: Files | None = None,
    index: Mapping[str, object] | None = None,
    timestamp: int | None = None,
) -> BuiltPackage:
    """A ``.tar.bz2``. ``index`` overrides keys of index.json; None takes one out."""
    parts = package_files(
        name,
        version,
        build=build,
        build_number=build_number,
        subdir=subdir,
        depends=depends,
        constrains=constrains,
        noarch=noarch,
        about=about,
        run_exports=run_exports,
        files=files,
        index=index,
        timestamp=timestamp,
    )
    return BuiltPackage(f"{name}-{version}-{build}.tar.bz2", bz2.compress(tar_of(parts)))


def build_minimal_conda(
    name: str = "hello",
    version: str = "1.0",
    *,
    build: str = "0",
    subdir: str = "noarch",
    member: str = "info-x.tar.zst",
) -> BuiltPackage:
    """What Forgejo's own tests upload: an index.json in one part, packed as Go's ZIP does."""
    index = {"name": name, "version": version, "subdir": subdir, "build": build}
    info = zstd(tar_of({"info/index.json": json.dumps(index)}))
    data = zip_archive([ZipPart(member, info, flags=0x8, method=8)])
    return BuiltPackage(f"{name}-{version}.conda", data)


def build_minimal_tar_bz2(
    name: str = "hello", version: str = "1.0", *, build: str = "0", subdir: str = "noarch"
) -> BuiltPackage:
    index = {"name": name, "version": version, "subdir": subdir, "build": build}
    data = bz2.compress(tar_of({"info/index.json": json.dumps(index)}))
    return BuiltPackage(f"{name}-{version}.tar.bz2", data)


def package_files(
    name: str = "hello",
    version: str = "1.0",
    *,
    build: str = "0",
    build_number: int = 0,
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    noarch: str | None = None,
    about: Mapping[str, object] | None = None,
    run_exports: object = None,
    files: Files | None = None,
    index: Mapping[str, object] | None = None,
    timestamp: int | None = None,
) -> dict[str, bytes]:
    """All files of a package by their paths, metadata first."""
    if noarch is None and subdir == "noarch":
        noarch = "generic"
    content: dict[str, object] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": build_number,
        "subdir": subdir,
        "depends": list(depends),
        "constrains": list(constrains) or None,
        "noarch": noarch,
        "timestamp": timestamp,
        **(index or {}),
    }
    if files is None:
        files = {f"share/{name}/readme.txt": f"{name} {version} {build}\n"}
    payload = {path: _bytes(data) for path, data in files.items()}
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
        }
        for path, data in payload.items()
        if not path.startswith("info/")
    ]
    info: dict[str, object] = {
        "index": {key: value for key, value in content.items() if value is not None},
        "paths": {"paths": paths, "paths_version": 1},
        "about": about if about is not None else {"summary": f"The {name} package"},
    }
    if run_exports is not None:
        info["run_exports"] = run_exports
    metadata = {f"info/{key}.json": json.dumps(value).encode() for key, value in info.items()}
    return metadata | payload


def tar_of(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            content = _bytes(data)
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstd(data: bytes, *, level: int = 1, **parameters: int) -> bytes:
    options = zstandard.ZstdCompressionParameters.from_level(level, **parameters)
    return zstandard.ZstdCompressor(compression_params=options).compress(data)


@functools.lru_cache(maxsize=8)
def zstd_zeros(count: int, *, head: bytes = b"") -> bytes:
    """``head`` and then ``count`` zeros, never all of them in memory."""
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    block = bytes(1 << 20)
    packed = [packer.compress(head)]
    packed += [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*packed, packer.flush()])


@functools.lru_cache(maxsize=4)
def bzip2_zeros(count: int, *, head: bytes = b"") -> bytes:
    packer = bz2.BZ2Compressor()
    block = bytes(1 << 20)
    packed = [packer.compress(head)]
    packed += [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*packed, packer.flush()])


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


# --- Parts of bad ones: tar ------------------------------------------------------------------


def header(
    name: bytes,
    *,
    size: int = 0,
    kind: bytes = b"0",
    link: bytes = b"",
    mode: int = 0o644,
    magic: bytes = USTAR,
    prefix: bytes = b"",
    size_field: bytes | None = None,
    checksum_off_by: int = 0,
) -> bytes:
    """One tar header, saying exactly what it is told to."""
    fields = struct.pack(
        "100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s",
        name,
        b"%07o\x00" % mode,
        b"%07o\x00" % 0,
        b"%07o\x00" % 0,
        size_field if size_field is not None else b"%011o\x00" % size,
        b"%011o\x00" % 0,
        b" " * 8,
        kind,
        link,
        magic,
        b"",
        b"",
        b"%07o\x00" % 0,
        b"%07o\x00" % 0,
        prefix,
        b"",
    )
    checksum = b"%06o\x00 " % (sum(fields) + checksum_off_by)
    return fields[:148] + checksum + fields[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(
    name: str | bytes,
    data: bytes = b"",
    *,
    kind: bytes = b"0",
    link: str | bytes = b"",
    mode: int = 0o644,
    magic: bytes = USTAR,
) -> bytes:
    encoded = header(
        _bytes(name), size=len(data), kind=kind, link=_bytes(link), mode=mode, magic=magic
    )
    return encoded + padded(data)


def pax(*records: tuple[str, bytes | str], kind: bytes = b"x") -> bytes:
    content = b""
    for key, value in records:
        body = b" " + key.encode() + b"=" + _bytes(value) + b"\n"
        length = len(body) + len(str(len(body)))
        length += len(str(length)) - len(str(len(body)))
        content += str(length).encode() + body
    return member("pax", content, kind=kind)


def gnu_long(text: bytes, *, kind: bytes = b"L") -> bytes:
    return member("././@LongLink", text + b"\x00", kind=kind, magic=GNU)


def tar_end() -> bytes:
    return bytes(1024)


# --- Parts of bad ones: ZIP ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ZipPart:
    """One ZIP member. ``local`` and ``central`` replace what one of its two headers says."""

    name: str | bytes
    data: bytes
    method: int = 0
    flags: int = 0
    version: int = 20
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    disk: int = 0
    before: bytes = b""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)

    def packed(self) -> bytes:
        if self.method != 8:
            return self.data
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()


def zip_archive(
    parts: Iterable[ZipPart],
    *,
    comment: bytes = b"",
    before_directory: bytes = b"",
    before_end: bytes = b"",
    count: int | None = None,
    directory_offset_off_by: int = 0,
    directory_bytes_off_by: int = 0,
) -> bytes:
    body, directory, total = b"", b"", 0
    for part in parts:
        total += 1
        name = _bytes(part.name)
        packed = part.packed()
        values: dict[str, int | bytes] = {
            "name": name,
            "flags": part.flags,
            "method": part.method,
            "version": part.version,
            "crc": zlib.crc32(part.data),
            "packed": len(packed),
            "unpacked": len(part.data),
            "offset": len(body) + len(part.before),
        }
        later = {"crc": 0, "packed": 0, "unpacked": 0} if part.flags & 8 else {}
        body += part.before + _local_header(part, {**values, **later, **part.local}) + packed
        if part.flags & 8:
            body += struct.pack(
                "<4s3I", b"PK\x07\x08", zlib.crc32(part.data), len(packed), len(part.data)
            )
        directory += _central_header(part, {**values, **part.central})
    body += before_directory
    end = struct.pack(
        "<4s4H2IH",
        b"PK\x05\x06",
        0,
        0,
        total if count is None else count,
        total if count is None else count,
        len(directory) + directory_bytes_off_by,
        len(body) + directory_offset_off_by,
        len(comment),
    )
    return body + directory + before_end + end + comment


def _local_header(part: ZipPart, values: Mapping[str, int | bytes]) -> bytes:
    name = values["name"]
    assert isinstance(name, bytes)
    return (
        struct.pack(
            "<4s5H3I2H",
            b"PK\x03\x04",
            values["version"],
            values["flags"],
            values["method"],
            0,
            0x21,
            values["crc"],
            values["packed"],
            values["unpacked"],
            len(name),
            len(part.local_extra),
        )
        + name
        + part.local_extra
    )


def _central_header(part: ZipPart, values: Mapping[str, int | bytes]) -> bytes:
    name = values["name"]
    assert isinstance(name, bytes)
    return (
        struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            20,
            values["version"],
            values["flags"],
            values["method"],
            0,
            0x21,
            values["crc"],
            values["packed"],
            values["unpacked"],
            len(name),
            len(part.extra),
            len(part.comment),
            part.disk,
            0,
            0,
            values["offset"],
        )
        + name
        + part.extra
        + part.comment
    )


# --- Whole packages of such parts ---------------------------------------------------------------


def assemble(
    extension: str,
    *,
    info: bytes = b"",
    payload: bytes = b"",
    files: Mapping[str, bytes | None] | None = None,
    end: bytes | None = None,
) -> bytes:
    """A package with further tar members ``info`` and ``payload``, given as bytes.

    ``files`` replaces files of a good package, or with None takes them out. ``end``
    replaces the end of the tar archive, in a ``.conda`` that of the payload.
    """
    wanted: dict[str, bytes | None] = {**package_files(), **(files or {})}
    parts = {path: data for path, data in wanted.items() if data is not None}
    good = {
        is_info: b"".join(
            member(path, data)
            for path, data in parts.items()
            if path.startswith("info/") is is_info
        )
        for is_info in (True, False)
    }
    tail = tar_end() if end is None else end
    if extension == ".tar.bz2":
        return bz2.compress(good[True] + info + good[False] + payload + tail)
    return conda_of(
        info=zstd(good[True] + info + tar_end()), payload=zstd(good[False] + payload + tail)
    )


def conda_parts(
    *, info: bytes | None = None, payload: bytes | None = None, stem: str = "hello-1.0-0"
) -> list[ZipPart]:
    """metadata.json, the payload and the info part; each good unless given."""
    if info is None:
        info = zstd(tar_of({k: v for k, v in package_files().items() if k.startswith("info/")}))
    if payload is None:
        payload = zstd(tar_of({"share/hello/readme.txt": "hello 1.0 0\n"}))
    return [
        ZipPart("metadata.json", FORMAT_VERSION),
        ZipPart(f"pkg-{stem}.tar.zst", payload),
        ZipPart(f"info-{stem}.tar.zst", info),
    ]


def conda_of(*, info: bytes | None = None, payload: bytes | None = None) -> bytes:
    return zip_archive(conda_parts(info=info, payload=payload))


def conda_with(position: int, **changes: object) -> bytes:
    """A good .conda with something changed at one of its ZIP members."""
    parts = conda_parts()
    parts[position] = replace(parts[position], **changes)  # type: ignore[arg-type] # by name
    return zip_archive(parts)
