"""The parts of broken packages that both formats can hold: tar members and metadata files.

Each table gives a key, the threat, and the slug of the error that must come of it.
"""

import json
from collections.abc import Callable

from tests.builders import GNU, V7, gnu_long, header, member, package_files, pax, tar_end

# --- Bad members of a tar, each tried in both formats -----------------------------------------

_UNSAFE_NAMES: dict[str, str | bytes] = {
    "parent": "../x",
    "parent-inside": "a/../../x",
    "parent-alone": "..",
    "absolute": "/etc/x",
    "drive": "C:/x",
    "drive-backslash": "C:\\x",
    "backslash": "..\\x",
    "double-slash": "a//b",
    "double-slash-parent": "a//../..",
    "dot-inside": "a/./b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "c1-control": "a\u0085b",
    "line-separator": "a\u2028b",
    "not-utf8": b"a\xff\xfeb",
    "half-surrogate": b"a\xed\xa0\x80b",
    "trailing-slash": "a/",
    "empty": "",
}

TAR_MEMBERS: dict[str, tuple[str, str, bytes]] = {
    **{
        f"name-{key}": ("T01", "unsafe-path", member(name, b"x"))
        for key, name in _UNSAFE_NAMES.items()
    },
    "name-4-kib": ("T01", "unsafe-path", gnu_long(b"a/" * 2048 + b"x") + member("x", magic=GNU)),
    "name-1025": ("T01", "unsafe-path", pax(("path", "a/" * 512 + "x")) + member("x")),
    "name-component-256": ("T01", "unsafe-path", pax(("path", "a" * 256)) + member("x")),
    "name-pax-nul": ("T01", "unsafe-path", pax(("path", b"a\x00b")) + member("x")),
    "name-pax-parent": ("T01", "unsafe-path", pax(("path", "../x")) + member("x")),
    "name-pax-not-utf8": ("T01", "unsafe-path", pax(("path", b"\xff")) + member("x")),
    "name-gnu-nul": ("T01", "unsafe-path", gnu_long(b"a\x00b") + member("x", magic=GNU)),
    "name-prefix-parent": ("T01", "unsafe-path", header(b"x", prefix=b"..")),
    "link-absolute": ("T02", "unsafe-link", member("a", kind=b"2", link="/etc/passwd")),
    "link-parent": ("T02", "unsafe-link", member("a", kind=b"2", link="../../x")),
    "link-parent-deep": ("T02", "unsafe-link", member("a/b", kind=b"2", link="../../x")),
    "link-drive": ("T02", "unsafe-link", member("a", kind=b"2", link="C:x")),
    "link-backslash": ("T02", "unsafe-link", member("a/b", kind=b"2", link="..\\..\\x")),
    "link-empty": ("T02", "unsafe-link", member("a", kind=b"2")),
    "link-newline": ("T02", "unsafe-link", member("a", kind=b"2", link="b\nc")),
    "link-pax-absolute": (
        "T02",
        "unsafe-link",
        pax(("linkpath", "/etc/passwd")) + member("a", kind=b"2", link="b"),
    ),
    "link-not-utf8": ("T02", "unsafe-path", member("a", kind=b"2", link=b"\xff")),
    "link-then-file-through": (
        "T02",
        "unsafe-link",
        member("a/b", kind=b"2", link="..") + member("a/b/x", b"x"),
    ),
    "file-then-link-below": (
        "T02",
        "unsafe-link",
        member("a/b/x", b"x") + member("a/b", kind=b"2", link="../c"),
    ),
    # The text a/b/../.. leads to the environment, the file system above it.
    "link-chain": (
        "T02",
        "unsafe-link",
        member("a/b", kind=b"2", link="..") + member("c", kind=b"2", link="a/b/../x"),
    ),
    "link-to-itself": ("T02", "unsafe-link", member("a", kind=b"2", link="a")),
    "link-circle": (
        "T02",
        "unsafe-link",
        member("a", kind=b"2", link="b") + member("b", kind=b"2", link="a"),
    ),
    "hard-link-parent": ("T02", "unsafe-link", member("a", kind=b"1", link="../x")),
    "hard-link-absolute": ("T02", "unsafe-link", member("a", kind=b"1", link="/etc/passwd")),
    "hard-link-to-nothing": ("T02", "unsafe-link", member("a", kind=b"1", link="b")),
    "hard-link-before-target": (
        "T02",
        "unsafe-link",
        member("a", kind=b"1", link="b") + member("b", b"x"),
    ),
    "hard-link-to-itself": ("T02", "unsafe-link", member("a", kind=b"1", link="a")),
    "hard-link-to-link": (
        "T02",
        "unsafe-link",
        member("b", kind=b"2", link="c") + member("a", kind=b"1", link="b"),
    ),
    "file-and-folder": ("T02", "unsafe-path", member("a", b"x") + member("a/b", b"x")),
    "character-device": ("T03", "special-file", member("a", kind=b"3")),
    "block-device": ("T03", "special-file", member("a", kind=b"4")),
    "pipe": ("T03", "special-file", member("a", kind=b"6")),
    "contiguous-file": ("T03", "special-file", member("a", b"x", kind=b"7")),
    "gnu-sparse": ("T03", "special-file", member("a", kind=b"S", magic=GNU)),
    "gnu-dump-folder": ("T03", "special-file", member("a", kind=b"D", magic=GNU)),
    "gnu-multi-volume": ("T03", "special-file", member("a", kind=b"M", magic=GNU)),
    "gnu-volume-label": ("T03", "special-file", member("a", kind=b"V", magic=GNU)),
    "solaris-header": ("T03", "special-file", member("a", b"x", kind=b"X")),
    "unknown-kind": ("T03", "special-file", member("a", kind=b"Z")),
    "pax-sparse": ("T03", "special-file", pax(("GNU.sparse.major", "1")) + member("a", b"x")),
    "pax-real-size": ("T03", "special-file", pax(("SCHILY.realsize", "9")) + member("a", b"x")),
    "setuid": ("T03", "special-file", member("a", b"x", mode=0o4755)),
    "setgid": ("T03", "special-file", member("a", b"x", mode=0o2755)),
    "duplicate-path": ("T07", "duplicate-member", member("a", b"x") + member("a", b"y")),
    "duplicate-path-dotted": ("T07", "duplicate-member", member("a", b"x") + member("./a", b"y")),
    "duplicate-link": (
        "T07",
        "duplicate-member",
        member("a", b"x") + member("a", kind=b"2", link="b"),
    ),
    "duplicate-folder": (
        "T07",
        "duplicate-member",
        member("a/", kind=b"5") + member("a", kind=b"5"),
    ),
    "pax-size-differs": ("T07", "corrupt-archive", pax(("size", "512")) + member("a", b"x")),
    "pax-size-zero": ("T07", "corrupt-archive", pax(("size", "0")) + member("a", b"x" * 600)),
    "pax-size-no-number": ("T07", "unsupported-archive", pax(("size", "-1")) + member("a", b"x")),
    "pax-path-twice": (
        "T07",
        "unsupported-archive",
        pax(("path", "a"), ("path", "b")) + member("c", b"x"),
    ),
    "pax-twice": (
        "T07",
        "unsupported-archive",
        pax(("path", "a")) + pax(("path", "b")) + member("c", b"x"),
    ),
    "pax-and-gnu-name": (
        "T07",
        "unsupported-archive",
        gnu_long(b"a") + pax(("path", "b")) + member("c", b"x"),
    ),
    "pax-global-path": (
        "T07",
        "unsupported-archive",
        pax(("path", "b"), kind=b"g") + member("c", b"x"),
    ),
    "pax-charset": (
        "T07",
        "unsupported-archive",
        pax(("hdrcharset", "BINARY")) + member("c", b"x"),
    ),
    "pax-damaged": (
        "T07",
        "unsupported-archive",
        member("p", b"99 path=a\n", kind=b"x") + member("c", b"x"),
    ),
    "pax-zero-length": (
        "T07",
        "unsupported-archive",
        member("p", b"0 path=a\n", kind=b"x") + member("c", b"x"),
    ),
    "pax-huge": ("T06", "too-large", member("p", bytes(1 << 21), kind=b"x") + member("c", b"x")),
    "size-python-octal": ("T07", "unsupported-archive", header(b"a", size_field=b"0o1\x00")),
    "size-underscore": ("T07", "unsupported-archive", header(b"a", size_field=b"1_0\x00")),
    "size-negative": ("T07", "unsupported-archive", header(b"a", size_field=b"\xff" * 12)),
    "size-signed": ("T07", "unsupported-archive", header(b"a", size_field=b"-0000000001\x00")),
    "size-beyond-end": ("T07", "truncated", header(b"a", size=1 << 20)),
    "size-base-256-huge": ("T07", "truncated", header(b"a", size_field=b"\x80" + b"\x7f" * 11)),
    "folder-with-content": ("T07", "unsupported-archive", member("a", b"x", kind=b"5")),
    "link-with-content": ("T07", "unsupported-archive", member("a", b"x", kind=b"2", link="b")),
    "wrong-checksum": ("T07", "corrupt-archive", header(b"a", checksum_off_by=1)),
    "unknown-magic": ("T07", "unsupported-archive", header(b"a", magic=b"tar\x00\x00\x00\x00\x00")),
    "gnu-with-prefix": ("T07", "unsupported-archive", header(b"a", magic=GNU, prefix=b"..")),
    "v7-with-prefix": ("T07", "unsupported-archive", header(b"a", magic=V7, prefix=b"b")),
    "conda-meta": ("T11", "misplaced-member", member("conda-meta/history", b"x")),
    "conda-meta-upper": ("T11", "misplaced-member", member("Conda-Meta/x.json", b"x")),
    "conda-meta-itself": ("T11", "misplaced-member", member("conda-meta", b"x")),
}

