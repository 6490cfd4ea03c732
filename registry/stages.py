"""Taking package files in by three steps, as anaconda.org does.

The file is announced with a credential; its bytes come in a form without one, to us or straight to
the S3; the commit, with a credential again, publishes it. Who may is decided at both ends, by the
rules for every upload.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Sum
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import require_ability
from accounts.scopes import Ability
from portal import failpoints
from portal.errors import Conflict, CredentialNeeded, InvalidInput, Refusal, Unavailable
from registry import access, post_forms, publishing, quotas, replacing, storage
from registry.access import Destination
from registry.conda.errors import FilenameMismatchError, PackageError, gettext_noop, quote
from registry.conda.facts import Digests
from registry.conda.names import check_filename
from registry.conda.subdirs import check_subdir
from registry.entering import known_files
from registry.models import Channel, PackageFile, Stage
from registry.models.channel import MAIN
from registry.post_forms import SignedForm
from registry.publishing import Claims, DigestMismatch, InvalidPackage, Outcome, Published
from registry.refusing import FileExists, refuse_other_bytes
from registry.storage import Incoming, Readable, UploadTooLarge
from registry.translating import translated

log = logging.getLogger(__name__)

MAX_CHANNELS = 50
_KEY = re.compile(r"[0-9a-f]{24}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class StageGone(Refusal):
    slug = "stage-gone"
    title = "The upload is not waiting any more"
    status = 404


class BytesMissing(Conflict):
    slug = "bytes-missing"
    title = "The file has not arrived"


@dataclass(frozen=True, slots=True)
class Address:
    """The one file that a stage is about, as the steps before and after the form name it."""

    account_name: str
    package_name: str
    version: str
    subdir: str
    filename: str

    def __str__(self) -> str:
        return f"{self.subdir}/{self.filename}"


# --- Announcing --------------------------------------------------------------------------------


def open_stage(
    *, by: Identity, address: Address, channels: Sequence[str], sha256: str | None
) -> Stage:
    """Let a file be sent; in no channel is in ``main``.

    The same bytes as are known under its name are no error: whoever lost an answer, or runs beside
    another, goes on to a commit that changes nothing.
    """
    names = list(dict.fromkeys(channels)) or [MAIN]
    if len(names) > MAX_CHANNELS:
        raise InvalidInput(f"{len(names)} channels are named; at most {MAX_CHANNELS} are taken.")
    account = _destinations(by, address, names)[0].account
    _check_names(address)
    announced = _checked_sha256(sha256)
    _refuse_other_bytes(by, account, address, announced)
    _require_room(account, address.subdir, address.filename)
    stage = Stage.objects.create(
        key=secrets.token_hex(12),
        account=account,
        package_name=address.package_name,
        version=address.version,
        subdir=address.subdir,
        filename=address.filename,
        channels=names,
        sha256=announced,
        opened_by=by.user,
        opened_with=by.token,
        expires_at=timezone.now() + settings.STAGE_LIFETIME,
    )
    replacing.prolong(
        account=account, subdir=stage.subdir, filename=stage.filename, until=stage.expires_at
    )
    return stage


def _destinations(by: Identity, address: Address, channels: Sequence[str]) -> list[Destination]:
    """Where the file is to go, now that it is known that they may publish it there."""
    if by.is_anonymous:
        raise CredentialNeeded(
            "Uploading needs a credential. Send a token: Authorization: token <token>."
        )
    destinations = [
        publishing.open_destination(by, address.account_name, channel) for channel in channels
    ]
    for destination in destinations:
        access.require_publish(by, destination, address.package_name)
    return destinations


def _check_names(address: Address) -> None:
    """Refuse before the upload what its archive would be refused for."""
    try:
        check_subdir(address.subdir)
        dist, _ = check_filename(address.filename)
        if (dist.name, dist.version) != (address.package_name, address.version):
            raise FilenameMismatchError(
                gettext_noop(
                    "The file %(filename)s was announced as version %(version)s of %(package)s. "
                    "Its name says %(own_version)s of %(own)s."
                ),
                filename=quote(address.filename),
                version=quote(address.version),
                package=quote(address.package_name),
                own_version=quote(dist.version),
                own=quote(dist.name),
            )
    except PackageError as error:
        raise InvalidPackage(error) from error


def _refuse_other_bytes(by: Identity, account: Account, address: Address, sha256: str) -> None:
    """Say before the upload what its commit would be refused for."""
    key = (address.subdir, address.filename)
    known = known_files(account, [key]).get(key)
    if known is None:
        return
    try:
        refuse_other_bytes(account, known, sha256=sha256)
    except FileExists:
        # rattler-build, told to use force, deletes it now and comes again.
        file = PackageFile.objects.select_related("account", "package").get(pk=known.id)
        replacing.announce(by, file)
        raise


def _require_room(account: Account, subdir: str, filename: str, *, size_bytes: int = 0) -> None:
    """Refuse before it is stored what there is no room for, beside what waits for its commit."""
    named = {"account": account, "subdir": subdir, "filename": filename}
    if PackageFile.objects.present().filter(**named).exists():
        return
    waiting = Stage.objects.waiting().filter(account=account, size_bytes__isnull=False)
    # The same file, sent by a job beside this one, is kept once.
    waiting = waiting.exclude(subdir=subdir, filename=filename)
    staged = waiting.aggregate(size_bytes=Sum("size_bytes"), files=Count("*"))
    quotas.require_room(
        account,
        size_bytes=size_bytes,
        waiting=quotas.Usage(staged["size_bytes"] or 0, staged["files"]),
    )


def _checked_sha256(text: str | None) -> str:
    sha256 = (text or "").strip().lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise InvalidInput(
            f"The announced sha256 is {sha256[:80]!r}; 64 hexadecimal digits are wanted."
        )
    return sha256


def form_of(stage: Stage, *, own_url: str, names_file: bool) -> SignedForm:
    """The form that the bytes are to be sent in: to the S3, else to our own address.

    ``names_file`` is whether the sender will give the file a name.
    """
    key = storage.staged_key(stage.key)
    limit_bytes, seconds = settings.MAX_UPLOAD_BYTES, settings.STAGE_FORM_SECONDS
    form = storage.store().signed_form(
        key, limit_bytes=limit_bytes, seconds=seconds, names_file=names_file
    )
    return form or post_forms.sign(own_url, stage.key, limit_bytes=limit_bytes, seconds=seconds)


# --- Receiving ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admission:
    """A form of ours that may be received: what of, and how much of it."""

    stage: Stage
    limit_bytes: int


def admit(fields: Mapping[str, str]) -> Admission:
    """Decide about a form by the fields that come before its file."""
    policy = post_forms.check(fields)
    stage = Stage.objects.waiting().select_related("account").filter(key=policy.key).first()
    if stage is None:
        raise _gone()
    return Admission(stage, policy.limit_bytes)


def receive(
    admission: Admission,
    body: Readable,
    *,
    size_bytes: int | None,
    md5_base64: str | None,
) -> Digests:
    """Take in the bytes that were announced, and no others; when this returns, they survive the
    loss of power."""
    stage, limit_bytes = admission.stage, admission.limit_bytes
    if size_bytes is not None and size_bytes > limit_bytes:
        raise UploadTooLarge(
            f"The file has {size_bytes:,} bytes; {limit_bytes:,} are the most this host takes."
        )
    md5 = None if md5_base64 is None else _md5(md5_base64)
    with storage.receive(body, limit_bytes=limit_bytes) as incoming:
        failpoints.reach("stage-received")
        digests = Digests(incoming.sha256, incoming.md5, incoming.size_bytes)
        if size_bytes is not None and size_bytes != digests.size_bytes:
            raise DigestMismatch(
                f"{digests.size_bytes:,} bytes arrived, but {size_bytes:,} were announced. "
                "Send the file again."
            )
        if mismatch := digests.mismatch(sha256=stage.sha256 or None, md5=md5):
            raise DigestMismatch(translated(mismatch))
        _require_room(stage.account, stage.subdir, stage.filename, size_bytes=digests.size_bytes)
        # First the row, then the bytes: what lies under the key is always what the row says.
        named = Stage.objects.waiting().filter(pk=stage.pk, sha256__in=["", digests.sha256])
        if not named.update(sha256=digests.sha256, md5=digests.md5, size_bytes=digests.size_bytes):
            raise _gone()
        storage.store().keep(incoming.file, incoming.path, storage.staged_key(stage.key))
        failpoints.reach("stage-stored")
    return digests


def _md5(text: str) -> str:
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise DigestMismatch(f"The announced MD5 is {text[:40]!r}; base64 of 16 bytes is wanted.")
    return digest.hex()


# --- Committing --------------------------------------------------------------------------------


def commit(*, by: Identity, address: Address, key: str) -> Published:
    """Publish the file that was sent.

    Again with the same key is the same answer. Whoever may publish the file now may commit it;
    what is refused for what it is can't be committed again.
    """
    if by.is_anonymous:
        raise CredentialNeeded(
            "Committing an upload needs the credential that announced it: Authorization: token "
            "<token>."
        )
    require_ability(by, Ability.WRITE)
    stage = _find(access.find_account(address.account_name), key)
    destinations = _destinations(by, address, stage.channels)
    announced = (stage.package_name, stage.version, stage.subdir, stage.filename)
    if announced != (address.package_name, address.version, address.subdir, address.filename):
        raise InvalidInput(f"The upload {key} is about {stage}, not about {address}.")
    if stage.file is not None:
        return _again(stage, stage.file)
    try:
        with _bytes_of(stage) as incoming:
            published = publishing.take_in(
                by=by,
                destination=destinations[0],
                also=destinations[1:],
                incoming=incoming,
                claims=Claims(
                    filename=stage.filename, subdir=stage.subdir, sha256=stage.sha256 or None
                ),
            )
    except _NotThere:
        return _committed_meanwhile(stage)
    except (InvalidPackage, DigestMismatch, UploadTooLarge, Conflict):
        Stage.objects.filter(pk=stage.pk).delete()
        _forget_bytes(stage)
        raise
    Stage.objects.filter(pk=stage.pk).update(file=published.file)
    failpoints.reach("stage-ended")
    _forget_bytes(stage)
    return published


def _find(account: Account, key: str) -> Stage:
    stages = Stage.objects.select_related("account", "file__account", "file__package")
    stage = (
        stages.filter(account=account, key=key, expires_at__gt=timezone.now()).first()
        if _KEY.fullmatch(key)
        else None
    )
    if stage is None:
        raise _gone()
    return stage


class _NotThere(Exception):
    """No bytes lie under the stage's key."""


