"""The spliced frame, read by every decoder at hand."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from registry.conda import splice
from registry.conda.splice import (
    BEST_LEVEL,
    LEVEL,
    SEPARATOR,
    BrokenFrameError,
    ChunkTooLargeError,
    Kept,
    Text,
    compress_chunk,
    copy_from,
    decompress_chunk,
    write_frame,
)


def texts_of(seed: int, count: int) -> list[bytes]:
    """Texts as different as an encoder can meet: noise, runs, and what repeats at odd offsets."""
    source = random.Random(seed)
    texts = []
    for _ in range(count):
        kind = source.randrange(6)
        size = source.choice([1, 2, 7, 100, 5000, 300_000])
        if kind == 0:
            text = source.randbytes(size)
        elif kind == 1:
            text = bytes([source.randrange(256)]) * size
        elif kind == 2:
            period = source.randbytes(source.choice([1, 4, 8, 9, 31]))
            text = (period * size)[:size]
        elif kind == 3:
            words = [source.randbytes(source.randint(2, 9)) for _ in range(20)]
            text = b"".join(source.choice(words) for _ in range(size // 5 + 1))
        elif kind == 4:
            text = b"".join(
                b'"p-%d":{"depends":["python >=3.%d"],"sha256":"%s"},'
                % (number, source.randrange(14), source.randbytes(32).hex().encode())
                for number in range(size // 100 + 1)
            )
        else:
            text = source.randbytes(size // 2 + 1) * 2
        texts.append(text)
    return texts


def frame_of(texts: list[bytes], *, level: int = LEVEL) -> bytes:
    with tempfile.TemporaryFile() as file:
        write_frame(file, (Text(b"%d" % n, text) for n, text in enumerate(texts)), level=level)
        file.seek(0)
        return file.read()


def one_shot(frame: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(frame)


def streaming(frame: bytes) -> bytes:
    decoder = zstandard.ZstdDecompressor().decompressobj()
    return b"".join(decoder.decompress(frame[at : at + 999]) for at in range(0, len(frame), 999))


def with_the_program(frame: bytes) -> bytes:
    program = shutil.which("zstd")
    if program is None:
        pytest.skip("the zstd program is not installed")
    done = subprocess.run([program, "-d", "-c"], input=frame, capture_output=True, check=True)
    return done.stdout


def by_npm(frame: bytes) -> bytes:
    """fzstd, a decoder in JavaScript that is not built on libzstd."""
    node = shutil.which("node")
    module = Path(__file__).parents[3] / "build" / "node" / "node_modules" / "fzstd"
    if node is None or not module.is_dir():
        pytest.skip("node with fzstd is not there: npm install --prefix build/node fzstd")
    program = (
        f"const f=require({str(module)!r});const c=[];process.stdin.on('data',d=>c.push(d));"
        "process.stdin.on('end',()=>process.stdout.write(f.decompress(Buffer.concat(c))))"
    )
    return subprocess.run(
        [node, "-e", program], input=frame, capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("decode", [one_shot, streaming, with_the_program, by_npm])
@pytest.mark.parametrize("level", [LEVEL, BEST_LEVEL])
def test_every_decoder_reads_the_frame(decode: Callable[[bytes], bytes], level: int) -> None:
    texts = texts_of(level, 12)
    assert decode(frame_of(texts, level=level)) == SEPARATOR.join(texts)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_leaks_from_one_chunk_into_the_next(seed: int) -> None:
    texts = texts_of(seed, random.Random(seed).randint(1, 15))
    frame = frame_of(texts)
    assert one_shot(frame) == SEPARATOR.join(texts)
    assert zstandard.frame_content_size(frame) == len(SEPARATOR.join(texts))


@pytest.mark.parametrize("seed", range(10))
def test_chunks_are_replaced_and_the_rest_is_copied(seed: int) -> None:
    source = random.Random(seed)
    texts = texts_of(seed, 10)
    with tempfile.TemporaryFile() as old, tempfile.TemporaryFile() as new:
        before = write_frame(old, [Text(b"%d" % n, text) for n, text in enumerate(texts)])
        at = source.randrange(10)
        fresh = texts_of(seed + 100, 2)
        plan: list[Text | Kept] = [Text(b"new", text) for text in fresh]
        if at > 0:
            plan.insert(0, Kept(0, at))
        if at < 9:
            plan.append(Kept(at + 1, 10))
        after = write_frame(new, plan, old=before.chunks, copy=copy_from(old))
        new.seek(0)
        assert one_shot(new.read()) == SEPARATOR.join([*texts[:at], *fresh, *texts[at + 1 :]])
        for chunk, text in zip(after.chunks, [*texts[:at], *fresh, *texts[at + 1 :]], strict=True):
            new.seek(chunk.offset)
            blocks = new.read(chunk.size_bytes)
            assert decompress_chunk(blocks, text_bytes=chunk.text_bytes) == text


@pytest.mark.parametrize("text", [b"", b"x" * (splice.MAX_CHUNK_BYTES + 1)])
def test_what_no_window_holds_is_no_chunk(text: bytes) -> None:
    with pytest.raises(ChunkTooLargeError):
        compress_chunk(text)


def test_broken_blocks_are_told() -> None:
    blocks = compress_chunk(b"hello " * 1000)
    for broken in (blocks[:-1], b"\xff" + blocks[1:], b""):
        with pytest.raises(BrokenFrameError):
            decompress_chunk(broken, text_bytes=6000)
    with pytest.raises(BrokenFrameError):
        decompress_chunk(blocks, text_bytes=5999)


def test_a_file_shorter_than_its_map_is_told() -> None:
    with tempfile.TemporaryFile() as old, tempfile.TemporaryFile() as new:
        before = write_frame(old, [Text(b"a", b"x" * 1000), Text(b"b", b"y" * 1000)])
        old.truncate(20)
        with pytest.raises(BrokenFrameError, match="before what its map says"):
            write_frame(new, [Kept(0, 2)], old=before.chunks, copy=copy_from(old))
