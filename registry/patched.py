"""What a channel's indexes say of its files once its patches are applied.

Over a file's own record comes the newest set of instructions that was not undone, then each edit
of the file, by their numbers. What comes of it is kept beside the entry, so that no index needs to
know of patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
import zstandard
from django.db import connection
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from registry.conda import patches
from registry.conda.layout import record_key, removal_key
from registry.conda.patches import DistPatch
from registry.conda.record import record_json, record_msgpack
from registry.conda.run_exports import normalize_run_exports, run_exports_fragment
from registry.models import (
    Channel,
    ChannelFile,
    Patch,
    PatchChunk,
    PatchedRecord,
    Removal,
)
from registry.rows import Audience

_CHUNK_DISTS = 500
_CHUNKS_AT_ONCE = 20
_LEVEL = 6
_EXTENSIONS = (patches.TAR_BZ2, patches.CONDA)
Item = TypeVar("Item")
_decode_chunk = msgspec.msgpack.Decoder(dict[str, DistPatch]).decode


# --- What patches say ----------------------------------------------------------------------------


def keep(patch: Patch, said: Iterable[tuple[str, DistPatch]]) -> None:
    """Keep what a patch says; dists come in their order."""
    chunks = (
        PatchChunk(
            patch=patch,
            first=some[0][0].encode(),
            last=some[-1][0].encode(),
            data=_compress(dict(some)),
        )
        for some in _batched(said, _CHUNK_DISTS)
    )
    for some_chunks in _batched(chunks, _CHUNKS_AT_ONCE):
        PatchChunk.objects.bulk_create(some_chunks)


def _compress(said: dict[str, DistPatch]) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(said))


def _unpack(data: bytes) -> dict[str, DistPatch]:
    return _decode_chunk(zstandard.ZstdDecompressor().decompress(data))


def said_by(patch: Patch | None) -> Iterator[tuple[str, DistPatch]]:
    """What the patch says, in the order of the dists; no patch says nothing."""
    if patch is not None:
        chunks = PatchChunk.objects.filter(patch=patch).order_by("first")
        for data in chunks.values_list("data", flat=True).iterator(chunk_size=_CHUNKS_AT_ONCE):
            yield from _unpack(bytes(data)).items()


def newest_set(channel: Channel, subdir: str, *, other_than: Patch | None = None) -> Patch | None:
    """The set of instructions that counts, or would without another."""
    sets = _sets(channel, subdir)
    return (sets.exclude(pk=other_than.pk) if other_than else sets).first()


def _sets(channel: Channel, subdir: str) -> QuerySet[Patch]:
    return Patch.objects.filter(
        channel=channel,
        subdir=subdir,
        filename="",
        kind=Patch.Kind.INSTRUCTIONS,
        undone_at=None,
    ).order_by("-pk")


def differing(
    one: Iterator[tuple[str, DistPatch]], other: Iterator[tuple[str, DistPatch]]
) -> Iterator[str]:
    """The dists of which two patches say different things."""
    by_dist = groupby(merge(one, other, key=itemgetter(0)), key=itemgetter(0))
    for dist, pairs in by_dist:
        said = [patch for _, patch in pairs]
        if len(said) == 1 or said[0] != said[1]:
            yield dist


def _active(channel: Channel, subdir: str, dists: list[str]) -> dict[str, list[DistPatch]]:
    """What counts of these dists, which come in their order, as it is to be applied; one query."""
    sets = _sets(channel, subdir)
    filenames = [dist + extension for dist in dists for extension in _EXTENSIONS]
    counting = Q(patch__filename="", patch=sets.values("pk")[:1]) | Q(
        patch__kind=Patch.Kind.EDIT, patch__filename__in=filenames
    )
    edits_last = Case(
        When(patch__kind=Patch.Kind.EDIT, then=Value(1)),
        default=Value(0),
        output_field=IntegerField(),
    )
    chunks = (
        PatchChunk.objects.filter(
            counting,
            patch__channel=channel,
            patch__subdir=subdir,
            patch__undone_at=None,
            first__lte=dists[-1].encode(),
            last__gte=dists[0].encode(),
        )
        .order_by(edits_last, "patch", "first")
        .values_list("data", flat=True)
    )
    wanted: dict[str, list[DistPatch]] = {dist: [] for dist in dists}
    for data in chunks:
        said = _unpack(bytes(data))
        for dist in said.keys() & wanted.keys():
            wanted[dist].append(said[dist])
    return wanted


# --- What comes of them --------------------------------------------------------------------------


class Serialized(NamedTuple):
    """What stands in the indexes instead of a file's own record."""

    json: bytes
    msgpack: bytes
    run_exports_json: bytes | None


