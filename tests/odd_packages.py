"""Packages that look odd, are legal, and must be taken.

Each is something that a build tool, of today or of ten years ago, really writes.
"""

import bz2
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import zstandard

from tests.builders import (
    FORMAT_VERSION,
    GNU,
    V7,
    ZipPart,
    assemble,
    build_conda,
    build_minimal_conda,
    build_minimal_tar_bz2,
    build_tar_bz2,
    conda_of,
    conda_parts,
    gnu_long,
    header,
    member,
    package_files,
    padded,
    pax,
    tar_end,
    tar_of,
    zip_archive,
    zstd,
)


@dataclass(frozen=True, slots=True)
class OddPackage:
    slug_id: str
    filename: str
    make: Callable[[], bytes] = field(repr=False)
    minimal: bool = False
    """Only Forgejo takes it."""

    @property
    def data(self) -> bytes:
        return self.make()

    def __str__(self) -> str:
        return self.slug_id


def _tar_with_size_in_pax() -> bytes:
    return pax(("size", "3"), ("mtime", "1700000000.5")) + member("a", b"abc")


_TAR: dict[str, bytes] = {
    "relative-link": member("lib/libx.so.1", b"x")
    + member("lib/libx.so", kind=b"2", link="libx.so.1"),
    "link-upwards": member("bin/a", kind=b"2", link="../libexec/a"),
    "link-to-environment": member("a/b", kind=b"2", link=".."),
    "link-dangling": member("lib/x", kind=b"2", link="somewhere/else"),
    "link-to-link": member("a", kind=b"2", link="b")
    + member("b", kind=b"2", link="c")
    + member("c", b"x"),
    "link-to-folder": member("lib64", kind=b"2", link="lib") + member("lib/x", b"x"),
    "link-through-link": member("lib64", kind=b"2", link="lib")
    + member("bin/x", kind=b"2", link="../lib64/x"),
    "link-down-and-up": member("a/b/c", b"x") + member("x", kind=b"2", link="a/b/../b/c"),
    "link-with-slash": member("a/x", b"x") + member("l", kind=b"2", link="a/"),
    "link-name-of-100": member("a", kind=b"2", link="b" * 100),
    "hard-link": member("bin/a", b"x") + member("bin/b", kind=b"1", link="bin/a"),
    "hard-link-dotted": member("./bin/a", b"x") + member("./bin/b", kind=b"1", link="./bin/a"),
    "hard-link-to-hard-link": member("a", b"x")
    + member("b", kind=b"1", link="a")
    + member("c", kind=b"1", link="b"),
    "unicode-name": member("share/Ünïcödé/日本語.txt", b"x"),
    "unicode-decomposed": member("share/u\u0308.txt", b"x"),
    "unicode-pax-name": pax(("path", "share/日本語.txt")) + member("share/???", b"x"),
    "emoji-name": member("share/👩‍🔬.txt", b"x"),
    "spaces-and-signs": member("share/a b (1) [x] {y} 'z' \"q\" #$%&!;`^", b"x"),
    "colons": member("man/man3/Foo::Bar.3", b"x"),
    "hidden-files": member(".nojekyll", b"") + member("a/.b/..c/...", b"x"),
    "tilde-and-plus": member("include/c++/~x+=@,.h", b"x"),
    "empty-file": member("lib/empty", b""),
    "exact-block": member("lib/x", b"x" * 512) + member("lib/y", b"y" * 1024),
    "mode-0777": member("a", b"x", mode=0o777),
    "mode-0000": member("a", b"x", mode=0),
    "sticky-folder": member("tmp/", kind=b"5", mode=0o1777),
    "folders": member("a/", kind=b"5") + member("a/b/", kind=b"5") + member("a/b/c", b"x"),
    "folder-after-its-files": member("a/b", b"x") + member("a", kind=b"5"),
    "prefix-itself": member("./", kind=b"5") + member("./a", b"x"),
    "old-kind-of-file": member("a", b"x", kind=b"\x00"),
    "v7-header": member("a", b"x", magic=V7),
    "gnu-header": member("a", b"x", magic=GNU),
    "gnu-long-name": gnu_long(b"a/" * 100 + b"x") + member("a", b"x", magic=GNU),
    "gnu-long-link": gnu_long(b"b/" * 100 + b"x", kind=b"K")
    + member("a", kind=b"2", link="b", magic=GNU),
    "gnu-long-both": gnu_long(b"b/" * 100, kind=b"K")
    + gnu_long(b"a/" * 100 + b"x")
    + member("a", kind=b"2", link="b", magic=GNU),
    "gnu-base-256-size": header(b"a", magic=GNU, size_field=b"\x80" + bytes(10) + b"\x03")
    + padded(b"abc"),
    "gnu-junk-behind-name": header(b"bin/a\x00ngLink", magic=GNU),
    "ustar-prefix": header(b"x" * 90, prefix=b"share/" + b"y" * 100),
    "pax-times": pax(("mtime", "1700000000.123"), ("atime", "1700000000.5")) + member("a", b"x"),
    "pax-size": _tar_with_size_in_pax(),
    "pax-attributes": pax(("SCHILY.xattr.user.x", b"\x00\xff=\n"), ("comment", "ä")) + member("a"),
    "pax-owner": pax(("uid", "1234567890"), ("uname", "jürgen")) + member("a", b"x"),
    "pax-global-comment": pax(("comment", "0123abc"), kind=b"g") + member("a", b"x"),
    "size-with-spaces": header(b"a", size_field=b"         3 \x00") + padded(b"abc"),
    "size-without-end": header(b"a", size_field=b"000000000003") + padded(b"abc"),
    "deep-path": member("a/" * 45 + "x", b"x"),
    "component-of-255": pax(("path", "a" * 255)) + member("x", b"x"),
    "terminfo": member("share/terminfo/E/Eterm", b"x") + member("share/terminfo/e/eterm", b"x"),
    "windows-names": member("aux.c", b"x") + member("lib/con", b"x") + member("a.", b"x"),
    "script-files": member("bin/.hello-post-link.sh", b"x") + member("etc/conda/activate.d/x", b""),
    "conda-meta-elsewhere": member("share/conda-meta/x", b"x") + member("conda-metadata/x", b"x"),
    "1000-files": b"".join(member(f"lib/f{number}", b"x") for number in range(1000)),
    "control-member": member("lib/readme", b"\x00\x01\x02" * 1000),
}

