"""Package files are read and checked (CEP 34, CEP 35), hostile ones refused."""

import errno
import io
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conda_package_streaming import package_streaming
from django.utils import translation
from rattler.package import IndexJson

from registry.conda.archive import Limits, PackageContents, read_package
from registry.conda.errors import PackageError, TooLargeError, WrongFormatError
from registry.conda.names import ArchiveFormat
from registry.conda.record import PackageMetadata, parse_index
from registry.translating import translated
from tests.broken_packages import BROKEN, BrokenPackage
from tests.builders import (
    BuiltPackage,
    ZipPart,
    assemble,
    build_conda,
    build_minimal_conda,
    build_tar_bz2,
    conda_of,
    header,
    member,
    tar_end,
    zip_archive,
    zstd,
    zstd_zeros,
)
from tests.odd_packages import BENIGN, OddPackage

ROOT = Path(__file__).parents[3]


def read(
    data: bytes, *, filename: str | None = None, minimal: bool = False, limits: Limits | None = None
) -> PackageContents:
    return read_package(
        io.BytesIO(data),
        size_bytes=len(data),
        format=_format_of(filename) if filename else None,
        minimal=minimal,
        limits=limits or Limits(),
    )


def _format_of(filename: str) -> ArchiveFormat:
    return next(form for form in ArchiveFormat if filename.endswith(form.value))


def publish(
    data: bytes, *, filename: str, minimal: bool = False
) -> tuple[PackageContents, PackageMetadata]:
    contents = read(data, filename=filename, minimal=minimal)
    return contents, parse_index(contents.index, format=contents.format)


@pytest.mark.parametrize("build", [build_conda, build_tar_bz2])
def test_a_package_tells_what_it_is(build: Callable[..., BuiltPackage]) -> None:
    built = build(
        "xz",
        "5.6.3",
        build="hb9d3cd8_1",
        build_number=1,
        subdir="linux-64",
        depends=["libgcc >=13"],
        constrains=["lzma <0"],
        about={"summary": "Tools", "license": "0BSD"},
        run_exports={"weak": ["xz >=5.6.3,<6.0a0"]},
        files={"bin/xz": b"\x7fELF", "etc/conda/activate.d/xz.sh": "", "bin/.xz-post-link.sh": ""},
        timestamp=1_700_000_000_000,
    )
    contents = read(built.data, filename=built.filename)
    assert contents.format == _format_of(built.filename)
    assert contents.index["name"] == "xz"
    assert contents.index["constrains"] == ["lzma <0"]
    assert contents.about == {"summary": "Tools", "license": "0BSD"}
    assert contents.run_exports == {"weak": ["xz >=5.6.3,<6.0a0"]}
    assert contents.member_count == 7
    assert contents.has_paths_json
    assert contents.install_traits() == {
        "activate": True,
        "deactivate": False,
        "binary_prefix": False,
        "text_prefix": False,
        "post_link": True,
        "pre_link": False,
        "pre_unlink": False,
    }
    assert contents.findings == ()


# --- Hostile packages -----------------------------------------------------------------------

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ENGLISH = re.compile(r"\b(?:the|is|it|must|holds|which|and|with|has)\b", re.IGNORECASE)


@pytest.mark.parametrize("package", BROKEN, ids=str)
def test_a_broken_package_is_refused(package: BrokenPackage) -> None:
    data = package.data
    start = time.process_time()
    with pytest.raises(PackageError) as refused:
        publish(data, filename=package.filename)
    assert refused.value.slug == package.slug
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) <= 500
    assert message.endswith(".")
    with translation.override("de"):
        german = translated(refused.value)
    assert german.endswith(".")
    assert _ENGLISH.search(_QUOTED.sub("", german)) is None, german
    assert time.process_time() - start <= 2


def test_the_broken_packages_are_many_and_named_once() -> None:
    assert len(BROKEN) >= 150
    assert len({package.slug_id for package in BROKEN}) == len(BROKEN)


BOMBS = [package for package in BROKEN if package.slug_id.startswith(("bomb-", "paths-entries"))]
_MEASURE = """
import resource, sys, time
from pathlib import Path
from registry.conda.archive import read_package
from registry.conda.errors import PackageError
path = Path(sys.argv[1])
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, refused = peak(), False
with path.open("rb", buffering=0) as file:
    try:
        read_package(file, size_bytes=path.stat().st_size)
    except PackageError:
        refused = True
print(int(refused), peak() - before)
"""


@pytest.mark.parametrize("package", BOMBS, ids=str)
def test_a_bomb_takes_little_memory(package: BrokenPackage, tmp_path: Path) -> None:
    path = tmp_path / package.filename
    path.write_bytes(package.data)
    assert path.stat().st_size <= 300_000
    result = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)],
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=60,
    )
    refused, kibibytes = map(int, result.stdout.split())
    assert refused
    assert kibibytes <= 64 * 1024


