"""Noting which names packages need, channel by channel: the edges of the dependency graph.

Noted with the summaries of a channel, for the names that changed. So taking files in costs
nothing, and ``condarium reindex`` notes all anew. What they mean to whom is asked in
`registry.dependents`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from operator import itemgetter

import msgspec
from django.db import transaction
from django.db.models.functions import Coalesce

from registry.conda.current import constraint, required_name
from registry.conda.names import MAX_NAME_LENGTH
from registry.models import Channel, Dependency, bulk
from registry.rows import BATCH, Audience, batched

_MOST_NAMES = 1000
_MOST_CONSTRAINTS = 20
_MOST_FILES = 200
_AT_ONCE = 500

Needed = dict[str, str]
"""What a package needs: names, each with what is asked of it, line by line."""


class _Record(msgspec.Struct):
    depends: list[str] = []


_RECORD = msgspec.json.Decoder(dict[str, _Record])


def note(channel: Channel, names: Collection[str]) -> None:
    """Note anew what the newest versions of these packages need, as the channel's index says it."""
    newest = _newest_files(channel, names)
    specs = _specs(channel, [file_id for _, files in newest.values() for file_id in files])
    wanted = {
        (name, package_id, needed): asked
        for name, (package_id, files) in newest.items()
        for needed, asked in needs(spec for file in files for spec in specs.get(file, ())).items()
    }
    _write(channel, names, wanted)


def _newest_files(channel: Channel, names: Collection[str]) -> dict[str, tuple[int, list[int]]]:
    """By name: the key of the package, and those of the files of its newest version."""
    rows = (
        Audience(channel, "", members_only=True)
        .listed.filter(name__in=names)
        .order_by("name", "-file__version_key")
        .values_list("name", "file__version_key", "file__package_id", "file_id")
    )
    found: dict[str, tuple[int, list[int]]] = {}
    for name, group in groupby(rows.iterator(chunk_size=BATCH), key=itemgetter(0)):
        versions = [(bytes(version), package, file) for _, version, package, file in group]
        newest, package_id, _ = versions[0]
        files = [file for version, _, file in versions if version == newest]
        found[name] = package_id, files[:_MOST_FILES]
    return found


def _specs(channel: Channel, file_ids: list[int]) -> dict[int, list[str]]:
    """What the channel's index says that these files depend on."""
    found: dict[int, list[str]] = {}
    for some in batched(sorted(file_ids), _AT_ONCE):
        entries = Audience(channel, "", members_only=True).listed.filter(file__in=some)
        said = Coalesce("patched__json", "record__json")
        for file_id, record in entries.order_by().values_list("file_id", said):
            (decoded,) = _RECORD.decode(b"{" + bytes(record) + b"}").values()
            found[file_id] = decoded.depends
    return found


def needs(specs: Iterable[str]) -> Needed:
    """The names that specs ask for, with all that is asked of each; in their order."""
    asked: dict[str, set[str]] = {}
    for spec in specs:
        name = required_name(spec)
        if 0 < len(name) <= MAX_NAME_LENGTH and (name in asked or len(asked) < _MOST_NAMES):
            asked.setdefault(name, set()).add(constraint(spec))
    return {
        name: "\n".join(sorted(asked[name] - {""})[:_MOST_CONSTRAINTS]) for name in sorted(asked)
    }


def _write(
    channel: Channel, names: Collection[str], wanted: Mapping[tuple[str, int, str], str]
) -> None:
    gone: list[int] = []
    left = dict(wanted)
    rows = Dependency.objects.filter(channel=channel, package_name__in=names)
    columns = rows.values_list("pk", "package_name", "package_id", "name", "constraints")
    for pk, package_name, package_id, name, constraints in columns.iterator(chunk_size=BATCH):
        if left.get((package_name, package_id, name)) == constraints:
            del left[package_name, package_id, name]
        else:
            gone.append(pk)
    with transaction.atomic():
        for some in batched(gone, _AT_ONCE):
            Dependency.objects.filter(pk__in=some).delete()
        bulk.insert(
            Dependency,
            ("package_name", "package_id", "name", "constraints"),
            [(*key, constraints) for key, constraints in left.items()],
            channel_id=channel.pk,
        )
