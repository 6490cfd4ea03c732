"""A package's ``info/index.json``, checked, and the record in repodata made from it.

CEP 34 says what stands in index.json, CEP 36 and 48 what in a record, CEP 47 what the server adds.
One record that a client cannot read may spoil a whole index for it, so every key that
some client gives a type is checked here.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from registry.conda.description import description_fields
from registry.conda.errors import (
    InvalidMetadataError,
    InvalidSubdirError,
    PackageError,
    Phrase,
    SubdirMismatchError,
    TooLargeError,
    UnsafePathError,
    UnsupportedSchemaError,
    gettext_noop,
    quote,
)
from registry.conda.layout import V3_SCHEMA
from registry.conda.matchspec import needs_v3, v3_spec
from registry.conda.names import (
    ArchiveFormat,
    Dist,
    check_build_string,
    check_package_name,
    check_version,
)
from registry.conda.run_exports import normalize_run_exports
from registry.conda.subdirs import NOARCH, check_subdir, subdir_from_platform

__all__ = [
    "PATCHABLE_KEYS",
    "UNPATCHABLE_KEYS",
    "PackageMetadata",
    "check_member",
    "description_fields",
    "make_record",
    "parse_index",
    "record_json",
    "record_msgpack",
    "with_attestations",
]

NEWEST_SCHEMA = 3
MAX_BUILD_NUMBER = 2**31 - 1
MAX_SPECS = 5000
MAX_SPEC_LENGTH = 2048
MAX_TEXT_LENGTH = 4096
MAX_FOREIGN_BYTES = 64 * 1024

# The last second of the year 9999. What is above counts milliseconds, as rattler has it, too.
_LAST_SECOND = 253_402_300_799

_INDEX = "info/index.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A spec is stored as it is: clients read it, and each CEP adds to its grammar. It must only
# begin with a name, behind a channel perhaps.
_SPEC = re.compile(r" *(?:[^\s:\[\]]{1,200}::?)?[A-Za-z0-9_]")
# Most begin with the name: a channel is looked for where nothing else is left.
_SPECS = re.compile(f"^(?: *[A-Za-z0-9_]|{_SPEC.pattern})", re.MULTILINE)
_GROUP = re.compile(r"[a-z0-9_.+-]{1,64}")  # CEP 44
_FLAG = re.compile(r"[a-z0-9_]{1,64}(?::[a-z0-9_]{1,64})?")  # CEP 45
_PURL = re.compile(r"pkg:[a-z][a-z0-9.+-]*/[\x21-\x7e]+")

_ATTESTATIONS = "attestations_sha256"

# What the server alone knows, or what would lie about where the package is.
_OURS = frozenset(
    (
        _ATTESTATIONS,
        "channel",
        "fn",
        "indexed_timestamp",
        "legacy_bz2_md5",
        "legacy_bz2_size",
        "md5",
        "run_exports",
        "sha256",
        "sig",
        "signatures",
        "size",
        "url",
    )
)


# What is part of a file's name, or proves that it arrived whole, or where it stands in repodata:
# a client that is told otherwise than the file says, takes it for another or for broken.
UNPATCHABLE_KEYS = (_OURS - {"run_exports"}) | {
    "build",
    "name",
    "schema_version",
    "subdir",
    "version",
}


class PackageMetadata(msgspec.Struct, frozen=True):
    """What a package says it is; ``index`` is its index.json as it may be published."""

    dist: Dist
    build_number: int
    subdir: str
    noarch: str | None
    timestamp_ms: int
    """0 if the package says none."""
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    license: str
    license_family: str
    format: ArchiveFormat
    schema_version: int
    index: dict[str, object]

    @property
    def filename(self) -> str:
        """The name of the package file, from the metadata and never from a URL."""
        return self.dist.filename(self.format)


def parse_index(
    index: Mapping[str, object],
    *,
    format: ArchiveFormat,  # noqa: A002 - the field's word, only ever a keyword
    subdir: str | None = None,
) -> PackageMetadata:
    """Check an index.json; with ``subdir``, the one it was sent to, it must name the same.

    What the uploader says of digests, sizes and URLs is dropped. Keys we do not know stay.
    The specs of a package for ``v3`` come out in the form that its record has.
    """
    dist = Dist(
        name=check_package_name(index.get("name")),
        version=check_version(index.get("version")),
        build=check_build_string(index.get("build")),
    )
    noarch = _noarch(index)
    published: dict[str, object] = {
        key: value for key, value in index.items() if key not in _NOT_FOREIGN
    }
    if published:
        _check_foreign(published)
    for key, check in _CHECKS_BY_VALUE:
        if key in index and (value := check(key, index[key])) is not None:
            published[key] = value
    own_subdir = _subdir(index, noarch)
    if subdir is not None and subdir != own_subdir:
        raise SubdirMismatchError(
            gettext_noop(
                "The package is for %(own)s by its %(file)s, but was sent to %(subdir)s. Send it "
                "to its own subdir, or rebuild it."
            ),
            own=quote(own_subdir),
            file=_INDEX,
            subdir=quote(subdir),
        )
    build_number = _build_number(index)
    published |= {
        "name": dist.name,
        "version": dist.version,
        "build": dist.build,
        "build_number": build_number,
        "subdir": own_subdir,
        "depends": _specs("depends", index.get("depends")) or [],
    }
    schema_version = _schema_version(index, published)
    if "schema_version" in index or schema_version >= V3_SCHEMA:
        published["schema_version"] = schema_version
    if schema_version >= V3_SCHEMA:
        published |= _in_v3_form(published)
    if noarch is not None:
        published["noarch"] = noarch
    timestamp_ms = 0
    if index.get("timestamp") is not None:
        timestamp_ms = _timestamp_ms(index)
        published["timestamp"] = _timestamp(index)
    return PackageMetadata(
        dist=dist,
        build_number=build_number,
        subdir=own_subdir,
        noarch=noarch,
        timestamp_ms=timestamp_ms,
        depends=tuple(_spec_list(published, "depends")),
        constrains=tuple(_spec_list(published, "constrains")),
        license=str(published.get("license", "")),
        license_family=str(published.get("license_family", "")),
        format=format,
        schema_version=schema_version,
        index=published,
    )


def make_record(
    metadata: PackageMetadata,
    *,
    md5: str,
    sha256: str,
    size_bytes: int,
    indexed_timestamp_ms: int,
) -> dict[str, object]:
    """The record of a package file, as repodata has it (CEP 36, CEP 47)."""
    return {
        **metadata.index,
        "md5": md5,
        "sha256": sha256,
        "size": size_bytes,
        "indexed_timestamp": indexed_timestamp_ms,
    }


def with_attestations(
    record: Mapping[str, object], sidecar_sha256: str | None
) -> dict[str, object]:
    """The record of a file with this sidecar of attestations, or with none (CEP 50)."""
    others = {key: value for key, value in record.items() if key != _ATTESTATIONS}
    return others if sidecar_sha256 is None else {**others, _ATTESTATIONS: sidecar_sha256}


def record_json(filename: str, record: Mapping[str, object]) -> bytes:
    """The member ``"filename":{…}`` of repodata; the same record gives the same bytes."""
    name = msgspec.json.encode(filename)
    return name + b":" + msgspec.json.encode(record, order="deterministic")


def record_msgpack(record: Mapping[str, object], run_exports: object) -> bytes:
    """The record as shards have it (CEP 16, CEP 50): raw digests, and the run exports (CEP 21).

    ``run_exports`` None stands for a package without run_exports.json, which is known to
    have none, and becomes ``{}``.
    """
    digests = {
        key: bytes.fromhex(value)
        for key in ("md5", "sha256", _ATTESTATIONS)
        if isinstance(value := record.get(key), str)
    }
    return msgspec.msgpack.encode(
        {**record, **digests, "run_exports": normalize_run_exports(run_exports)},
        order="deterministic",
    )


def check_member(key: str, value: object, *, where: str) -> object:
    """``value`` as a record may have it under a key of `PATCHABLE_KEYS`; ``where`` it stands is
    for the message of the error."""
    try:
        if key in _CHECKED_ALONE:
            return _CHECKED_ALONE[key]({key: value})
        return _specs(key, value) if key == "depends" else _CHECKS[key](key, value)
    except PackageError as error:
        # The checks speak of index.json.
        raise type(error)(error.template, **{**error.values, "file": where}) from error


# --- One check for each key of index.json ---------------------------------------------------


def _schema_version(index: Mapping[str, object], published: Mapping[str, object]) -> int:
    """The schema that the package says, or the one that it can't do without.

    Build tools wrote extras, flags and conditions before they said the schema, or say
    ``repodata_revision`` instead, as rattler-build does. Older clients stumble over all of it.
    """
    value = index.get("schema_version", 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= NEWEST_SCHEMA:
        raise UnsupportedSchemaError(
            gettext_noop(
                "%(file)s gives schema_version as %(value)s. We read 1 to %(newest)s: build the "
                "package for one of these."
            ),
            file=_INDEX,
            value=quote(value),
            newest=NEWEST_SCHEMA,
        )
    revision = index.get("repodata_revision")
    if isinstance(revision, int) and revision > NEWEST_SCHEMA:
        raise UnsupportedSchemaError(
            gettext_noop(
                "%(file)s gives repodata_revision as %(revision)s. We know revisions up to "
                "%(newest)s: build the package for one of these."
            ),
            file=_INDEX,
            revision=quote(revision),
            newest=NEWEST_SCHEMA,
        )
    specs = [*_spec_list(published, "depends"), *_spec_list(published, "constrains")]
    if (
        revision == V3_SCHEMA
        or published.get("extra_depends")
        or published.get("flags")
        or any(needs_v3(spec) for spec in specs if "[" in spec)
    ):
        return max(value, V3_SCHEMA)
    return value


def _spec_list(published: Mapping[str, object], key: str) -> list[str]:
    specs = published.get(key)
    return specs if isinstance(specs, list) else []


def _in_v3_form(published: Mapping[str, object]) -> dict[str, object]:
    """Everything that holds specs, with each of them as CEP 48 wants it."""
    written: dict[str, object] = {
        key: [v3_spec(spec) for spec in _spec_list(published, key)]
        for key in ("depends", "constrains")
        if key in published
    }
    groups = published.get("extra_depends")
    if isinstance(groups, dict):
        written["extra_depends"] = {
            group: [v3_spec(spec) for spec in specs or ()] for group, specs in groups.items()
        }
    return written


def _build_number(index: Mapping[str, object]) -> int:
    # Forgejo takes packages without one, and so do we.
    value = index.get("build_number", 0)
    # True is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_BUILD_NUMBER:
        raise _invalid(
            "build_number",
            value,
            Phrase(gettext_noop("a whole number from 0 to %(most)s"), most=MAX_BUILD_NUMBER),
        )
    return value


def milliseconds(timestamp: float) -> int:
    """A ``timestamp`` of a record, which old packages give in seconds."""
    return int(timestamp if timestamp > _LAST_SECOND else timestamp * 1000)


def _timestamp_ms(index: Mapping[str, object]) -> int:
    value = index.get("timestamp")
    if value is None:
        return 0
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _invalid(
            "timestamp", value, Phrase(gettext_noop("a number of milliseconds since 1970"))
        )
    timestamp_ms = milliseconds(value)
    if value < 0 or timestamp_ms > _LAST_SECOND * 1000 + 999:
        raise _invalid(
            "timestamp",
            value,
            Phrase(gettext_noop("milliseconds since 1970, before the year 10000")),
        )
    return timestamp_ms


def _timestamp(index: Mapping[str, object]) -> object:
    timestamp_ms = _timestamp_ms(index)
    value = index.get("timestamp")
    # In seconds or milliseconds, as it was: clients tell them apart as we do.
    return timestamp_ms if isinstance(value, float) else value


def _noarch(index: Mapping[str, object]) -> str | None:
    value = index.get("noarch")
    # Before 2016 it was a boolean.
    if value is None or value is False:
        return None
    if value is True:
        return "generic"
    if value not in ("generic", "python"):
        raise _invalid(
            "noarch", value, Phrase(gettext_noop("'generic' or 'python', or be left out"))
        )
    return str(value)


def _subdir(index: Mapping[str, object], noarch: str | None) -> str:
    value = index.get("subdir")
    if value is not None:
        return check_subdir(value)
    if noarch is not None:
        return NOARCH
    subdir = subdir_from_platform(index.get("platform"), index.get("arch"))
    if subdir is None:
        raise InvalidSubdirError(
            gettext_noop(
                "%(file)s names no subdir, and no platform and arch that stand for one. Add "
                "'subdir', such as 'noarch' or 'linux-64', and rebuild the package."
            ),
            file=_INDEX,
        )
    return subdir


def _specs(key: str, value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_SPECS:
        raise _invalid(
            key,
            value,
            Phrase(
                gettext_noop("a list of at most %(most)s strings, such as 'python >=3'"),
                most=MAX_SPECS,
            ),
        )
    if _are_plain(value):
        return value
    for spec in value:
        if (
            not isinstance(spec, str)
            or len(spec) > MAX_SPEC_LENGTH
            or _CONTROL.search(spec)
            or _SPEC.match(spec) is None
        ):
            raise InvalidMetadataError(
                gettext_noop(
                    "%(file)s holds %(spec)s in %(key)s. Each must be a string of at most %(most)s "
                    "characters that begins with a package name: correct it."
                ),
                file=_INDEX,
                spec=quote(spec),
                key=key,
                most=MAX_SPEC_LENGTH,
            )
    return value


def _are_plain(specs: list[object]) -> bool:
    """Whether nothing is wrong with any of them, for the price of looking at one; what is not
    plain may be right nevertheless."""
    try:
        text = "\n".join(specs)  # type: ignore[arg-type]  # what is no string is not plain
    except TypeError:
        return False
    return (
        len(text) <= MAX_SPEC_LENGTH
        # Line breaks are not printable, nor is anything else that controls.
        and text.replace("\n", "").isprintable()
        and text.count("\n") + 1 == len(specs) == len(_SPECS.findall(text))
    )


def _text(key: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ", ".join(value)
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH or "\x00" in value:
        raise _invalid(
            key,
            value,
            Phrase(gettext_noop("a string of at most %(most)s characters"), most=MAX_TEXT_LENGTH),
        )
    return value


def _features(key: str, value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    return _text(key, value)


def _site_packages(key: str, value: object) -> str | None:
    """CEP 17: below the environment, or clients would install elsewhere."""
    path = _text(key, value)
    if path is None:
        return None
    parts = path.split("/")
    if not path or "\\" in path or ":" in path or _CONTROL.search(path) or {"", ".."} & {*parts}:
        raise UnsafePathError(
            gettext_noop(
                "%(file)s gives %(key)s as %(value)s. It must be a relative path below the "
                "environment, such as 'lib/python3.13/site-packages': correct it."
            ),
            file=_INDEX,
            key=key,
            value=quote(value),
        )
    return path


def _extra_depends(key: str, value: object) -> dict[str, object] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _invalid(key, value, Phrase(gettext_noop("an object of lists of dependencies")))
    for group, specs in value.items():
        if _GROUP.fullmatch(group) is None or _specs(f"{key}.{group[:64]}", specs) is None:
            raise _invalid(
                key,
                value,
                Phrase(gettext_noop("an object of lists of dependencies, each with a name")),
            )
    return value


def _list_of(pattern: re.Pattern[str], what: Phrase) -> Callable[[str, object], list[str] | None]:
    def check(key: str, value: object) -> list[str] | None:
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or len(value) > MAX_SPECS
            or not all(
                isinstance(item, str)
                and len(item) <= MAX_SPEC_LENGTH
                and pattern.fullmatch(item) is not None
                for item in value
            )
        ):
            raise _invalid(key, value, Phrase(gettext_noop("a list of %(what)s"), what=what))
        return value

    return check


def _checked_elsewhere(key: str, value: object) -> None:
    """For keys that need more than their value, and are put into the record by name."""


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "arch": _text,
    "build": _checked_elsewhere,
    "build_number": _checked_elsewhere,
    "constrains": _specs,
    "depends": _checked_elsewhere,
    "experimental_extra_depends": _extra_depends,
    "extra_depends": _extra_depends,
    "features": _features,
    "flags": _list_of(_FLAG, Phrase(gettext_noop("flags, such as 'blas:mkl'"))),
    "license": _text,
    "license_family": _text,
    "name": _checked_elsewhere,
    "noarch": _checked_elsewhere,
    "platform": _text,
    "purls": _list_of(_PURL, Phrase(gettext_noop("package URLs, such as 'pkg:pypi/numpy@2.0'"))),
    "python_site_packages_path": _site_packages,
    "schema_version": _checked_elsewhere,
    "subdir": _checked_elsewhere,
    "timestamp": _checked_elsewhere,
    "track_features": _features,
    "version": _checked_elsewhere,
}


_NOT_FOREIGN = _OURS | _CHECKS.keys()
_CHECKS_BY_VALUE = tuple(
    (key, check) for key, check in _CHECKS.items() if check is not _checked_elsewhere
)
_CHECKED_ALONE: dict[str, Callable[[Mapping[str, object]], object]] = {
    "build_number": _build_number,
    "noarch": _noarch,
    "timestamp": _timestamp,
}
PATCHABLE_KEYS = _CHECKS.keys() - UNPATCHABLE_KEYS
"""Keys that clients know and a patch may change; others that no client knows may stand beside."""


def _check_foreign(published: Mapping[str, object]) -> None:
    size_bytes = len(msgspec.json.encode(published))
    if size_bytes > MAX_FOREIGN_BYTES:
        raise TooLargeError(
            gettext_noop(
                "%(file)s has %(size)s bytes under keys that no client knows. At most %(most)s are "
                "allowed: put them into another file."
            ),
            file=_INDEX,
            size=size_bytes,
            most=MAX_FOREIGN_BYTES,
        )


def _invalid(key: str, value: object, wanted: Phrase) -> InvalidMetadataError:
    return InvalidMetadataError(
        gettext_noop("%(file)s gives %(key)s as %(value)s. It must be %(wanted)s."),
        file=_INDEX,
        key=key,
        value=quote(value),
        wanted=wanted,
    )