# The same in the part that holds the metadata.
INFO_MEMBERS: dict[str, tuple[str, str, bytes]] = {
    "info-name-parent": ("T01", "unsafe-path", member("info/../../x", b"x")),
    "info-name-newline": ("T01", "unsafe-path", member("info/a\nb", b"x")),
    "info-link-absolute": ("T02", "unsafe-link", member("info/a", kind=b"2", link="/etc/passwd")),
    "info-link-parent": ("T02", "unsafe-link", member("info/a", kind=b"2", link="../../x")),
    "info-hard-link-out": ("T02", "unsafe-link", member("info/a", kind=b"1", link="../x")),
    "about-is-link": (
        "T02",
        "misplaced-member",
        member("info/run_exports.json", kind=b"2", link="/etc/passwd"),
    ),
    "about-is-hard-link": (
        "T02",
        "misplaced-member",
        member("info/run_exports.json", kind=b"1", link="info/index.json"),
    ),
    "info-pipe": ("T03", "special-file", member("info/a", kind=b"6")),
    "info-setuid": ("T03", "special-file", member("info/a", b"x", mode=0o6755)),
    "two-index": (
        "T07",
        "duplicate-member",
        member("info/index.json", package_files("other")["info/index.json"]),
    ),
    "two-index-dotted": (
        "T07",
        "duplicate-member",
        member("./info/index.json", package_files("other")["info/index.json"]),
    ),
    "two-about": ("T07", "duplicate-member", member("info/about.json", b"{}")),
    "repodata-record": ("T11", "misplaced-member", member("info/repodata_record.json", b"{}")),
}

