"""What a channel holds, one entry for each package name (CEP 38).

Websites and build tools read it, no install client does. By its design it says of a name
what holds for one of its files only, so take it for a hint.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import BinaryIO, Self

import msgspec

from registry.conda.fragments import FragmentWriter
from registry.conda.run_exports import normalize_run_exports

CHANNELDATA_VERSION = 1

_PLAIN_FIELDS = ("dev_url", "doc_url", "home", "summary")
# The last second of the year 9999: records of old packages count seconds, others milliseconds.
_LAST_SECOND = 253_402_300_799
_LINK_SCRIPT = re.compile(
    r"(?:bin/\.|Scripts/\.)[^/]{1,64}-(post-link|pre-link|pre-unlink)\.(?:sh|bat)"
)


@dataclass(frozen=True, slots=True)
class InstallTraits:
    """What a package does to an environment beyond laying down its files."""

    activate: bool = False
    deactivate: bool = False
    binary_prefix: bool = False
    text_prefix: bool = False
    post_link: bool = False
    pre_link: bool = False
    pre_unlink: bool = False

    @classmethod
    def from_paths(cls, paths: Iterable[Mapping[str, object]]) -> Self:
        """Read them off the entries of ``info/paths.json`` (CEP 34)."""
        found = set()
        for entry in paths:
            path = str(entry.get("_path", ""))
            if path.startswith("etc/conda/activate.d/"):
                found.add("activate")
            elif path.startswith("etc/conda/deactivate.d/"):
                found.add("deactivate")
            elif script := _LINK_SCRIPT.fullmatch(path):
                found.add(script[1].replace("-", "_"))
            if entry.get("prefix_placeholder"):
                binary = entry.get("file_mode") == "binary"
                found.add("binary_prefix" if binary else "text_prefix")
        return cls(**dict.fromkeys(found, True))


_FLAGS = [field.name for field in fields(InstallTraits)]


def channeldata_entry(
    *,
    name: str,
    version: str,
    subdirs: Iterable[str],
    about: Mapping[str, object],
    timestamp_ms: int | None,
    run_exports: Mapping[str, object],
    traits: InstallTraits | None = None,
) -> bytes:
    """The member ``"name":{…}`` of one package name.

    ``version`` is the newest in the channel, ``about`` the ``info/about.json`` of one of its
    files; ``timestamp_ms`` the latest ``timestamp`` of all records, as they have it, which
    CEP 38, alone among the formats, wants in seconds. ``run_exports`` maps versions to what they
    export; those that export nothing are left out.
    """
    traits = traits or InstallTraits()
    flags: dict[str, bool] = {name: getattr(traits, name) for name in _FLAGS}
    entry: dict[str, object] = {
        "activate.d": flags.pop("activate"),
        "deactivate.d": flags.pop("deactivate"),
        **flags,
        "run_exports": {
            exporting: normalized
            for exporting, raw in run_exports.items()
            if (normalized := normalize_run_exports(raw))
        },
        "subdirs": sorted(set(subdirs)),
        "timestamp": _seconds(timestamp_ms or 0),
        "version": version,
    }
    for field in _PLAIN_FIELDS:
        if strings := _strings(about.get(field)):
            entry[field] = strings[0]
    if licenses := _strings(about.get("license")):
        # None of several holds alone.
        entry["license"] = ", ".join(licenses)
    if sources := _strings(about.get("source_url")):
        entry["source_url"] = sources[0] if len(sources) == 1 else sources
    return msgspec.json.encode(name) + b":" + msgspec.json.encode(entry, order="deterministic")


def write_channeldata(out: BinaryIO, *, packages: Iterable[bytes], subdirs: Iterable[str]) -> int:
    """Write ``channeldata.json`` in flat memory; returns its size in bytes.

    Entries come sorted by package name.
    """
    document = FragmentWriter(out)
    document.raw(b'{"channeldata_version":%d,"packages":' % CHANNELDATA_VERSION)
    document.members(packages)
    document.raw(b',"subdirs":')
    document.value(sorted(set(subdirs)))
    document.raw(b"}")
    document.flush()
    return document.offset


def _seconds(timestamp: int) -> int:
    return timestamp // 1000 if timestamp > _LAST_SECOND else timestamp


def _strings(value: object) -> list[str]:
    """``about.json`` is written by hand: a string, a list of them, or anything else."""
    candidates = value if isinstance(value, list) else [value]
    return [text for text in candidates if isinstance(text, str) and text]
