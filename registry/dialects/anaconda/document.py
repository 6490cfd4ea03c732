"""The whole of a package in one document, as ``GET /package/<account>/<package>`` has it.

Renovate, shields.io and others read it, and it has no pages: all files of a package are in it. So
their rows become text one by one, and what indexes say of them passes through unread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from django.db.models import Q, QuerySet

from accounts.identity import Identity
from registry import access
from registry.dialects.anaconda.shapes import (
    CONDA,
    account_json,
    download_prefix,
    identifier,
    moment,
    package_json,
)
from registry.dialects.anaconda.spool import Spool
from registry.models import Channel, ChannelFile, DownloadTotal, Package, PackageFile

_ROWS_AT_ONCE = 500


class FileJson(msgspec.Struct):
    """A package file, which anaconda.org calls a dist."""

    id: str = msgspec.field(name="_id")
    basename: str
    version: str
    full_name: str
    download_url: str
    owner: str
    upload_time: str
    md5: str
    sha256: str
    size: int
    ndownloads: int
    labels: list[str]
    attrs: msgspec.Raw
    type: str = CONDA
    distribution_type: str = CONDA
    description: str | None = None
    dependencies: tuple[()] = ()


_COLUMNS = (
    "pk", "subdir", "filename", "version", "build", "md5", "sha256", "size_bytes", "uploaded_at",
    "record__json",
)  # fmt: skip


@dataclass(slots=True)
class _Seen:
    """What there is to say of all files together, in the order in which it was met."""

    versions: dict[str, None] = field(default_factory=dict)
    platforms: dict[str, str] = field(default_factory=dict)
    builds: dict[str, None] = field(default_factory=dict)


def write_package(spool: Spool, by: Identity, package: Package) -> None:
    """Write the document; one query for each table, whatever the number of files."""
    seen = _Seen()
    files = access.visible_files(by, package).order_by("version_key", "pk")
    spool.write(b'{"files":')
    of_it = Q(file__package=package)
    spool.write_list(_files(by, package, files, of_it, seen))
    more = msgspec.json.encode(_summary(by, package, seen))
    spool.write(b"," + more.removeprefix(b"{"))


def files_json(by: Identity, package: Package, files: QuerySet[PackageFile]) -> list[msgspec.Raw]:
    """A few files, such as those of one version."""
    some = Q(file__in=files.order_by().values("pk"))
    return [msgspec.Raw(text) for text in _files(by, package, files, some, _Seen())]


def _files(
    by: Identity, package: Package, files: QuerySet[PackageFile], concerns: Q, seen: _Seen
) -> Iterator[bytes]:
    account, name = package.account.name, package.name
    labels = _labels(access.visible_channels(by, package.account), concerns)
    downloads = _downloads(concerns)
    prefix = download_prefix(account, name)
    encoder = msgspec.json.Encoder()
    for row in files.values_list(*_COLUMNS).iterator(chunk_size=_ROWS_AT_ONCE):
        pk, subdir, filename, version, build, md5, sha256, size, uploaded_at, record = row
        seen.versions[version] = None
        seen.platforms[subdir] = version
        seen.builds[build] = None
        basename = f"{subdir}/{filename}"
        yield encoder.encode(
            FileJson(
                id=identifier(pk),
                basename=basename,
                version=version,
                full_name=f"{account}/{name}/{version}/{basename}",
                download_url=f"{prefix}{version}/{basename}",
                owner=account,
                upload_time=moment(uploaded_at),
                md5=md5,
                sha256=sha256,
                size=size,
                ndownloads=downloads.get(pk, 0),
                labels=labels.get(pk, []),
                attrs=_value_of(record),
            )
        )


def _value_of(member: bytes | None) -> msgspec.Raw:
    """Of ``"name":{…}``, as records are kept; no name holds a colon."""
    return msgspec.Raw(bytes(member).partition(b":")[2] if member else b"{}")


def _labels(channels: QuerySet[Channel], concerns: Q) -> dict[int, list[str]]:
    standing = ChannelFile.objects.filter(
        concerns, channel__in=channels.order_by().values("pk")
    ).order_by("channel__name")
    found: defaultdict[int, list[str]] = defaultdict(list)
    for file_id, name in standing.values_list("file_id", "channel__name").iterator():
        found[file_id].append(name)
    return found


def _downloads(concerns: Q) -> dict[int, int]:
    counted = DownloadTotal.objects.filter(concerns)
    return dict(counted.values_list("file_id", "count").iterator())


def _summary(by: Identity, package: Package, seen: _Seen) -> dict[str, object]:
    full_name = f"{package.account.name}/{package.name}"
    versions = list(seen.versions)
    return {
        **package_json(package, sorted(seen.platforms)),
        "owner": account_json(package.account),
        "description": package.description,
        "versions": versions,
        "latest_version": versions[-1] if versions else "",
        "platforms": seen.platforms,
        "builds": list(seen.builds),
        "releases": [
            {"version": version, "distributions": [], "full_name": f"{full_name}/{version}"}
            for version in versions
        ],
        "revision": 0,
        "source_git_tag": None,
        "app_entry": {},
        "app_type": {},
        "app_summary": {},
        "watchers": 0,
        "upvoted": 0,
    }
