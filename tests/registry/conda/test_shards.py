import hashlib
import io
import random
from typing import Any

import msgspec
import pytest
import zstandard

from registry.conda.layout import repodata_key
from registry.conda.shards import (
    MAX_SHARD_BYTES,
    InvalidDigestError,
    ShardIndex,
    ShardTooLargeError,
    build_shard,
    shard_filename,
)


def packed(number: int) -> bytes:
    return msgspec.msgpack.encode({"name": "a", "build_number": number, "sha256": b"\xff" * 32})


def records(
    count: int, *, extension: str = ".conda", schema_version: int = 1
) -> list[tuple[bytes, bytes]]:
    return [
        (repodata_key(f"a-1.0-{number}{extension}", schema_version=schema_version), packed(number))
        for number in range(count)
    ]


def opened(data: bytes) -> Any:
    assert zstandard.get_frame_parameters(data).content_size not in (0, 2**64 - 1)
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 300, 65_535, 65_536])
def test_a_shard_holds_the_records_as_they_are(count: int) -> None:
    shard = build_shard(records(count), removed=["a-0-0.conda"])

    assert opened(shard.data) == {
        "packages": {},
        "packages.conda": {
            key[1:].decode(): msgspec.msgpack.decode(record) for key, record in records(count)
        },
        "removed": ["a-0-0.conda"],
    }


def test_a_shard_reads_the_same_as_a_stream() -> None:
    shard = build_shard([*records(500), *records(3, extension=".tar.bz2")], removed=[])

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(shard.data)) as reader:
        assert msgspec.msgpack.decode(reader.read()) == opened(shard.data)


def test_a_shard_is_named_by_the_digest_of_its_bytes() -> None:
    shard = build_shard(records(2), removed=[])

    assert shard.digest == hashlib.sha256(shard.data).digest()
    assert shard.filename == hashlib.sha256(shard.data).hexdigest() + ".msgpack.zst"
    assert shard.filename == shard_filename(shard.digest)


def test_the_same_records_in_another_order_give_the_same_shard() -> None:
    shuffled = records(100)
    random.Random(1).shuffle(shuffled)

    assert build_shard(shuffled, removed=["b", "a"]) == build_shard(
        records(100), removed=["a", "b"]
    )


def test_v3_records_are_there_only_if_given() -> None:
    shard = build_shard(records(1, schema_version=3), removed=[], with_v3=True)

    assert opened(shard.data)["v3"] == {
        "tar.bz2": {},
        "conda": {"a-1.0-0": msgspec.msgpack.decode(packed(0))},
    }
    assert "v3" not in opened(build_shard(records(1), removed=[]).data)


def test_a_shard_larger_than_clients_read_is_refused() -> None:
    blob = msgspec.msgpack.encode({"notes": "x" * (MAX_SHARD_BYTES // 2)})

    with pytest.raises(ShardTooLargeError, match="16777216"):
        build_shard([(b"\x01a", blob), (b"\x02b", blob)], removed=[])


def index(shards: list[tuple[str, bytes]]) -> bytes:
    return ShardIndex({"subdir": "linux-64"}, dict(shards)).encode()


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


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize("seed", range(5))
def test_an_index_changed_in_place_is_the_one_written_anew(seed: int) -> None:
    source = random.Random(seed)
    names = [f"{source.choice('abr')}{'x' * source.choice([0, 1, 30, 40])}{n}" for n in range(300)]
    shards = {name: digest_of(name) for name in source.sample(names, 200)}
    changed = ShardIndex({"subdir": "noarch"}, shards)
    for step in range(60):
        if source.random() < 0.3:
            changed = ShardIndex.decode(changed.encode())
        new = {name: digest_of(f"{name} {step}") for name in source.sample(names, 2)}
        gone = source.sample(names, source.choice([0, 0, 0, 3]))
        shards = {name: digest for name, digest in shards.items() if name not in gone} | new
        changed.update(new, without=gone)
        assert changed.encode() == ShardIndex({"subdir": "noarch"}, shards).encode()
        assert changed.digests == shards
    assert changed.has_info({"subdir": "noarch"})
    assert not changed.has_info({"subdir": "noarch", "channel_relations": {}})
