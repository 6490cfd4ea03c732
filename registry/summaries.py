"""Files that tell of a channel in short: ``current_repodata.json`` and ``channeldata.json``.

Only conda's classic solver reads the one, and websites the other, so they may come a minute
later. What they say of each name is kept, and made anew only for names that changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import msgspec
from django.db import transaction

from registry.conda.channeldata import InstallTraits, channeldata_entry, write_channeldata
from registry.conda.current import CurrentRow, Newest, current_filenames
from registry.conda.layout import Part, repodata_key
from registry.conda.record import milliseconds
from registry.conda.repodata import write_repodata
from registry.conda.subdirs import NOARCH
from registry.generations import Facts, Generation, info_of
from registry.models import Channel, ChanneldataEntry, ChannelFile, NewestFiles, Package
from registry.rows import BATCH, Audience, batched

CURRENT = "current_repodata.json"
CHANNELDATA = "channeldata.json"
_NAMES = 500


def note_changes(channel: Channel, subdir: str, names: Iterable[str] | None) -> None:
    """Say anew what the summaries of a subdir, or of the channel itself, need of these names, or
    of all."""
    refresh = _refresh_newest if subdir else _refresh_channeldata
    for some in batched(sorted(set(names)) if names is not None else _all(channel, subdir), _NAMES):
        with transaction.atomic():
            refresh(channel, subdir, some)


def write_summaries(generation: Generation) -> None:
    """Write the summaries from what was noted."""
    if generation.audience.subdir:
        _write_current(generation)
    else:
        generation.add(CHANNELDATA, lambda out: _write_channeldata(generation.audience, out))


def _all(channel: Channel, subdir: str) -> list[str]:
    """Names that are there or that something was noted of."""
    here = {"subdir": subdir} if subdir else {}
    entries = ChannelFile.objects.filter(channel=channel, **here)
    names = set(entries.order_by().values_list("name", flat=True).distinct())
    noted = NewestFiles if subdir else ChanneldataEntry
    names |= set(
        noted._default_manager.filter(channel=channel, **here).values_list(  # noqa: SLF001 - Django's documented API
            "package_name", flat=True
        )
    )
    return sorted(names)


# --- current_repodata.json ---------------------------------------------------------------------


def _refresh_newest(channel: Channel, subdir: str, names: Collection[str]) -> None:
    rows = (
        Audience(channel, subdir, members_only=True)
        .listed.filter(name__in=names, repodata_key__lt=bytes([Part.V3_CONDA]))
        .order_by("name", "-file__version_key", "repodata_key")
        .values_list("name", "file__version_key", "file__version", "filename", "file_id")
    )
    made: list[NewestFiles] = []
    for name, group in groupby(rows.iterator(chunk_size=BATCH), key=itemgetter(0)):
        newest: list[tuple[str, str, int]] = []
        first: bytes | None = None
        for _, version_key, version, filename, file_id in group:
            # Spellings of one version have the same key: 1.0 and 1.0.0.
            first = bytes(version_key) if first is None else first
            if bytes(version_key) == first:
                newest.append((version, filename, file_id))
        made.append(
            NewestFiles(
                channel=channel,
                subdir=subdir,
                package_name=name,
                rows=msgspec.msgpack.encode(
                    Newest(
                        name,
                        [(version, filename) for version, filename, _ in newest],
                        _depends([file_id for _, _, file_id in newest]),
                    )
                ),
            )
        )
    NewestFiles.objects.filter(channel=channel, subdir=subdir, package_name__in=names).delete()
    NewestFiles.objects.bulk_create(made, batch_size=200)


def _depends(file_ids: list[int]) -> list[str]:
    depends: set[str] = set()
    for some in batched(file_ids, _NAMES):
        rows = ChannelFile.objects.filter(file__in=some).values_list("file__index__depends")
        for (specs,) in rows.distinct().iterator(chunk_size=BATCH):
            depends.update(specs or ())
    return sorted(depends)


class _Newest:
    """What was noted, to be read as often as is wanted."""

    def __init__(self, audience: Audience) -> None:
        noted = NewestFiles.objects.filter(channel=audience.channel, subdir=audience.subdir)
        if audience.hides:
            private = Package.objects.filter(account=audience.channel.account_id, is_private=True)
            noted = noted.exclude(package_name__in=private.values("name"))
        self._rows = noted.order_by("package_name").values_list("rows", flat=True)

    def __iter__(self) -> Iterator[Newest]:
        return map(_NEWEST.decode, self._rows.iterator(chunk_size=BATCH))


_NEWEST = msgspec.msgpack.Decoder(Newest)


def _write_current(generation: Generation) -> None:
    audience = generation.audience

    def more(names: Collection[str]) -> Iterator[CurrentRow]:
        for some in batched(sorted(names), _NAMES):
            found = audience.listed.filter(
                name__in=some, repodata_key__lt=bytes([Part.V3_CONDA])
            ).order_by("name", "repodata_key")
            columns = found.values_list("filename", "name", "file__version")
            yield from map(CurrentRow._make, columns.iterator(chunk_size=BATCH))

    def depends(filenames: Collection[str]) -> Iterator[str]:
        for some in batched(sorted(filenames), _NAMES):
            found = audience.listed.filter(filename__in=some)
            for specs in found.values_list("file__index__depends", flat=True).iterator(BATCH):
                yield from specs or ()

    keys = sorted(
        repodata_key(filename, schema_version=1)
        for filename in current_filenames(_Newest(audience), more, depends)
    )

    def write(out: BinaryIO) -> Facts:
        layout = write_repodata(
            out,
            info=info_of(audience),
            packages=_records(audience, [key for key in keys if key[0] == Part.TAR_BZ2]),
            conda_packages=_records(audience, [key for key in keys if key[0] == Part.CONDA]),
            removed=audience.removals.values_list("filename", flat=True).iterator(BATCH),
        )
        return {"removed_offset": layout.removed_offset}

    generation.add_with_zst(CURRENT, write)


def _records(audience: Audience, keys: list[bytes]) -> Iterator[bytes]:
    for some in batched(keys, _NAMES):
        rows = audience.listed.filter(repodata_key__in=some).order_by("repodata_key")
        for record in rows.values_list(audience.record, flat=True):
            yield bytes(record)


# --- channeldata.json --------------------------------------------------------------------------


def _refresh_channeldata(channel: Channel, _subdir: str, names: Collection[str]) -> None:
    rows = (
        Audience(channel, "", members_only=True)
        .entries.filter(name__in=names)
        .order_by("name", "file__version_key", "file__id")
        .values_list(
            "name",
            "file__version",
            "subdir",
            "file__about",
            "file__index__timestamp",
            "file__run_exports",
            "file__channeldata_flags",
        )
    )
    made: list[ChanneldataEntry] = []
    for name, group in groupby(rows.iterator(chunk_size=BATCH), key=itemgetter(0)):
        exports: dict[str, object] = {}
        subdirs: set[str] = set()
        flags: dict[str, bool] = {}
        timestamp = 0
        version = ""
        about: dict[str, object] = {}
        for _, version, subdir, newest, stamp, run_exports, traits in group:
            about = newest
            subdirs.add(subdir)
            timestamp = max(timestamp, milliseconds(stamp or 0))
            if run_exports:
                exports[version] = run_exports
            flags = {key: flags.get(key, False) or value for key, value in traits.items()}
        entry = channeldata_entry(
            name=name,
            version=version,
            subdirs=subdirs,
            about=about,
            timestamp_ms=timestamp,
            run_exports=exports,
            traits=InstallTraits(**flags),
        )
        made.append(
            ChanneldataEntry(
                channel=channel, package_name=name, subdirs=sorted(subdirs), entry=entry
            )
        )
    ChanneldataEntry.objects.filter(channel=channel, package_name__in=names).delete()
    ChanneldataEntry.objects.bulk_create(made, batch_size=200)


def _write_channeldata(audience: Audience, out: BinaryIO) -> None:
    noted = ChanneldataEntry.objects.filter(channel=audience.channel)
    if audience.hides:
        private = Package.objects.filter(account=audience.channel.account_id, is_private=True)
        noted = noted.exclude(package_name__in=private.values("name"))
    subdirs = {NOARCH}
    for some in noted.values_list("subdirs", flat=True).iterator(chunk_size=BATCH):
        subdirs.update(some)
    names = sorted(noted.values_list("package_name", flat=True))

    def entries() -> Iterator[bytes]:
        # By name in pieces: databases sort text by a language's rules.
        for some in batched(names, _NAMES):
            found = dict(noted.filter(package_name__in=some).values_list("package_name", "entry"))
            for name in some:
                yield bytes(found[name])

    write_channeldata(out, packages=entries(), subdirs=subdirs)