@contextmanager
def _bytes_of(stage: Stage) -> Iterator[Incoming]:
    digests = (
        None if stage.size_bytes is None else Digests(stage.sha256, stage.md5, stage.size_bytes)
    )
    with ExitStack() as opened:
        bytes_there = storage.store().reopen(
            storage.staged_key(stage.key), digests=digests, limit_bytes=settings.MAX_UPLOAD_BYTES
        )
        try:
            incoming = opened.enter_context(bytes_there)
        except FileNotFoundError as error:
            raise _NotThere from error
        yield incoming


def _committed_meanwhile(stage: Stage) -> Published:
    """The bytes are not there: another commit has taken them in, or they never came."""
    now = Stage.objects.select_related("file__account", "file__package").filter(pk=stage.pk).first()
    if now is None:
        raise _gone()
    if now.file is None:
        raise BytesMissing(
            f"The bytes of {stage} have not arrived. Send the form before the commit."
        )
    return _again(now, now.file)


def _again(stage: Stage, file: PackageFile) -> Published:
    channels = Channel.objects.select_related("account").filter(account=stage.account_id)
    channel = channels.filter(name=stage.channels[0]).first()
    if channel is None:  # deleted since
        raise _gone()
    return Published(file, channel, Outcome.UNCHANGED)


def _forget_bytes(stage: Stage) -> None:
    try:
        storage.store().delete(storage.staged_key(stage.key))
    except Unavailable:  # what is decided stays so, and the bytes are swept
        log.warning("the bytes of a committed upload could not be deleted")


def _gone() -> StageGone:
    hours = settings.STAGE_LIFETIME.total_seconds() / 3600
    return StageGone(
        "No upload is waiting under this id: it was refused, or was announced more than "
        f"{hours:g} hours ago. Upload the file again."
    )