TAR_ENDS: dict[str, tuple[str, str, bytes]] = {
    "tar-without-end": ("T07", "truncated", b""),
    "tar-half-block-end": ("T07", "truncated", bytes(100)),
    "tar-hidden-member": ("T07", "trailing-data", tar_end() + member("../x", b"x")),
    "tar-hidden-after-one-block": ("T07", "trailing-data", bytes(512) + member("b", b"x")),
    "tar-garbage-behind": ("T07", "trailing-data", tar_end() + b"garbage"),
    "tar-announced-member": ("T07", "truncated", pax(("path", "a")) + tar_end()),
}

# --- Bad metadata files, each tried in both formats --------------------------------------------


def index_json(**changes: object) -> bytes:
    return json.dumps({**json.loads(package_files()["info/index.json"]), **changes}).encode()


def _index_with(text: str) -> bytes:
    """index.json with ``text``, which no serializer would write, as its last member."""
    return package_files()["info/index.json"][:-1] + b", " + text.encode() + b"}"


def _deep(opening: str, closing: str) -> bytes:
    return _index_with(f'"x": {opening * 100_000}1{closing * 100_000}')


INDEX_TEXTS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "list": ("T14", "invalid-metadata", lambda: b"[]"),
    "null": ("T14", "invalid-metadata", lambda: b"null"),
    "number": ("T14", "invalid-metadata", lambda: b"1"),
    "string": ("T14", "invalid-metadata", lambda: b'"x"'),
    "empty": ("T14", "invalid-metadata", lambda: b""),
    "no-json": ("T14", "invalid-metadata", lambda: b"name: hello"),
    "single-quotes": ("T14", "invalid-metadata", lambda: b"{'name': 'hello'}"),
    "cut-off": ("T14", "invalid-metadata", lambda: index_json()[:-5]),
    "trailing-data": ("T14", "invalid-metadata", lambda: index_json() + b"{}"),
    "trailing-comma": ("T14", "invalid-metadata", lambda: index_json()[:-1] + b",}"),
    "byte-order-mark": ("T14", "invalid-metadata", lambda: b"\xef\xbb\xbf" + index_json()),
    "utf-16": ("T14", "invalid-metadata", lambda: index_json().decode().encode("utf-16")),
    "utf-32": ("T14", "invalid-metadata", lambda: index_json().decode().encode("utf-32-le")),
    "not-utf8": ("T14", "invalid-metadata", lambda: _index_with('"x": "?"').replace(b"?", b"\xe4")),
    "deep-lists": ("T14", "invalid-metadata", lambda: _deep("[", "]")),
    "deep-objects": ("T14", "invalid-metadata", lambda: _deep('{"a":', "}")),
    "deep-33": ("T14", "invalid-metadata", lambda: _index_with(f'"x": {"[" * 33}{"]" * 33}')),
    "key-twice": ("T07", "invalid-metadata", lambda: _index_with('"name": "other"')),
    "key-twice-inside": ("T07", "invalid-metadata", lambda: _index_with('"x": {"a": 1, "a": 2}')),
    "key-twice-escaped": ("T07", "invalid-metadata", lambda: _index_with('"\\u006eame": "other"')),
    "nan": ("T12", "invalid-metadata", lambda: _index_with('"x": NaN')),
    "infinity": ("T12", "invalid-metadata", lambda: _index_with('"x": -Infinity')),
    "1e999": ("T12", "invalid-metadata", lambda: _index_with('"x": 1e999')),
    "5000-digits": ("T12", "invalid-metadata", lambda: _index_with('"x": ' + "9" * 5000)),
    "beyond-64-bits": ("T12", "invalid-metadata", lambda: _index_with(f'"x": {2**64}')),
    "nul": ("T13", "invalid-metadata", lambda: index_json(x="a\x00b")),
    "nul-in-key": ("T13", "invalid-metadata", lambda: _index_with('"a\\u0000": 1')),
    "half-surrogate": ("T13", "invalid-metadata", lambda: _index_with('"x": "\\ud800"')),
    "half-surrogate-key": ("T13", "invalid-metadata", lambda: _index_with('"\\udfff": "x"')),
    "raw-control": ("T13", "invalid-metadata", lambda: _index_with('"x": "a\nb"')),
    "1-mib": ("T06", "too-large", lambda: index_json(x="a" * (1 << 20))),
}