_INFO: dict[str, bytes] = {
    "info-licenses": member("info/licenses/LICENSE.txt", b"x") + member("info/git", b""),
    "info-link": member("info/test/x", b"x") + member("info/test/y", kind=b"2", link="x"),
    "info-folders": member("info/", kind=b"5") + member("info/recipe/", kind=b"5"),
    "entry-points": member(
        "info/link.json",
        json.dumps(
            {
                "noarch": {
                    "type": "python",
                    "entry_points": ["a = m:f", "b-c.d=p.q:r.s", " e_1 =  _x.y:main "],
                },
                "package_metadata_version": 1,
            }
        ).encode(),
    ),
    "link-generic": member("info/link.json", b'{"noarch": {"type": "generic"}}'),
    "link-null": member("info/link.json", b'{"noarch": null, "preferred_env": null}'),
    "run-exports-list": member("info/run_exports.json", b'["hello >=1.0,<2.0a0"]'),
    "run-exports-empty": member("info/run_exports.json", b"{}"),
    "has-prefix": member("info/has_prefix", b"/opt/x binary lib/libx.so\nbin/script\n"),
}

_PATHS_JSON = json.dumps(
    {
        "paths_version": 1,
        "paths": [
            {
                "_path": f'lib/f{number}\u00e4"{{}}',
                "file_mode": "binary" if number % 2 else "text",
                "path_type": "hardlink",
                "prefix_placeholder": "/opt/\\anaconda1anaconda2",
                "sha256": "0" * 64,
                "size_in_bytes": number,
                "no_link": False,
            }
            for number in range(5000)
        ],
        "further": None,
    },
    indent=2,
).encode()

_FILES: dict[str, dict[str, bytes | None]] = {
    "no-paths-json": {"info/paths.json": None},
    "no-about": {"info/about.json": None},
    "large-paths-json": {"info/paths.json": _PATHS_JSON},
    "empty-paths": {"info/paths.json": b' { "paths" : [ ] , "paths_version" : 1 } \n'},
    "about-lists": {"info/about.json": b'{"home": ["https://a.example", "b"], "license": null}'},
    "about-deep": {"info/about.json": b'{"extra": {"a": [{"b": [{"c": {}}]}]}}'},
}

