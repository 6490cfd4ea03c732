"""Putting package files into channels and taking them out, and telling indexes what changed.

The rows of one file or of many, never of a whole channel. What may stand where is decided
elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple, Self

from accounts.identity import Identity
from registry import patched, ringing
from registry.conda.facts import FileFacts
from registry.conda.layout import removal_key, repodata_key
from registry.describing import Newcomer, describe, shown_packages
from registry.entering import Key
from registry.models import (
    Channel,
    ChannelFile,
    Package,
    PackageFile,
    Removal,
    StaleMark,
    bulk,
)
from registry.rows import batched

_AT_ONCE = 500

# --- What indexes are told -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change made stale: a file's record in a subdir, all of a name's when no filename
    is given, everything without a name. An empty subdir is the channel itself."""

    subdir: str
    name: str = ""
    filename: str = ""
    removed: bool = True
    """Whether the list of removed files changes as well."""
    hides: bool = False
    """Whether somebody must not see it any more."""

    @classmethod
    def by(cls, file: PackageFile, *, removed: bool = True) -> Self:
        return cls(file.subdir, file.name, file.filename, removed)


def mark_stale(channel: Channel, touched: Iterable[Touched]) -> None:
    """Note, in the transaction of the change, what of the channel's indexes it touched."""
    touched = list(touched)
    bulk.insert(
        StaleMark,
        ("subdir", "package_name", "filename", "removed", "is_urgent", "stage"),
        [
            # The channel's own files are summaries, all of them.
            (
                what.subdir,
                what.name,
                what.filename,
                what.removed,
                what.hides,
                (StaleMark.Stage.SHARDS if what.subdir else StaleMark.Stage.SUMMARIES).value,
            )
            for what in touched
        ],
        channel_id=channel.pk,
    )
    ringing.ring(channel.pk, sorted({what.subdir for what in touched}))


class Placed(NamedTuple):
    """A file, as far as channels know it."""

    file_id: int
    subdir: str
    name: str
    filename: str

    @classmethod
    def of(cls, file: PackageFile) -> Self:
        return cls(file.pk, file.subdir, file.name, file.filename)

    @property
    def key(self) -> Key:
        return self.subdir, self.filename


def _touched(files: Iterable[Placed], changed: AbstractSet[Key] = frozenset()) -> list[Touched]:
    """What new entries make stale: a name as a whole when there are several of it. Of those that
    ``changed``, the list of removed files does as well."""
    by_name: defaultdict[Key, list[Placed]] = defaultdict(list)
    for file in files:
        by_name[file.subdir, file.name].append(file)
    touched: list[Touched] = []
    for (subdir, name), some in by_name.items():
        # A whole name stands for what it has now: what left a list has to be named.
        one_by_one = [file for file in some if len(some) == 1 or file.key in changed]
        touched += _each(one_by_one, changed)
        if len(some) > len(one_by_one):
            touched.append(Touched(subdir, name, removed=False))
    return [*touched, *_summaries(name for _, name in by_name)]


def _each(files: Iterable[Placed], changed: AbstractSet[Key]) -> list[Touched]:
    return [
        Touched(file.subdir, file.name, file.filename, removed=file.key in changed)
        for file in files
    ]


def _summaries(names: Iterable[str]) -> list[Touched]:
    return [Touched("", name) for name in sorted(set(names))]


# --- Putting in ----------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A file that is to stand in a channel, and what it says of its package."""

    file_id: int
    subdir: str
    filename: str
    repodata_key: bytes
    version: str
    license: str
    about: str | None
    """As JSON; None: it is in the row of the file."""
    package: Package

    @classmethod
    def of(cls, file_id: int, package: Package, facts: FileFacts) -> Self:
        return cls(
            file_id, facts.subdir, facts.filename, facts.repodata_key, facts.version,
            facts.license, facts.about, package,
        )  # fmt: skip

    @classmethod
    def of_file(cls, file: PackageFile) -> Self:
        """Of a file that was entered before; it comes with its package."""
        return cls(
            file.pk,
            file.subdir,
            file.filename,
            repodata_key(file.filename, schema_version=file.schema_version),
            file.version,
            "",
            None,
            file.package,
        )

    @property
    def placed(self) -> Placed:
        return Placed(self.file_id, self.subdir, self.package.name, self.filename)

    def newcomer(self) -> Newcomer:
        return Newcomer(self.package, self.version, self.license, self.about, self.file_id)


def put_all(files: Iterable[PackageFile], channel: Channel, by: Identity) -> set[int]:
    """Put files into a channel that takes them, and mark its index stale; the keys of those that
    did not stand there."""
    return put_entries([Entry.of_file(file) for file in files], channel, by)