METADATA_FILES: dict[str, tuple[str, str, str, Callable[[], bytes]]] = {
    "about-list": ("T14", "invalid-metadata", "about", lambda: b"[]"),
    "about-nul": ("T13", "invalid-metadata", "about", lambda: b'{"summary": "\\u0000"}'),
    "about-2-mib": ("T06", "too-large", "about", lambda: b'{"a": "%s"}' % (b"a" * (1 << 21))),
    "run-exports-string": ("T14", "invalid-metadata", "run_exports", lambda: b'"x"'),
    "run-exports-numbers": ("T14", "invalid-metadata", "run_exports", lambda: b'{"weak": [1]}'),
    "run-exports-2-mib": ("T06", "too-large", "run_exports", lambda: b"[%s]" % (b" " * (1 << 21))),
    "link-list": ("T14", "invalid-metadata", "link", lambda: b"[]"),
    "paths-no-json": ("T14", "invalid-metadata", "paths", lambda: b"paths: []"),
    "paths-list": ("T14", "invalid-metadata", "paths", lambda: b"[]"),
    "paths-no-list": ("T14", "invalid-metadata", "paths", lambda: b'{"paths_version": 1}'),
    "paths-twice": ("T07", "invalid-metadata", "paths", lambda: b'{"paths": [], "paths": []}'),
    "paths-cut-off": ("T14", "invalid-metadata", "paths", lambda: b'{"paths": [{"_path": "a"}'),
    "paths-trailing": ("T14", "invalid-metadata", "paths", lambda: b'{"paths": []} {}'),
    "paths-no-path": ("T14", "invalid-metadata", "paths", lambda: b'{"paths": [{"a": 1}]}'),
    "paths-nested": ("T14", "invalid-metadata", "paths", lambda: b'{"paths": [[[["a"]]]]}'),
    "paths-64-kib-string": (
        "T06",
        "invalid-metadata",
        "paths",
        lambda: b'{"paths": [{"_path": "%s"}]}' % (b"a" * (1 << 20)),
    ),
    "paths-parent": (
        "T01",
        "unsafe-path",
        "paths",
        lambda: b'{"paths": [{"_path": "a"}, {"_path": "../../x"}]}',
    ),
    "paths-absolute-escaped": (
        "T01",
        "unsafe-path",
        "paths",
        lambda: b'{"paths": [{"\\u005fpath": "\\u002fetc/passwd"}]}',
    ),
}


