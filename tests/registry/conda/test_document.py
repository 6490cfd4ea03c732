"""Documents of chunks: whatever happened, they are what the records say."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import BinaryIO

import pytest
import zstandard

from registry.conda import document, splice
from registry.conda.document import (
    FULL_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    Document,
    UnsortedPiecesError,
    changed,
    repodata_openings,
    run_exports_openings,
    whole,
)
from registry.conda.layout import Part, removal_key, repodata_key
from registry.conda.splice import SEPARATOR, ChunkMap, Kept, Text, write_frame

OPENINGS = repodata_openings({"subdir": "linux-64"}, with_v3=True)


class Rows:
    """The records of a subdir, as a database gives them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.records: dict[bytes, bytes] = {}
        self.reads = 0

    def read(self, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.records):
            if start <= key and (stop is None or key < stop):
                self.reads += 1
                yield key, self.records[key]

    def change(self) -> set[bytes]:
        """Do what happens between two generations; the keys of what changed."""
        touched: set[bytes] = set()
        for _ in range(self.random.choice([1, 1, 1, 2, 40])):
            kind = self.random.random()
            if kind < 0.5 or not self.records:
                touched |= self.put(self.filename())
            elif kind < 0.8:
                key = self.random.choice(sorted(self.records))
                if key[0] != Part.REMOVED:
                    filename = key[1:].decode()
                    self.records[removal_key(filename)] = json.dumps(filename).encode()
                    touched.add(removal_key(filename))
                del self.records[key]
                touched.add(key)
            elif kind < 0.97:
                touched |= self.put(self.random.choice(sorted(self.records))[1:].decode())
            else:  # a whole name goes
                name = self.filename().partition("-")[0].encode()
                gone = {key for key in self.records if key[1:].startswith(name)}
                for key in gone:
                    del self.records[key]
                touched |= gone
        return touched

    def put(self, filename: str) -> set[bytes]:
        version = self.random.choice([1, 1, 1, 3])
        key = repodata_key(filename, schema_version=version)
        filler = "x" * self.random.choice([30, 300, 3000, 60_000])
        noise = self.random.getrandbits(400)
        record = {"n": noise, "filler": filler}
        name = key[1:].decode()
        self.records[key] = f"{json.dumps(name)}:{json.dumps(record)}".encode()
        return {key}

    def filename(self) -> str:
        extension = self.random.choice([".conda", ".tar.bz2"])
        name = self.random.choice(["a", "b+", "b", "c_d", "z"])
        return f"{name}-{self.random.randint(0, 150)}-0{extension}"

    def document(self) -> dict[str, object]:
        """What a reader must find, put together by hand."""
        parts: dict[int, dict[str, object]] = {part: {} for part in range(1, 5)}
        removed = []
        for key, text in sorted(self.records.items()):
            if key[0] == Part.REMOVED:
                removed.append(json.loads(text))
            else:
                parts[key[0]].update(json.loads(b"{" + text + b"}"))
        return {
            "info": {"subdir": "linux-64"},
            "packages": parts[1],
            "packages.conda": parts[2],
            "v3": {"conda": parts[3], "tar.bz2": parts[4]},
            "removed": removed,
            "repodata_version": 1,
        }


def document_of(rows: Rows) -> Document:
    return Document(OPENINGS, rows.read)


class File:
    """A spliced file and its map."""

    def __init__(self, plan: Iterable[Text | Kept], *, before: File | None = None) -> None:
        def copy(out: BinaryIO, /, *, start: int, size_bytes: int) -> None:
            assert before is not None
            out.write(before.data[start : start + size_bytes])

        old = before.map.chunks if before else ()
        with tempfile.TemporaryFile() as file:
            self.map: ChunkMap = write_frame(file, plan, old=old, copy=copy)
            file.seek(0)
            self.data = file.read()

    def text(self) -> bytes:
        return zstandard.decompress(self.data)


@pytest.mark.parametrize("seed", range(12))
def test_a_document_changed_step_by_step_is_the_one_written_anew(seed: int) -> None:
    rows = Rows(seed)
    for _ in range(rows.random.choice([0, 300])):
        rows.put(rows.filename())
    spliced = File(whole(document_of(rows)))
    for _ in range(25):
        touched = rows.change()
        # What was not touched may be named as well.
        touched.add(rows.random.choice([*sorted(rows.records), b"\x02nothing"]))
        spliced = File(
            changed(document_of(rows), old=spliced.map.chunks, touched=touched), before=spliced
        )
        anew = File(whole(document_of(rows)))
        assert spliced.data == anew.data
        assert spliced.map == anew.map
        assert json.loads(spliced.text()) == rows.document()


