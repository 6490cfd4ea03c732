"""What ``current_repodata.json`` lists, kept name by name.

For each name its newest version is noted, with what its files depend on and which older versions
of other names that leads to: its *targets*. A change notes the names it touched anew, and those
that ask for one of them whose versions changed. What is listed then follows from the few
versions that have targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

import msgspec
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Func, Q, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

from portal.prepared import Prepared
from registry.conda.current import (
    Version,
    VersionFacts,
    is_met,
    needed_version,
    required_name,
)
from registry.conda.layout import Part
from registry.models import Channel, CurrentFile, CurrentVersion, StaleMark, bulk
from registry.rows import BATCH, Asked, Audience, batched

_NAMES = 500
# From here on it is less work to look at everything than for those that ask for one of them.
_MOST_ASKED_FOR = 16
_V3 = bytes([Part.V3_CONDA])

Node = tuple[str, bytes]
"""A name, and the key of one of its versions."""
Targets = list[Node]


class _Record(msgspec.Struct):
    depends: list[str] = []


_HERE = (int, str)  # the channel's key, and the subdir


def _noted_as(*columns: str, **where: object) -> Prepared:
    """These columns of what is noted of names."""
    return Prepared(
        lambda channel_id, subdir, names: CurrentVersion.objects.filter(
            channel=channel_id, subdir=subdir, package_name__in=names, **where
        ).values_list(*columns),
        *_HERE,
        list[str],
    )


_DIGESTS = _noted_as("package_name", "versions_digest", is_newest=True)
_NEWEST = _noted_as("pk", "package_name", "version_key", "facts", is_newest=True)
_OLDER = _noted_as("package_name", "version_key", "facts", is_newest=False)
_LEADING = Prepared(
    lambda channel_id, subdir: CurrentVersion.objects.filter(
        channel=channel_id, subdir=subdir, targets__isnull=False
    ).values_list("package_name", "version_key", "is_newest", "targets"),
    *_HERE,
)
_FORGET = Prepared(
    lambda channel_id, subdir, names: CurrentVersion.objects.filter(
        channel=channel_id, subdir=subdir, package_name__in=names
    ),
    *_HERE,
    list[str],
    deletes=True,
)


class _Shown:
    """What is asked about the files that are listed to everybody, or to members."""

    def __init__(self, *, members_only: bool) -> None:
        files = CurrentFile.objects.filter(members_only=members_only)
        self.older = Prepared(
            lambda channel_id, subdir: files.filter(
                channel=channel_id, subdir=subdir, is_newest=False
            ).values_list("package_name", "repodata_key"),
            *_HERE,
        )
        self.keys = Prepared(
            lambda channel_id, subdir, start, stop: (
                files.filter(
                    channel=channel_id,
                    subdir=subdir,
                    repodata_key__gte=start,
                    repodata_key__lt=stop,
                )
                .order_by("repodata_key")
                .values_list("repodata_key")[:_NAMES]
            ),
            *_HERE,
            bytes,
            bytes,
        )
        self.forget = Prepared(
            lambda channel_id, subdir, names: files.filter(
                channel=channel_id, subdir=subdir, package_name__in=names
            ),
            *_HERE,
            list[str],
            deletes=True,
        )


_SHOWN = {members_only: _Shown(members_only=members_only) for members_only in (False, True)}

# All versions of names, and files by what says of them what they depend on.
_FILES = Asked(
    lambda audience, names: (
        audience.listed.filter(name__in=names, repodata_key__lt=_V3)
        .order_by("name", "-file__version_key", "repodata_key")
        .values_list("name", "file__version_key", "file__version", "repodata_key")
    ),
    list[str],
)
_VERSIONS = Asked(
    lambda audience, names: (
        audience.listed.filter(name__in=names, repodata_key__lt=_V3)
        .order_by("name", "-file__version_key", "file__version")
        .values_list("name", "file__version_key", "file__version")
        .distinct()
    ),
    list[str],
)
_RECORDS = Asked(
    lambda audience, keys: (
        audience.listed.filter(repodata_key__in=keys)
        .order_by()
        .values_list("repodata_key", audience.record)
    ),
    list[bytes],
)

_RECORD = msgspec.json.Decoder(dict[str, _Record])
_FACTS = msgspec.msgpack.Decoder(VersionFacts)
_TARGETS = msgspec.msgpack.Decoder(Targets)


def note(
    channel: Channel, subdir: str, names: Collection[str] | None, audiences: Mapping[Audience, bool]
) -> list[int] | None:
    """Note anew what these names, or all, mean for what is listed to each of the audiences; with
    True, to an audience that nothing was listed to.

    Names that are listed otherwise though nothing of them changed are marked, in the same
    transaction; the keys of the marks, or None if all may be listed otherwise.
    """
    all_of_it = Audience(channel, subdir, members_only=True)
    if names is None or len(names) > _NAMES:
        # In pieces, and others may write while something is found out: as long as the marks are
        # there, it is done again.
        _note_everything(all_of_it)
        graph = _follow(all_of_it)
        for audience in audiences:
            _list_everything(audience, graph.reached(audience))
        return None
    with transaction.atomic():
        resolver = _Resolver(all_of_it)
        asked_for = _note_newest(all_of_it, names)
        _aim(all_of_it, names, resolver)
        _aim_at(all_of_it, asked_for, resolver, leave_out=names)
        graph = _follow(all_of_it)
        changed: set[str] = set()
        for audience, is_new in audiences.items():
            if is_new:
                _list_everything(audience, graph.reached(audience))
            else:
                changed |= _list(audience, names, graph.reached(audience))
        return _mark(channel, subdir, changed)


def listed_keys(audience: Audience, start: bytes, stop: bytes) -> Iterator[list[bytes]]:
    """The keys of the files that are listed to the audience, in their order, some at a time."""
    keys = _SHOWN[audience.members_only].keys
    while start < stop:
        some = [bytes(key) for (key,) in keys.rows(*_here(audience), start, stop)]
        if some:
            yield some
        if len(some) < _NAMES:
            return
        start = some[-1] + b"\0"


def _here(audience: Audience) -> tuple[int, str]:
    return audience.channel.pk, audience.subdir


def _listed(audience: Audience) -> QuerySet[CurrentFile]:
    return CurrentFile.objects.filter(
        channel=audience.channel, subdir=audience.subdir, members_only=audience.members_only
    )


def _noted(audience: Audience) -> QuerySet[CurrentVersion]:
    return CurrentVersion.objects.filter(channel=audience.channel, subdir=audience.subdir)


def _mark(channel: Channel, subdir: str, names: Collection[str]) -> list[int]:
    marks = [
        StaleMark(
            channel=channel,
            subdir=subdir,
            package_name=name,
            stage=StaleMark.Stage.SUMMARIES,
        )
        for name in sorted(names)
    ]
    return [mark.pk for mark in StaleMark.objects.bulk_create(marks, batch_size=200)]


# --- The newest version of each name -----------------------------------------------------------


def _note_everything(audience: Audience) -> None:
    _noted(audience).delete()
    names = sorted(set(audience.listed.order_by().values_list("name", flat=True).distinct()))
    for some in batched(names, _NAMES):
        _note_newest(audience, some)
    resolver = _Resolver(audience)
    for some in batched(names, _NAMES):
        _aim(audience, some, resolver)


def _note_newest(audience: Audience, names: Collection[str]) -> set[str]:
    """Note the newest versions of these names; which of them have other versions than before."""
    names = list(names)
    before = {name: bytes(digest) for name, digest in _DIGESTS.rows(*_here(audience), names)}
    newest: dict[str, tuple[bytes, list[str], list[bytes], bytes]] = {}
    for name, group in groupby(_FILES.stream(audience, names), key=itemgetter(0)):
        first = b""
        digest = hashlib.sha256()
        spellings: dict[str, None] = {}
        keys: list[bytes] = []
        known: set[tuple[bytes, str]] = set()
        for _, version_key, spelling, repodata_key in group:
            version = bytes(version_key)
            first = first or version
            if (version, spelling) not in known:
                known.add((version, spelling))
                digest.update(b"%d %d " % (len(version), len(spelling)))
                digest.update(version + spelling.encode())
            if version == first:
                spellings[spelling] = None
                keys.append(bytes(repodata_key))
        newest[name] = first, list(spellings), keys, digest.digest()[:16]
    depends = _depends(audience, [found[2] for found in newest.values()])
    with transaction.atomic(savepoint=False):
        _FORGET.update(*_here(audience), names)
        _insert(
            audience,
            {
                (name, version): VersionFacts(spellings, keys, asked)
                for (name, (version, spellings, keys, _)), asked in zip(
                    newest.items(), depends, strict=True
                )
            },
            digests={name: found[3] for name, found in newest.items()},
        )
    after = {name: found[3] for name, found in newest.items()}
    return {name for name in names if before.get(name) != after.get(name)}


def _insert(
    audience: Audience,
    versions: Mapping[Node, VersionFacts],
    *,
    digests: Mapping[str, bytes] | None = None,
) -> None:
    """``digests`` of all versions of the names, where these are the newest."""
    bulk.insert(
        CurrentVersion,
        ("package_name", "version_key", "facts", "versions_digest"),
        [
            (name, version, msgspec.msgpack.encode(facts), (digests or {}).get(name, b""))
            for (name, version), facts in versions.items()
        ],
        channel_id=audience.channel.pk,
        subdir=audience.subdir,
        is_newest=digests is not None,
    )


def _depends(audience: Audience, keys: list[list[bytes]]) -> list[list[str]]:
    """What the files of each list depend on."""
    found: dict[bytes, list[str]] = {}
    for some in batched([key for group in keys for key in group], _NAMES):
        for key, record in _RECORDS.stream(audience, some):
            (said,) = _RECORD.decode(b"{" + bytes(record) + b"}").values()
            found[bytes(key)] = said.depends
    return [sorted({spec for key in group for spec in found.get(key, ())}) for group in keys]


# --- What they lead to -------------------------------------------------------------------------


@dataclass(slots=True)
class _Resolver:
    """Finds the versions that dependencies need beside the newest ones."""

    audience: Audience
    _found: dict[str, bytes | None] = field(default_factory=dict)
    _REMEMBERED = 20_000

    def targets(self, depends: Iterable[Collection[str]]) -> list[Targets]:
        depends = list(depends)
        self._resolve({spec for specs in depends for spec in specs})
        return [
            sorted(
                {
                    (required_name(spec), version)
                    for spec in specs
                    for version in [self._found[spec]]
                    if version is not None
                }
            )
            for specs in depends
        ]

    def _resolve(self, specs: set[str]) -> None:
        if len(self._found) > self._REMEMBERED:
            self._found = {spec: self._found[spec] for spec in specs & self._found.keys()}
        by_name: dict[str, list[str]] = {}
        for spec in specs - self._found.keys():
            self._found[spec] = None
            by_name.setdefault(required_name(spec), []).append(spec)
        unmet: dict[str, list[str]] = {}
        for some in batched(sorted(by_name.keys() - {""}), _NAMES):
            for _, name, key, facts in _NEWEST.rows(*_here(self.audience), some):
                spelled = [Version(bytes(key), text) for text in _FACTS.decode(facts).spellings]
                left = [spec for spec in by_name[name] if not is_met(spec, spelled)]
                if left:
                    unmet[name] = left
        for some in batched(sorted(unmet), _NAMES):
            for name, versions in self._versions(some):
                for spec in unmet[name]:
                    self._found[spec] = needed_version(spec, versions)

    def _versions(self, names: Sequence[str]) -> Iterator[tuple[str, list[Version]]]:
        """All versions of each name, the newest first."""
        found = _VERSIONS.stream(self.audience, names)
        for name, group in groupby(found, key=itemgetter(0)):
            yield name, [Version(bytes(key), text) for _, key, text in group]


def _aim(audience: Audience, names: Collection[str], resolver: _Resolver) -> None:
    """Note the targets of the newest versions of these names."""
    noted = _NEWEST.rows(*_here(audience), list(names))
    found = resolver.targets(_FACTS.decode(facts).depends for *_, facts in noted)
    _write_targets((row[0], targets) for row, targets in zip(noted, found, strict=True) if targets)


def _aim_at(
    audience: Audience, names: Collection[str], resolver: _Resolver, *, leave_out: Collection[str]
) -> None:
    """Look again where versions lead to that ask for one of these names."""
    if not names:
        return
    rows = _noted(audience).exclude(is_newest=True, package_name__in=leave_out)
    if len(names) <= _MOST_ASKED_FOR:
        mentioned = Q()
        for name in names:
            mentioned |= Q(_Mentions(Value(name.encode()), "facts"))
        rows = rows.filter(mentioned)
    columns = rows.values_list("pk", "is_newest", "facts", "targets")
    asking: list[tuple[int, bool, list[str], Targets]] = []
    for pk, is_newest, facts, targets in columns.iterator(chunk_size=BATCH):
        depends = _FACTS.decode(facts).depends
        asked = [spec for spec in depends if required_name(spec) in names]
        if asked:
            before = _TARGETS.decode(targets) if targets is not None else []
            asking.append((pk, is_newest, asked, before))
    found = resolver.targets(asked for _, _, asked, _ in asking)
    changed = []
    for (pk, is_newest, _, before), new in zip(asking, found, strict=True):
        after = sorted([*(target for target in before if target[0] not in names), *new])
        if after != before:
            changed.append((pk, after if after or not is_newest else None))
    _write_targets(changed)


def _write_targets(rows: Iterable[tuple[int, Targets | None]]) -> None:
    # In place of None stands that the newest version of a name leads nowhere, as most do.
    instances = [
        CurrentVersion(pk=pk, targets=None if found is None else msgspec.msgpack.encode(found))
        for pk, found in rows
    ]
    bulk.update(instances, ("targets",))


class _Mentions(Func):
    """Whether the first of two rows of bytes stands in the second."""

    output_field = BooleanField()
    template = "position(%(expressions)s) > 0"
    arg_joiner = " IN "

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: object
    ) -> tuple[str, tuple[str | int, ...]]:
        reversed_ = self.copy()
        reversed_.set_source_expressions(self.get_source_expressions()[::-1])
        return reversed_.as_sql(
            compiler, connection, template="instr(%(expressions)s) > 0", arg_joiner=", "
        )


# --- What is listed ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Graph:
    """Where versions lead to: the newest ones, as far as they lead anywhere, and older ones."""

    newest: dict[str, Targets]
    older: dict[Node, Targets]

    def reached(self, audience: Audience) -> dict[str, set[bytes]]:
        """The older versions that are listed, by name."""
        hidden = audience.hidden({name for name, _ in self.older} | self.newest.keys())
        waiting = [
            target
            for name, targets in self.newest.items()
            if name not in hidden
            for target in targets
        ]
        found: dict[str, set[bytes]] = {}
        while waiting:
            name, version = waiting.pop()
            if name in hidden or version in found.get(name, ()):
                continue
            found.setdefault(name, set()).add(version)
            waiting += self.older.get((name, version), ())
        return found


def _follow(audience: Audience) -> _Graph:
    """Where everything leads to, as ``audience`` sees it that sees all; notes what is not yet."""
    graph = _Graph({}, {})
    for name, version, is_newest, targets in _LEADING.rows(*_here(audience)):
        if is_newest:
            graph.newest[name] = _TARGETS.decode(bytes(targets or b""))
        else:
            graph.older[name, bytes(version)] = _TARGETS.decode(bytes(targets or b""))
    resolver = _Resolver(audience)
    while True:
        reached = {(name, v) for name, found in graph.reached(audience).items() for v in found}
        missing = sorted(reached - graph.older.keys())
        if not missing:
            break
        for some in batched(missing, _NAMES):
            graph.older.update(_note_older(audience, some, resolver))
    left = graph.older.keys() - reached
    for names in batched(sorted({name for name, _ in left}), _NAMES):
        rows = _noted(audience).filter(package_name__in=names, is_newest=False)
        gone = [
            pk
            for pk, name, version in rows.values_list("pk", "package_name", "version_key")
            if (name, bytes(version)) in left
        ]
        _noted(audience).filter(pk__in=gone).delete()
    for node in left:
        del graph.older[node]
    return graph


def _note_older(
    audience: Audience, nodes: Collection[Node], resolver: _Resolver
) -> dict[Node, Targets]:
    keys: dict[Node, list[bytes]] = {node: [] for node in nodes}
    names = sorted({name for name, _ in nodes})
    for name, version, _, repodata_key in _FILES.stream(audience, names):
        if (name, bytes(version)) in keys:
            keys[name, bytes(version)].append(bytes(repodata_key))
    depends = _depends(audience, list(keys.values()))
    targets = dict(zip(keys, resolver.targets(depends), strict=True))
    facts = {
        node: VersionFacts([], files, specs)
        for (node, files), specs in zip(keys.items(), depends, strict=True)
    }
    bulk.insert(
        CurrentVersion,
        ("package_name", "version_key", "facts", "targets"),
        [
            (*node, msgspec.msgpack.encode(facts[node]), msgspec.msgpack.encode(targets[node]))
            for node in nodes
        ],
        channel_id=audience.channel.pk,
        subdir=audience.subdir,
        is_newest=False,
        versions_digest=b"",
    )
    return targets


def _list(
    audience: Audience, touched: Collection[str], older: Mapping[str, set[bytes]]
) -> set[str]:
    """List these names anew, and others whose older versions are listed otherwise now: those."""
    there: dict[str, set[bytes]] = {}
    shown = _SHOWN[audience.members_only]
    for name, key in shown.older.rows(*_here(audience)):
        there.setdefault(name, set()).add(bytes(key))
    wanted = _keys_of(audience, older)
    changed = {
        name
        for name in there.keys() | wanted.keys()
        if there.get(name, set()) != wanted.get(name, set())
    } - set(touched)
    for some in batched(sorted({*touched, *changed}), _NAMES):
        shown.forget.update(*_here(audience), some)
        _list_names(audience, some, wanted)
    return changed


def _list_everything(audience: Audience, older: Mapping[str, set[bytes]]) -> None:
    _listed(audience).delete()
    wanted = _keys_of(audience, older)
    names = sorted(_noted(audience).filter(is_newest=True).values_list("package_name", flat=True))
    for some in batched(names, _NAMES):
        _list_names(audience, some, wanted)


def _keys_of(audience: Audience, older: Mapping[str, set[bytes]]) -> dict[str, set[bytes]]:
    """The keys of the files of these older versions, by name."""
    found: dict[str, set[bytes]] = {}
    for some in batched(sorted(older), _NAMES):
        for name, version, facts in _OLDER.rows(*_here(audience), some):
            if bytes(version) in older[name]:
                found.setdefault(name, set()).update(_FACTS.decode(facts).repodata_keys)
    return found


def _list_names(
    audience: Audience, names: Collection[str], older: Mapping[str, set[bytes]]
) -> None:
    shown = sorted(set(names) - audience.hidden(names))
    bulk.insert(
        CurrentFile,
        ("package_name", "repodata_key", "is_newest"),
        [
            (name, key, is_newest)
            for _, name, _, facts in _NEWEST.rows(*_here(audience), shown)
            for keys, is_newest in (
                (_FACTS.decode(facts).repodata_keys, True),
                (sorted(older.get(name, ())), False),
            )
            for key in keys
        ],
        channel_id=audience.channel.pk,
        subdir=audience.subdir,
        members_only=audience.members_only,
    )
