"""Packages that must be refused, each bad in one way, by the threat it stands for.

A package is made when its ``data`` is first asked for. The slug is that of the error it must meet:
refused for another reason, the case would test nothing.
"""

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import zstandard

from tests.broken_members import (
    ENTRY_POINTS,
    INDEX_TEXTS,
    INDEX_VALUES,
    INFO_MEMBERS,
    METADATA_FILES,
    TAR_ENDS,
    TAR_MEMBERS,
    index_json,
    link_json,
)
from tests.builders import (
    GNU,
    ZipPart,
    assemble,
    build_conda,
    build_tar_bz2,
    bzip2_zeros,
    conda_of,
    conda_parts,
    conda_with,
    gnu_long,
    header,
    member,
    package_files,
    tar_end,
    tar_of,
    zip_archive,
    zstd,
    zstd_zeros,
)

T = TypeVar("T")

GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class BrokenPackage:
    slug_id: str
    threat: str
    description: str
    filename: str
    slug: str
    make: Callable[[], bytes] = field(repr=False)

    @property
    def data(self) -> bytes:
        return _made(self.make)

    def __str__(self) -> str:
        return self.slug_id


@cache
def _made(make: Callable[[], bytes]) -> bytes:
    # Some take most of a second, and several tests want each; together they are a few MB.
    return make()


# --- Bad containers -----------------------------------------------------------------------------

_GOOD_TAR = tar_of({"share/hello/readme.txt": "hello 1.0 0\n"})
_SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"
_EMPTY_FRAME = zstandard.ZstdCompressor().compress(b"")


def _frame(descriptor: int, rest: bytes) -> bytes:
    return struct.pack("<IB", 0xFD2FB528, descriptor) + rest


def _bad_end(good: bytes) -> bytes:
    return good[:-1] + bytes((good[-1] ^ 1,))


# What stands in the place of pkg-….tar.zst, and of info-….tar.zst too.
_ZSTD: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "no-zstd": ("T08", "corrupt-archive", lambda: b"something else than zstd"),
    "nothing": ("T08", "truncated", lambda: b""),
    "gzip": ("T08", "corrupt-archive", lambda: gzip.compress(_GOOD_TAR)),
    "xz": ("T08", "corrupt-archive", lambda: lzma.compress(_GOOD_TAR)),
    "plain-tar": ("T08", "corrupt-archive", lambda: _GOOD_TAR),
    "cut-off": ("T08", "truncated", lambda: zstd(_GOOD_TAR)[:-4]),
    "header-only": ("T08", "truncated", lambda: zstd(_GOOD_TAR)[:9]),
    "garbage-behind": ("T07", "trailing-data", lambda: zstd(_GOOD_TAR) + b"garbage"),
    "zeros-behind": ("T07", "trailing-data", lambda: zstd(_GOOD_TAR) + bytes(100)),
    "two-frames": ("T07", "trailing-data", lambda: zstd(_GOOD_TAR[:512]) + zstd(_GOOD_TAR[512:])),
    "30000-frames": ("T04", "trailing-data", lambda: zstd(_GOOD_TAR) + _EMPTY_FRAME * 30_000),
    "skippable-before": ("T04", "unsupported-archive", lambda: _SKIPPABLE + zstd(_GOOD_TAR)),
    "skippable-behind": ("T04", "trailing-data", lambda: zstd(_GOOD_TAR) + _SKIPPABLE),
    "skippable-only": ("T04", "unsupported-archive", lambda: _SKIPPABLE * 1000),
    # Descriptor 0: no checksum, no size, a window byte of 2^(10 + n/8).
    "window-2-gib": ("T04", "unsupported-archive", lambda: _frame(0, b"\xa8\x01\x00\x00" * 4)),
    "window-256-mib": ("T04", "unsupported-archive", lambda: _frame(0, b"\x90\x01\x00\x00" * 4)),
    "single-segment-1-gib": (
        "T04",
        "unsupported-archive",
        lambda: _frame(0xA0, struct.pack("<I", GIBIBYTE) + b"\x01\x00\x00" * 4),
    ),
    "dictionary": ("T08", "unsupported-archive", lambda: _frame(1, b"\x50\x07\x01\x00\x00" * 4)),
    "reserved-bit": ("T08", "corrupt-archive", lambda: _frame(8, b"\x50\x01\x00\x00" * 4)),
    "reserved-block": ("T08", "corrupt-archive", lambda: _frame(0, b"\x50" + b"\x07\x00\x00" * 8)),
    "huge-block": ("T08", "corrupt-archive", lambda: _frame(0, b"\x50" + b"\xf9\xff\xff" * 8)),
    "broken-block": (
        "T08",
        "corrupt-archive",
        lambda: _frame(0, b"\x50" + struct.pack("<I", 20 << 3 | 5)[:3] + b"\xff" * 20),
    ),
    "wrong-size-announced": (
        "T07",
        "corrupt-archive",
        lambda: _frame(0x20, b"\x09" + b"\x09\x00\x00" + b"x"),
    ),
    "wrong-checksum": (
        "T08",
        "corrupt-archive",
        lambda: _bad_end(zstandard.ZstdCompressor(write_checksum=True).compress(_GOOD_TAR)),
    ),
    "empty-tar": ("T08", "truncated", lambda: zstd(b"")),
    "no-tar": ("T08", "corrupt-archive", lambda: zstd(b"This is no tar archive. " * 100)),
}


