"""What is found for whom: index files, shards, package files and their sidecars.

Whether they may have it is asked in the same queries that fetch it; `registry.delivery` sends it.
"""

from __future__ import annotations

import bz2
import hashlib
import re
from dataclasses import replace
from typing import Any, cast

import msgspec
import zstandard
from django.db.models import Exists, F, OuterRef, Q

from accounts.identity import Identity
from portal.errors import NotFound
from registry import access, generations, notices, sidecars, storage
from registry.conda.names import Dist
from registry.conda.notices import notices_json
from registry.conda.shards import MAX_SHARD_BYTES
from registry.conda.subdirs import NOARCH
from registry.delivery import (
    INDEX_CACHE_SECONDS,
    PACKAGE_CACHE_SECONDS,
    SHARD_CACHE_SECONDS,
    Stored,
)
from registry.generations import Derived, Facts
from registry.models import Channel, ChannelFile, Package, PackageFile, PublishedIndex, Removal

_SHARD_NAME = re.compile(r"([0-9a-f]{64})\.msgpack\.zst", re.ASCII)
_CONTENT_TYPES = {
    ".json": "application/json",
    ".zst": "application/zstd",
    ".bz2": "application/x-bzip2",
}
_REMOVED_KEY = b'"removed":'


def find_index_file(identity: Identity, channel: Channel, subdir: str, name: str) -> Stored | None:
    """An index file of a subdir, or with ``subdir`` empty one of the channel itself.

    ``channel`` is one that they may read. ``noarch`` is there from the first moment on, and
    ``.bz2`` twins are made when they are first asked for. One query, and one more for who asks
    for a channel with private packages.
    """
    if not subdir and name == "notices.json":
        return _in_memory(channel, name, notices_json(notices.notices_of(channel)))
    rows = {
        members_only: (files, published_at)
        for members_only, files, published_at in PublishedIndex.objects.filter(
            channel=channel, subdir=subdir
        ).values_list("members_only", "files", "published_at")
    }
    varies = True in rows
    is_for_members = varies and access.sees_members_index(identity, channel)
    files, published_at = rows.get(is_for_members, ({}, None))
    if not files:
        document = _empty_document(name) if subdir == NOARCH else None
        return None if document is None else _in_memory(channel, name, document)
    found = _facts_of(files, name)
    if found is None:
        return None
    compressed = files.get(f"{name}.zst")
    offset = (files.get(name) or compressed or {}).get("removed_offset")
    stored = Stored(
        key="",
        size_bytes=0,
        etag="",
        content_type=content_type_of(name),
        modified_at=published_at,
        is_private=channel.is_private or is_for_members,
        varies=varies,
        removed_offset=None if offset is None else int(cast(int, offset)),
        compressed=compressed,
    )
    if isinstance(found, Derived):
        return stored.made_by(found)
    size_bytes = int(cast(int, found["size"]))
    return replace(stored, key=str(found["key"]), size_bytes=size_bytes, etag=str(found["etag"]))


def _empty_document(name: str) -> bytes | None:
    documents = generations.empty_documents(NOARCH)
    if name.endswith(".json.bz2"):
        plain = documents.get(name.removesuffix(".bz2"))
        return None if plain is None else bz2.compress(plain)
    return documents.get(name)


def _facts_of(files: dict[str, Facts], name: str) -> Facts | Derived | None:
    if name.startswith(generations.ORIGINALS) and f"{generations.ORIGINALS}.zst" not in files:
        # Without patches the originals are what is listed.
        name = generations.REPODATA + name.removeprefix(generations.ORIGINALS)
    if name in files:
        return files[name]
    source = files.get(f"{name.removesuffix('.bz2')}.zst")
    if source is None or not name.endswith((".json", ".json.bz2")):
        return None
    return generations.bz2_of(source) if name.endswith(".bz2") else generations.plain_of(source)


def _in_memory(channel: Channel, name: str, data: bytes) -> Stored:
    digest = hashlib.sha256(data).hexdigest()
    offset = data.find(_REMOVED_KEY) if name.endswith(".json") else -1
    return Stored(
        key="",
        size_bytes=len(data),
        etag=f'"{digest[:40]}"',
        content_type=content_type_of(name),
        is_private=channel.is_private,
        data=data,
        removed_offset=offset + len(_REMOVED_KEY) if offset >= 0 else None,
    )


def content_type_of(name: str) -> str:
    return _CONTENT_TYPES.get(f".{name.rpartition('.')[2]}", "application/octet-stream")


