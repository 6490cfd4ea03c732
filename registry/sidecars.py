"""The attestations of package files as rows, and what indexes say of them.

A file's own record names the digest of its sidecar, so all indexes and patches that come of the
record do. Both are written here, in one transaction, with the file held.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import connection

from registry.conda import attestation
from registry.conda.layout import record_key
from registry.conda.record import record_json, record_msgpack, with_attestations
from registry.models import Attestation, PackageFile, Record

_ATTESTATIONS = "registry_attestation"
_COPIED = (
    "number, bundle, bundle_sha256, sidecar_sha256, target_channel, identity, issuer, repository,"
    ' ref, "commit", run, signed_at, log_index, uploaded_at, uploaded_by_id, uploaded_with_id'
)


def find(file_id: int, sha256: str | None = None) -> tuple[bytes, str] | None:
    """The newest sidecar of a file, or an older one by its digest, with its digest."""
    rows = Attestation.objects.filter(file=file_id).order_by("number")
    if sha256 is not None:
        last = rows.filter(sidecar_sha256=sha256).values_list("number", flat=True).first()
        if last is None:
            return None
        rows = rows.filter(number__lte=last)
    found = list(rows.values_list("bundle", "sidecar_sha256"))
    if not found:
        return None
    return attestation.sidecar(bytes(bundle) for bundle, _ in found), found[-1][1]


def note(file: PackageFile, sidecar_sha256: str | None) -> None:
    """Have the file's own record name its sidecar, or none."""
    file.index = with_attestations(file.index, sidecar_sha256)
    file.save(update_fields=["index"])
    key = record_key(file.filename, schema_version=file.schema_version)
    Record.objects.filter(file=file.pk).update(
        json=record_json(key, file.index), msgpack=record_msgpack(file.index, file.run_exports)
    )


def forget(file_ids: Collection[int]) -> None:
    """Give up the attestations of files that are gone for good; no channel lists them."""
    attested = PackageFile.objects.filter(pk__in=file_ids, attestations__number=1)
    for file in attested.select_for_update(of=("self",)).order_by("pk"):
        note(file, None)
    drop(file_ids)


def drop(file_ids: Collection[int]) -> None:
    """`forget` for files whose records are written anew."""
    Attestation.objects.filter(file__in=file_ids).delete()


def copy(sources: Mapping[int, int]) -> None:
    """Give files, whose records are copied, the attestations too; ``sources`` are the keys of the
    originals by theirs. They say where the file was published first, so nothing is left out."""
    attested = Attestation.objects.filter(file__in=set(sources.values()), number=1)
    known = set(attested.values_list("file_id", flat=True))
    rows = [(target, source) for target, source in sources.items() if source in known]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {_ATTESTATIONS} (file_id, {_COPIED})"  # noqa: S608 - names of our columns
                f" SELECT %s, {_COPIED} FROM {_ATTESTATIONS} WHERE file_id = %s ORDER BY number",
                rows,
            )
