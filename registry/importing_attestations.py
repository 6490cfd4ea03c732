"""Taking along what lies beside imported files and says who built them (CEP 27, CEP 50)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from accounts.identity import Identity
from portal.errors import Refusal
from registry import attestations
from registry.conda.attestation import SIDECAR_SUFFIX, InvalidAttestationError, bundles_of
from registry.importing_http import Trouble
from registry.importing_sources import Candidate, ReadSidecar, Source
from registry.models import Attestation, PackageFile

# So many are held in memory, each of a few MiB at most.
_AT_ONCE = 8


class Taken(NamedTuple):
    """What became of the attestations of one file."""

    name: str
    """Of the sidecar, as reports call it."""
    added: int
    """How many the file has that it had not before."""
    troubles: list[str]
    """Why others were not taken."""


def take_along(
    *, by: Identity, source: Source, candidates: Mapping[int, Candidate]
) -> Iterator[Taken]:
    """Give files that were imported the attestations that their source has of them;
    ``candidates`` are those that have some, by the keys of the files. Each is verified like one
    that is uploaded, but that it may be signed for the channel that it comes from."""
    read = source.read_sidecar
    if read is None or not candidates:
        return
    keys = list(candidates)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        files = PackageFile.objects.select_related("account", "package").in_bulk(some)
        known = set(Attestation.objects.filter(file__in=some).values_list("file", "bundle_sha256"))
        sidecars = _read_all(read, [candidates[pk] for pk in some])
        for pk, sidecar in zip(some, sidecars, strict=True):
            if pk in files:  # else somebody deleted it meanwhile
                name = candidates[pk].name + SIDECAR_SUFFIX
                yield _take(by, source, files[pk], name, sidecar, known)


def _read_all(read: ReadSidecar, candidates: Sequence[Candidate]) -> list[bytes | Trouble]:
    """Side by side, in threads that nobody waits for when the import is stopped."""
    results: list[bytes | Trouble | Exception] = [Trouble("it was not read.") for _ in candidates]

    def work(number: int, candidate: Candidate) -> None:
        try:
            results[number] = read(candidate, number=number)
        except Exception as error:  # noqa: BLE001 - it is raised where the results are taken
            results[number] = error

    threads = [
        threading.Thread(target=work, args=one, name="import-attestations", daemon=True)
        for one in enumerate(candidates)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found: list[bytes | Trouble] = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        found.append(result)
    return found


def _take(
    by: Identity,
    source: Source,
    file: PackageFile,
    name: str,
    sidecar: bytes | Trouble,
    known: set[tuple[int, str]],
) -> Taken:
    if isinstance(sidecar, Trouble):
        return Taken(name, 0, [f"It could not be fetched: {sidecar}"])
    try:
        bundles = bundles_of(sidecar)
    except InvalidAttestationError as error:
        return Taken(name, 0, [str(error)])
    new, troubles = 0, list[str]()
    for bundle in bundles:
        if (file.pk, hashlib.sha256(bundle).hexdigest()) in known:
            continue
        try:
            added = attestations.add(by=by, file=file, bundle=bundle, also=source.addresses)
        except Refusal as refusal:
            troubles.append(refusal.detail)
        else:
            new += added.is_new
    return Taken(name, new, troubles)