def put_entries(
    entries: Sequence[Entry],
    channel: Channel,
    by: Identity,
    *,
    new: AbstractSet[int] = frozenset(),
) -> set[int]:
    """`put_all`; ``new`` files were never in any channel."""
    old = [entry for entry in entries if entry.file_id not in new]
    if old:
        there = {file_id for file_id, _, _ in _standing(old, [channel.pk])}
        entries = [entry for entry in entries if entry.file_id not in there]
        old = [entry for entry in old if entry.file_id not in there]
    if not entries:
        return set()
    shown = shown_packages(entry.package for entry in entries)
    bulk.insert(
        ChannelFile,
        ("file_id", "subdir", "filename", "name", "repodata_key"),
        [
            (entry.file_id, entry.subdir, entry.filename, entry.package.name, entry.repodata_key)
            for entry in entries
        ],
        keep_known=True,
        channel_id=channel.pk,
        added_by_id=by.user.pk if by.user else None,
    )
    describe((entry.newcomer() for entry in entries), channel, shown=shown)
    changed = _forget_removals(channel, old) | _follow_patches(channel, entries)
    mark_stale(channel, _touched((entry.placed for entry in entries), changed))
    return {entry.file_id for entry in entries}


def _standing(entries: Sequence[Entry], channel_ids: Iterable[int]) -> list[tuple[int, int, bytes]]:
    """Files of these that stand in the channels: their key, the channel's, and where in it."""
    rows: list[tuple[int, int, bytes]] = []
    for some in batched([entry.file_id for entry in entries], _AT_ONCE):
        found = ChannelFile.objects.filter(file__in=some, channel__in=channel_ids)
        columns = found.values_list("file_id", "channel_id", "repodata_key")
        rows += [(file_id, channel_id, bytes(key)) for file_id, channel_id, key in columns]
    return rows


def _follow_patches(channel: Channel, entries: Iterable[Entry]) -> set[Key]:
    filenames: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        filenames[entry.subdir].append(entry.filename)
    withdrawn: set[Key] = set()
    for subdir, some in filenames.items():
        withdrawn |= patched.follow(channel, subdir, some)
    return withdrawn


def _forget_removals(channel: Channel, entries: Sequence[Entry]) -> set[Key]:
    """Let what stands in the channel again not be listed as removed; which of it was."""
    forgotten: set[Key] = set()
    for some in batched(entries, _AT_ONCE):
        removals = Removal.objects.filter(
            channel=channel,
            subdir__in={entry.subdir for entry in some},
            filename__in=[entry.filename for entry in some],
        )
        found = set(removals.values_list("subdir", "filename"))
        if found:
            removals.delete()
        forgotten |= found
    return forgotten


# --- Other bytes ---------------------------------------------------------------------------------


def tell_replaced(entries: Sequence[Entry], channels: Iterable[Channel]) -> None:
    """Have the channels say of these files, as far as they stand in them, what they are now that
    their bytes are others."""
    by_file = {entry.file_id: entry for entry in entries}
    held = {channel.pk: channel for channel in channels}
    here: defaultdict[int, list[Entry]] = defaultdict(list)
    moved: list[tuple[int, Entry]] = []
    for file_id, channel_id, key in _standing(entries, held):
        here[channel_id].append(by_file[file_id])
        if key != by_file[file_id].repodata_key:
            moved.append((channel_id, by_file[file_id]))
    for channel_id, entry in moved:  # other bytes, and of another schema: hardly ever
        ChannelFile.objects.filter(channel=channel_id, file=entry.file_id).update(
            repodata_key=entry.repodata_key
        )
    shown = shown_packages(entry.package for entry in entries)
    for channel_id, some in here.items():
        channel = held[channel_id]
        describe((entry.newcomer() for entry in some), channel, shown=shown)
        placed = [entry.placed for entry in some]
        # One by one: the place in the index may be another one, too.
        touched = _each(placed, _follow_patches(channel, some))
        mark_stale(channel, [*touched, *_summaries(file.name for file in placed)])


# --- Taking out ----------------------------------------------------------------------------------


def take_out(files: Sequence[Placed], channel: Channel) -> set[int]:
    """Take files out of a channel, which lists them as removed; the keys of those that stood
    there."""
    gone: set[int] = set()
    for some in batched([file.file_id for file in files], _AT_ONCE):
        entries = ChannelFile.objects.filter(channel=channel, file__in=some)
        gone.update(entries.values_list("file_id", flat=True))
        entries.delete()
    out = [file for file in files if file.file_id in gone]
    if not out:
        return gone
    bulk.insert(
        Removal,
        ("subdir", "filename", "package_name", "repodata_key"),
        [(file.subdir, file.filename, file.name, removal_key(file.filename)) for file in out],
        keep_known=True,
        channel_id=channel.pk,
    )
    # One by one: what is gone is found by nobody who looks what there is of a name.
    touched = _each(out, {file.key for file in out})
    mark_stale(channel, [*touched, *_summaries(file.name for file in out)])
    return gone


def channels_with(file_ids: Collection[int]) -> list[tuple[int, int]]:
    """Where these files stand: their keys, each with a channel's."""
    rows: list[tuple[int, int]] = []
    for some in batched(sorted(file_ids), _AT_ONCE):
        rows += ChannelFile.objects.filter(file__in=some).values_list("file_id", "channel_id")
    return rows
