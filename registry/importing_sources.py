"""Where package files are imported from: a folder, or the address of a channel."""

from __future__ import annotations

import base64
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast
from urllib.parse import quote, unquote, urljoin

import zstandard

from registry.conda.attestation import MAX_SIDECAR_BYTES, SIDECAR_SUFFIX
from registry.conda.errors import PackageError
from registry.conda.names import check_filename
from registry.conda.repodata_stream import NotRepodataError, read_member, read_records
from registry.conda.subdirs import KNOWN_SUBDIRS, is_subdir
from registry.importing_http import Remote, SourceUnusable, Trouble, split_address

_EXTENSIONS = (".conda", ".tar.bz2")
_MAX_REPODATA_BYTES = 2 * 1024**3
_MAX_CHANNELDATA_BYTES = 256 * 1024**2
_TOKEN = re.compile(r"/t/[^/]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that a source has, and what it says of it."""

    filename: str
    subdir: str | None
    place: str
    """Its path, or its address."""
    size_bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    depends: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """What the source's index says under ``depends`` and ``constrains``."""
    sidecar: str = ""
    """Where its attestations lie, its path or its address; empty where it has none."""

    @property
    def name(self) -> str:
        return f"{self.subdir}/{self.filename}" if self.subdir else self.filename


class Fetch(Protocol):
    """Fetches a file into one of ours; returns what was in the way, or None."""

    def __call__(self, candidate: Candidate, target: Path, *, limit_bytes: int) -> str | None: ...


class ReadSidecar(Protocol):
    """Reads the attestations of a file; those who ask side by side do so by different numbers."""

    def __call__(self, candidate: Candidate, *, number: int) -> bytes | Trouble: ...


class Source(Protocol):
    """Files that are to be imported."""

    shown: str
    """What it is called to people: no secret is in it."""
    addresses: frozenset[str]
    """What a signer may have called the channel that the files come from."""

    @property
    def fetch(self) -> Fetch | None:
        """How to get hold of a file that is not on this machine."""

    @property
    def read_sidecar(self) -> ReadSidecar | None:
        """How to get hold of the attestations of a file, where a source may have some."""

    def count(self) -> int:
        """How many files it has; asked before the first of them."""

    def candidates(self) -> Iterator[Candidate]: ...

    def close(self) -> None:
        """Give up what it holds open."""


def open_source(
    text: str, *, subdirs: Sequence[str] = (), packages: Sequence[str] = (), scratch: Path
) -> Source:
    """The source of that path or address. ``packages`` are patterns, of which one must match."""
    for subdir in subdirs:
        if not is_subdir(subdir):
            raise SourceUnusable(f"{subdir!r} is no subdir. Write noarch, linux-64 or the like.")
    if "://" in text:
        return Mirror(text, subdirs=subdirs, packages=packages, scratch=scratch)
    folder = Path(text)
    if not folder.is_dir():
        raise SourceUnusable(f"{text!r} is neither a folder nor an address like https://….")
    return Folder(folder, subdirs=subdirs, packages=packages)


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a package's name is one of those wanted; without patterns, all are."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _is_wanted(filename: str, patterns: Sequence[str]) -> bool:
    # Only the last two dashes separate.
    return is_named(filename.rsplit("-", 2)[0], patterns)


class Folder:
    """Package files in a folder, and in those of its folders that are named like subdirs."""

    fetch = None
    addresses: frozenset[str] = frozenset()

    def __init__(self, path: Path, *, subdirs: Sequence[str], packages: Sequence[str]) -> None:
        self.shown = str(path.absolute())
        self._path = path.absolute()
        self._subdirs = subdirs
        self._packages = packages
        try:
            self._files = list(self._listed())
        except OSError as error:
            raise SourceUnusable(f"{error.filename!r} can't be read: {error.strerror}.") from error

    def _listed(self) -> Iterator[tuple[str | None, str, bool]]:
        """For each file where it lies, its name, and whether attestations lie beside it."""
        folders: list[tuple[str | None, Path]] = [(None, self._path)]
        with os.scandir(self._path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        folders += [(name, self._path / name) for name in names if is_subdir(name)]
        for subdir, folder in folders:
            if self._subdirs and subdir not in self._subdirs:
                continue
            with os.scandir(folder) as entries:
                files = {
                    entry.name
                    for entry in entries
                    if entry.name.endswith((*_EXTENSIONS, SIDECAR_SUFFIX)) and entry.is_file()
                }
            for filename in sorted(files):
                if filename.endswith(_EXTENSIONS) and _is_wanted(filename, self._packages):
                    yield subdir, filename, filename + SIDECAR_SUFFIX in files

    def count(self) -> int:
        return len(self._files)

    def candidates(self) -> Iterator[Candidate]:
        for subdir, filename, is_attested in self._files:
            place = f"{self._path}/{subdir}/{filename}" if subdir else f"{self._path}/{filename}"
            try:
                size_bytes = os.stat(place).st_size  # noqa: PTH116 - a path takes twice as long
            except OSError:  # whoever reads it will say why
                size_bytes = None
            sidecar = place + SIDECAR_SUFFIX if is_attested else ""
            yield Candidate(filename, subdir, place, size_bytes, sidecar=sidecar)

    def read_sidecar(self, candidate: Candidate, *, number: int) -> bytes | Trouble:
        try:
            with Path(candidate.sidecar).open("rb") as file:
                return file.read(MAX_SIDECAR_BYTES + 1)  # more is refused by who looks into it
        except OSError as error:
            return Trouble(f"{error.strerror}.")

    def close(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True, slots=True)
class _Index:
    """The repodata of a subdir, lying in a file that has no name any more: no sweep takes it."""

    subdir: str
    file: BinaryIO
    is_packed: bool

    @contextmanager
    def text(self) -> Iterator[BinaryIO]:
        self.file.seek(0)
        if not self.is_packed:
            yield self.file
            return
        unpacker = zstandard.ZstdDecompressor(max_window_size=128 * 1024**2)
        with unpacker.stream_reader(self.file, read_across_frames=True, closefd=False) as unpacked:
            yield cast(BinaryIO, unpacked)

    def records(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        with self.text() as text:
            yield from read_records(text)

    def base_url(self, url: str) -> str:
        with self.text() as text:
            info = read_member(text, "info")
        base_url = info.get("base_url") if isinstance(info, dict) else None  # CEP 15
        return urljoin(url, base_url.rstrip("/") + "/") if isinstance(base_url, str) else url


class Mirror:
    """Another channel: its repodata says which files there are."""

    def __init__(
        self, url: str, *, subdirs: Sequence[str], packages: Sequence[str], scratch: Path
    ) -> None:
        self._url, userinfo = split_address(url, like="https://conda.example.org/name")
        self.shown = _TOKEN.sub("/t/…", self._url).rstrip("/")
        self.addresses = frozenset([_TOKEN.sub("", self._url).rstrip("/")])
        headers: dict[str, str] = {}
        if userinfo is not None:
            token = base64.b64encode(unquote(userinfo).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        self._remote = Remote(self._url, shown=self.shown, headers=headers, scratch=scratch)
        self._subdirs = subdirs
        self._packages = packages
        self._indexes: list[_Index] = []
        self._total: int | None = None

    def count(self) -> int:
        """Fetches the repodata of all subdirs, the first time."""
        if self._total is None:
            self._total = self._fetch_all()
        return self._total

    def _fetch_all(self) -> int:
        total = 0
        for subdir in self._subdirs or self._all_subdirs():
            index = self._fetch_index(subdir)
            if index is not None:
                self._indexes.append(index)
                total += self._count(index)
            elif self._subdirs:
                raise SourceUnusable(f"{self.shown} has no {subdir}/repodata.json for us.")
        if not self._indexes:
            raise SourceUnusable(
                f"{self.shown} has no repodata for us: there is no channel, or it needs other "
                "credentials."
            )
        return total

    def _all_subdirs(self) -> list[str]:
        """Those that everybody knows, and those that the channel itself names."""
        names: object = None
        fetched = self._remote.opened("channeldata.json", _MAX_CHANNELDATA_BYTES)
        if not isinstance(fetched, Trouble):
            with fetched, suppress(NotRepodataError):
                names = read_member(fetched, "subdirs")
        own = names if isinstance(names, list) else []
        return list(
            dict.fromkeys([*KNOWN_SUBDIRS, *(name for name in map(str, own) if is_subdir(name))])
        )

    def _fetch_index(self, subdir: str) -> _Index | None:
        for name in ("repodata.json.zst", "repodata.json"):
            fetched = self._remote.opened(f"{subdir}/{name}", _MAX_REPODATA_BYTES)
            if not isinstance(fetched, Trouble):
                return _Index(subdir, fetched, is_packed=name.endswith(".zst"))
            if not fetched.is_absence:
                raise SourceUnusable(f"{subdir}/{name} of {self.shown}: {fetched}")
        return None

    def _count(self, index: _Index) -> int:
        try:
            return sum(_is_wanted(name, self._packages) for name, _ in index.records())
        except (NotRepodataError, zstandard.ZstdError) as error:
            raise SourceUnusable(
                f"The repodata of {index.subdir} in {self.shown} can't be read."
            ) from error

    def candidates(self) -> Iterator[Candidate]:
        for index in self._indexes:
            base_url = index.base_url(urljoin(self._url, f"{index.subdir}/"))
            for filename, record in index.records():
                if _is_wanted(filename, self._packages):
                    yield _candidate(index.subdir, base_url, filename, record)

    def close(self) -> None:
        for index in self._indexes:
            index.file.close()
        self._remote.close()

    def fetch(self, candidate: Candidate, target: Path, *, limit_bytes: int) -> str | None:
        try:
            check_filename(candidate.filename)
        except PackageError as error:
            return str(error)
        limit_bytes = min(limit_bytes, candidate.size_bytes or limit_bytes)
        return self._remote.fetch(candidate.place, target, limit_bytes)

    def read_sidecar(self, candidate: Candidate, *, number: int) -> bytes | Trouble:
        opened = self._remote.opened(candidate.sidecar, MAX_SIDECAR_BYTES, number=number)
        if isinstance(opened, Trouble):
            return opened
        with opened:
            return opened.read()


def _candidate(
    subdir: str, base_url: str, filename: str, record: Mapping[str, object]
) -> Candidate:
    def text(key: str) -> str | None:
        value = record.get(key)
        return value.lower() if isinstance(value, str) and value else None

    def specs(key: str) -> tuple[str, ...]:
        value = record.get(key)
        return tuple(str(spec) for spec in value) if isinstance(value, list) else ()

    size = record.get("size")
    sha256 = text("sha256")
    place = urljoin(base_url, quote(filename, safe=""))
    return Candidate(
        filename,
        subdir,
        place,
        size_bytes=size if isinstance(size, int) and size > 0 else None,
        sha256=sha256,
        # The weaker one only where there is no other.
        md5=None if sha256 else text("md5"),
        depends=(specs("depends"), specs("constrains")),
        # Not asked of each file: an index names those that have some (CEP 50).
        sidecar=place + SIDECAR_SUFFIX if text("attestations_sha256") else "",
    )