# --- Damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("built", [build_conda(), build_tar_bz2()], ids=lambda b: b.filename)
def test_a_cut_package_is_refused_wherever_it_was_cut(built: BuiltPackage) -> None:
    for size in range(built.size):
        with pytest.raises(PackageError):
            read(built.data[:size])


@pytest.mark.parametrize("built", [build_conda(), build_tar_bz2()], ids=lambda b: b.filename)
def test_a_flipped_bit_is_noticed_or_does_no_harm(built: BuiltPackage) -> None:
    original = read(built.data)
    chance = random.Random(built.filename)
    for _ in range(500):
        damaged = bytearray(built.data)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            contents = read(bytes(damaged))
        except PackageError:
            continue
        # ZIP keeps dates and rights of no meaning; all else must be as it was.
        assert contents == original


@pytest.mark.parametrize("built", [build_conda(), build_tar_bz2()], ids=lambda b: b.filename)
def test_random_bytes_in_the_middle_are_no_surprise(built: BuiltPackage) -> None:
    chance = random.Random(built.filename)
    original = read(built.data)
    for _ in range(300):
        damaged = bytearray(built.data)
        start, length = chance.randrange(4, len(damaged)), chance.randrange(1, 20)
        damaged[start : start + length] = chance.randbytes(length)
        try:
            contents = read(bytes(damaged))
        except PackageError:
            continue
        assert contents == original


class _FailingFile(io.BytesIO):
    """A disk that fails after some reads."""

    def __init__(self, data: bytes, reads: int, code: int) -> None:
        super().__init__(data)
        self._reads = reads
        self._code = code

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads -= 1
        if self._reads < 0:
            raise OSError(self._code, os.strerror(self._code))
        return super().read(size)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("built", [build_conda(), build_tar_bz2()], ids=lambda b: b.filename)
def test_a_failing_disk_is_not_the_uploaders_fault(built: BuiltPackage, code: int) -> None:
    for reads in range(2):
        file = _FailingFile(built.data, reads, code)
        with pytest.raises(OSError, match=os.strerror(code)) as failed:
            read_package(file, size_bytes=built.size)
        assert failed.value.errno == code


# --- Odd but legal packages -------------------------------------------------------------------


@pytest.mark.parametrize("package", BENIGN, ids=str)
def test_an_odd_package_is_taken(package: OddPackage) -> None:
    contents, metadata = publish(package.data, filename=package.filename, minimal=package.minimal)
    assert metadata.filename == package.filename
    assert contents.member_count >= 1


# rattler is stricter with these; what we publish of them it reads, since records are normalized.
_NOT_FOR_RATTLER = {
    "dotted-paths": "looks for info/index.json only",
    "license-list": "wants a string",
    "no-build-number": "wants one",
    "timestamp-float": "wants a whole number",
}


@pytest.mark.parametrize("package", [p for p in BENIGN if not p.minimal], ids=str)
def test_other_readers_find_the_same_metadata(package: OddPackage, tmp_path: Path) -> None:
    data = package.data
    contents = read(data)
    found = [
        json.load(content)
        for tar, info in package_streaming.stream_conda_info(package.filename, io.BytesIO(data))
        if info.name.removeprefix("./") == "info/index.json"
        and (content := tar.extractfile(info)) is not None
    ]
    assert found == [contents.index]
    if package.slug_id.removesuffix("-bz2") not in _NOT_FOR_RATTLER:
        path = tmp_path / package.filename
        path.write_bytes(data)
        index = IndexJson.from_package_archive(path)
        assert index.name.normalized == contents.index["name"]
        assert str(index.version) == contents.index["version"]
        assert str(index.build) == contents.index["build"]


def test_a_package_of_100000_files_is_taken() -> None:
    payload = b"".join(member(f"lib/{number // 500}/f{number}") for number in range(100_000))
    data = conda_of(payload=zstd(payload + tar_end()))
    # Headers alone pack so well that a real package of as many files is far larger.
    limits = Limits(payload_floor_bytes=256 << 20)
    assert read(data, limits=limits).member_count == 100_003


def test_the_position_of_the_file_does_not_matter() -> None:
    built = build_conda()
    file = io.BytesIO(built.data)
    file.seek(100)
    assert read_package(file, size_bytes=built.size).index["name"] == "hello"


@pytest.mark.parametrize(
    ("built", "claimed"),
    [(build_conda(), ArchiveFormat.TAR_BZ2), (build_tar_bz2(), ArchiveFormat.CONDA)],
    ids=["conda", "tar-bz2"],
)
def test_a_package_under_the_other_extension_is_refused(
    built: BuiltPackage, claimed: ArchiveFormat
) -> None:
    with pytest.raises(WrongFormatError, match="by its content"):
        read_package(io.BytesIO(built.data), size_bytes=built.size, format=claimed)


def test_a_minimal_package_is_only_taken_where_minimal_ones_are() -> None:
    built = build_minimal_conda()
    assert read(built.data, minimal=True).index["name"] == "hello"
    with pytest.raises(PackageError):
        read(built.data)


