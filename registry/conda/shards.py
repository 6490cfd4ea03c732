"""Records to shards and the shard index (CEP 16; run exports in them: CEP 21).

A shard holds all records of one package name in one subdir. It is named by the digest of its
compressed bytes, so it never changes, and the index alone says which shards count.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import zstandard

# Level 19 makes shards 5 % smaller in 50 times the time; the index is digests, which no
# level makes smaller.
LEVEL = 3
MAX_SHARD_BYTES = 16 * 1024 * 1024
SHARD_INDEX_VERSION = 1
SHARDS_BASE_URL = "./shards/"
"""Relative on purpose: an absolute address on another host fails in mamba."""


class ShardTooLargeError(ValueError):
    """conda reads no shard of more than 16 MiB, so there is no use in publishing it."""


class InvalidDigestError(ValueError):
    """Not a raw SHA-256 digest; as text conda crashes on it and mamba finds no package."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A compressed shard and the SHA-256 digest of exactly these bytes."""

    data: bytes
    digest: bytes

    @property
    def filename(self) -> str:
        return shard_filename(self.digest)


def shard_filename(digest: bytes) -> str:
    return f"{digest.hex()}.msgpack.zst"


def build_shard(
    *,
    packages: Iterable[tuple[str, bytes]],
    conda_packages: Iterable[tuple[str, bytes]],
    removed: Iterable[str],
    v3: Mapping[str, Iterable[tuple[str, bytes]]] | None = None,
) -> Shard:
    """Put the records of one name together; the same records in any order give the same shard.

    Records come as pairs of filename and one msgpack map, which is copied and never decoded.
    All keys are always written: without ``packages`` py-rattler refuses a shard. ``v3`` maps
    the archive's extension to pairs of filename *without* extension and record (CEP 48).
    """
    parts = [_map_header(3 if v3 is None else 4)]
    parts += [_PACKAGES, *_record_map(packages)]
    parts += [_CONDA_PACKAGES, *_record_map(conda_packages)]
    parts += [_REMOVED, msgspec.msgpack.encode(sorted(removed))]
    if v3 is not None:
        parts += [_V3, _map_header(len(v3))]
        for extension in sorted(v3):
            parts += [msgspec.msgpack.encode(extension), *_record_map(v3[extension])]
    size_bytes = sum(map(len, parts))
    if size_bytes > MAX_SHARD_BYTES:
        raise ShardTooLargeError(
            f"The shard would hold {size_bytes} bytes; conda reads at most {MAX_SHARD_BYTES}. "
            "Remove old builds of this package from the channel."
        )
    data = _compress(b"".join(parts))
    return Shard(data=data, digest=hashlib.sha256(data).digest())


def write_shard_index(out: BinaryIO, *, subdir: str, shards: Iterable[tuple[str, bytes]]) -> None:
    """Write ``repodata_shards.msgpack.zst``: package names with the digests of their shards.

    It grows by about 40 bytes a name, so it is built in memory. There is no ``created_at``,
    which CEP 16 leaves open: an index built again must be the same bytes. All of ``info`` is
    needed, py-rattler and conda fail without ``subdir`` or ``base_url``.
    """
    info = {"subdir": subdir, "base_url": "", "shards_base_url": SHARDS_BASE_URL}
    digests = dict(sorted(shards))
    for name, digest in digests.items():
        if type(digest) is not bytes or len(digest) != hashlib.sha256().digest_size:
            raise InvalidDigestError(
                f"The digest of the shard of {name!r} is {digest!r}, not the 32 bytes of a "
                "SHA-256 digest."
            )
    index = {"version": SHARD_INDEX_VERSION, "info": info, "shards": digests}
    out.write(_compress(msgspec.msgpack.encode(index)))


def _record_map(records: Iterable[tuple[str, bytes]]) -> list[bytes]:
    ordered = sorted(records)
    parts = [_map_header(len(ordered))]
    for filename, record in ordered:
        parts += [msgspec.msgpack.encode(filename), record]
    return parts


def _map_header(length: int) -> bytes:
    """The head of a msgpack map of ``length`` pairs; the pairs follow as they are."""
    if length < 1 << 4:
        return bytes([0x80 | length])
    if length < 1 << 16:
        return b"\xde" + length.to_bytes(2, "big")
    return b"\xdf" + length.to_bytes(4, "big")


def _compress(data: bytes) -> bytes:
    # With the content size in the frame conda does not limit what it decompresses to.
    return zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress(data)


_PACKAGES = msgspec.msgpack.encode("packages")
_CONDA_PACKAGES = msgspec.msgpack.encode("packages.conda")
_REMOVED = msgspec.msgpack.encode("removed")
_V3 = msgspec.msgpack.encode("v3")
