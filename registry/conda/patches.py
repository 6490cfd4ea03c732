"""Patch instructions: what a channel's index is to say of files instead of their own words.

The form is that of conda-index and of conda-forge's repodata patches, with a patch of run
exports in version 2 (CEP 21) and of ``v3`` as rattler has it. What is said of an
``x.tar.bz2`` in ``packages`` holds for its twin ``x.conda``, too; so do ``revoke`` and ``remove``.

A set may speak of hundreds of thousands of files, so it is never unpacked as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from registry.conda.errors import Count, PackageError, Phrase, gettext_noop, quote
from registry.conda.layout import V3_SCHEMA
from registry.conda.limits import MEBIBYTE
from registry.conda.matchspec import InvalidSpecError, v3_spec
from registry.conda.names import MAX_FILENAME_LENGTH
from registry.conda.record import PATCHABLE_KEYS, UNPATCHABLE_KEYS, check_member
from registry.conda.run_exports import normalize_run_exports
from registry.conda.strict_json import parse_object

NEWEST_VERSION = 2
MAX_INSTRUCTIONS_BYTES = 128 * MEBIBYTE
MAX_NAMES = 1_000_000
MAX_CHANGES_BYTES = 256 * 1024
"""What may be said of one file."""

REVOKED = "package_has_been_revoked"
"""conda-index' name for a package that nobody has, on which a revoked one depends."""

TAR_BZ2, CONDA = ".tar.bz2", ".conda"
Changes = dict[str, Any]
Buffer = Any
"""Anything with bytes in it: ``collections.abc.Buffer`` is of Python 3.12."""

_SECTIONS = ("packages", "packages.conda", "v3", "revoke", "remove", "patch_instructions_version")
_V3_SECTIONS = frozenset(("conda", "tar.bz2"))
_KEYS_OF_SPECS = frozenset(("depends", "constrains", "extra_depends"))
_NAMES_SHOWN = 50
# What no name of a package file is made of matches none.
_NAME = re.compile(r"[A-Za-z0-9_.+!-]{1,250}")
# Characters and numbers that not every reader takes, and deep nesting: few patches have any, so
# the slow reader, which refuses them, is spared for those that may.
_SUSPICIOUS = re.compile(rb"\\u|[0-9]{19}")
_FEW_BRACKETS = 24


class InvalidPatchError(PackageError):
    """Patch instructions that can't be taken."""

    slug = "invalid-patch"


@dataclass(frozen=True, slots=True)
class DistPatch:
    """What is said of one dist, by section; nothing is said of what is left out."""

    packages: Changes = field(default_factory=dict)
    packages_conda: Changes = field(default_factory=dict)
    v3_tar_bz2: Changes = field(default_factory=dict)
    v3_conda: Changes = field(default_factory=dict)
    one_file: Changes = field(default_factory=dict)
    """An edit of the file with `extension` alone, in whichever part of repodata it stands."""
    extension: str = ""
    revoked: tuple[str, ...] = ()
    """The extensions of the files that are revoked."""
    removed: tuple[str, ...] = ()

    def changes_of(self, extension: str, *, schema_version: int) -> list[Changes]:
        """What is said of the file with this extension; what comes later counts."""
        if schema_version >= V3_SCHEMA:
            found = [self.v3_conda if extension == CONDA else self.v3_tar_bz2]
        elif extension == CONDA:
            found = [self.packages, self.packages_conda]
        else:
            found = [self.packages]
        if extension == self.extension:
            found.append(self.one_file)
        return [changes for changes in found if changes]


@dataclass(frozen=True, slots=True)
class Patched:
    """What an index says of a file once its patches are applied."""

    record: dict[str, object]
    run_exports: object
    is_revoked: bool
    is_removed: bool


def split_filename(filename: str) -> tuple[str, str]:
    """The dist that the name stands for, and its extension; ``("", "")`` for another name."""
    for extension in (TAR_BZ2, CONDA):
        if filename.endswith(extension):
            return filename.removesuffix(extension), extension
    return "", ""


def files_meant_by(filename: str) -> set[str]:
    """The file of that name, and the twin of a .tar.bz2."""
    dist, extension = split_filename(filename)
    return {filename, dist + CONDA} if extension == TAR_BZ2 else {filename}


