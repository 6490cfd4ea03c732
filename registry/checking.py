"""Reading stored packages again: whether their bytes are still what was published.

A disk loses bits without a word, and a backup that is restored may lack files. What is found
damaged is noted beside the bytes, which stay where they are: the site's pages list it, downloads
of it are refused, and the same file uploaded or imported again takes their place.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Collection, Iterator
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.identity import OPERATOR
from portal.errors import Unavailable
from registry import package_tree, storage
from registry.holding import hold_packages
from registry.models import Blob, PackageFile

log = logging.getLogger(__name__)

Damage = Blob.Damage
# Of what was damaged is looked sooner whether somebody put it back.
_LOOK_AGAIN_AFTER = timedelta(hours=1)
# Who has claimed bytes may not have stored them yet.
_STORED_BY_THEN = timedelta(hours=1)
_SECONDS_OF_A_RUN = 60.0
_MOST_OF_A_RUN = 10_000
_FILES_TOLD = 5


def check_some() -> int:
    """Read those again that were not for longest, as far as one run may; how many are damaged."""
    if not settings.CHECK_EVERY:
        return 0
    damaged, size_bytes = 0, 0
    end = time.monotonic() + _SECONDS_OF_A_RUN
    for blob in _due():
        damaged += check(blob) != Damage.NONE
        size_bytes += blob.size_bytes
        if time.monotonic() >= end or size_bytes >= settings.CHECK_RUN_BYTES:
            break
    return damaged


def _due() -> Iterator[Blob]:
    now = timezone.now()
    again = Blob.objects.damaged().filter(checked_at__lt=now - _LOOK_AGAIN_AFTER)
    yield from again.order_by("checked_at")[:_MOST_OF_A_RUN].iterator()
    old = Blob.objects.filter(damage=Damage.NONE, checked_at__lt=now - settings.CHECK_EVERY)
    yield from old.order_by("checked_at")[:_MOST_OF_A_RUN].iterator()


def check(blob: Blob) -> Damage:
    """Compare stored bytes with their record and note what is found.

    Raises `Unavailable` where the whole store seems to be away, which says nothing of its files.
    """
    # Read twice before anybody is told: a read may fail for once.
    found = _damage_of(blob)
    if found != Damage.NONE:
        found = _damage_of(blob)
    if found == Damage.MISSING:
        _require_store()
    with transaction.atomic():
        if found != Damage.NONE:
            _withdraw(blob)
        held = Blob.objects.select_for_update().filter(pk=blob.pk).first()
        now = timezone.now()
        is_news = held is not None and held.claimed_at != blob.claimed_at
        if (
            held is None
            or is_news
            or (found == Damage.MISSING and held.claimed_at > now - _STORED_BY_THEN)
        ):
            return Damage.NONE  # swept, or just stored anew: there is nothing to say of it
        before, held.damage, held.checked_at = held.damage, found, now
        held.save(update_fields=["damage", "checked_at"])
        if before == Damage.NONE != found:
            _tell(held, "blob.damage", damage=found.value)
        elif before != Damage.NONE == found:
            _tell(held, "blob.mend")
    return found


def _withdraw(blob: Blob) -> None:
    files = files_of([blob.pk])
    hold_packages(set(files.values_list("package", flat=True)))
    package_tree.withdraw_files(list(files.values_list("pk", flat=True)))


def _damage_of(blob: Blob) -> Damage:
    store, key = storage.store(), storage.blob_key(blob.sha256)
    sha256 = hashlib.sha256()
    try:
        size_bytes = store.size(key)
        if size_bytes is None:
            return Damage.MISSING
        if size_bytes != blob.size_bytes:
            return Damage.SIZE
        for block in store.blocks(key, start=0, length=size_bytes):
            sha256.update(block)
    except FileNotFoundError:
        return Damage.MISSING
    except OSError as error:
        log.warning("stored bytes can't be read", extra={"key": key, "error": str(error)})
        return Damage.UNREADABLE
    return Damage.NONE if sha256.hexdigest() == blob.sha256 else Damage.CONTENT


def _require_store() -> None:
    if next(storage.store().keys("blobs"), None) is None:
        raise Unavailable("Not one stored package is there. Look whether the store is mounted.")


def note_stored_anew(digests: Collection[str]) -> None:
    """Of bytes that were damaged, by their sha256: somebody has just stored them again."""
    with transaction.atomic():
        for blob in Blob.objects.damaged().filter(sha256__in=digests).select_for_update():
            if storage.store().size(storage.blob_key(blob.sha256)) == blob.size_bytes:
                blob.damage, blob.checked_at = Damage.NONE, timezone.now()
                blob.save(update_fields=["damage", "checked_at"])
                _tell(blob, "blob.mend")


def _tell(blob: Blob, action: str, **detail: str) -> None:
    names = [
        f"{account}/{subdir}/{filename}"
        for account, subdir, filename in files_of([blob.pk])[:_FILES_TOLD].values_list(
            "account__name", "subdir", "filename"
        )
    ]
    said = {"sha256": blob.sha256, "files": names, **detail}
    audit.record(
        by=OPERATOR, account=None, action=action, target=(names or [blob.sha256])[0], detail=said
    )
    is_whole = action == "blob.mend"
    log.warning(
        "a stored package is whole again" if is_whole else "a stored package is damaged",
        extra=said,
    )


def files_of(blobs: Collection[int]) -> QuerySet[PackageFile]:
    rows = PackageFile.objects.present().filter(blob__in=blobs).select_related("account")
    return rows.order_by("blob", "pk")