ODD_INDEXES: dict[str, Mapping[str, object]] = {
    "version-epoch": {"version": "1!2.0"},
    "version-local": {"version": "1.0+local.7"},
    "version-both": {"version": "2!1.0.dev3+g6a303834"},
    "version-underscore": {"version": "1.0.1_"},
    "version-letters": {"version": "2024a"},
    "name-64": {"name": "a" * 64},
    "name-underscore": {"name": "_libgcc_mutex"},
    "name-dots": {"name": "a.b-c_d"},
    "name-dashes": {"name": "ld_impl_linux-64"},
    "build-upper": {"build": "H1A_0"},
    "build-signs": {"build": "a.b+c_0"},
    "build-64": {"build": "b" * 64},
    "subdir-fake": {"subdir": "linux-fake", "noarch": None},
    "subdir-wasm": {"subdir": "emscripten-wasm32", "noarch": None},
    "noarch-in-platform": {"subdir": "linux-64", "noarch": "python"},
    "noarch-true": {"noarch": True},
    "platform-and-arch": {
        "subdir": None,
        "noarch": None,
        "platform": "linux",
        "arch": "x86_64",
    },
    "noarch-without-subdir": {"subdir": None, "noarch": "python"},
    "no-build-number": {"build_number": None},
    "no-depends": {"depends": None},
    "timestamp-seconds": {"timestamp": 1_500_000_000},
    "timestamp-float": {"timestamp": 1_500_000_000_123.5},
    "timestamp-zero": {"timestamp": 0},
    "odd-specs": {
        "depends": [
            "python",
            "numpy 1.7*",
            "zlib 1.2.8|1.2.9",
            "__glibc >=2.17,<3.0.a0",
            "conda-forge::python[version='>=3.8', build=*cpython]",
            "numpy ^(a+)+$",
            "PyYAML",
        ]
    },
    # rattler-build wrote conditions before it said the schema.
    "condition-of-no-schema": {"depends": ['a[when="python >=3"]']},
    "features": {"features": "dummy", "track_features": "a b"},
    "track-features-list": {"track_features": ["a", "b"]},
    "license-list": {"license": ["MIT", "BSD"], "license_family": None},
    "site-packages": {"python_site_packages_path": "lib/python3.13t/site-packages"},
    "unknown-keys": {"preferred_env": "_x_", "requires": ["ncurses 5.9"], "x": {"y": [1, 2.5]}},
    "schema-3": {
        "schema_version": 3,
        "extra_depends": {"test": ["pytest >=8"]},
        "flags": ["cuda", "blas:mkl"],
    },
    "digests-of-its-own": {"md5": "x", "sha256": 1, "size": -1, "url": "x", "fn": "y"},
    "unicode-license": {"license": "Lizenz für Ünïcödé 日本語"},
}


def _zip64_everywhere() -> bytes:
    """As rattler-build does: the wide field in both headers, needed or not."""
    parts = []
    for part in conda_parts():
        size = len(part.data)
        wide = struct.pack("<HHQQ", 1, 16, size, size)
        narrow = {"packed": 0xFFFFFFFF, "unpacked": 0xFFFFFFFF}
        parts.append(
            ZipPart(part.name, part.data, version=45, extra=wide, local_extra=wide, local=narrow)
        )
    return zip_archive(parts)


def _zip64_directory() -> bytes:
    plain = conda_of()
    body, end = plain[:-22], plain[-22:]
    count, size, offset = struct.unpack_from("<HII", end, 10)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body), 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    return body + record + locator + end


