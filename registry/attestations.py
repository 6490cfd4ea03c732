"""Taking attestations of package files in (CEP 27, CEP 50).

An attestation is verified when it comes, and nothing of it is stored before. Who signed is kept and
shown; who is the right one to sign for a package is not decided here: `Verified.signer` is what
that would be asked of.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit, switches
from accounts.identity import OPERATOR, Identity
from portal.errors import Conflict, NotFound, Refusal
from portal.sentences import gettext
from registry import access, sidecars
from registry.conda import attestation as form
from registry.conda.attestation import InvalidAttestationError, Signer, Statement
from registry.entries import Entry, channels_with, tell_replaced
from registry.holding import hold_channels, hold_files, hold_packages
from registry.models import Attestation, PackageFile
from registry.models.channel import MAIN
from registry.refusing import refuse_changes, refuse_locked_around
from registry.translating import translated


class InvalidAttestation(Refusal):
    """It is signed wrong, or about something else."""

    slug = "invalid-attestation"
    title = "Not a usable attestation"
    status = 422


class TooManyAttestations(Conflict):
    slug = "too-many-attestations"
    title = "The file has as many attestations as one may have"


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle whose signature holds, about the file that it was sent for."""

    bundle: bytes
    statement: Statement
    signer: Signer


@dataclass(frozen=True, slots=True)
class Added:
    attestation: Attestation
    is_new: bool
    """False when the file had this very bundle before."""


def addresses_of(account_name: str, channel_name: str) -> frozenset[str]:
    """All that a signer may call a channel: its addresses for clients, and what rattler-build puts
    together from the server and the channel that it uploads to."""
    site, account = settings.BASE_URL, quote(account_name)
    names = {quote(channel_name, safe="/:"), channel_name}
    found = {f"{site}/conda/{account}/label/{name}" for name in names}
    found |= {f"{site}{conda}/{account}/{name}" for conda in ("/conda", "") for name in names}
    if channel_name == MAIN:
        found |= {f"{site}/conda/{account}", f"{site}/{account}"}
    return frozenset(found)


def verify(
    bundle: bytes, *, filename: str, sha256: str, addresses: frozenset[str] | set[str]
) -> Verified:
    """Have a bundle that was sent for a file looked at; refused unless all of it holds."""
    try:
        statement = form.read_statement(bundle)
        form.check_statement(statement, filename=filename, sha256=sha256, addresses=addresses)
        from registry.conda import signatures  # noqa: PLC0415 - 0.4 s and 65 MB, for few

        signer = signatures.verify(bundle, statement, trusted_root=settings.SIGSTORE_TRUSTED_ROOT)
    except InvalidAttestationError as error:
        sentence = gettext("%(reason)s Nothing was stored.") % {"reason": translated(error)}
        raise InvalidAttestation(sentence) from error
    return Verified(bundle, statement, signer)


def add(
    *, by: Identity, file: PackageFile, bundle: bytes, also: frozenset[str] = frozenset()
) -> Added:
    """Give a file that is there one more attestation; the same bundle again is no error. ``also``
    are addresses of a channel elsewhere that the file is taken from: it may be signed for that."""
    if by is not OPERATOR:
        switches.require(switches.Name.UPLOADS)
    access.require_changing(by, file)
    verified = verify(
        bundle, filename=file.filename, sha256=file.sha256, addresses=_addresses(by, file) | also
    )
    with transaction.atomic():
        return enter(by=by, file=file, verified=verified)


def _addresses(by: Identity, file: PackageFile) -> set[str]:
    channels = access.visible_channels(by, file.account).filter(entries__file=file.pk)
    names = channels.values_list("name", flat=True)
    return {address for name in names for address in addresses_of(file.account.name, name)}


def enter(*, by: Identity, file: PackageFile, verified: Verified) -> Added:
    """Enter an attestation, in a transaction of the caller's, and have all channels with the file
    name its new sidecar."""
    hold_packages([file.package_id])
    held = hold_files([file.pk]).get(file.pk)
    if held is None or held.deleted_at or held.account_id != file.account_id:
        raise NotFound
    if held.sha256 != verified.statement.sha256:
        raise NotFound  # it was replaced while we verified
    access.require_changing(by, held)
    digest = hashlib.sha256(verified.bundle).hexdigest()
    known = Attestation.objects.filter(file=held, bundle_sha256=digest).first()
    if known is not None:
        return Added(known, is_new=False)
    refuse_changes([held])
    channels = hold_channels([channel_id for _, channel_id in channels_with([held.pk])])
    for channel in channels:
        refuse_locked_around(by, held.filename, channel)
    entered = _insert(by, held, verified, digest)
    sidecars.note(held, entered.sidecar_sha256)
    tell_replaced([Entry.of_file(held)], channels)
    _log(by, held, entered)
    return Added(entered, is_new=True)


def _insert(by: Identity, file: PackageFile, verified: Verified, digest: str) -> Attestation:
    rows = Attestation.objects.filter(file=file).order_by("number")
    bundles = [bytes(bundle) for bundle in rows.values_list("bundle", flat=True)]
    sidecar = form.sidecar([*bundles, verified.bundle])
    if len(bundles) >= form.MAX_ATTESTATIONS or len(sidecar) > form.MAX_SIDECAR_BYTES:
        raise TooManyAttestations(
            gettext(
                "%(file)s has %(count)s attestations, and with this one they would be too many: at "
                "most %(most)s are kept of a file, and %(bytes)s bytes. None can be taken back; "
                "replace the file."
            )
            % {
                "file": file.filename,
                "count": len(bundles),
                "most": form.MAX_ATTESTATIONS,
                "bytes": form.MAX_SIDECAR_BYTES,
            }
        )
    signer = verified.signer
    return Attestation.objects.create(
        file=file,
        number=len(bundles) + 1,
        bundle=verified.bundle,
        bundle_sha256=digest,
        sidecar_sha256=hashlib.sha256(sidecar).hexdigest(),
        target_channel=verified.statement.target_channel or "",
        identity=signer.identity,
        issuer=signer.issuer,
        repository=signer.repository,
        ref=signer.ref,
        commit=signer.commit,
        run=signer.run,
        signed_at=signer.signed_at,
        log_index=signer.log_index,
        uploaded_at=timezone.now(),
        uploaded_by=by.user,
        uploaded_with=by.token,
    )


def _log(by: Identity, file: PackageFile, entered: Attestation) -> None:
    audit.record(
        by=by,
        account=file.account,
        action="file.attest",
        target=f"{file.subdir}/{file.filename}",
        detail={
            "sha256": file.sha256,
            "identity": entered.identity,
            "issuer": entered.issuer,
            "attestations_sha256": entered.sidecar_sha256,
        },
    )
