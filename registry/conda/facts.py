"""All that is kept of a package file, made once, when its archive is read.

Whoever takes package files in, one or twenty thousand, makes these from the archive and rows
from these: what a file is called, and what indexes say of it, is decided here.
"""

from __future__ import annotations

import hmac

import msgspec

from registry.conda.archive import PackageContents
from registry.conda.errors import FilenameMismatchError, Phrase, gettext_noop, kept, quote
from registry.conda.layout import record_key, repodata_key
from registry.conda.record import (
    PackageMetadata,
    make_record,
    parse_index,
    record_json,
    record_msgpack,
)
from registry.conda.run_exports import run_exports_fragment
from registry.conda.version import sort_key

_CLOCK_SKEW_MS = 3_600_000


class Digests(msgspec.Struct, frozen=True):
    """What the bytes are."""

    sha256: str
    md5: str
    size_bytes: int

    def mismatch(self, *, sha256: str | None, md5: str | None) -> Phrase | None:
        """What is to be said when these are not the bytes that were announced."""
        for kind, claimed, actual in (("sha256", sha256, self.sha256), ("md5", md5, self.md5)):
            if claimed is not None and not hmac.compare_digest(
                claimed.strip().lower().encode(), actual.encode()
            ):
                return Phrase(
                    gettext_noop(
                        "The %(kind)s of what arrived is %(actual)s, but %(claimed)s was "
                        "announced. Send the file again."
                    ),
                    kind=kind,
                    actual=actual,
                    claimed=quote(claimed),
                )
        return None


class FileFacts(msgspec.Struct, frozen=True):
    """What the registry keeps of a package file, in the forms that are kept: JSON as text, and
    the record serialized for each kind of index.

    A struct of msgspec's, since these go from process to process by thousands.
    """

    subdir: str
    filename: str
    name: str
    version: str
    version_key: bytes
    build: str
    build_number: int
    digests: Digests
    schema_version: int
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    license: str
    index: str
    about: str
    run_exports: str | None
    channeldata_flags: str
    findings: str
    indexed_timestamp_ms: int
    repodata_key: bytes
    record_json: bytes
    record_msgpack: bytes
    run_exports_json: bytes

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by within its account."""
        return self.subdir, self.filename


def file_facts(
    contents: PackageContents,
    digests: Digests,
    *,
    now_ms: int,
    subdir: str | None = None,
    filename: str | None = None,
) -> FileFacts:
    """Check what an archive says of itself, and against where it was sent to and under which
    name. Raises a ``PackageError``."""
    metadata = parse_index(contents.index, format=contents.format, subdir=subdir)
    own_filename = metadata.filename
    if filename is not None and filename != own_filename:
        raise FilenameMismatchError(
            gettext_noop(
                "The file was sent as %(filename)s, but its metadata says %(own)s. Send it under "
                "that name, or build it again."
            ),
            filename=quote(filename),
            own=repr(own_filename),
        )
    record = make_record(
        metadata,
        md5=digests.md5,
        sha256=digests.sha256,
        size_bytes=digests.size_bytes,
        indexed_timestamp_ms=now_ms,
    )
    key = record_key(own_filename, schema_version=metadata.schema_version)
    return FileFacts(
        subdir=metadata.subdir,
        filename=own_filename,
        name=metadata.dist.name,
        version=metadata.dist.version,
        version_key=sort_key(metadata.dist.version),
        build=metadata.dist.build,
        build_number=metadata.build_number,
        digests=digests,
        schema_version=metadata.schema_version,
        depends=metadata.depends,
        constrains=metadata.constrains,
        license=metadata.license,
        index=_json(record),
        about=_json(contents.about),
        run_exports=None if contents.run_exports is None else _json(contents.run_exports),
        channeldata_flags=_json(contents.install_traits()),
        findings=_json(list(map(kept, [*contents.findings, *_age_findings(metadata, now_ms)]))),
        indexed_timestamp_ms=now_ms,
        repodata_key=repodata_key(own_filename, schema_version=metadata.schema_version),
        record_json=record_json(key, record),
        record_msgpack=record_msgpack(record, contents.run_exports),
        run_exports_json=run_exports_fragment(key, contents.run_exports),
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _age_findings(metadata: PackageMetadata, now_ms: int) -> list[Phrase]:
    # CEP 47: clients go by our own time, so a faked age harms nobody; it is still worth a look.
    if metadata.timestamp_ms > now_ms + _CLOCK_SKEW_MS:
        return [Phrase(gettext_noop("The build time in its metadata lies in the future."))]
    return []