def find_shard(identity: Identity, channel: Channel, subdir: str, name: str) -> Stored | None:
    """A shard by its file name, the digest; older ones stay until they are swept.

    Knowing a digest is no right: one of a private package is given to nobody else.
    """
    match = _SHARD_NAME.fullmatch(name)
    if match is None:
        return None
    key = storage.shard_key(channel.pk, subdir, name)
    size_bytes = storage.store().size(key)
    if size_bytes is None:
        return None
    is_private = channel.is_private
    # Not asked of the index: it may be older than the shard's package is private.
    private_packages = Package.objects.filter(account=channel.account_id, is_private=True)
    has_private = not is_private and private_packages.exists()
    if has_private and _is_of_private_package(channel, key, size_bytes):
        if not access.sees_members_index(identity, channel):
            return None
        is_private = True
    return Stored(
        key=key,
        size_bytes=size_bytes,
        etag=f'"{match[1]}"',
        content_type=content_type_of(name),
        cache_seconds=SHARD_CACHE_SECONDS,
        is_immutable=True,
        is_private=is_private,
    )


def _is_of_private_package(channel: Channel, key: str, size_bytes: int) -> bool:
    """Whether the shard speaks of a private package; only asked where there are such."""
    blocks = storage.store().blocks(key, start=0, length=size_bytes)
    data = zstandard.ZstdDecompressor().decompress(
        b"".join(blocks), max_output_size=MAX_SHARD_BYTES
    )
    shard = msgspec.msgpack.decode(data)
    filenames = {*shard["packages"], *shard["packages.conda"], *shard["removed"]}
    for extension, records in shard.get("v3", {}).items():
        filenames |= {f"{key}.{extension}" for key in records}
    names = {Dist.from_filename(filename).name for filename in filenames}
    return Package.objects.filter(
        account=channel.account_id, name__in=names, is_private=True
    ).exists()


def find_package_file(
    identity: Identity, channel: Channel, subdir: str, filename: str
) -> tuple[PackageFile, Stored]:
    """A package file that stands in the channel, or stood there and was not deleted since.

    Who installs from yesterday's index still gets what it names. Raises `NotFound`. One query,
    and for a private package those that its rights need.
    """
    here = {"channel": channel, "subdir": subdir, "filename": filename}
    listed = ChannelFile.objects.filter(file=OuterRef("pk"), channel=channel)
    file = (
        PackageFile.objects.present()
        .filter(account=channel.account_id, subdir=subdir, filename=filename)
        .filter(Q(Exists(listed)) | Q(Exists(Removal.objects.filter(**here))), blob__isnull=False)
        .select_related("package")
        .only(
            "account", "blob", "subdir", "filename", "name", "sha256", "size_bytes", "uploaded_at",
            "package__account", "package__name", "package__is_private",
        )
        .annotate(damage=F("blob__damage"))
        .first()
    )  # fmt: skip
    if file is None:
        raise NotFound
    file.account = file.package.account = channel.account
    if not access.may_download(identity, file, channel):
        raise NotFound
    is_private = channel.is_private or file.package.is_private
    damage: str = cast(Any, file).damage  # annotated: a row of its own would cost more
    stored = stored_package(file, damage, is_private=is_private, is_immutable=channel.is_immutable)
    return file, stored


def find_sidecar(
    identity: Identity, channel: Channel, subdir: str, filename: str, sha256: str | None
) -> Stored:
    """The attestations of a package file (CEP 50), the newest or those of a digest; for whoever
    may fetch the file. Raises `NotFound`."""
    file, package = find_package_file(identity, channel, subdir, filename)
    found = sidecars.find(file.pk, sha256)
    if found is None:
        raise NotFound
    data, digest = found
    return Stored(
        key="",
        size_bytes=len(data),
        etag=f'"{digest}"',
        content_type="application/json",
        cache_seconds=SHARD_CACHE_SECONDS,
        is_immutable=sha256 is not None,
        no_cache=sha256 is None,
        is_private=package.is_private,
        data=data,
    )


def stored_package(
    file: PackageFile, damage: str, *, is_private: bool, is_immutable: bool = False
) -> Stored:
    """The bytes of a package file; whether they are theirs to fetch was asked before."""
    return Stored(
        key=storage.blob_key(file.sha256),
        size_bytes=file.size_bytes,
        etag=f'"{file.sha256}"',
        content_type="application/octet-stream",
        modified_at=file.uploaded_at,
        cache_seconds=PACKAGE_CACHE_SECONDS if is_immutable else INDEX_CACHE_SECONDS,
        is_immutable=is_immutable,
        is_private=is_private,
        download_name=file.filename,
        may_redirect=True,
        is_damaged=bool(damage),
    )