@pytest.mark.parametrize("seed", range(3))
def test_the_label_leads_to_the_removed_files(seed: int) -> None:
    rows = Rows(seed)
    for _ in range(100):
        rows.change()
    file = File(whole(document_of(rows)))
    offset = file.map.label_offset
    assert offset is not None
    assert file.text()[:offset].endswith(b'"removed":')
    assert file.text()[offset : offset + 1] == b"["
    assert file.map.text_bytes == len(file.text())


def test_chunks_are_neither_small_nor_large() -> None:
    rows = Rows(5)
    for number in range(9000):
        key = repodata_key(f"name{number:05}-1-0.conda", schema_version=1)
        rows.records[key] = b'"%s":"%s"' % (key[1:], b"x" * 700)
    sizes = [chunk.text_bytes for chunk in File(whole(document_of(rows))).map.chunks]
    assert len(sizes) > 10
    assert all(MIN_CHUNK_BYTES <= size <= FULL_CHUNK_BYTES + 1000 for size in sizes[:-1])


def test_one_record_more_reads_and_writes_one_place_only() -> None:
    rows = Rows(6)
    for number in range(9000):
        key = repodata_key(f"name{number:05}-1-0.conda", schema_version=1)
        rows.records[key] = b'"%s":"%s"' % (key[1:], b"x" * 700)
    old = File(whole(document_of(rows))).map.chunks
    rows.reads = 0
    key = repodata_key("name04000-2-0.conda", schema_version=1)
    rows.records[key] = b'"%s":"new"' % key[1:]
    plan = list(changed(document_of(rows), old=old, touched={key}))
    assert rows.reads < 2500
    assert sum(isinstance(step, Text) for step in plan) <= 2
    assert sum(step.stop - step.start for step in plan if isinstance(step, Kept)) >= len(old) - 2


def test_records_out_of_order_are_no_document() -> None:
    pieces = [(b"\x01b", b'"b":1'), (b"\x01a", b'"a":1')]
    with pytest.raises(UnsortedPiecesError):
        list(whole(Document(OPENINGS, lambda *_: pieces)))


def test_run_exports_have_a_document_of_their_own() -> None:
    openings = run_exports_openings({"subdir": "noarch", "version": 1}, with_v3=False)
    read = iter([(b"\x01a.tar.bz2", b'"a.tar.bz2":{}'), (b"\x02b.conda", b'"b.conda":{}')])
    (text,) = whole(Document(openings, lambda *_: read))
    assert json.loads(text.text) == {
        "info": {"subdir": "noarch", "version": 1},
        "packages": {"a.tar.bz2": {}},
        "packages.conda": {"b.conda": {}},
    }


def test_run_exports_of_newer_packages_stand_in_a_part_of_their_own() -> None:
    openings = run_exports_openings({"subdir": "noarch"}, with_v3=True)
    read = iter([(b"\x02b.conda", b'"b.conda":{}'), (b"\x03c", b'"c":{}')])
    (text,) = whole(Document(openings, lambda *_: read))
    assert json.loads(text.text) == {
        "info": {"subdir": "noarch"},
        "packages": {},
        "packages.conda": {"b.conda": {}},
        "v3": {"conda": {"c": {}}, "tar.bz2": {}},
    }


def test_the_map_survives_being_kept_beside_the_file() -> None:
    rows = Rows(7)
    for _ in range(200):
        rows.put(rows.filename())
    chunk_map = File(whole(document_of(rows))).map
    assert ChunkMap.decode(chunk_map.encode()) == chunk_map
    for broken in (b"", b"\x00", chunk_map.encode()[:-1], b"\x91\x01"):
        with pytest.raises(splice.BrokenFrameError):
            ChunkMap.decode(broken)


def test_a_plain_frame_says_the_same() -> None:
    rows = Rows(8)
    for _ in range(300):
        rows.put(rows.filename())
    out = io.BytesIO()
    plain = splice.plain_frame(whole(document_of(rows)), out)
    spliced = File(whole(document_of(rows)))
    assert zstandard.decompress(out.getvalue(), max_output_size=2**27) == spliced.text()
    assert plain.label_offset == spliced.map.label_offset
    assert plain.text_bytes == spliced.map.text_bytes


def test_between_chunks_stands_nothing_but_spaces() -> None:
    rows = Rows(9)
    for _ in range(300):
        rows.put(rows.filename())
    texts = [text.text for text in whole(document_of(rows))]
    assert len(texts) > 1
    assert File(whole(document_of(rows))).text() == SEPARATOR.join(texts)
    assert all(later.startswith(b",") for _, later in pairwise(texts))
    assert document.FULL_CHUNK_BYTES < splice.MAX_CHUNK_BYTES