def apply(
    record: Mapping[str, object],
    run_exports: object,
    patches: Iterable[DistPatch],
    *,
    extension: str,
    schema_version: int,
) -> Patched:
    """What is said of a file after ``patches`` of its dist, the later over the earlier.

    As conda-index does it: a value takes the place of another, null takes a key away, and in an
    object only the keys that are given change.
    """
    patched = dict(record)
    exports: Changes = {"run_exports": normalize_run_exports(run_exports)}
    is_revoked = is_removed = False
    for patch in patches:
        for changes in patch.changes_of(extension, schema_version=schema_version):
            own = {key: value for key, value in changes.items() if key != "run_exports"}
            _merge(patched, own)
            if "run_exports" in changes:
                _merge(exports, {"run_exports": changes["run_exports"]})
        is_revoked = is_revoked or extension in patch.revoked
        is_removed = is_removed or extension in patch.removed
    if is_revoked:
        _revoke(patched)
    return Patched(patched, exports.get("run_exports") or {}, is_revoked, is_removed)


def _merge(values: dict[str, Any], changes: Changes) -> None:
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        elif isinstance(value, dict) and isinstance(values.get(key), dict):
            # The original stays as it is: what was changed is compared with it.
            values[key] = dict(values[key])
            _merge(values[key], value)
        elif isinstance(value, dict):
            values[key] = {name: each for name, each in value.items() if each is not None}
        else:
            values[key] = value


def _revoke(record: dict[str, Any]) -> None:
    depends = record.get("depends")
    kept = list(depends) if isinstance(depends, list) else []
    record["depends"] = [*kept, *([] if REVOKED in kept else [REVOKED])]
    record["revoked"] = True


# --- Reading a set -------------------------------------------------------------------------------


@dataclass(slots=True)
class Unused:
    """What a set says to no effect; it is told, for whoever wrote it meant something by it."""

    keys: Counter[str] = field(default_factory=Counter)
    """Keys that no patch may change, and how often they stand there."""
    names_count: int = 0
    names: list[str] = field(default_factory=list)
    """The first names that are no package file's."""

    def add_name(self, name: str) -> None:
        self.names_count += 1
        if len(self.names) < _NAMES_SHOWN:
            self.names.append(name)


