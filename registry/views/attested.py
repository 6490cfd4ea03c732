"""Who signed a package file, as its pages say it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from registry.models import Attestation, PackageFile

# The first of each file stands for all: they come and go together.
_IS_ATTESTED = Exists(Attestation.objects.filter(file=OuterRef("pk"), number=1))


@dataclass(frozen=True, slots=True)
class Signature:
    """One attestation in words; an address is empty where it is not for following."""

    identity: str
    """A workflow's by its place in the repository, which is named beside it."""
    issuer: str
    repository: str
    repository_url: str
    ref: str
    commit: str
    commit_url: str
    run: str
    run_url: str
    signed_at: datetime


def with_marks(files: QuerySet[PackageFile]) -> QuerySet[PackageFile]:
    """The files, each with ``is_attested``: what lists show a mark for."""
    return files.annotate(is_attested=_IS_ATTESTED)


def count_attested(files: QuerySet[PackageFile]) -> int:
    return files.filter(_IS_ATTESTED).count()


def signatures_of(file: PackageFile) -> list[Signature]:
    """In the order they came; asked only of files whose record names some."""
    if "attestations_sha256" not in file.index:
        return []
    rows = Attestation.objects.filter(file=file.pk).defer("bundle").order_by("number")
    return [_signature(row) for row in rows]


def _signature(row: Attestation) -> Signature:
    # What a certificate says, and what only looks like an address is not linked.
    address = row.repository if row.repository.startswith("https://") else ""
    is_github = address.startswith("https://github.com/")
    return Signature(
        identity=_within(row.repository, row.identity),
        issuer=row.issuer,
        repository=row.repository.removeprefix("https://"),
        repository_url=address,
        ref=row.ref,
        commit=row.commit,
        commit_url=f"{address}/commit/{row.commit}" if is_github and row.commit else "",
        run=_within(row.repository, row.run),
        run_url=row.run if row.run.startswith("https://") else "",
        signed_at=row.signed_at,
    )


def _within(repository: str, address: str) -> str:
    return address.removeprefix(f"{repository}/") if repository else address
