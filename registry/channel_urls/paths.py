"""What a path below an account stands for.

The file's name decides, read from the end, so that no path can mean two things: package files,
their attestations and index files lie in a subdir, notices and channeldata in the channel, shards
in a folder of their own, and whatever comes before is the channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from registry.conda.subdirs import is_subdir
from registry.models.channel import MAIN

CHANNEL_FILES = frozenset({"channeldata.json", "notices.json"})
SHARDS = "shards"
LABEL = "label"
_MAX_PATH_LENGTH = 1024
_SIDECAR_NAME = re.compile(r"(.+\.(?:conda|tar\.bz2))\.sigs(?:\.([0-9a-f]{64}))?", re.ASCII)
_SHARD_NAME = re.compile(r"[0-9a-f]{64}\.msgpack\.zst", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChannelPath:
    """A place in a channel: ``subdir`` is None for the files of the channel itself."""

    channel: str
    subdir: str | None
    name: str
    is_shard: bool = False

    @property
    def is_package(self) -> bool:
        return self.subdir is not None and self.name.endswith((".conda", ".tar.bz2"))

    @property
    def sidecar_of(self) -> tuple[str, str | None] | None:
        """The package file whose attestations lie here, and the digest of those (CEP 50)."""
        match = _SIDECAR_NAME.fullmatch(self.name) if self.subdir is not None else None
        return None if match is None else (match[1], match[2])


def parse_channel_path(rest: str) -> ChannelPath | None:
    """Take apart what follows ``/conda/<account>/``, percent-decoded; None for no such place.

    The channel is whatever stands before the subdir, with or without ``label/`` in front, and
    `main` when nothing does. Whether there is one of that name, or may be, is not asked here.
    """
    segments = rest.split("/")
    odd = len(rest) > _MAX_PATH_LENGTH or not rest.isprintable()
    if odd or not all(segments) or not {".", ".."}.isdisjoint(segments):
        return None
    *folders, name = segments
    subdir: str | None = None
    is_shard = False
    if name not in CHANNEL_FILES:
        is_shard = folders[-1:] == [SHARDS] and _SHARD_NAME.fullmatch(name) is not None
        if is_shard:
            folders.pop()
        if not folders or not is_subdir(folders[-1]):
            return None
        subdir = folders.pop()
    if folders and folders[0] == LABEL:
        folders = folders[1:]
        if not folders:
            return None
    return ChannelPath("/".join(folders) or MAIN, subdir, name, is_shard)


def channel_url(account: str, channel: str, subdir: str | None = None, name: str = "") -> str:
    """The path of a place, percent-encoded; of the channel itself without a subdir and a name."""
    parts = ["/conda", quote(account)]
    if channel != MAIN:
        # A ':' may stand in a segment, and clients send it so.
        parts += [LABEL, quote(channel, safe="/:")]
    if subdir is not None:
        parts.append(subdir)
    if name:
        parts.append(quote(name))
    return "/".join(parts)
