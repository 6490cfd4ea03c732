"""What processes that read packages say of each, and which copies they leave."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from registry.importing_readers import Bad, Known, Read, Readers, Result, Task
from tests.builders import BuiltPackage, build_conda, build_tar_bz2

HELLO = build_conda("hello", "1.0")
OLD_KIND = build_tar_bz2("old", "0.9")
LARGE = build_conda("large", "1.0", files={"share/noise": os.urandom(600 * 1024)})
GOOD = (HELLO, OLD_KIND, LARGE)


def task_of(folder: Path, number: int, built: BuiltPackage, **changes: object) -> Task:
    """To read a package, which comes to lie in the folder; its copy is named after the number."""
    path = folder / built.filename
    path.write_bytes(built.data)
    task = Task(
        number=number,
        path=str(path),
        keep_as=str(folder / f"copy-{number}"),
        link=False,
        filename=built.filename,
        limit_bytes=2**20,
        subdir="noarch",
    )
    return msgspec.structs.replace(task, **changes)


Reading = Callable[..., dict[int, Result]]


@pytest.fixture(scope="module")
def read() -> Iterator[Reading]:
    """Have one process read what it is asked to, together."""
    with Readers(1) as readers:

        def results_of(*tasks: Task) -> dict[int, Result]:
            results = list(readers.read(tasks).results(lambda: None))
            assert len(results) == len(tasks)
            return {result.number: result for result in results}

        yield results_of


def copies(folder: Path) -> dict[int, bytes]:
    return {
        int(path.name.removeprefix("copy-")): path.read_bytes() for path in folder.glob("copy-*")
    }


@pytest.mark.parametrize("link", [False, True])
def test_each_file_is_read_and_copied(read: Reading, link: bool, tmp_path: Path) -> None:
    tasks = [task_of(tmp_path, number, built, link=link) for number, built in enumerate(GOOD)]

    results = read(*tasks)

    for number, built in enumerate(GOOD):
        result = results[number]
        assert isinstance(result, Read)
        assert result.facts.filename == built.filename
        assert result.facts.digests.sha256 == built.sha256
        assert result.facts.digests.md5 == built.md5
        assert result.facts.digests.size_bytes == built.size
    assert copies(tmp_path) == {number: built.data for number, built in enumerate(GOOD)}
    for task in tasks:
        assert Path(task.path).samefile(task.keep_as) == link


def test_a_bad_file_among_good_ones_stays_the_only_one(read: Reading, tmp_path: Path) -> None:
    """They are read step by step together: nobody gets what is said of another."""
    damaged = replace(OLD_KIND, filename="broken-1-0.tar.bz2", data=OLD_KIND.data[:-20])
    misnamed = replace(HELLO, filename="other-1.0-0.conda")
    packages = [
        built
        for number in range(12)
        for built in (build_conda(f"good-{number}", "1.0"), damaged, misnamed)
    ]
    results = read(*(task_of(tmp_path, number, one) for number, one in enumerate(packages)))

    for number, built in enumerate(packages):
        result = results[number]
        if built in (damaged, misnamed):
            assert isinstance(result, Bad)
            assert ("ends in the middle" in result.reason) == (built is damaged)
        else:
            assert isinstance(result, Read)
            assert result.facts.filename == built.filename
    assert copies(tmp_path).keys() == {number for number in range(36) if number % 3 == 0}


def test_files_that_unpack_to_much_are_told_apart_too(read: Reading, tmp_path: Path) -> None:
    zeros = {"share/zeros": bytes(3 * 1024 * 1024)}
    packages = [build_conda(f"empty-{number}", "1.0", files=zeros) for number in range(5)]

    results = read(*(task_of(tmp_path, number, one) for number, one in enumerate(packages)))

    for number, built in enumerate(packages):
        result = results[number]
        assert isinstance(result, Read)
        assert result.facts.digests.sha256 == built.sha256
        assert result.facts.filename == built.filename


@pytest.mark.parametrize("built", GOOD, ids=lambda built: built.filename)
@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"sha256": "0" * 64}, "was announced"),
        ({"md5": "0" * 32}, "was announced"),
        ({"size_bytes": 7}, "7 were announced"),
        ({"limit_bytes": 100}, "larger than 100 bytes"),
        ({"subdir": "linux-64"}, "was sent to"),
    ],
)
def test_what_is_not_as_it_was_said_leaves_no_copy(
    read: Reading, claim: dict[str, object], reason: str, built: BuiltPackage, tmp_path: Path
) -> None:
    results = read(task_of(tmp_path, 0, built, **claim))

    result = results[0]
    assert isinstance(result, Bad)
    assert reason in result.reason
    assert copies(tmp_path) == {}


@pytest.mark.parametrize("built", GOOD, ids=lambda built: built.filename)
def test_known_bytes_are_not_read_again(read: Reading, built: BuiltPackage, tmp_path: Path) -> None:
    results = read(task_of(tmp_path, 0, built, known=("0" * 64, built.sha256)))

    assert results[0] == Known(0, built.sha256)
    assert copies(tmp_path) == {}


@pytest.mark.parametrize("built", GOOD, ids=lambda built: built.filename)
def test_a_file_of_ours_is_read_where_it_lies(
    read: Reading, built: BuiltPackage, tmp_path: Path
) -> None:
    task = task_of(tmp_path, 0, built)

    results = read(msgspec.structs.replace(task, keep_as=task.path))

    assert isinstance(results[0], Read)
    assert Path(task.path).read_bytes() == built.data


def test_a_file_that_is_gone_or_none_is_told(read: Reading, tmp_path: Path) -> None:
    gone = task_of(tmp_path, 0, HELLO)
    Path(gone.path).unlink()
    folder = msgspec.structs.replace(gone, number=1, path=str(tmp_path))
    good = task_of(tmp_path, 2, OLD_KIND)

    results = read(gone, folder, good)

    assert results[0] == Bad(0, "It can't be read: No such file or directory.")
    assert results[1] == Bad(1, "It is no plain file.")
    assert isinstance(results[2], Read)