def _zip(position: int, **changes: object) -> Callable[[], bytes]:
    return lambda: conda_with(position, **changes)


def _parts(change: Callable[[list[ZipPart]], list[ZipPart]]) -> Callable[[], bytes]:
    return lambda: zip_archive(change(conda_parts()))


def _zip64(*values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def _doubled(good: bytes) -> bytes:
    """A whole archive, and behind it a second directory that lists another member."""
    return good + zip_archive([ZipPart("metadata.json", b"{}")])


def _other(name: str) -> ZipPart:
    return ZipPart(
        name, zstd(tar_of({"info/index.json": package_files("other")["info/index.json"]}))
    )


def _metadata(data: bytes) -> Callable[[], bytes]:
    return _zip(0, data=data)


_ZIP: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "two-equal-members": ("T07", "duplicate-member", _parts(lambda p: [*p, p[2]])),
    "two-info": ("T07", "misplaced-member", _parts(lambda p: [*p, _other("info-other-1.tar.zst")])),
    "two-pkg": ("T07", "misplaced-member", _parts(lambda p: [*p, _other("pkg-other-1.tar.zst")])),
    "no-pkg": ("T07", "not-a-package", _parts(lambda p: [p[0], p[2]])),
    "no-info": ("T07", "not-a-package", _parts(lambda p: p[:2])),
    "no-metadata": ("T07", "not-a-package", _parts(lambda p: p[1:])),
    "no-members": ("T07", "not-a-package", lambda: zip_archive([])),
    "further-member": ("T07", "misplaced-member", _parts(lambda p: [*p, ZipPart("x", b"x")])),
    "100-members": (
        "T07",
        "misplaced-member",
        _parts(lambda p: [*p, *(ZipPart(f"x{n}", b"") for n in range(100))]),
    ),
    "member-parent": ("T01", "unsafe-path", _parts(lambda p: [*p, ZipPart("../x", b"x")])),
    "member-newline": ("T01", "unsafe-path", _parts(lambda p: [*p, ZipPart("a\nb", b"x")])),
    "member-not-ascii": ("T01", "unsafe-path", _parts(lambda p: [*p, ZipPart(b"\xff", b"x")])),
    "member-empty-name": ("T01", "unsafe-path", _parts(lambda p: [*p, ZipPart("", b"x")])),
    "local-name-differs": (
        "T07",
        "corrupt-archive",
        _zip(2, local={"name": b"info-x-1-0.tar.zst"}),
    ),
    "local-name-length": ("T07", "corrupt-archive", _zip(2, local={"name": b"info"})),
    "local-size-differs": ("T07", "corrupt-archive", _zip(2, local={"packed": 9, "unpacked": 9})),
    "local-crc-differs": ("T07", "corrupt-archive", _zip(2, local={"crc": 1})),
    "local-method-differs": ("T07", "corrupt-archive", _zip(2, local={"method": 8})),
    "local-flags-differ": ("T07", "corrupt-archive", _zip(2, local={"flags": 0x800})),
    "two-sizes": (
        "T07",
        "corrupt-archive",
        _zip(2, central={"unpacked": 9}, local={"unpacked": 9}),
    ),
    "wrong-crc": ("T07", "corrupt-archive", _zip(2, central={"crc": 1}, local={"crc": 1})),
    "wrong-crc-pkg": ("T07", "corrupt-archive", _zip(1, central={"crc": 1}, local={"crc": 1})),
    "size-too-large": (
        "T07",
        "corrupt-archive",
        _zip(
            2, central={"packed": 9**9, "unpacked": 9**9}, local={"packed": 9**9, "unpacked": 9**9}
        ),
    ),
    "offset-differs": ("T07", "trailing-data", _zip(0, central={"offset": 5})),
    "same-offset": ("T07", "trailing-data", _zip(1, central={"offset": 0})),
    "gap": ("T07", "trailing-data", _zip(1, before=b"hidden")),
    "data-before": ("T07", "not-a-package", _zip(0, before=b"hidden")),
    "executable-before": ("T07", "not-a-package", lambda: b"#!/bin/sh\n" + conda_of()),
    "data-before-directory": (
        "T07",
        "trailing-data",
        lambda: zip_archive(conda_parts(), before_directory=b"hidden"),
    ),
    "data-before-end": (
        "T07",
        "trailing-data",
        lambda: zip_archive(conda_parts(), before_end=b"hidden"),
    ),
    "data-behind": ("T07", "truncated", lambda: conda_of() + b"hidden"),
    "zeros-behind": ("T07", "truncated", lambda: conda_of() + bytes(512)),
    "comment": ("T07", "truncated", lambda: zip_archive(conda_parts(), comment=b"hello")),
    "two-ends": ("T07", "trailing-data", lambda: conda_of() + conda_of()[-22:]),
    "two-archives": ("T07", "trailing-data", lambda: _doubled(conda_of())),
    "end-in-comment": (
        "T07",
        "trailing-data",
        lambda: zip_archive(conda_parts(), comment=zip_archive([])),
    ),
    "directory-offset-lies": (
        "T07",
        "trailing-data",
        lambda: zip_archive(conda_parts(), directory_offset_off_by=-1),
    ),
    "directory-size-lies": (
        "T07",
        "trailing-data",
        lambda: zip_archive(conda_parts(), directory_bytes_off_by=1),
    ),
    "count-too-low": ("T07", "corrupt-archive", lambda: zip_archive(conda_parts(), count=2)),
    "count-too-high": ("T07", "corrupt-archive", lambda: zip_archive(conda_parts(), count=4)),
    "encrypted": ("T08", "unsupported-archive", _zip(1, flags=1)),
    "strongly-encrypted": ("T08", "unsupported-archive", _zip(1, flags=0x41)),
    "masked-headers": ("T08", "unsupported-archive", _zip(1, flags=0x2000)),
    "unknown-flag": ("T08", "unsupported-archive", _zip(1, flags=0x20)),
    "zip-version-22": ("T08", "unsupported-archive", _zip(1, version=224)),
    "deflated": ("T08", "unsupported-archive", _zip(2, method=8)),
    "deflate-claimed": (
        "T08",
        "unsupported-archive",
        _zip(2, central={"method": 8}, local={"method": 8}),
    ),
    "lzma": ("T08", "unsupported-archive", _zip(2, central={"method": 14}, local={"method": 14})),
    "zstd-method": (
        "T08",
        "unsupported-archive",
        _zip(2, central={"method": 93}, local={"method": 93}),
    ),
    "data-descriptor": ("T07", "unsupported-archive", _zip(2, flags=8)),
    "member-comment": ("T07", "unsupported-archive", _zip(2, comment=b"hello")),
    "other-disk": ("T07", "unsupported-archive", _zip(2, disk=1)),
    "unicode-path-field": (
        "T07",
        "unsupported-archive",
        _zip(2, extra=struct.pack("<HH5s", 0x7075, 5, b"\x01abcd")),
    ),
    "unicode-path-field-local": (
        "T07",
        "unsupported-archive",
        _zip(2, local_extra=struct.pack("<HH5s", 0x7075, 5, b"\x01abcd")),
    ),
    "broken-field": ("T07", "corrupt-archive", _zip(2, extra=b"\x01")),
    "long-field": ("T07", "corrupt-archive", _zip(2, extra=b"\x01\x00\xff\xff")),
    "zip64-contradicts": ("T07", "corrupt-archive", _zip(2, extra=_zip64(9, 9))),
    "zip64-contradicts-local": ("T07", "corrupt-archive", _zip(2, local_extra=_zip64(9, 9))),
    "zip64-lies": (
        "T07",
        "corrupt-archive",
        _zip(2, extra=_zip64(9, 9), central={"packed": 0xFFFFFFFF, "unpacked": 0xFFFFFFFF}),
    ),
    "zip64-too-short": (
        "T07",
        "corrupt-archive",
        _zip(2, extra=_zip64(9), central={"packed": 0xFFFFFFFF, "unpacked": 0xFFFFFFFF}),
    ),
    "zip64-twice": ("T07", "unsupported-archive", _zip(2, extra=_zip64(9, 9) * 2)),
    "zip64-locator-lies": (
        "T07",
        "corrupt-archive",
        lambda: zip_archive(
            conda_parts(), before_end=struct.pack("<4sIQI", b"PK\x06\x07", 0, 9, 1)
        ),
    ),
    "stems-differ": (
        "T09",
        "filename-mismatch",
        lambda: zip_archive([*conda_parts()[:2], conda_parts(stem="other-1.0-0")[2]]),
    ),
    "stem-of-another": (
        "T09",
        "filename-mismatch",
        lambda: zip_archive(conda_parts(stem="other-1.0-0")),
    ),
    "info-in-pkg": (
        "T07",
        "misplaced-member",
        lambda: conda_of(payload=zstd(tar_of({"info/index.json": b"{}"}))),
    ),
    "pkg-in-info": (
        "T07",
        "misplaced-member",
        lambda: conda_of(info=zstd(tar_of({**package_files()}))),
    ),
    "info-dotted-in-pkg": (
        "T07",
        "misplaced-member",
        lambda: conda_of(payload=zstd(tar_of({"./info/test/x": b"{}"}))),
    ),
    "hard-link-to-other-part": (
        "T02",
        "unsafe-link",
        lambda: conda_of(payload=zstd(member("a", kind=b"1", link="info/index.json") + tar_end())),
    ),
    "format-version-1": ("T07", "not-a-package", _metadata(b'{"conda_pkg_format_version": 1}')),
    "format-version-3": ("T07", "not-a-package", _metadata(b'{"conda_pkg_format_version": 3}')),
    "format-version-string": (
        "T07",
        "not-a-package",
        _metadata(b'{"conda_pkg_format_version": "2"}'),
    ),
    "format-version-missing": ("T07", "not-a-package", _metadata(b"{}")),
    "metadata-list": ("T14", "invalid-metadata", _metadata(b"[2]")),
    "metadata-empty": ("T14", "invalid-metadata", _metadata(b"")),
    "metadata-2-mib": ("T06", "too-large", _metadata(b" " * (1 << 21))),
    "directory-only": ("T08", "not-a-package", lambda: conda_of()[-22:]),
    "magic-only": ("T08", "truncated", lambda: b"PK\x03\x04"),
}

