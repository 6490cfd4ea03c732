"""Files that tell of a channel in short: ``current_repodata.json`` and ``channeldata.json``.

Only conda's classic solver reads the one, and websites the other, so they may come a minute
later. What they say of each name is kept, and made anew only for names that changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import msgspec
from django.db import transaction
from django.db.models import TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from registry import current, edges
from registry.conda.channeldata import InstallTraits, channeldata_entry, write_channeldata
from registry.conda.document import Document, repodata_openings
from registry.conda.layout import Part
from registry.conda.record import milliseconds
from registry.conda.subdirs import NOARCH
from registry.generations import Generation, info_of, write_document
from registry.models import Channel, ChanneldataEntry, ChannelFile, Package, bulk
from registry.rows import BATCH, Asked, Audience, Change, batched, touched_keys

CURRENT = "current_repodata.json"
_CURRENT_ZST = f"{CURRENT}.zst"
CHANNELDATA = "channeldata.json"
_NAMES = 500
_V3 = bytes([Part.V3_CONDA])
_NOTHING = (None, "null", "{}")
_RECORDS = Asked(
    lambda audience, keys: (
        audience.listed.filter(repodata_key__in=keys)
        .order_by("repodata_key")
        .values_list("repodata_key", audience.record)
    ),
    list[bytes],
)


def note_changes(
    channel: Channel,
    subdir: str,
    names: Collection[str] | None,
    generations: Collection[Generation],
) -> list[int] | None:
    """Say anew what the summaries of a subdir, or of the channel itself, need of these names, or
    of all. Gives the keys of the marks that it set, for names that change with them; None if all
    may."""
    if subdir:
        audiences = {one.audience: _CURRENT_ZST not in one.files for one in generations}
        return current.note(channel, subdir, names, audiences)
    for some in batched(sorted(names) if names is not None else _all(channel), _NAMES):
        _refresh_channeldata(channel, some)
        edges.note(channel, some)
    return []


def write_summaries(generation: Generation, changes: Collection[Change] | None) -> None:
    """Write the summaries from what was noted, as far as changes touch them, or whole."""
    if generation.audience.subdir:
        _write_current(generation, changes)
    else:
        generation.add(CHANNELDATA, lambda out: _write_channeldata(generation.audience, out))


def _all(channel: Channel) -> list[str]:
    """Names that are there or that something was noted of."""
    entries = ChannelFile.objects.filter(channel=channel)
    names = set(entries.order_by().values_list("name", flat=True).distinct())
    noted = ChanneldataEntry.objects.filter(channel=channel)
    return sorted(names | set(noted.values_list("package_name", flat=True)))


# --- current_repodata.json ---------------------------------------------------------------------


def _write_current(generation: Generation, changes: Collection[Change] | None) -> None:
    audience = generation.audience
    touched = None
    if changes is not None:
        # Of a changed file's name, others may have been listed before, or are now.
        names = [Change(name, "", removed=True) for name in {change.name for change in changes}]
        touched = touched_keys(audience.channel, audience.subdir, [*changes, *names])

    def read(start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        end = _V3 if stop is None else min(stop, _V3)
        for keys in current.listed_keys(audience, start, end):
            for key, record in _RECORDS.rows(audience, keys):
                yield bytes(key), bytes(record)
        yield from audience.read_removed(start, stop)

    openings = repodata_openings(info_of(audience), with_v3=False)
    write_document(generation, CURRENT, Document(openings, read), touched)


# --- channeldata.json --------------------------------------------------------------------------


def _refresh_channeldata(channel: Channel, names: Collection[str]) -> None:
    rows = (
        Audience(channel, "", members_only=True)
        .entries.filter(name__in=names)
        .order_by("name", "file__version_key", "file__id")
        .values_list(
            "name",
            "file__version",
            "subdir",
            # As text: of thousands of rows, few need to be understood.
            Cast("file__about", TextField()),
            KeyTextTransform("timestamp", "file__index"),
            Cast("file__run_exports", TextField()),
            Cast("file__channeldata_flags", TextField()),
        )
    )
    decode = msgspec.json.decode
    made: list[tuple[str, str, bytes]] = []
    for name, group in groupby(rows.iterator(chunk_size=BATCH), key=itemgetter(0)):
        exports: dict[str, object] = {}
        subdirs: set[str] = set()
        flags: dict[str, bool] = {}
        timestamp = 0
        version = ""
        newest = "{}"
        seen: set[str] = set()
        for _, version, subdir, about, stamp, run_exports, traits in group:
            newest = about
            subdirs.add(subdir)
            timestamp = max(timestamp, milliseconds(float(stamp or 0)))
            if run_exports not in _NOTHING:
                exports[version] = decode(run_exports)
            if traits not in seen:
                seen.add(traits)
                flags |= {key: True for key, value in decode(traits).items() if value}
        entry = channeldata_entry(
            name=name,
            version=version,
            subdirs=subdirs,
            about=decode(newest),
            timestamp_ms=timestamp,
            run_exports=exports,
            traits=InstallTraits(**flags),
        )
        made.append((name, msgspec.json.encode(sorted(subdirs)).decode(), entry))
    with transaction.atomic():
        ChanneldataEntry.objects.filter(channel=channel, package_name__in=names).delete()
        bulk.insert(
            ChanneldataEntry, ("package_name", "subdirs", "entry"), made, channel_id=channel.pk
        )


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
