"""Records to shards and the shard index (CEP 16; run exports in them: CEP 21).

A shard holds all records of one package name in one subdir. It is named by the digest of its
compressed bytes, so it never changes, and the index alone says which shards count.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import zstandard

from registry.conda.layout import Part

# Level 19 makes shards 5 % smaller in 50 times the time.
LEVEL = 3
# Nine tenths of the index are digests, which no level makes smaller.
INDEX_LEVEL = 1
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
    records: Iterable[tuple[bytes, bytes]], *, removed: Iterable[str], with_v3: bool = False
) -> Shard:
    """Put the records of one name together; the same records in any order give the same shard.

    Records come as pairs of `registry.conda.layout.repodata_key` and one msgpack map, which is
    copied and never decoded. All keys are always written: without ``packages`` py-rattler refuses
    a shard. ``with_v3`` is for channels that may list packages of CEP 48.
    """
    parts: dict[int, list[tuple[bytes, bytes]]] = {part: [] for part in _RECORD_PARTS}
    for key, record in sorted(records):
        parts[key[0]].append((key[1:], record))
    pieces = [_map_header(4 if with_v3 else 3)]
    pieces += [_PACKAGES, *_record_map(parts[Part.TAR_BZ2])]
    pieces += [_CONDA_PACKAGES, *_record_map(parts[Part.CONDA])]
    pieces += [_REMOVED, msgspec.msgpack.encode(sorted(removed))]
    if with_v3:
        pieces += [_V3, _map_header(2)]
        pieces += [_CONDA, *_record_map(parts[Part.V3_CONDA])]
        pieces += [_TAR_BZ2, *_record_map(parts[Part.V3_TAR_BZ2])]
    size_bytes = sum(map(len, pieces))
    if size_bytes > MAX_SHARD_BYTES:
        raise ShardTooLargeError(
            f"The shard would hold {size_bytes} bytes; conda reads at most {MAX_SHARD_BYTES}."
        )
    data = _compress(b"".join(pieces))
    return Shard(data=data, digest=hashlib.sha256(data).digest())


class ShardIndex:
    """``repodata_shards.msgpack.zst``: package names with the digests of their shards.

    It grows by about 40 bytes a name and is held whole, packed. Where shards only take the place
    of others, which is what nearly every publish does, 32 bytes are replaced in it.

    There is no ``created_at``, which CEP 16 leaves open: an index built again must be the same
    bytes. ``info`` holds at least ``subdir``; the addresses, without which py-rattler and conda
    fail, are added here.
    """

    def __init__(self, info: Mapping[str, object], shards: Mapping[str, bytes]) -> None:
        self._info = {**info, "base_url": "", "shards_base_url": SHARDS_BASE_URL}
        self.digests: dict[str, bytes] = {}
        self._packed: bytearray | None = None
        self.update(shards)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a written index; raises ``zstandard.ZstdError`` or ``msgspec.MsgspecError``."""
        packed = zstandard.ZstdDecompressor().decompress(data)
        document = _INDEXES.decode(packed)
        index = cls(document.info, {})
        index.digests, index._packed = document.shards, bytearray(packed)
        return index

    def has_info(self, info: Mapping[str, object]) -> bool:
        return self._info == {**info, "base_url": "", "shards_base_url": SHARDS_BASE_URL}

    def update(self, shards: Mapping[str, bytes], *, without: Iterable[str] = ()) -> None:
        """Name these shards, and leave names out."""
        for name in without:
            if self.digests.pop(name, None) is not None:
                self._packed = None
        for name, digest in shards.items():
            if type(digest) is not bytes or len(digest) != _DIGEST_BYTES:
                raise InvalidDigestError(
                    f"The digest of the shard of {name!r} is {digest!r}, not the 32 bytes of a "
                    "SHA-256 digest."
                )
            old = self.digests.get(name)
            self.digests[name] = digest
            if old is None:
                self._packed = None
            elif self._packed is not None and old != digest:
                # With the digest before it, nothing else in the index can look like this.
                entry = msgspec.msgpack.encode(name) + _DIGEST_HEADER + old
                at = self._packed.index(entry) + len(entry) - _DIGEST_BYTES
                self._packed[at : at + _DIGEST_BYTES] = digest

    def encode(self) -> bytes:
        if self._packed is None:
            self.digests = dict(sorted(self.digests.items()))
            index = {"version": SHARD_INDEX_VERSION, "info": self._info, "shards": self.digests}
            self._packed = bytearray(msgspec.msgpack.encode(index))
        return _compress(bytes(self._packed), level=INDEX_LEVEL)


class _WrittenIndex(msgspec.Struct):
    info: dict[str, object]
    shards: dict[str, bytes]


_INDEXES = msgspec.msgpack.Decoder(_WrittenIndex)


def _record_map(records: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    pieces = [_map_header(len(records))]
    for name, record in records:
        pieces += [_text_header(len(name)) + name, record]
    return pieces


def _text_header(length: int) -> bytes:
    """The head of a msgpack text of ``length`` bytes."""
    if length < 1 << 5:
        return bytes([0xA0 | length])
    return b"\xd9" + bytes([length]) if length < 1 << 8 else b"\xda" + length.to_bytes(2, "big")


def _map_header(length: int) -> bytes:
    """The head of a msgpack map of ``length`` pairs; the pairs follow as they are."""
    if length < 1 << 4:
        return bytes([0x80 | length])
    if length < 1 << 16:
        return b"\xde" + length.to_bytes(2, "big")
    return b"\xdf" + length.to_bytes(4, "big")


def _compress(data: bytes, *, level: int = LEVEL) -> bytes:
    # With the content size in the frame conda does not limit what it decompresses to.
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(data)


_PACKAGES = msgspec.msgpack.encode("packages")
_CONDA_PACKAGES = msgspec.msgpack.encode("packages.conda")
_REMOVED = msgspec.msgpack.encode("removed")
_V3 = msgspec.msgpack.encode("v3")
_CONDA = msgspec.msgpack.encode("conda")
_TAR_BZ2 = msgspec.msgpack.encode("tar.bz2")
_RECORD_PARTS = (Part.TAR_BZ2, Part.CONDA, Part.V3_CONDA, Part.V3_TAR_BZ2)
_DIGEST_BYTES = hashlib.sha256().digest_size
_DIGEST_HEADER = b"\xc4\x20"
