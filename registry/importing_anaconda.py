"""An account elsewhere, as an API like anaconda.org's tells of it: labels, packages and files.

What it tells goes into a database of its own that nobody else sees, on disk and not in memory:
an account may have a hundred thousand files.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar
from urllib.parse import quote, urljoin

import msgspec

from registry.conda.errors import PackageError
from registry.conda.names import check_filename
from registry.conda.subdirs import is_subdir
from registry.importing_http import Remote, SourceUnusable, Trouble, split_address
from registry.importing_sources import Candidate, is_named

API_URL = "https://api.anaconda.org"
_CONDA = "conda"
_MAX_DOCUMENT_BYTES = 512 * 1024**2
_ASKED_AT_ONCE = 8
_SCHEMA = """
CREATE TABLE packages (name TEXT PRIMARY KEY, is_private INTEGER, fields TEXT);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, package TEXT, subdir TEXT, filename TEXT, place TEXT,
    size_bytes INTEGER, sha256 TEXT, md5 TEXT
);
CREATE TABLE labels (label TEXT, file INTEGER, PRIMARY KEY (label, file)) WITHOUT ROWID;
"""

# --- What it answers ---------------------------------------------------------------------------

Text: TypeAlias = str | None


class _Label(msgspec.Struct):
    is_locked: bool = False


class _Named(msgspec.Struct):
    name: str


class _Attributes(msgspec.Struct):
    subdir: Any = None


class _File(msgspec.Struct):
    basename: str
    version: str
    type: Text = None
    distribution_type: Text = None
    attrs: _Attributes | None = None
    size: int | None = None
    sha256: Text = None
    md5: Text = None
    labels: list[str] | None = None

    @property
    def is_conda(self) -> bool:
        return (self.type or self.distribution_type or _CONDA) == _CONDA

    @property
    def place(self) -> tuple[str | None, str]:
        """Its subdir, and its filename."""
        folder, _, filename = self.basename.rpartition("/")
        if not folder and self.attrs is not None and isinstance(self.attrs.subdir, str):
            folder = self.attrs.subdir
        return folder or None, filename


class _Document(msgspec.Struct):
    name: str
    public: bool
    files: list[_File]
    summary: Text = None
    description: Text = None
    license: Any = None
    license_url: Text = None
    home: Text = None
    dev_url: Text = None
    doc_url: Text = None
    source_git_url: Text = None

    def fields(self) -> dict[str, str]:
        """What describes the package, by the names that ours have for it."""
        said = {
            "summary": self.summary,
            "description": self.description,
            "license": self.license,
            "license_url": self.license_url,
            "home_url": self.home,
            "dev_url": self.dev_url,
            "doc_url": self.doc_url,
            "source_url": self.source_git_url,
        }
        return {name: text for name, text in said.items() if isinstance(text, str) and text}


@dataclass(frozen=True, slots=True)
class SourcePackage:
    name: str
    is_private: bool
    fields: Mapping[str, str]


Answer = TypeVar("Answer")


# --- Asking ------------------------------------------------------------------------------------


class AnacondaAccount:
    """An account, read once; then its packages, and the files of each of its labels.

    ``packages`` are patterns, of which one must match; what carries none of ``labels``, if any
    are given, is left out. Files without a label go where ``unlabelled`` says.
    """

    def __init__(
        self,
        owner: str,
        *,
        api_url: str,
        token: str | None,
        packages: Sequence[str],
        subdirs: Sequence[str],
        labels: Sequence[str],
        unlabelled: str | None,
        scratch: Path,
    ) -> None:
        url, userinfo = split_address(api_url, like=API_URL)
        if userinfo is not None:
            raise SourceUnusable("A token does not belong into the address; see --token-file.")
        self.owner = owner
        self.shown = f"{owner} at {url.rstrip('/')}"
        self._url = url
        self._remote = Remote(
            url,
            shown=self.shown,
            headers={"Authorization": f"token {token}"} if token else {},
            scratch=scratch,
        )
        self._packages = packages
        self._subdirs = subdirs
        self._wanted_labels = labels
        self._unlabelled = unlabelled
        self._rows = sqlite3.connect("", isolation_level=None)  # on disk, without a name
        self._rows.executescript(_SCHEMA)
        self._locked: set[str] = set()
        self.without_label: int = 0
        self.other_kinds: int = 0
        self.troubles: list[tuple[str, str]] = []
        """What could not be read, with the reason."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._remote.close()
        self._rows.close()

    def read(self) -> Iterator[tuple[int, int]]:
        """Ask for everything but the files; yields how many packages of how many are known."""
        owner = quote(self.owner, safe="")
        labels = self._asked(f"channels/{owner}", dict[str, _Label | int], "The labels")
        self._locked = {
            name for name, about in labels.items() if isinstance(about, _Label) and about.is_locked
        }
        for name in self._wanted_labels:
            if name not in labels:
                raise SourceUnusable(f"{self.shown} has no label {name!r} for us.")
        listed = self._asked(f"packages/{owner}", list[_Named], "The packages")
        names = sorted({one.name for one in listed if is_named(one.name, self._packages)})
        if not names:
            raise SourceUnusable(
                f"{self.shown} has no such packages for us: it has none, or it needs a token."
            )
        yield 0, len(names)
        known = 0
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            for start in range(0, len(names), _ASKED_AT_ONCE):
                some = names[start : start + _ASKED_AT_ONCE]
                documents = threads.map(self._document, some, range(len(some)))
                for name, document in zip(some, documents, strict=True):
                    if isinstance(document, Trouble):
                        self.troubles.append((name, f"What it is could not be read: {document}"))
                    else:
                        self._note(document)
                known += len(some)
                yield known, len(names)

    def _asked(self, place: str, kind: type[Answer], what: str) -> Answer:
        answer = self._answer(place, kind, 0)
        if isinstance(answer, Trouble):
            raise SourceUnusable(
                f"{what} of {self.shown}: {answer}"
                + (" Is it called so there, and does the token read it?" * answer.is_absence)
            )
        return answer

    def _document(self, name: str, number: int) -> _Document | Trouble:
        place = f"package/{quote(self.owner, safe='')}/{quote(name, safe='')}"
        document = self._answer(place, _Document, number)
        if isinstance(document, _Document) and document.name != name:
            return Trouble(f"it calls itself {document.name!r}.")
        return document

    def _answer(self, place: str, kind: type[Answer], number: int) -> Answer | Trouble:
        opened = self._remote.opened(place, _MAX_DOCUMENT_BYTES, number=number)
        if isinstance(opened, Trouble):
            return opened
        with opened:
            try:
                return msgspec.json.decode(opened.read(), type=kind)
            except msgspec.DecodeError as error:
                return Trouble(f"the answer can't be understood: {error}.")

    # --- Remembering it ------------------------------------------------------------------------

    def _note(self, document: _Document) -> None:
        kept = False
        for file in document.files:
            if not file.is_conda:
                self.other_kinds += 1
                continue
            subdir, filename = file.place
            if self._subdirs and subdir not in self._subdirs:
                continue
            labels = self._labels_of(file)
            if labels:
                self._keep(document.name, file, subdir, filename, labels)
                kept = True
        if kept:
            self._rows.execute(
                "INSERT INTO packages VALUES (?, ?, ?)",
                (document.name, not document.public, json.dumps(document.fields())),
            )

    def _labels_of(self, file: _File) -> set[str]:
        labels = set(file.labels or ())
        if not labels:
            if self._unlabelled is None:
                self.without_label += not self._wanted_labels
                return set()
            return {self._unlabelled}
        return labels.intersection(self._wanted_labels) if self._wanted_labels else labels

    def _keep(
        self, package: str, file: _File, subdir: str | None, filename: str, labels: set[str]
    ) -> None:
        name = f"{subdir}/{filename}" if subdir else filename
        trouble = _what_is_wrong(package, subdir, filename)
        if trouble:
            self.troubles.append((name, trouble))
            return
        parts = (self.owner, package, file.version)
        path = "/".join(quote(part, safe="") for part in parts)
        row = self._rows.execute(
            "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
            (
                package,
                subdir,
                filename,
                urljoin(self._url, f"download/{path}/{quote(file.basename)}"),
                file.size if file.size and file.size > 0 else None,
                file.sha256.lower() if file.sha256 else None,
                file.md5.lower() if file.md5 else None,
            ),
        )
        self._rows.executemany(
            "INSERT INTO labels VALUES (?, ?)", [(label, row.lastrowid) for label in labels]
        )

    # --- What is known then --------------------------------------------------------------------

    def packages(self) -> Iterator[SourcePackage]:
        """Those of which there are files."""
        rows = self._rows.execute("SELECT name, is_private, fields FROM packages ORDER BY name")
        for name, is_private, fields in rows:
            yield SourcePackage(name, bool(is_private), json.loads(fields))

    def leave_out(self, package: str, reason: str) -> None:
        """Take in nothing of a package, and say why."""
        self.troubles.append((package, reason))
        self._rows.execute(
            "DELETE FROM labels WHERE file IN (SELECT id FROM files WHERE package = ?)", (package,)
        )
        self._rows.execute("DELETE FROM files WHERE package = ?", (package,))
        self._rows.execute("DELETE FROM packages WHERE name = ?", (package,))

    def labels(self) -> list[str]:
        """Those that have files, the most important first: what is in two is fetched for it."""
        rows = self._rows.execute(
            "SELECT label FROM labels GROUP BY label ORDER BY label != 'main', label"
        )
        return [label for (label,) in rows]

    def is_locked(self, label: str) -> bool:
        return label in self._locked

    def count(self, label: str | None = None) -> int:
        """How many files a label has; or how many all have, each file counted in each label."""
        rows = self._rows.execute(
            "SELECT count(*) FROM labels WHERE label = ?1 OR ?1 IS NULL", (label,)
        )
        return int(rows.fetchone()[0])

    def size(self) -> tuple[int, int, int]:
        """How many packages and files there are, and their bytes as far as it says them."""
        [(packages,)] = self._rows.execute("SELECT count(*) FROM packages")
        [(files, size_bytes)] = self._rows.execute(
            "SELECT count(*), coalesce(sum(size_bytes), 0) FROM files"
        )
        return packages, files, size_bytes

    def candidates(self, label: str) -> Iterator[Candidate]:
        rows = self._rows.execute(
            "SELECT subdir, filename, place, size_bytes, sha256, md5"
            " FROM labels JOIN files ON files.id = labels.file"
            " WHERE label = ? ORDER BY package, files.id",
            (label,),
        )
        for subdir, filename, place, size_bytes, sha256, md5 in rows:
            # The weaker digest only where there is no other.
            yield Candidate(
                filename, subdir, place, size_bytes, sha256, md5=None if sha256 else md5
            )

    def fetch(self, candidate: Candidate, target: Path, *, limit_bytes: int) -> str | None:
        limit_bytes = min(limit_bytes, candidate.size_bytes or limit_bytes)
        return self._remote.fetch(candidate.place, target, limit_bytes)


class LabelledFiles:
    """The files of one label, as a source to import from."""

    def __init__(self, account: AnacondaAccount, label: str) -> None:
        self._account = account
        self._label = label
        self.shown = f"{account.shown}, {label}"
        self.addresses = frozenset[str]()
        self.read_sidecar = None  # it knows no attestations
        self.fetch = account.fetch

    def count(self) -> int:
        return self._account.count(self._label)

    def candidates(self) -> Iterator[Candidate]:
        return self._account.candidates(self._label)

    def close(self) -> None:
        """The account is closed by who opened it."""


def _what_is_wrong(package: str, subdir: str | None, filename: str) -> str | None:
    if subdir is not None and not is_subdir(subdir):
        return f"{subdir!r} is no subdir."
    try:
        check_filename(filename)
    except PackageError as error:
        return str(error)
    # Whether it is private is said of the package: no file comes in under the name of another.
    if filename.rsplit("-", 2)[0] != package:
        return f"It is a file of {package} there, and its name says otherwise."
    return None
