"""What the part of a URL after ``/api/packages/<account>/conda/`` asks for.

Forgejo knows two shapes, one to read and one to write, with an optional channel in front that may
hold slashes. It has no files of a channel, no shards and nothing newer than bzip2; conda, mamba
and pixi ask for those under the same root when it is their ``channel_alias``, so they are known
here too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from registry.conda.names import ArchiveFormat
from registry.conda.subdirs import looks_like_subdir
from registry.generations import SHARD_INDEX
from registry.models.channel import MAIN

# The documents that Forgejo has, with the published file that each of them is made of.
DOCUMENTS = {
    "repodata.json": "repodata.json",
    "repodata.json.bz2": "repodata.json",
    "current_repodata.json": "current_repodata.json",
    "current_repodata.json.bz2": "current_repodata.json",
}
_NEWER_FILES = frozenset(
    {
        "repodata.json.zst",
        "current_repodata.json.zst",
        "run_exports.json",
        "run_exports.json.zst",
        SHARD_INDEX,
    }
)
_CHANNEL_FILES = frozenset({"channeldata.json", "notices.json"})

_SLASHES = re.compile(r"/{2,}")
_SHARD = re.compile(
    r"(?:(?P<channel>.+)/)?(?P<subdir>[^/]+)/shards/(?P<name>[0-9a-f]{64}\.msgpack\.zst)"
)
_IN_SUBDIR = re.compile(r"(?:(?P<channel>.+)/)?(?P<subdir>[^/]+)/(?P<name>[^/]+)")
_IN_CHANNEL = re.compile(r"(?:(?P<channel>.+)/)?(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file of a subdir's index."""

    channel: str
    subdir: str
    name: str


@dataclass(frozen=True, slots=True)
class Shard:
    channel: str
    subdir: str
    name: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A package file, to be fetched."""

    channel: str
    subdir: str
    filename: str


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """A file of the channel itself."""

    channel: str
    name: str


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an archive is to go. Its name says nothing but the format, as in Forgejo."""

    channel: str
    subdir: str | None
    format: ArchiveFormat


def clean(rest: str) -> str:
    """As Forgejo does before it looks: single slashes, and none at the end."""
    return _SLASHES.sub("/", rest).strip("/")


def parse_read(rest: str) -> IndexFile | Shard | Archive | ChannelFile | None:
    """What a GET asks for, None for what no channel has."""
    rest = clean(rest)
    if match := _SHARD.fullmatch(rest):
        return Shard(match["channel"] or MAIN, match["subdir"], match["name"])
    if match := _IN_SUBDIR.fullmatch(rest):
        channel, subdir, name = match["channel"] or MAIN, match["subdir"], match["name"]
        if name in DOCUMENTS or name in _NEWER_FILES:
            return IndexFile(channel, subdir, name)
        if _format_of(name) is not None:
            return Archive(channel, subdir, name)
    if (match := _IN_CHANNEL.fullmatch(rest)) and match["name"] in _CHANNEL_FILES:
        return ChannelFile(match["channel"] or MAIN, match["name"])
    return None


def parse_upload(rest: str) -> Upload | None:
    """Where a PUT wants to go, None for a name that is no archive's.

    Forgejo takes everything before the name for the channel, so whoever PUTs to the subdir, as
    other servers have it, makes a channel ``dev/linux-64`` there. Here a last part that looks
    like a subdir is one, and the package must belong to it.
    """
    match = _IN_CHANNEL.fullmatch(clean(rest))
    archive_format = _format_of(match["name"]) if match else None
    if match is None or archive_format is None:
        return None
    channel, subdir = match["channel"] or "", None
    front, _, last = channel.rpartition("/")
    if looks_like_subdir(last):
        channel, subdir = front, last
    return Upload(channel or MAIN, subdir, archive_format)


def _format_of(name: str) -> ArchiveFormat | None:
    """The format by the extension; something must stand before it, and case matters."""
    return next((f for f in ArchiveFormat if name.endswith(f.value) and name != f.value), None)


def split_name(name: str) -> tuple[str, str]:
    """The channel and the package of Forgejo's ``[<channel>/]<package>``."""
    channel, _, package = clean(name).rpartition("/")
    return channel or MAIN, package


def join_name(channel: str, package: str) -> str:
    return package if channel == MAIN else f"{channel}/{package}"
