import hashlib
import io
import random
from typing import Any

import msgspec
import pytest
import zstandard

from registry.conda.shards import (
    MAX_SHARD_BYTES,
    InvalidDigestError,
    ShardTooLargeError,
    build_shard,
    shard_filename,
    write_shard_index,
)


def packed(number: int) -> bytes:
    return msgspec.msgpack.encode({"name": "a", "build_number": number, "sha256": b"\xff" * 32})


def records(count: int) -> list[tuple[str, bytes]]:
    return [(f"a-1.0-{number}.conda", packed(number)) for number in range(count)]


def opened(data: bytes) -> Any:
    assert zstandard.get_frame_parameters(data).content_size not in (0, 2**64 - 1)
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 300, 65_535, 65_536])
def test_a_shard_holds_the_records_as_they_are(count: int) -> None:
    shard = build_shard(packages=[], conda_packages=records(count), removed=["a-0-0.conda"])

    assert opened(shard.data) == {
        "packages": {},
        "packages.conda": {
            filename: msgspec.msgpack.decode(record) for filename, record in records(count)
        },
        "removed": ["a-0-0.conda"],
    }


def test_a_shard_reads_the_same_as_a_stream() -> None:
    shard = build_shard(packages=records(3), conda_packages=records(500), removed=[])

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(shard.data)) as reader:
        assert msgspec.msgpack.decode(reader.read()) == opened(shard.data)


def test_a_shard_is_named_by_the_digest_of_its_bytes() -> None:
    shard = build_shard(packages=records(2), conda_packages=[], removed=[])

    assert shard.digest == hashlib.sha256(shard.data).digest()
    assert shard.filename == hashlib.sha256(shard.data).hexdigest() + ".msgpack.zst"
    assert shard.filename == shard_filename(shard.digest)


def test_the_same_records_in_another_order_give_the_same_shard() -> None:
    shuffled = records(100)
    random.Random(1).shuffle(shuffled)

    assert build_shard(packages=[], conda_packages=shuffled, removed=["b", "a"]) == build_shard(
        packages=[], conda_packages=records(100), removed=["a", "b"]
    )


def test_v3_records_are_there_only_if_given() -> None:
    shard = build_shard(
        packages=[],
        conda_packages=[],
        removed=[],
        v3={"tar.bz2": [], "conda": [("a-1.0-0", packed(0))]},
    )

    assert opened(shard.data)["v3"] == {
        "tar.bz2": {},
        "conda": {"a-1.0-0": msgspec.msgpack.decode(packed(0))},
    }


def test_a_shard_larger_than_clients_read_is_refused() -> None:
    blob = msgspec.msgpack.encode({"notes": "x" * (MAX_SHARD_BYTES // 2)})

    with pytest.raises(ShardTooLargeError, match="16777216"):
        build_shard(packages=[("a", blob)], conda_packages=[("b", blob)], removed=[])


def index(shards: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    write_shard_index(out, subdir="linux-64", shards=shards)
    return out.getvalue()


def test_the_shard_index_names_every_shard_by_its_raw_digest() -> None:
    digests = [(f"name{number}", hashlib.sha256(b"%d" % number).digest()) for number in range(99)]

    assert opened(index(digests)) == {
        "version": 1,
        "info": {"subdir": "linux-64", "base_url": "", "shards_base_url": "./shards/"},
        "shards": dict(digests),
    }
    assert index(digests) == index(digests[::-1])


def test_the_shard_index_of_an_empty_subdir_is_complete() -> None:
    assert opened(index([]))["shards"] == {}


@pytest.mark.parametrize("digest", [b"short", "0" * 64, b"0" * 64])
def test_a_digest_in_another_form_is_refused(digest: Any) -> None:
    with pytest.raises(InvalidDigestError, match="32 bytes"):
        index([("a", digest)])
