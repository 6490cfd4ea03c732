"""Looking after the index files once the machine went down.

They are written without waiting for the disk, since they can be made again. So after the power
was lost some may be cut short or full of zeros. What is not as it should be is made anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import zstandard
from django.conf import settings

from portal import processes
from registry import generations, storage
from registry.conda.shards import shard_filename
from registry.generations import SHARD_INDEX, Facts
from registry.models import PublishedIndex, StaleMark

log = logging.getLogger(__name__)

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def check_after_restart() -> int:
    """Look through all index files, once after each start of this machine; how many indexes are
    damaged and have been marked stale."""
    boot = _boot_id()
    if settings.S3_BUCKET or not boot:
        return 0
    checked = Path(settings.FILES_FOLDER, "index", f"checked-{processes.HOST}")
    if checked.is_file() and checked.read_text(encoding="ascii") == boot:
        return 0
    damaged = 0
    for index in PublishedIndex.objects.iterator(chunk_size=100):
        damaged += check(index) is not None
    checked.parent.mkdir(parents=True, exist_ok=True)
    checked.write_text(boot, encoding="ascii")
    return damaged


def check(index: PublishedIndex) -> str | None:
    """Compare the files of an index with what they should be, where they lie in a folder; the key
    of one that is damaged, after which all of them are made anew."""
    trouble = next(_troubles(index), None)
    if trouble is not None:
        log.error("an index file is damaged; it is made anew", extra={"file": trouble})
        stage = StaleMark.Stage.SHARDS if index.subdir else StaleMark.Stage.SUMMARIES
        StaleMark.objects.create(channel_id=index.channel_id, subdir=index.subdir, stage=stage)
    return trouble


def _boot_id() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:  # not on this system: then nothing tells a restart
        return ""


def _troubles(index: PublishedIndex) -> Iterator[str]:
    """The keys of files that are not what they should be."""
    for name, facts in index.files.items():
        if not _is_whole(index, name, facts):
            yield str(facts["key"])
            return
    if SHARD_INDEX in index.files:
        for digest in generations.read_shard_index(index.files[SHARD_INDEX]).values():
            key = storage.shard_key(index.channel_id, index.subdir, shard_filename(digest))
            if _sha256(key) != digest.hex():
                yield key
                return


def _is_whole(index: PublishedIndex, name: str, facts: Facts) -> bool:
    key = str(facts["key"])
    if storage.store().size(key) != int(cast(int, facts["size"])):
        return False
    if facts.get("frame"):
        return _has_its_chunks(facts)
    twin = index.files.get(f"{name}.zst")
    if twin is not None and twin.get("frame"):
        return _is_the_text_of(key, twin)
    return str(facts["etag"]) == f'"{_sha256(key)[:40]}"'


def _has_its_chunks(facts: Facts) -> bool:
    chunks = generations.read_map(facts)
    if chunks is None:
        return False
    store, key = storage.store(), str(facts["key"])
    for chunk in chunks.chunks:
        blocks = b"".join(store.blocks(key, start=chunk.offset, length=chunk.size_bytes))
        if hashlib.sha256(blocks).digest()[: len(chunk.digest)] != chunk.digest:
            return False
    return True


def _is_the_text_of(key: str, compressed: Facts) -> bool:
    sha256 = hashlib.sha256()
    try:
        source = storage.store().open_local(str(compressed["key"]))
        if source is None:
            return True
        with source:
            for block in zstandard.ZstdDecompressor().read_to_iter(source):
                sha256.update(block)
    except (FileNotFoundError, zstandard.ZstdError):
        return False
    return sha256.hexdigest() == _sha256(key)


def _sha256(key: str) -> str:
    """Of a file; empty where there is none."""
    try:
        source = storage.store().open_local(key)
    except FileNotFoundError:
        return ""
    if source is None:
        return ""
    sha256 = hashlib.sha256()
    with source:
        while block := source.read(storage.BLOCK_BYTES):
            sha256.update(block)
    return sha256.hexdigest()