@pytest.mark.parametrize("package", [p for p in BROKEN if p.threat in {"T01", "T02"}], ids=str)
def test_minimal_is_no_way_around_unsafe_paths(package: BrokenPackage) -> None:
    with pytest.raises(PackageError):
        publish(package.data, filename=package.filename, minimal=True)


@pytest.mark.parametrize("package", [p for p in BROKEN if p.threat not in {"T01", "T02"}], ids=str)
def test_a_broken_package_is_no_surprise_where_minimal_ones_are_taken(
    package: BrokenPackage,
) -> None:
    try:
        publish(package.data, filename=package.filename, minimal=True)
    except PackageError:
        return
    # Only for parts that minimal packages may lack, name freely or have packed by ZIP.
    assert package.slug in {"not-a-package", "filename-mismatch", "unsupported-archive"}


def _deflated(size: int, **changes: int) -> bytes:
    info = zstd_zeros(size, head=header(b"info/a", size=size))
    return zip_archive([ZipPart("info-x.tar.zst", info, method=8, flags=8, central=changes)])


@pytest.mark.parametrize(
    "data",
    [
        _deflated(1 << 32),
        _deflated(1 << 20, unpacked=2**30),
        _deflated(1 << 20, unpacked=1),
        _deflated(1 << 20, crc=1),
        _deflated(1 << 20, packed=1),
    ],
    ids=["bomb", "announces-more", "announces-less", "wrong-crc", "cut"],
)
def test_what_zip_packed_is_no_way_around_limits(data: bytes) -> None:
    assert len(data) < 2000
    start = time.process_time()
    with pytest.raises(PackageError):
        read(data, minimal=True)
    assert time.process_time() - start <= 2


def test_a_damaged_minimal_package_is_noticed() -> None:
    built = build_minimal_conda()
    original = read(built.data, minimal=True)
    for position in range(built.size):
        damaged = bytearray(built.data)
        damaged[position] ^= 0x10
        try:
            contents = read(bytes(damaged), minimal=True)
        except PackageError:
            continue
        assert contents == original
    for size in range(built.size):
        with pytest.raises(PackageError):
            read(built.data[:size], minimal=True)


# --- Limits -----------------------------------------------------------------------------------


def test_files_are_counted() -> None:
    package = build_conda(files={f"f{number}": "" for number in range(10)})
    assert read(package.data, limits=Limits(members=13)).member_count == 13
    with pytest.raises(TooLargeError, match="more than 12 files"):
        read(package.data, limits=Limits(members=12))


def test_paths_are_added_up() -> None:
    package = build_conda(files={f"{'x' * 90}{number}": "" for number in range(100)})
    with pytest.raises(TooLargeError, match="paths in the package"):
        read(package.data, limits=Limits(all_names_bytes=5000))


# --- What is told of files ----------------------------------------------------------------------


def test_files_that_differ_in_case_only_are_pointed_out_where_it_matters() -> None:
    files = {"share/E/Eterm": "a", "share/e/eterm": "b"}
    noarch = read(build_conda(files=files).data)
    assert [finding for finding in noarch.findings if "share/E/Eterm" in finding]
    assert read(build_conda(files=files, subdir="linux-64").data).findings == ()


def test_names_that_windows_cannot_have_are_pointed_out() -> None:
    files = {"lib/aux.py": "a", "man/Foo::Bar.3": "b", "ok": "c"}
    finding = " ".join(read(build_conda(files=files, subdir="win-64").data).findings)
    assert "lib/aux.py" in finding
    assert "Foo::Bar" in finding
    assert "ok" not in finding


def test_findings_are_few_whatever_the_package() -> None:
    files = {f"aux.{number}": "" for number in range(100)}
    finding = " ".join(read(build_conda(files=files).data).findings)
    assert "and more" in finding
    assert len(finding) < 600


@pytest.mark.parametrize("form", [".conda", ".tar.bz2"])
def test_prefixes_are_found_in_paths_json(form: str) -> None:
    def traits(mode: str) -> tuple[bool, bool]:
        entry = {"_path": "a", "prefix_placeholder": "/opt/x", "file_mode": mode}
        paths = json.dumps({"paths": [entry], "paths_version": 1}).encode()
        contents = read(assemble(form, files={"info/paths.json": paths}))
        return contents.binary_prefix, contents.text_prefix

    assert traits("binary") == (True, False)
    assert traits("text") == (False, True)


def test_prefixes_of_old_packages_are_found_in_has_prefix() -> None:
    files = {"info/paths.json": None, "info/has_prefix": b"/opt/x binary lib/a\nbin/b\n"}
    contents = read(assemble(".tar.bz2", files=files))
    assert not contents.has_paths_json
    assert (contents.binary_prefix, contents.text_prefix) == (True, True)


def test_a_package_without_run_exports_says_nothing_of_them() -> None:
    assert read(build_conda().data).run_exports is None
    assert read(build_conda(run_exports={}).data).run_exports == {}
    assert read(build_conda(run_exports=["a >=1"]).data).run_exports == {"weak": ["a >=1"]}