def link_json(entry_point: object) -> bytes:
    return json.dumps(
        {
            "noarch": {"type": "python", "entry_points": [entry_point]},
            "package_metadata_version": 1,
        }
    ).encode()


# CVE-2026-47425 and its neighbours.
ENTRY_POINTS: dict[str, object] = {
    "parent": "../../bin/x = m:f",
    "slash": "sub/x = m:f",
    "absolute": "/usr/bin/x = m:f",
    "backslash": "..\\x = m:f",
    "dots": ".. = m:f",
    "dot": ". = m:f",
    "newline-in-command": "a\nb = m:f",
    "newline-in-module": "x = m\nimport os:f",
    "semicolon": "x = m;import os:f",
    "space-in-module": "x = m import os:f",
    "call": "x = m:f();evil()",
    "no-function": "x = m",
    "quote": "x = m':f",
    "empty": "",
    "number": 1,
    "long": "x" * 300 + " = m:f",
}

INDEX_VALUES: dict[str, tuple[str, str, dict[str, object]]] = {
    "name-upper": ("T09", "invalid-name", {"name": "Hello"}),
    "name-virtual": ("T09", "invalid-name", {"name": "__glibc"}),
    "name-65": ("T09", "invalid-name", {"name": "a" * 65}),
    "name-empty": ("T09", "invalid-name", {"name": ""}),
    "name-null": ("T09", "invalid-name", {"name": None}),
    "name-number": ("T09", "invalid-name", {"name": 1}),
    "name-slash": ("T09", "invalid-name", {"name": "a/b"}),
    "name-parent": ("T09", "invalid-name", {"name": "../b"}),
    "name-percent": ("T09", "invalid-name", {"name": "..%2fb"}),
    "name-newline": ("T09", "invalid-name", {"name": "hello\n"}),
    "name-bidi": ("T13", "invalid-name", {"name": "hel\u202elo"}),
    "name-cyrillic": ("T22", "invalid-name", {"name": "h\u0435llo"}),
    "version-dash": ("T15", "invalid-version", {"version": "1-0"}),
    "version-slash": ("T15", "invalid-version", {"version": "1/0"}),
    "version-space": ("T15", "invalid-version", {"version": "1 0"}),
    "version-65": ("T15", "invalid-version", {"version": "1" * 65}),
    "version-huge-number": ("T15", "invalid-version", {"version": f"1.{2**31}"}),
    "version-empty": ("T15", "invalid-version", {"version": ""}),
    "version-number": ("T15", "invalid-version", {"version": 1.0}),
    "version-upper": ("T15", "invalid-version", {"version": "1.0A"}),
    "version-two-epochs": ("T15", "invalid-version", {"version": "1!1!1"}),
    "version-empty-part": ("T15", "invalid-version", {"version": "1..0"}),
    "version-newline": ("T15", "invalid-version", {"version": "1.0\n"}),
    "version-arabic-digit": ("T15", "invalid-version", {"version": "\u0661"}),
    "build-dash": ("T09", "invalid-build", {"build": "a-0"}),
    "build-slash": ("T09", "invalid-build", {"build": "a/0"}),
    "build-empty": ("T09", "invalid-build", {"build": ""}),
    "build-null": ("T09", "invalid-build", {"build": None}),
    "build-65": ("T09", "invalid-build", {"build": "a" * 65}),
    "build-number-negative": ("T12", "invalid-metadata", {"build_number": -1}),
    "build-number-2-31": ("T12", "invalid-metadata", {"build_number": 2**31}),
    "build-number-2-63": ("T12", "invalid-metadata", {"build_number": 2**63}),
    "build-number-true": ("T12", "invalid-metadata", {"build_number": True}),
    "build-number-string": ("T12", "invalid-metadata", {"build_number": "1"}),
    "build-number-float": ("T12", "invalid-metadata", {"build_number": 1.5}),
    "build-number-null": ("T12", "invalid-metadata", {"build_number": None}),
    "timestamp-negative": ("T12", "invalid-metadata", {"timestamp": -1}),
    "timestamp-year-10000": ("T12", "invalid-metadata", {"timestamp": 253_402_300_800_000}),
    "timestamp-1e300": ("T12", "invalid-metadata", {"timestamp": 1e300}),
    "timestamp-string": ("T12", "invalid-metadata", {"timestamp": "2026-01-01"}),
    "timestamp-true": ("T12", "invalid-metadata", {"timestamp": True}),
    "subdir-parent": ("T10", "invalid-subdir", {"subdir": "../other/linux-64"}),
    "subdir-inside": ("T10", "invalid-subdir", {"subdir": "noarch/../x"}),
    "subdir-upper": ("T10", "invalid-subdir", {"subdir": "LINUX-64"}),
    "subdir-empty": ("T10", "invalid-subdir", {"subdir": ""}),
    "subdir-33": ("T10", "invalid-subdir", {"subdir": "a" * 16 + "-" + "b" * 16}),
    "subdir-list": ("T10", "invalid-subdir", {"subdir": ["noarch"]}),
    "subdir-newline": ("T10", "invalid-subdir", {"subdir": "noarch\n"}),
    "subdir-missing": ("T10", "invalid-subdir", {"subdir": None, "noarch": None}),
    "noarch-unknown": ("T10", "invalid-metadata", {"noarch": "ruby"}),
    "noarch-list": ("T10", "invalid-metadata", {"noarch": ["python"]}),
    "depends-string": ("T15", "invalid-metadata", {"depends": "python"}),
    "depends-100000": ("T06", "invalid-metadata", {"depends": ["a"] * 100_000}),
    "depends-long": ("T06", "invalid-metadata", {"depends": ["a" * 10_000]}),
    "depends-number": ("T15", "invalid-metadata", {"depends": [1]}),
    "depends-empty": ("T15", "invalid-metadata", {"depends": [""]}),
    "depends-brackets": ("T15", "invalid-metadata", {"depends": ["[[["]}),
    "depends-stars": ("T15", "invalid-metadata", {"depends": ["*" * 2000]}),
    "depends-newline": ("T15", "invalid-metadata", {"depends": ["python\nevil"]}),
    "constrains-object": ("T15", "invalid-metadata", {"constrains": {"a": "b"}}),
    "license-object": ("T15", "invalid-metadata", {"license": {"a": "b"}}),
    "license-family-number": ("T15", "invalid-metadata", {"license_family": 1}),
    "arch-number": ("T15", "invalid-metadata", {"arch": 64}),
    "features-object": ("T15", "invalid-metadata", {"features": {"a": "b"}}),
    "track-features-numbers": ("T15", "invalid-metadata", {"track_features": [1]}),
    "purls-no-url": ("T15", "invalid-metadata", {"purls": ["numpy"]}),
    "flags-upper": ("T15", "invalid-metadata", {"schema_version": 3, "flags": ["A B"]}),
    "extra-depends-list": ("T15", "invalid-metadata", {"extra_depends": ["a"]}),
    "extra-depends-group": ("T15", "invalid-metadata", {"extra_depends": {"A B": ["a"]}}),
    "site-packages-absolute": ("T11", "unsafe-path", {"python_site_packages_path": "/etc"}),
    "site-packages-parent": ("T11", "unsafe-path", {"python_site_packages_path": "lib/../../x"}),
    "site-packages-drive": ("T11", "unsafe-path", {"python_site_packages_path": "C:/x"}),
    "schema-4": ("T15", "unsupported-schema", {"schema_version": 4}),
    "schema-string": ("T15", "unsupported-schema", {"schema_version": "2"}),
    "schema-true": ("T15", "unsupported-schema", {"schema_version": True}),
    "foreign-100-kib": ("T06", "too-large", {"x": "a" * 100_000}),
}
