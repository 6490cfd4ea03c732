"""Giving an account the rows of another account's files: the bytes are shared, and so is what
indexes say of them. Done by the database, since a label may hold some thousand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from registry import sidecars
from registry.entering import (
    OF_THE_BYTES,
    STAYING,
    Key,
    KnownFile,
    give_up_bytes,
    known_files,
    take_out_of_bin,
)
from registry.models import PackageFile

_COPIED = ("subdir", "filename", "name", *OF_THE_BYTES)
_FILES = "registry_packagefile"
_RECORDS = "registry_record"


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)  # "index" is a word of SQL, too


_OF_FILE = _listed(OF_THE_BYTES)
_OF_RECORD = _listed(("json", "msgpack", "run_exports_json"))


class Copied(NamedTuple):
    known: dict[Key, KnownFile]
    """What stands under the names now, or stood before."""
    new: set[int]
    """The keys of those that were not there before."""


def copy_rows(*, by: Identity, account: Account, files: Sequence[PackageFile]) -> Copied:
    """Enter files of others into an account that has their packages; a name that is there stays
    what it was. All packages and files are held."""
    newest = PackageFile.objects.aggregate(newest=Max("pk"))["newest"] or 0
    _copy_files(by, account, [file.pk for file in files])
    known = known_files(account, [(file.subdir, file.filename) for file in files])
    new = {file.id for file in known.values() if file.id > newest}
    keys = {(file.subdir, file.filename): file.pk for file in files}
    sources = {file.id: keys[file.key] for file in known.values() if file.id in new}
    _copy_records(sources)
    sidecars.copy(sources)
    return Copied(known, new)


def overwrite_rows(*, by: Identity, sources: Mapping[int, int]) -> None:
    """Let known files have the bytes of others from now on; ``sources`` are the keys of these by
    the keys of those. All are held."""
    if not sources:
        return
    give_up_bytes(list(sources))
    take_out_of_bin(list(sources))
    sidecars.drop(list(sources))
    _run(
        f"UPDATE {_FILES} SET ({_OF_FILE}) ="  # noqa: S608 - names of our columns
        f" (SELECT {_OF_FILE} FROM {_FILES} WHERE id = %s) WHERE id = %s",
        [(source, target) for target, source in sources.items()],
    )
    PackageFile.objects.filter(pk__in=sources).update(
        deleted_at=None,
        uploaded_at=timezone.now(),
        uploaded_by=by.user,
        uploaded_with=by.token,
        **STAYING,
    )
    _run(
        f"UPDATE {_RECORDS} SET ({_OF_RECORD}) ="  # noqa: S608 - names of our columns
        f" (SELECT {_OF_RECORD} FROM {_RECORDS} WHERE file_id = %s) WHERE file_id = %s",
        [(source, target) for target, source in sources.items()],
    )
    sidecars.copy(sources)


def _copy_files(by: Identity, account: Account, ids: Sequence[int]) -> None:
    taken = ", ".join(f'source."{column}"' for column in _COPIED)
    now = PackageFile._meta.get_field("uploaded_at").get_db_prep_save(timezone.now(), connection)  # noqa: SLF001 - Django's documented API
    marks = ", ".join(["%s"] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_FILES} (account_id, package_id, uploaded_at, uploaded_by_id,"  # noqa: S608 - names of our columns
            f" uploaded_with_id, {_listed(_COPIED)})"
            f" SELECT package.account_id, package.id, %s, %s, %s, {taken}"
            f" FROM {_FILES} AS source JOIN registry_package AS package"
            " ON package.account_id = %s AND package.name = source.name"
            f" WHERE source.id IN ({marks}) ORDER BY source.id ON CONFLICT DO NOTHING",
            [
                now,
                by.user.pk if by.user else None,
                by.token.pk if by.token else None,
                account.pk,
                *ids,
            ],
        )


def _copy_records(sources: Mapping[int, int]) -> None:
    _run(
        f"INSERT INTO {_RECORDS} (file_id, {_OF_RECORD})"  # noqa: S608 - names of our columns
        f" SELECT %s, {_OF_RECORD} FROM {_RECORDS} WHERE file_id = %s",
        [(target, source) for target, source in sources.items()],
    )


def _run(statement: str, rows: list[tuple[int, int]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)