class Instructions:
    """A set of patches, which is read as it is gone through.

    It refers to the buffer that it was read from, which must stay open as long.
    """

    def __init__(self, data: Buffer, *, source: str = "patch_instructions.json") -> None:
        self._source = source
        self.unused = Unused()
        sections = _members(
            data, source, Phrase(gettext_noop("an object with 'packages' and others in it"))
        )
        self.version = self._read_version(sections.get("patch_instructions_version"))
        v3 = self._section(sections, "v3")
        unknown = sections.keys() - {*_SECTIONS}
        unknown |= {f"v3.{name}" for name in v3.keys() - _V3_SECTIONS}
        self.unused.keys.update(name[:80] for name in unknown)
        self._changes: dict[str, dict[str, msgspec.Raw]] = {
            "packages": self._section(sections, "packages"),
            "packages.conda": self._section(sections, "packages.conda"),
            "v3.tar.bz2": self._section(v3, "tar.bz2"),
            "v3.conda": self._section(v3, "conda"),
        }
        self._names = {
            "revoke": self._list_of_names(sections, "revoke"),
            "remove": self._list_of_names(sections, "remove"),
        }
        self.dists = self._sorted_dists()

    def patches(self) -> Iterator[tuple[str, DistPatch]]:
        """What it says of each dist, in the order of their names; what is wrong is found here."""
        revoked, removed = self._names["revoke"], self._names["remove"]
        for dist in self.dists:
            both = self._changes_of("packages", dist + TAR_BZ2)
            yield (
                dist,
                DistPatch(
                    packages=both,
                    packages_conda={
                        # A .conda in "packages" counts for conda-index, and before what follows.
                        **self._changes_of("packages", dist + CONDA),
                        **self._changes_of("packages.conda", dist + CONDA),
                    },
                    v3_tar_bz2=self._changes_of("v3.tar.bz2", dist),
                    v3_conda=self._changes_of("v3.conda", dist),
                    revoked=_extensions(dist, revoked),
                    removed=_extensions(dist, removed),
                ),
            )

    def filenames_of(self, dist: str) -> list[str]:
        """The names under which the set speaks of the dist."""
        return [
            dist + extension
            for extension in (TAR_BZ2, CONDA)
            if any(
                dist + extension in names
                for names in (
                    self._changes["packages"],
                    self._changes["packages.conda"],
                    *self._names.values(),
                )
            )
            or dist in self._changes[f"v3{extension}"]
        ]

    def _read_version(self, raw: msgspec.Raw | None) -> int:
        value = 1 if raw is None else _decoded(raw, self._source)
        if isinstance(value, bool) or not isinstance(value, int) or value > NEWEST_VERSION:
            raise InvalidPatchError(
                gettext_noop(
                    "%(where)s gives patch_instructions_version as %(value)s. We read 1 to "
                    "%(newest)s."
                ),
                where=self._source,
                value=quote(value),
                newest=NEWEST_VERSION,
            )
        return max(value, 1)

    def _section(self, sections: Mapping[str, msgspec.Raw], name: str) -> dict[str, msgspec.Raw]:
        raw = sections.get(name)
        if raw is None:
            return {}
        return _members(
            raw,
            f"{self._source}, {name}",
            Phrase(gettext_noop("an object with names of files in it")),
        )

    def _list_of_names(self, sections: Mapping[str, msgspec.Raw], name: str) -> frozenset[str]:
        raw = sections.get(name)
        if raw is None:
            return frozenset()
        try:
            return frozenset(msgspec.json.decode(raw, type=list[str]))
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise InvalidPatchError(
                gettext_noop(
                    "%(where)s holds under %(name)s something else than a list of names of files. "
                    'Write it as ["xz-5.6.3-h1_0.conda", …].'
                ),
                where=self._source,
                name=repr(name),
            ) from None

    def _sorted_dists(self) -> list[str]:
        dists: set[str] = set()
        for names in (self._changes["packages"], *self._names.values()):
            dists.update(self._dist_of(name) for name in names)
        dists.update(self._dist_of(name, only=CONDA) for name in self._changes["packages.conda"])
        for section, extension in (("v3.tar.bz2", TAR_BZ2), ("v3.conda", CONDA)):
            dists.update(self._dist_of(name + extension) for name in self._changes[section])
        dists.discard("")
        if len(dists) > MAX_NAMES:
            raise InvalidPatchError(
                gettext_noop("%(where)s speaks of %(count)s dists. At most %(most)s are allowed."),
                where=self._source,
                count=Count(len(dists)),
                most=Count(MAX_NAMES),
            )
        # By code point, which is the order of their bytes.
        return sorted(dists)

    def _dist_of(self, name: str, *, only: str = "") -> str:
        """The dist, if a file of that name could ever stand in a channel."""
        dist, extension = split_filename(name)
        if not dist or (only and extension != only) or _NAME.fullmatch(dist) is None:
            self.unused.add_name(name[:MAX_FILENAME_LENGTH])
            return ""
        return dist

    def _changes_of(self, section: str, name: str) -> Changes:
        raw = self._changes[section].get(name)
        if raw is None:
            return {}
        where = f"{self._source}, {section}, {name}"
        text = bytes(raw)
        if len(text) > MAX_CHANGES_BYTES:
            raise InvalidPatchError(
                gettext_noop("%(where)s has %(size)s bytes. At most %(most)s are allowed."),
                where=where,
                size=Count(len(text)),
                most=Count(MAX_CHANGES_BYTES),
            )
        said = _decoded(text, where)
        if not isinstance(said, dict):
            raise InvalidPatchError(
                gettext_noop(
                    "%(where)s holds %(said)s. It must be an object of keys and what they become."
                ),
                where=where,
                said=quote(said),
            )
        if _SUSPICIOUS.search(text) or text.count(b"{") + text.count(b"[") > _FEW_BRACKETS:
            said = _read_strictly(text, where)
        return self._patchable(said, where, in_v3=section.startswith("v3."))

    def _patchable(self, said: Mapping[str, object], where: str, *, in_v3: bool) -> Changes:
        changes: Changes = {}
        for key, value in said.items():
            if key in UNPATCHABLE_KEYS or (key == "run_exports" and self.version < 2):
                self.unused.keys[key[:80]] += 1
            else:
                changes[key] = check_change(key, value, where=where, in_v3=in_v3)
        return changes


