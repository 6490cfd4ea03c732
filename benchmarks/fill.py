"""Fill a channel: ``python -m benchmarks.fill ACCOUNT CHANNEL RECORDS [--private]``.

The rows are those that publishing makes, of a channel that does not exist (`benchmarks.channel`);
there are no bytes behind them, which no index needs. Only the disk is spared: nothing that is
thrown away in minutes has to survive the loss of power.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import django
from django.db import connection, transaction
from django.db.models import Q

from benchmarks.channel import SUBDIR, Channel, Entry

if TYPE_CHECKING:  # importable only once the settings are read
    from accounts.models import User
    from registry import models

_ROWS_AT_ONCE = 2000


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("account")
    arguments.add_argument("channel")
    arguments.add_argument("records", type=int)
    arguments.add_argument("--private", action="store_true")
    given = arguments.parse_args()
    django.setup()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA cache_size=-100000")
    channel = Channel(given.records, seed=given.records)
    fill(given.account, given.channel, channel, is_private=given.private)


def fill(
    account_name: str, channel_name: str, channel: Channel, *, is_private: bool = False
) -> None:
    from accounts.identity import Identity
    from accounts.models import Account, User
    from accounts.roles import Role
    from registry import entries, models, publishing

    account = Account.objects.get(name=account_name)
    # An organization's files are its owner's uploads.
    owners = User.objects.filter(
        Q(account=account)
        | Q(memberships__organization__account=account, memberships__role=Role.OWNER)
    )
    user = owners.get()
    by = Identity(user=user)
    target = publishing.ensure_channel(by=by, account=account, name=channel_name)
    if is_private:
        target.visibility = models.Channel.Visibility.PRIVATE
        target.save(update_fields=["visibility"])
    rows = _Rows(target, user, _packages(target, channel.names))
    for batch in _batches(channel.entries()):
        with transaction.atomic():
            rows.save(batch)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does a minute later
    # A subdir that is stale as a whole, and the channel's own files.
    entries.mark_stale(target, [entries.Touched(SUBDIR), entries.Touched("")])


def _packages(channel: models.Channel, names: list[str]) -> dict[str, models.Package]:
    from registry.models import Package

    known = Package.objects.filter(account=channel.account)
    there = set(known.values_list("name", flat=True))
    Package.objects.bulk_create(
        (
            Package(
                account=channel.account,
                name=name,
                summary="Made to be measured",
                license="BSD-3-Clause",
                latest_version="1.0",
            )
            for name in names
            if name not in there
        ),
        batch_size=_ROWS_AT_ONCE,
    )
    return {package.name: package for package in known.iterator()}


class _Rows:
    """What publishing writes for one file, for many files at a time."""

    def __init__(
        self, channel: models.Channel, user: User, packages: dict[str, models.Package]
    ) -> None:
        from django.utils import timezone

        self._channel = channel
        self._user = user
        self._packages = packages
        self._now = timezone.now()

    def save(self, entries: list[Entry]) -> None:
        from registry.conda.record import record_json, record_msgpack
        from registry.conda.run_exports import run_exports_fragment
        from registry.models import Blob, ChannelFile, PackageFile, Record

        blobs = Blob.objects.bulk_create(self._blob(entry) for entry in entries)
        pairs = zip(entries, blobs, strict=True)
        files = PackageFile.objects.bulk_create(self._file(*pair) for pair in pairs)
        ChannelFile.objects.bulk_create(
            ChannelFile.of(file, self._channel, added_by=self._user) for file in files
        )
        Record.objects.bulk_create(
            Record(
                file=file,
                json=record_json(file.filename, file.index),
                msgpack=record_msgpack(file.index, file.run_exports),
                run_exports_json=run_exports_fragment(file.filename, file.run_exports),
            )
            for file in files
        )

    def _blob(self, entry: Entry) -> models.Blob:
        from registry.models import Blob

        sha256, md5, size_bytes = _facts(entry)
        return Blob(sha256=sha256, md5=md5, size_bytes=size_bytes, claimed_at=self._now)

    def _file(self, entry: Entry, blob: models.Blob) -> models.PackageFile:
        from registry.conda.names import ArchiveFormat
        from registry.conda.record import make_record, parse_index
        from registry.conda.version import sort_key
        from registry.models import PackageFile

        is_conda = entry.filename.endswith(".conda")
        metadata = parse_index(
            entry.record, format=ArchiveFormat.CONDA if is_conda else ArchiveFormat.TAR_BZ2
        )
        sha256, md5, size_bytes = _facts(entry)
        stamp_ms = metadata.timestamp_ms
        return PackageFile(
            account=self._channel.account,
            package=self._packages[metadata.dist.name],
            subdir=metadata.subdir,
            filename=metadata.filename,
            name=metadata.dist.name,
            version=metadata.dist.version,
            version_key=sort_key(metadata.dist.version),
            build=metadata.dist.build,
            build_number=metadata.build_number,
            blob=blob,
            sha256=sha256,
            md5=md5,
            size_bytes=size_bytes,
            index=make_record(
                metadata, md5=md5, sha256=sha256, size_bytes=size_bytes,
                indexed_timestamp_ms=stamp_ms,
            ),
            about={"summary": "Made to be measured", "license": "BSD-3-Clause"},
            run_exports=entry.run_exports,
            indexed_timestamp_ms=stamp_ms,
            uploaded_by=self._user,
        )  # fmt: skip


def _facts(entry: Entry) -> tuple[str, str, int]:
    record = entry.record
    size_bytes = record["size"]
    assert isinstance(size_bytes, int)
    return str(record["sha256"]), str(record["md5"]), size_bytes


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    source = iter(entries)
    while batch := list(islice(source, _ROWS_AT_ONCE)):
        yield batch


if __name__ == "__main__":
    main()
