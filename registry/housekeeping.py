"""Sweeping what nobody needs any more: abandoned uploads, unreferenced bytes, old index files."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from accounts import switches
from portal import processes
from registry import chores, generations, indexing, package_tree, storage, tree
from registry.conda.shards import shard_filename
from registry.models import Binned, Blob, Channel, PackageFile, PublishedIndex, Stage
from registry.rows import batched

log = logging.getLogger(__name__)

# An upload that has not grown for so long belongs to a process of another machine that is gone.
ABANDONED_AFTER = timedelta(hours=1)
_OWNER = re.compile(r"[a-z]+-(?P<host>[A-Za-z0-9.-]+)_(?P<pid>[0-9]{1,10})_")
_BATCH = 500
_LINKS_CHECKED_EVERY = 24 * 3600.0


class _Sweep(NamedTuple):
    run: Callable[[], int]
    every_seconds: float = 0


# Sweeps of rooms that stand above this one, by what they take away.
_OF_OTHERS: dict[str, _Sweep] = {}


def also_sweep(name: str, sweep: Callable[[], int], *, every_seconds: float = 0) -> None:
    """Have `keep_house` run a sweep of a room that knows of this one, at most every so many
    seconds; told when all is set up."""
    _OF_OTHERS[name] = _Sweep(sweep, every_seconds)


def keep_house() -> dict[str, int]:
    """Run every sweep that is due; how many things each of them took away. Nothing, while the site
    is read-only."""
    if switches.is_thrown(switches.Name.READ_ONLY):
        return {}
    sweeps = _OF_OTHERS | {
        "uploads": _Sweep(sweep_abandoned_uploads),
        "staged uploads": _Sweep(sweep_stages),
        "blobs": _Sweep(sweep_unreferenced_blobs),
        "index files": _Sweep(sweep_old_index_files),
        "subdirs of the tree": _Sweep(tree.mend),
        "packages of the tree": _Sweep(package_tree.mend),
        "links of the tree": _Sweep(package_tree.check, every_seconds=_LINKS_CHECKED_EVERY),
    }
    swept: dict[str, int] = {}
    for name, sweep in sweeps.items():
        try:
            swept[name] = chores.run(name, sweep.run, every_seconds=sweep.every_seconds) or 0
        except Exception:  # the next time may go well, and the others must be done
            log.exception("a sweep failed", extra={"chore": name})
            if not connection.in_atomic_block:
                close_old_connections()
    if any(swept.values()):
        log.info("swept", extra={key.replace(" ", "_"): count for key, count in swept.items()})
    return swept


def sweep_abandoned_uploads() -> int:
    """Remove temporary files of processes that ended before they could."""
    border = time.time() - ABANDONED_AFTER.total_seconds()
    count = 0
    folder = Path(settings.INCOMING_FOLDER)
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.is_file() and (_owner_ended(path.name) or path.stat().st_mtime <= border):
                path.unlink()
                count += 1
    return count


def _owner_ended(name: str) -> bool:
    match = _OWNER.match(name)
    return match is not None and processes.has_ended(match["host"], int(match["pid"]))


def sweep_stages() -> int:
    """Give up uploads that were announced and not committed in time, and bytes that none of those
    that are left waits for: a form may be sent to an S3 when its stage is over."""
    Stage.objects.filter(expires_at__lte=timezone.now()).delete()
    count = 0
    # Listed before the rows are asked for: a row is there before its bytes are.
    keys = [key for key, _ in storage.store().keys(storage.STAGED)]
    for some in batched(keys, _BATCH):
        stages = {key.rpartition("/")[2]: key for key in some}
        waiting = Stage.objects.waiting().filter(key__in=stages)
        for stage in stages.keys() - set(waiting.values_list("key", flat=True)):
            storage.store().delete(stages[stage])
            count += 1
    return count


def sweep_unreferenced_blobs() -> int:
    """Give up the bytes that no file needs, a grace after the last claim on them."""
    border = timezone.now() - settings.UNREFERENCED_BYTES_KEPT
    unneeded = Blob.objects.filter(files=None, binned=None, claimed_at__lt=border)
    count = 0
    for pk in list(unneeded.values_list("pk", flat=True)[:10_000]):
        count += _sweep_blob(pk)
    return count


@transaction.atomic
def _sweep_blob(pk: int) -> int:
    # The bytes go while the row is locked: an upload of the same content claims the row, so it
    # either comes first and is seen here, or waits and then finds the bytes gone.
    border = timezone.now() - settings.UNREFERENCED_BYTES_KEPT
    blob = Blob.objects.select_for_update().filter(pk=pk, claimed_at__lt=border).first()
    if blob is None or PackageFile.objects.filter(blob=blob).exists():
        return 0
    if Binned.objects.filter(blob=blob).exists():
        return 0
    blob.delete()
    storage.store().delete(storage.blob_key(blob.sha256))
    return 1


def sweep_old_index_files() -> int:
    """Remove generations that were replaced a while ago, and shards that no index names."""
    count = 0
    for channel_id in Channel.objects.values_list("pk", flat=True).iterator(chunk_size=_BATCH):
        for subdir in PublishedIndex.objects.filter(
            channel=channel_id, members_only=False
        ).values_list("subdir", flat=True):
            count += _sweep_subdir(channel_id, subdir)
    return count


def _sweep_subdir(channel_id: int, subdir: str) -> int:
    store = storage.store()
    now = time.time()
    old = [
        key
        for key, written in store.keys(storage.index_folder(channel_id, subdir))
        if written < now - _kept_for(key).total_seconds()
    ]
    if not _not_needed(old, channel_id, subdir):
        return 0
    # A shard of long ago is needed again when a channel becomes what it was: nobody may be
    # writing an index that counts on one while it goes.
    with indexing.lease(channel_id, subdir) as held:
        doomed = _not_needed(old, channel_id, subdir) if held else []
        for key in doomed:
            store.delete(key)
    indexing.bring_up_to_date(channel_id, subdir)  # what was marked meanwhile rang in vain
    return len(doomed)


def _not_needed(keys: list[str], channel_id: int, subdir: str) -> list[str]:
    needed = set(_needed_keys(channel_id, subdir))
    return [key for key in keys if key not in needed and not _derived_from(key, needed)]


def _kept_for(key: str) -> timedelta:
    return settings.OLD_SHARDS_KEPT if "/shards/" in key else settings.OLD_GENERATIONS_KEPT


def _derived_from(key: str, needed: set[str]) -> bool:
    """Whether a file lies beside one that is needed: its map, or what was made from it."""
    while key := key.rpartition(".")[0]:
        if key in needed:
            return True
    return False


def _needed_keys(channel_id: int, subdir: str) -> Iterator[str]:
    for index in PublishedIndex.objects.filter(channel=channel_id, subdir=subdir):
        for file in index.files.values():
            yield str(file["key"])
        if generations.SHARD_INDEX in index.files:
            digests = generations.read_shard_index(index.files[generations.SHARD_INDEX]).values()
            for digest in digests:
                yield storage.shard_key(channel_id, subdir, shard_filename(digest))