@dataclass(frozen=True, slots=True)
class Change:
    """An entry, what was said of it, and what patches now say; None stands for its own record."""

    entry_id: int
    filename: str
    name: str
    original: dict[str, object]
    original_run_exports: object
    before: Serialized | None
    after: Serialized | None
    was_withdrawn: bool
    is_withdrawn: bool
    is_revoked: bool

    @property
    def is_none(self) -> bool:
        return self.before == self.after and self.was_withdrawn == self.is_withdrawn

    @property
    def is_rewritten(self) -> bool:
        return self.before != self.after

    def keys(self) -> list[KeyChange]:
        """What changes of the record, key by key."""
        return _differences(self._words(self.before), self._words(self.after))

    def _words(self, serialized: Serialized | None) -> dict[str, Any]:
        if serialized is None:
            return _own_words(self.original, self.original_run_exports)
        return _kept_words(serialized.json, serialized.run_exports_json, self.original_run_exports)


class KeyChange(NamedTuple):
    """One key of a record that changed; None where it was not, or is no more."""

    key: str
    before: object
    after: object


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[KeyChange]:
    return [
        KeyChange(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def differences(entry: ChannelFile) -> list[KeyChange]:
    """Where the index says something else of a file than the file itself.

    ``entry`` comes with its file and what it is patched to.
    """
    return _differences(record_of_entry(entry, patched=False), record_of_entry(entry))


def record_of_entry(entry: ChannelFile, *, patched: bool = True) -> dict[str, Any]:
    """What the index says of a file, run exports included; or what the file itself says.

    ``entry`` comes with its file and what it is patched to.
    """
    kept: PatchedRecord | None = getattr(entry, "patched", None) if patched else None
    if kept is None:
        return _own_words(entry.file.index, entry.file.run_exports)
    return _kept_words(
        bytes(kept.json),
        None if kept.run_exports_json is None else bytes(kept.run_exports_json),
        entry.file.run_exports,
    )


def _own_words(record: dict[str, object], run_exports: object) -> dict[str, Any]:
    return {**record, "run_exports": normalize_run_exports(run_exports)}


def _kept_words(
    json: bytes, run_exports_json: bytes | None, original_run_exports: object
) -> dict[str, Any]:
    record = _value(json)
    if run_exports_json is None:
        return _own_words(record, original_run_exports)
    return {**record, **_value(run_exports_json)}


def _value(member: bytes) -> dict[str, Any]:
    """What stands behind the name in a member of an index."""
    (value,) = msgspec.json.decode(b"{" + member + b"}", type=dict[str, dict[str, Any]]).values()
    return value


def plan(channel: Channel, subdir: str, dists: Iterable[str]) -> Iterator[Change]:
    """What the patches that count make of the files of these dists, which come in their order.

    It changes nothing, and holds a batch at a time.
    """
    for some in _batched(dists, _CHUNK_DISTS):
        said = _active(channel, subdir, some)
        filenames = [dist + extension for dist in some for extension in _EXTENSIONS]
        entries = ChannelFile.objects.filter(channel=channel, subdir=subdir, filename__in=filenames)
        for row in entries.order_by("repodata_key").values_list(*_COLUMNS):
            standing = _Standing(*row)
            yield _change(standing, said[patches.split_filename(standing.filename)[0]])


class _Standing(NamedTuple):
    """A file that stands in a channel, and what is said of it now; in the order of `_COLUMNS`."""

    entry_id: int
    filename: str
    name: str
    is_withdrawn: bool
    record: dict[str, object]
    run_exports: object
    schema_version: int
    json: bytes | None = None
    msgpack: bytes | None = None
    run_exports_json: bytes | None = None

    @property
    def said(self) -> Serialized | None:
        if self.json is None or self.msgpack is None:
            return None
        exports = self.run_exports_json
        return Serialized(
            bytes(self.json), bytes(self.msgpack), None if exports is None else bytes(exports)
        )


# Not as rows of their models: to make those costs more than all the patching.
_COLUMNS = (
    "pk",
    "filename",
    "name",
    "is_withdrawn",
    "file__index",
    "file__run_exports",
    "file__schema_version",
    "patched__json",
    "patched__msgpack",
    "patched__run_exports_json",
)


def _change(standing: _Standing, said: list[DistPatch]) -> Change:
    patched = patches.apply(
        standing.record,
        standing.run_exports,
        said,
        extension=patches.split_filename(standing.filename)[1],
        schema_version=standing.schema_version,
    )
    return Change(
        entry_id=standing.entry_id,
        filename=standing.filename,
        name=standing.name,
        original=standing.record,
        original_run_exports=standing.run_exports,
        before=standing.said,
        # What is withdrawn is told of nobody.
        after=None if patched.is_removed else _serialized(standing, patched),
        was_withdrawn=standing.is_withdrawn,
        is_withdrawn=patched.is_removed,
        is_revoked=patched.is_revoked and not patched.is_removed,
    )


def _serialized(standing: _Standing, patched: patches.Patched) -> Serialized | None:
    exports_differ = patched.run_exports != normalize_run_exports(standing.run_exports)
    if patched.record == standing.record and not exports_differ:
        return None
    filename = standing.filename
    key = record_key(filename, schema_version=standing.schema_version)
    return Serialized(
        record_json(key, patched.record),
        record_msgpack(patched.record, patched.run_exports),
        run_exports_fragment(filename, patched.run_exports) if exports_differ else None,
    )


def standing(
    channel: Channel, subdir: str, dists: Iterable[str]
) -> Iterator[tuple[list[str], set[str]]]:
    """The names of their files that stand there, a batch of dists at a time."""
    for some in _batched(dists, _CHUNK_DISTS):
        filenames = [dist + extension for dist in some for extension in _EXTENSIONS]
        entries = ChannelFile.objects.filter(channel=channel, subdir=subdir, filename__in=filenames)
        yield some, set(entries.values_list("filename", flat=True))


# --- Writing it down -----------------------------------------------------------------------------


def settle(channel: Channel, subdir: str, changes: Iterable[Change]) -> Iterator[Change]:
    """Write down what `plan` found, and hand on what is a change."""
    for some in _batched((change for change in changes if not change.is_none), _CHUNK_DISTS):
        _write(channel, subdir, some)
        yield from some


def _write(channel: Channel, subdir: str, changes: list[Change]) -> None:
    rewritten = [change for change in changes if change.is_rewritten]
    _write_records(rewritten)
    withdrawn = [c for c in changes if c.is_withdrawn and not c.was_withdrawn]
    restored = [c for c in changes if c.was_withdrawn and not c.is_withdrawn]
    for flipped, is_withdrawn in ((withdrawn, True), (restored, False)):
        if flipped:
            ids = [change.entry_id for change in flipped]
            ChannelFile.objects.filter(pk__in=ids).update(is_withdrawn=is_withdrawn)
    if withdrawn:
        Removal.objects.bulk_create(
            [
                Removal(
                    channel=channel,
                    subdir=subdir,
                    filename=change.filename,
                    package_name=change.name,
                    repodata_key=removal_key(change.filename),
                )
                for change in withdrawn
            ],
            ignore_conflicts=True,
        )
    if restored:
        # Those of files that really left have no entry, so they are none of these.
        Removal.objects.filter(
            channel=channel, subdir=subdir, filename__in=[c.filename for c in restored]
        ).delete()


def _write_records(changes: list[Change]) -> None:
    rows = [
        PatchedRecord(
            entry_id=change.entry_id,
            json=change.after.json,
            msgpack=change.after.msgpack,
            run_exports_json=change.after.run_exports_json,
        )
        for change in changes
        if change.after is not None
    ]
    if rows:
        PatchedRecord.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["entry"],
            update_fields=["json", "msgpack", "run_exports_json"],
        )
    originals = [change.entry_id for change in changes if change.after is None]
    if originals:
        PatchedRecord.objects.filter(entry__in=originals).delete()


def follow(channel: Channel, subdir: str, filenames: Iterable[str]) -> set[tuple[str, str]]:
    """Apply the channel's patches to files that were just put into it; those that are withdrawn.

    Whoever patches a channel locks its row: they see the entries, or are seen here.
    """
    _let_nobody_patch(channel)
    if not Audience(channel, subdir).is_patched:
        return set()
    dists = sorted({patches.split_filename(filename)[0] for filename in filenames})
    changes = settle(channel, subdir, plan(channel, subdir, dists))
    return {(subdir, change.filename) for change in changes if change.is_withdrawn}


def _let_nobody_patch(channel: Channel) -> None:
    """Until this transaction ends. Uploads don't keep each other waiting with it."""
    if connection.vendor == "postgresql":  # SQLite has one writer at a time
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM registry_channel WHERE id = %s FOR KEY SHARE", [channel.pk]
            )


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
