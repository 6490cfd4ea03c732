import bz2
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.conda.fragments import BLOCK_BYTES, UnsortedFragmentsError
from registry.conda.repodata import (
    RepodataLayout,
    compress_bz2,
    forgejo_tail,
    write_repodata,
)

BZ2 = [b'"a-1.0-0.tar.bz2":{"name":"a"}', b'"b-1.0-0.tar.bz2":{"name":"b"}']
CONDA = [b'"a-1.0-0.conda":{"name":"a","size":7}']
RECORD = json.dumps({"depends": ["python >=3.10"], "sha256": "0" * 64, "size": 10_000}).encode()


def written(
    packages: list[bytes], conda_packages: list[bytes], removed: list[str]
) -> tuple[bytes, RepodataLayout]:
    out = io.BytesIO()
    layout = write_repodata(
        out,
        info={"subdir": "linux-64"},
        packages=packages,
        conda_packages=conda_packages,
        removed=removed,
    )
    return out.getvalue(), layout


def many(count: int) -> Iterator[bytes]:
    return (b'"p%07d-1.0-0.conda":' % number + RECORD for number in range(count))


def test_repodata_is_compact_and_its_keys_come_in_a_fixed_order() -> None:
    data, layout = written(BZ2, CONDA, ["z-1-0.conda", "c-1-0.conda"])

    assert data == (
        b'{"info":{"subdir":"linux-64"},'
        b'"packages":{"a-1.0-0.tar.bz2":{"name":"a"},"b-1.0-0.tar.bz2":{"name":"b"}},'
        b'"packages.conda":{"a-1.0-0.conda":{"name":"a","size":7}},'
        b'"removed":["c-1-0.conda","z-1-0.conda"],"repodata_version":1}'
    )
    assert layout.size_bytes == len(data)


def test_an_empty_subdir_has_all_keys() -> None:
    data, _ = written([], [], [])

    assert json.loads(data) == {
        "info": {"subdir": "linux-64"},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
    }


@pytest.mark.parametrize("removed", [[], ["gone-1.0-0.conda"]])
def test_with_another_tail_removed_is_an_empty_object(removed: list[str]) -> None:
    data, layout = written(BZ2, CONDA, removed)

    forgejo = json.loads(data[: layout.removed_offset] + forgejo_tail())

    assert forgejo == json.loads(data) | {"removed": {}}


@pytest.mark.parametrize(
    "fragments",
    [
        [b'"b-1-0.conda":{}', b'"a-1-0.conda":{}'],
        [b'"a-1-0.conda":{}', b'"a-1-0.conda":{"size":1}'],
        [b'"B-1-0.conda":{}', b'"_a-1-0.conda":{}', b'"C-1-0.conda":{}'],
    ],
)
def test_records_out_of_order_are_refused(fragments: list[bytes]) -> None:
    with pytest.raises(UnsortedFragmentsError, match="sorted by code point"):
        written([], fragments, [])


@given(
    filenames=st.sets(st.from_regex(r"[a-z]{1,8}-[0-9]{1,3}-[0-9]\.conda", fullmatch=True)),
    removed=st.sets(st.from_regex(r"[a-z]{1,8}-1-0\.conda", fullmatch=True)),
)
def test_what_is_written_reads_back_the_same(filenames: set[str], removed: set[str]) -> None:
    records = {filename: {"fn": filename, "size": len(filename)} for filename in filenames}
    fragments = [
        json.dumps(filename).encode() + b":" + json.dumps(records[filename]).encode()
        for filename in sorted(filenames)
    ]

    data, layout = written([], fragments, list(removed))

    assert json.loads(data)["packages.conda"] == records
    assert json.loads(data)["removed"] == sorted(removed)
    assert data[: layout.removed_offset].endswith(b'"removed":')


def test_memory_does_not_grow_with_the_channel() -> None:
    with Path(os.devnull).open("wb") as nowhere:
        tracemalloc.start()
        layout = write_repodata(
            nowhere, info={"subdir": "noarch"}, packages=[], conda_packages=many(50_000), removed=[]
        )
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak_bytes < 4 * BLOCK_BYTES < layout.size_bytes


def test_the_bz2_holds_the_same_document() -> None:
    data, _ = written([], list(many(3000)), [])
    out = io.BytesIO()

    compress_bz2(io.BytesIO(data), out)

    assert bz2.decompress(out.getvalue()) == data