_BZIP2: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "cut-off": ("T08", "truncated", lambda: build_tar_bz2().data[:-5]),
    "magic-only": ("T08", "truncated", lambda: b"BZh9"),
    "no-bzip2": ("T08", "corrupt-archive", lambda: b"BZh9 is how this begins"),
    "wrong-crc": ("T08", "corrupt-archive", lambda: _bad_end(build_tar_bz2().data[:-1]) + b"x"),
    "garbage-behind": ("T07", "trailing-data", lambda: build_tar_bz2().data + b"garbage"),
    "zeros-behind": ("T07", "trailing-data", lambda: build_tar_bz2().data + bytes(10)),
    "conda-behind": ("T07", "trailing-data", lambda: build_tar_bz2().data + conda_of()),
    "no-tar": ("T08", "corrupt-archive", lambda: bz2.compress(b"no tar archive " * 100)),
    "empty-tar": ("T08", "truncated", lambda: bz2.compress(b"")),
    "zeros": ("T08", "not-a-package", lambda: bz2.compress(bytes(10240))),
    "no-index": ("T08", "not-a-package", lambda: bz2.compress(_GOOD_TAR)),
    "empty-streams": (
        "T05",
        "archive-bomb",
        lambda: bz2.compress(tar_of(package_files())[:-1024]) + bz2.compress(b"") * 20_000,
    ),
    "empty": ("T08", "not-a-package", lambda: b""),
    "one-byte": ("T08", "not-a-package", lambda: b"B"),
    "gzip": ("T08", "not-a-package", lambda: gzip.compress(_GOOD_TAR)),
    "xz": ("T08", "not-a-package", lambda: lzma.compress(_GOOD_TAR)),
    "plain-tar": ("T08", "not-a-package", lambda: tar_of(package_files())),
    "is-conda": ("T07", "wrong-format", lambda: build_conda().data),
    "html": ("T08", "not-a-package", lambda: b"<!DOCTYPE html><title>Not found</title>"),
}