def _extensions(dist: str, names: frozenset[str]) -> tuple[str, ...]:
    """Which files of a dist are meant by ``names``: a .tar.bz2 stands for its twin as well."""
    if dist + TAR_BZ2 in names:
        return (TAR_BZ2, CONDA)
    return (CONDA,) if dist + CONDA in names else ()


def _decoded(raw: Buffer, source: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _malformed(source, error) from error


def _members(data: Buffer, source: str, wanted: Phrase) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        value = _decoded(data, source)
        raise InvalidPatchError(
            gettext_noop("%(where)s holds %(value)s. It must be %(wanted)s."),
            where=source,
            value=quote(value),
            wanted=wanted,
        ) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _malformed(source, error) from error


def _read_strictly(text: bytes, where: str) -> dict[str, object]:
    try:
        return parse_object(text, name=where)
    except PackageError as error:
        raise InvalidPatchError(error.template, **error.values) from error


def _malformed(source: str, error: Exception) -> InvalidPatchError:
    if isinstance(error, RecursionError):
        return InvalidPatchError(
            gettext_noop("%(where)s is nested too deeply. Patches need no more than 32."),
            where=source,
        )
    return InvalidPatchError(
        gettext_noop("%(where)s is not valid JSON in UTF-8 (%(error)s). Correct it."),
        where=source,
        error=str(error),
    )


def check_change(key: str, value: object, *, where: str, in_v3: bool = False) -> object:
    """``value`` as a patch may give it to ``key``; None takes the key away.

    Specs ``in_v3`` get the form that they have there (CEP 48).
    """
    if value is None:
        if key == "depends":
            raise InvalidPatchError(
                gettext_noop(
                    "%(where)s gives depends as null. Clients need a list: write [] for none."
                ),
                where=where,
            )
        return None
    if key == "run_exports":
        return _check_run_exports(value, where)
    if isinstance(value, dict):
        # Null within an object takes that part away, and is no value to be checked.
        given = {name: each for name, each in value.items() if each is not None}
        checked = _checked(key, given, where, in_v3=in_v3)
        return {**value, **checked} if isinstance(checked, dict) else value
    return _checked(key, value, where, in_v3=in_v3)


def _checked(key: str, value: object, where: str, *, in_v3: bool) -> object:
    if key not in PATCHABLE_KEYS:
        return value  # one that no client gives a type
    try:
        checked = check_member(key, value, where=where)
        return _in_v3_form(checked) if in_v3 and key in _KEYS_OF_SPECS else checked
    except InvalidSpecError as error:
        raise InvalidPatchError(
            gettext_noop("%(where)s: %(error)s"), where=where, error=error
        ) from error
    except PackageError as error:
        raise InvalidPatchError(error.template, **error.values) from error


def _in_v3_form(value: object) -> object:
    if isinstance(value, dict):
        return {group: _in_v3_form(specs) for group, specs in value.items()}
    return [v3_spec(spec) for spec in value] if isinstance(value, list) else value


def _check_run_exports(value: object, where: str) -> object:
    if not isinstance(value, dict):
        return _normalized(value, where)
    gone = {kind: None for kind, specs in value.items() if specs is None}
    return {**_normalized(value, where), **gone}


def _normalized(value: object, where: str) -> dict[str, list[str]]:
    try:
        exports = normalize_run_exports(value)
    except PackageError as error:
        raise InvalidPatchError(
            gettext_noop(
                "%(where)s gives run_exports as %(value)s. It must be an object of lists, such as "
                '{"weak": ["libxz >=5.6"]}.'
            ),
            where=where,
            value=quote(value),
        ) from error
    for kind, specs in exports.items():
        check_change("depends", specs, where=f"{where}, run_exports.{kind}")
    return exports