def _streamed_zip() -> bytes:
    """As conda-package-streaming does: sizes not known when a member is begun."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in conda_parts():
            with archive.open(str(part.name), "w", force_zip64=True) as out:
                out.write(part.data)
    return buffer.getvalue()


def _times_in_zip() -> bytes:
    field_ = struct.pack("<HHBI", 0x5455, 5, 1, 1_700_000_000)
    return zip_archive(
        [ZipPart(p.name, p.data, extra=field_, local_extra=field_) for p in conda_parts()]
    )


def _frame_without_size() -> bytes:
    packer = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    data = tar_of({"share/hello/readme.txt": "hello 1.0 0\n"})
    return packer.compress(data) + packer.flush()


def _flushed_frame() -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    data = tar_of({"share/hello/x": "hello" * 1000})
    pieces = [
        packer.compress(data[start : start + 512]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for start in range(0, len(data), 512)
    ]
    return b"".join([*pieces, packer.flush()])


def _pbzip2() -> bytes:
    whole = tar_of(package_files())
    return b"".join(bz2.compress(whole[start : start + 700]) for start in range(0, len(whole), 700))


def _pax_tar(archive_format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=archive_format) as archive:
        for path, data in {**package_files(), "share/" + "ä" * 120: b"x"}.items():
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(data), 1700000000.25
            archive.addfile(info, io.BytesIO(data))
    return bz2.compress(buffer.getvalue())


def _dotted() -> bytes:
    return bz2.compress(tar_of({f"./{path}": data for path, data in package_files().items()}))


_CONTAINERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip64-everywhere": (".conda", _zip64_everywhere),
    "zip64-directory": (".conda", _zip64_directory),
    "zip-streamed": (".conda", _streamed_zip),
    "zip-times": (".conda", _times_in_zip),
    "zip-utf8-flag": (
        ".conda",
        lambda: zip_archive([ZipPart(p.name, p.data, flags=0x800) for p in conda_parts()]),
    ),
    "zip-info-first": (".conda", lambda: zip_archive(conda_parts()[::-1])),
    "metadata-with-more": (
        ".conda",
        lambda: zip_archive(
            [ZipPart("metadata.json", FORMAT_VERSION[:-1] + b', "x": 1}\n'), *conda_parts()[1:]]
        ),
    ),
    "window-128-mib": (
        ".conda",
        lambda: conda_of(payload=zstd(tar_of({"a": "x" * 3000}), level=3, window_log=27)),
    ),
    "level-22": (".conda", lambda: conda_of(payload=zstd(tar_of({"a": "x" * 3000}), level=22))),
    "frame-without-size": (".conda", lambda: conda_of(payload=_frame_without_size())),
    "flushed-frame": (".conda", lambda: conda_of(payload=_flushed_frame())),
    "empty-payload": (".conda", lambda: conda_of(payload=zstd(tar_end()))),
    "empty-payload-10240": (".conda", lambda: conda_of(payload=zstd(bytes(10240)))),
    "one-zero-block": (".conda", lambda: conda_of(payload=zstd(bytes(512)))),
    "ratio-of-zeros": (
        ".conda",
        lambda: conda_of(payload=zstd(tar_of({"a": bytes(20 << 20)}))),
    ),
    "pbzip2": (".tar.bz2", _pbzip2),
    "bzip2-level-1": (".tar.bz2", lambda: bz2.compress(tar_of(package_files()), 1)),
    "bzip2-empty-last": (
        ".tar.bz2",
        lambda: bz2.compress(tar_of(package_files())) + bz2.compress(b""),
    ),
    "tar-pax": (".tar.bz2", lambda: _pax_tar(tarfile.PAX_FORMAT)),
    "tar-gnu": (".tar.bz2", lambda: _pax_tar(tarfile.GNU_FORMAT)),
    "dotted-paths": (".tar.bz2", _dotted),
}


def _all() -> Iterator[OddPackage]:
    for extension in (".conda", ".tar.bz2"):
        mark = "" if extension == ".conda" else "-bz2"
        filename = f"hello-1.0-0{extension}"
        for key, data in _TAR.items():
            yield OddPackage(key + mark, filename, _assembled(extension, payload=data))
        for key, data in _INFO.items():
            yield OddPackage(key + mark, filename, _assembled(extension, info=data))
        for key, files in _FILES.items():
            yield OddPackage(key + mark, filename, _with_files(extension, files))
    for key, (extension, make) in _CONTAINERS.items():
        yield OddPackage(key, f"hello-1.0-0{extension}", make)
    for key, changes in ODD_INDEXES.items():
        yield from _with_index(key, changes)
    for key, minimal in (
        ("minimal", build_minimal_conda()),
        ("minimal-bz2", build_minimal_tar_bz2()),
    ):
        yield OddPackage(key, f"hello-1.0-0{minimal.filename[9:]}", _same(minimal.data), True)
    stored = zip_archive(conda_parts()[2:])
    yield OddPackage("minimal-stored", "hello-1.0-0.conda", _same(stored), True)
    yield OddPackage("minimal-whole", "hello-1.0-0.conda", lambda: build_conda().data, True)


def _with_index(key: str, changes: Mapping[str, object]) -> Iterator[OddPackage]:
    name, version, build = (
        str(changes.get(part, default))
        for part, default in (("name", "hello"), ("version", "1.0"), ("build", "0"))
    )
    conda = build_conda(name, version, build=build, index=changes)
    tar_bz2 = build_tar_bz2(name, version, build=build, index=changes)
    yield OddPackage(key, conda.filename, _same(conda.data))
    yield OddPackage(f"{key}-bz2", tar_bz2.filename, _same(tar_bz2.data))


def _same(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _assembled(extension: str, *, info: bytes = b"", payload: bytes = b"") -> Callable[[], bytes]:
    return lambda: assemble(extension, info=info, payload=payload)


def _with_files(extension: str, files: Mapping[str, bytes | None]) -> Callable[[], bytes]:
    return lambda: assemble(extension, files=files)


BENIGN: tuple[OddPackage, ...] = tuple(_all())