# --- Bombs --------------------------------------------------------------------------------------


def _long_names() -> bytes:
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    packed = [
        packer.compress(gnu_long(f"{n:05}".encode() + b"/a" * 500) + member("x", magic=GNU))
        for n in range(40_000)
    ]
    return b"".join([*packed, packer.flush()])


def _block_flood() -> bytes:
    """90,000 zstd blocks of nothing."""
    return _frame(0, b"\x50" + b"\x00\x00\x00" * 90_000 + b"\x01\x00\x00")


def _huge_index(size: int) -> bytes:
    return header(b"info/index.json", size=size)


_BOMBS: dict[str, tuple[str, str, str, Callable[[], bytes]]] = {
    "conda-info-4-gib": (
        "T04",
        "archive-bomb",
        ".conda",
        lambda: conda_of(info=zstd_zeros(4 * GIBIBYTE, head=header(b"info/a", size=4 * GIBIBYTE))),
    ),
    "conda-pkg-4-gib": (
        "T04",
        "archive-bomb",
        ".conda",
        lambda: conda_of(payload=zstd_zeros(4 * GIBIBYTE, head=header(b"a", size=4 * GIBIBYTE))),
    ),
    "conda-zeros-behind-end": (
        "T04",
        "archive-bomb",
        ".conda",
        lambda: conda_of(payload=zstd_zeros(GIBIBYTE, head=tar_end())),
    ),
    "conda-deflated-4-gib": (
        "T04",
        "unsupported-archive",
        ".conda",
        lambda: conda_with(2, method=8, data=zstd_zeros(GIBIBYTE, head=header(b"info/a"))),
    ),
    "conda-block-flood": (
        "T04",
        "archive-bomb",
        ".conda",
        lambda: conda_of(payload=_block_flood()),
    ),
    "conda-names-flood": ("T06", "too-large", ".conda", lambda: conda_of(payload=_long_names())),
    "conda-index-500-mb": (
        "T06",
        "too-large",
        ".conda",
        lambda: conda_of(info=zstd_zeros(500 << 20, head=_huge_index(500 << 20))),
    ),
    "conda-paths-100-mib": (
        "T06",
        "too-large",
        ".conda",
        lambda: conda_of(
            info=zstd_zeros(100 << 20, head=header(b"info/paths.json", size=100 << 20))
        ),
    ),
    "bzip2-128-mib": (
        "T05",
        "archive-bomb",
        ".tar.bz2",
        lambda: bzip2_zeros(GIBIBYTE // 8, head=header(b"a", size=GIBIBYTE // 8)),
    ),
    "bzip2-zeros-behind-end": (
        "T05",
        "archive-bomb",
        ".tar.bz2",
        lambda: bzip2_zeros(GIBIBYTE // 8, head=tar_of(package_files())),
    ),
    "bzip2-index-500-mb": (
        "T06",
        "too-large",
        ".tar.bz2",
        lambda: bzip2_zeros(64 << 20, head=_huge_index(64 << 20)),
    ),
}


# --- All of them --------------------------------------------------------------------------------

_EXTENSIONS = (".conda", ".tar.bz2")


def _all() -> Iterator[BrokenPackage]:
    yield from _members_and_files()
    yield from _containers()
    for key, (threat, slug, extension, make) in _BOMBS.items():
        yield _broken(f"bomb-{key}", threat, slug, extension, make)


def _members_and_files() -> Iterator[BrokenPackage]:
    for extension in _EXTENSIONS:
        for key, (threat, slug, data) in TAR_MEMBERS.items():
            yield _broken(key, threat, slug, extension, _assembled(extension, payload=data))
        for key, (threat, slug, data) in INFO_MEMBERS.items():
            yield _broken(key, threat, slug, extension, _assembled(extension, info=data))
        for key, (threat, slug, data) in TAR_ENDS.items():
            yield _broken(key, threat, slug, extension, _assembled(extension, end=data))
        for key, (threat, slug, make) in INDEX_TEXTS.items():
            yield _broken(
                f"index-{key}", threat, slug, extension, _with_file(extension, "index", make)
            )
        for key, (threat, slug, file, make) in METADATA_FILES.items():
            yield _broken(key, threat, slug, extension, _with_file(extension, file, make))
        for key, entry_point in ENTRY_POINTS.items():
            make = _with_file(extension, "link", _bound(link_json, entry_point))
            yield _broken(f"entry-point-{key}", "T11", "unsafe-entry-point", extension, make)
    for key, (threat, slug, changes) in INDEX_VALUES.items():
        make = _with_file(".tar.bz2", "index", _bound(lambda c: index_json(**c), changes))
        yield _broken(f"metadata-{key}", threat, slug, ".tar.bz2", make)


def _containers() -> Iterator[BrokenPackage]:
    for key, (threat, slug, make) in _ZSTD.items():
        yield _broken(f"pkg-{key}", threat, slug, ".conda", _bound(_as_payload, make))
        yield _broken(f"info-{key}", threat, slug, ".conda", _bound(_as_info, make))
    for key, (threat, slug, make) in _ZIP.items():
        yield _broken(f"zip-{key}", threat, slug, ".conda", make)
    for key, (threat, slug, make) in _BZIP2.items():
        yield _broken(f"bzip2-{key}", threat, slug, ".tar.bz2", make)
    yield _broken("is-tar-bz2", "T07", "wrong-format", ".conda", lambda: build_tar_bz2().data)
    yield _broken(
        "paths-entries-flood",
        "T06",
        "too-large",
        ".conda",
        _with_file(".conda", "paths", lambda: b'{"paths": [' + b'{"_path": "a"},' * 5_000_000),
    )


def _as_payload(make: Callable[[], bytes]) -> bytes:
    return conda_of(payload=make())


def _as_info(make: Callable[[], bytes]) -> bytes:
    return conda_of(info=make())


def _bound(function: Callable[[T], bytes], value: T) -> Callable[[], bytes]:
    return lambda: function(value)


def _assembled(extension: str, **changes: bytes) -> Callable[[], bytes]:
    return lambda: assemble(extension, **changes)  # type: ignore[arg-type] # by name


def _with_file(extension: str, file: str, make: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: assemble(extension, files={f"info/{file}.json": make()})


def _broken(
    key: str, threat: str, slug: str, extension: str, make: Callable[[], bytes]
) -> BrokenPackage:
    name = f"{key}{'' if extension == '.conda' else '-bz2'}"
    words = key.replace("-", " ")
    return BrokenPackage(name, threat, words, f"hello-1.0-0{extension}", slug, make)


BROKEN: tuple[BrokenPackage, ...] = tuple(_all())
