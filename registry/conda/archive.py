"""Reading a package file (CEP 34, CEP 35) without unpacking it to disk.

The whole archive is streamed once, in blocks, since what is wrong with a package
may stand in its last member. Only the small metadata files are kept.
"""

import re
import threading
from typing import BinaryIO

import msgspec

from registry.conda.errors import (
    ArchiveBombError,
    FilenameMismatchError,
    InvalidMetadataError,
    MisplacedMemberError,
    NotAPackageError,
    Phrase,
    TooLargeError,
    UnsafeEntryPointError,
    UnsafeLinkError,
    WrongFormatError,
    gettext_noop,
    joined,
    quote,
)
from registry.conda.limits import DEFAULT_LIMITS, Limits
from registry.conda.names import ArchiveFormat
from registry.conda.paths import PackageTree, check_path
from registry.conda.paths_json import LONGEST_BYTES, PathsJsonScanner
from registry.conda.run_exports import normalize_run_exports
from registry.conda.streams import (
    BLOCK_BYTES,
    ByteStream,
    Bzip2Streams,
    Deflated,
    Input,
    Section,
    ZstdFrame,
)
from registry.conda.strict_json import parse_object
from registry.conda.tar import Kind, Member, TarReader
from registry.conda.zip_directory import LOCAL_MAGIC, ZipMember, read_directory

__all__ = ["DEFAULT_LIMITS", "Limits", "PackageContents", "read_package"]

INDEX, ABOUT = "info/index.json", "info/about.json"
RUN_EXPORTS, LINK = "info/run_exports.json", "info/link.json"
PATHS, HAS_PREFIX = "info/paths.json", "info/has_prefix"
_READ = frozenset({INDEX, ABOUT, RUN_EXPORTS, LINK, HAS_PREFIX, PATHS})
_BZIP2_MAGIC = re.compile(rb"BZh[1-9]")
COMPONENT = re.compile(r"(info|pkg)-(.{1,200})\.tar\.zst", re.ASCII)
_FORMAT_VERSION = 2
_LINKS = {
    Kind.SYMLINK: Phrase(gettext_noop("symlink")),
    Kind.HARD_LINK: Phrase(gettext_noop("hard link")),
}
_THE_FILE = Phrase(gettext_noop("The file"))
_THE_TAR_BZ2 = Phrase(gettext_noop("The .tar.bz2 file"))

# "command = package.module:function", which becomes an executable file of that name on
# the client (CVE-2026-47425), and Python source with the rest pasted in.
_ENTRY_POINT = re.compile(
    r" *(?P<command>[^\s=/\\:;'\"]{1,200}) *= *[\w.-]{1,500} *: *[\w.]{1,500} *"
)
_LINK_SCRIPT = re.compile(
    r"(?:bin|Scripts)/\.[^/]{1,100}-(post-link|pre-link|pre-unlink)\.(?:sh|bat)"
)


class PackageContents(msgspec.Struct, frozen=True):
    """What a package says of itself. ``run_exports`` is None where it says nothing of them.

    A struct of msgspec's: a dataclass that is frozen takes ten times as long to make.
    """

    format: ArchiveFormat
    index: dict[str, object]
    about: dict[str, object]
    run_exports: dict[str, list[str]] | None
    member_count: int
    unpacked_bytes: int
    has_paths_json: bool
    binary_prefix: bool
    text_prefix: bool
    activate: bool
    deactivate: bool
    post_link: bool
    pre_link: bool
    pre_unlink: bool
    findings: tuple[Phrase, ...]
    """Sentences on what is legal but suspicious, for people to read."""

    def install_traits(self) -> dict[str, bool]:
        """What it does to an environment beyond laying down its files, by CEP 38's words."""
        return {
            "activate": self.activate,
            "deactivate": self.deactivate,
            "binary_prefix": self.binary_prefix,
            "text_prefix": self.text_prefix,
            "post_link": self.post_link,
            "pre_link": self.pre_link,
            "pre_unlink": self.pre_unlink,
        }


def read_package(
    file: BinaryIO,
    *,
    size_bytes: int,
    format: ArchiveFormat | None = None,  # noqa: A002 - the field's word, only ever a keyword
    minimal: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> PackageContents:
    """Read and check the package in ``file``, which must be seekable.

    The bytes decide what it is; with ``format`` they must decide so. ``minimal`` takes
    what Forgejo takes: a .conda of no more than one info part, named as it likes,
    even packed once more by ZIP. Raises a ``PackageError`` for all that is wrong with the
    package; an ``OSError`` is one of reading ``file``.
    """
    found = _format_of(file, size_bytes)
    if format is not None and found is not format:
        raise WrongFormatError(
            gettext_noop(
                "The file is a %(found)s by its content, but was sent as a %(sent)s. Give it its "
                "right extension."
            ),
            found=found.value,
            sent=format.value,
        )
    scan = _Scan(limits)
    if found is ArchiveFormat.TAR_BZ2:
        whole = Section(file, start=0, size_bytes=size_bytes, name=_THE_FILE, crc32=None)
        scan.tar(
            Bzip2Streams(whole, limits),
            name=_THE_TAR_BZ2,
            budget_bytes=limits.payload_bytes(size_bytes),
        )
        stem = None
    else:
        stem = _scan_conda(file, size_bytes, scan, minimal=minimal, limits=limits)
    return scan.contents(found, stem=None if minimal else stem)


def _format_of(file: BinaryIO, size_bytes: int) -> ArchiveFormat:
    file.seek(0)
    magic = file.read(4)
    if magic == LOCAL_MAGIC:
        return ArchiveFormat.CONDA
    if _BZIP2_MAGIC.fullmatch(magic):
        return ArchiveFormat.TAR_BZ2
    begins = Phrase(gettext_noop("begins with %(magic)s"), magic=quote(magic))
    what = begins if size_bytes else Phrase(gettext_noop("is empty"))
    raise NotAPackageError(
        gettext_noop(
            "The file %(what)s. It must be a .conda file (ZIP) or a .tar.bz2 file (bzip2), as made "
            "by a conda build tool."
        ),
        what=what,
    )


def _scan_conda(
    file: BinaryIO, size_bytes: int, scan: "_Scan", *, minimal: bool, limits: Limits
) -> str:
    """Read both parts; return what they are named after."""
    members = read_directory(file, size_bytes=size_bytes, allow_deflate=minimal)
    parts: dict[str, ZipMember] = {}
    stems = set()
    for name, member in members.items():
        match = COMPONENT.fullmatch(name)
        if match is None and name != "metadata.json":
            raise MisplacedMemberError(
                gettext_noop(
                    "The .conda file has a member %(name)s. It must have no other than "
                    "metadata.json, info-….tar.zst and pkg-….tar.zst."
                ),
                name=quote(name),
            )
        part = match[1] if match else name
        if part in parts:
            raise MisplacedMemberError(
                gettext_noop(
                    "The .conda file has more than one %(part)s-….tar.zst: rebuild the package."
                ),
                part=part,
            )
        parts[part] = member
        if match:
            stems.add(match[2])
    wanted = {"info"} if minimal else {"info", "pkg", "metadata.json"}
    if missing := wanted - parts.keys():
        raise NotAPackageError(
            gettext_noop(
                "The .conda file lacks its %(missing)s part. It must have metadata.json, "
                "info-….tar.zst and pkg-….tar.zst: rebuild the package."
            ),
            missing=joined(sorted(missing)),
        )
    if len(stems) > 1 and not minimal:
        raise FilenameMismatchError(
            gettext_noop(
                "The .conda file's two parts are named after different packages, %(stems)s: "
                "rebuild the package."
            ),
            stems=joined(quote(stem) for stem in sorted(stems)),
        )
    if "metadata.json" in parts:
        _check_format_version(unzipped(file, parts["metadata.json"], limits), limits)
    info_budget = min(limits.info_bytes, limits.payload_bytes(size_bytes))
    for part, budget in (("info", info_budget), ("pkg", limits.payload_bytes(size_bytes))):
        if part in parts:
            packed = unzipped(file, parts[part], limits)
            frame = ZstdFrame(packed, limits)
            scan.tar(frame, name=packed.name, budget_bytes=budget, part=part)
    return min(stems)


def unzipped(file: BinaryIO, member: ZipMember, limits: Limits) -> Input:
    name = Phrase(gettext_noop("%(part)s in the .conda file"), part=member.name[:60])
    check = member.packed_bytes <= limits.crc_checked_bytes and not member.deflated
    section = Section(
        file,
        start=member.start,
        size_bytes=member.packed_bytes,
        name=name,
        crc32=member.crc32 if check else None,
    )
    if not member.deflated:
        return section
    if member.unpacked_bytes > limits.info_bytes:
        raise ArchiveBombError(
            gettext_noop(
                "%(name)s is packed by ZIP and unpacks to %(size)s bytes. It must be stored as it "
                "is: rebuild it with a conda build tool."
            ),
            name=name,
            size=member.unpacked_bytes,
        )
    return Deflated(section, unpacked_bytes=member.unpacked_bytes, crc32=member.crc32)


def _check_format_version(packed: Input, limits: Limits) -> None:
    if packed.remaining > limits.metadata_bytes:
        raise TooLargeError(
            gettext_noop(
                "metadata.json is %(size)s bytes long. It must hold no more than "
                "'conda_pkg_format_version': rebuild the package."
            ),
            size=packed.remaining,
        )
    blocks = []
    while block := packed.read(limits.metadata_bytes):
        blocks.append(block)
    metadata = parse_object(b"".join(blocks), name="metadata.json", limits=limits)
    version = metadata.get("conda_pkg_format_version")
    if version != _FORMAT_VERSION or not isinstance(version, int):
        raise NotAPackageError(
            gettext_noop(
                "metadata.json gives conda_pkg_format_version as %(version)s. It must be "
                "%(wanted)s: rebuild the package."
            ),
            version=quote(version),
            wanted=_FORMAT_VERSION,
        )


class _Own(threading.local):
    """What each thread keeps from package to package: it reads one at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray(BLOCK_BYTES)


_own = _Own()


class _Scan:
    """What is gathered while the members of a package stream by."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tree = PackageTree(limits)
        self._kept: dict[str, bytes] = {}
        self._paths_json: PathsJsonScanner | None = None
        self._flags: set[str] = set()
        self._unpacked_bytes = 0

    def tar(
        self, stream: ByteStream, *, name: str, budget_bytes: int, part: str | None = None
    ) -> None:
        reader = TarReader(
            stream,
            name=name,
            budget_bytes=budget_bytes,
            limits=self._limits,
            buffer=_own.buffer,
        )
        for member in reader:
            path = check_path(member.path, limits=self._limits)
            if not path and member.kind is Kind.FOLDER:
                continue
            in_info = path == "info" or path.startswith("info/")
            _check_place(path, part, in_info=in_info)
            self._enter(member, path, part)
            if not in_info:
                self._note(path)
            elif path in _READ:
                self._keep(member, path, reader)
        self._unpacked_bytes += reader.unpacked_bytes

    def _enter(self, member: Member, path: str, part: str | None) -> None:
        if member.kind is Kind.FILE:
            if not path:
                raise MisplacedMemberError(
                    gettext_noop("The package holds a file without a name: rename it.")
                )
            self._tree.add_file(path)
        elif member.kind is Kind.FOLDER:
            self._tree.add_folder(path)
        elif path in _READ:
            raise MisplacedMemberError(
                gettext_noop("The package holds %(path)s as a %(kind)s. It must be a file."),
                path=path,
                kind=_LINKS[member.kind],
            )
        elif member.kind is Kind.SYMLINK:
            self._tree.add_symlink(path, member.target)
        else:
            if part == "pkg" and member.target.removeprefix("./").startswith("info/"):
                # The other part may not be unpacked yet.
                raise UnsafeLinkError(
                    gettext_noop(
                        "The package links %(path)s to %(target)s, which is in the other part of "
                        "the .conda file: rebuild the package."
                    ),
                    path=quote(path),
                    target=quote(member.target),
                )
            self._tree.add_hard_link(path, member.target)

    def _keep(self, member: Member, path: str, reader: TarReader) -> None:
        if path == PATHS:
            self._check_size(path, member.size_bytes, self._limits.paths_json_bytes)
            self._paths_json = PathsJsonScanner(self._limits)
            if member.size_bytes <= LONGEST_BYTES:
                self._paths_json.read(reader.content())
                return
            for block in reader.payload():
                self._paths_json.feed(bytes(block))
            self._paths_json.finish()
        else:
            self._check_size(path, member.size_bytes, self._limits.metadata_bytes)
            self._kept[path] = reader.content()

    @staticmethod
    def _check_size(path: str, size_bytes: int, limit_bytes: int) -> None:
        if size_bytes > limit_bytes:
            raise TooLargeError(
                gettext_noop(
                    "The package's %(path)s is %(size)s bytes long. At most %(most)s are allowed: "
                    "shorten it."
                ),
                path=path,
                size=size_bytes,
                most=limit_bytes,
            )

    def _note(self, path: str) -> None:
        if path.startswith("etc/conda/"):
            if path.startswith("etc/conda/activate.d/"):
                self._flags.add("activate")
            elif path.startswith("etc/conda/deactivate.d/"):
                self._flags.add("deactivate")
        elif path.endswith(("link.sh", "link.bat")) and (script := _LINK_SCRIPT.fullmatch(path)):
            self._flags.add(script[1].replace("-", "_"))

    def contents(self, archive_format: ArchiveFormat, *, stem: str | None) -> PackageContents:
        self._tree.check_links()
        if INDEX not in self._kept:
            raise NotAPackageError(
                gettext_noop(
                    "The package holds no %(file)s. It must have one, with its name, version and "
                    "dependencies: build it with a conda build tool."
                ),
                file=INDEX,
            )
        index = self._json(INDEX) or {}
        if stem is not None:
            _check_stem(stem, index)
        _check_entry_points(self._json(LINK))
        binary_prefix, text_prefix = self._prefixes()
        return PackageContents(
            format=archive_format,
            index=index,
            about=self._json(ABOUT) or {},
            run_exports=self._run_exports(),
            member_count=len(self._tree),
            unpacked_bytes=self._unpacked_bytes,
            has_paths_json=self._paths_json is not None,
            binary_prefix=binary_prefix,
            text_prefix=text_prefix,
            activate="activate" in self._flags,
            deactivate="deactivate" in self._flags,
            post_link="post_link" in self._flags,
            pre_link="pre_link" in self._flags,
            pre_unlink="pre_unlink" in self._flags,
            findings=self._tree.findings(index.get("subdir")),
        )

    def _json(self, path: str) -> dict[str, object] | None:
        data = self._kept.get(path)
        return None if data is None else parse_object(data, name=path, limits=self._limits)

    def _run_exports(self) -> dict[str, list[str]] | None:
        data = self._kept.get(RUN_EXPORTS)
        if data is None:
            return None
        # CEP 12: a bare list means weak ones.
        if data.lstrip().startswith(b"["):
            data = b'{"weak":' + data + b"}"
        return normalize_run_exports(parse_object(data, name=RUN_EXPORTS, limits=self._limits))

    def _prefixes(self) -> tuple[bool, bool]:
        """Are there files, binary or text, into which clients write the environment's path?"""
        if self._paths_json is not None:
            return self._paths_json.binary_prefix, self._paths_json.text_prefix
        lines = [line.split() for line in self._kept.get(HAS_PREFIX, b"").splitlines()]
        # "<placeholder> <mode> <path>", or in the oldest packages only the path of a text.
        modes = {words[1] if len(words) > 2 else b"text" for words in lines if words}
        return b"binary" in modes, b"text" in modes


def _check_place(path: str, part: str | None, *, in_info: bool) -> None:
    if part is not None and in_info != (part == "info"):
        raise MisplacedMemberError(
            gettext_noop(
                "The .conda file holds %(path)s in its %(part)s part. Everything below info/ must "
                "stand in the info part, and nothing else: rebuild the package."
            ),
            path=quote(path),
            part=part,
        )
    # Clients keep their own records at these places, some on file systems without case.
    if path == "info/repodata_record.json" or (
        path[:10].casefold() == "conda-meta" and path[10:11] in {"", "/"}
    ):
        raise MisplacedMemberError(
            gettext_noop(
                "The package holds %(path)s, which clients write themselves: leave it out."
            ),
            path=quote(path),
        )


def _check_stem(stem: str, index: dict[str, object]) -> None:
    # conda finds the parts by the name of the file, which is made from the metadata.
    name, version, build = (index.get(key) for key in ("name", "version", "build"))
    if stem != f"{name}-{version}-{build}":
        raise FilenameMismatchError(
            gettext_noop(
                "The parts of the .conda file are named after %(stem)s, but %(file)s says %(own)s. "
                "They must be the same: rebuild the package."
            ),
            stem=quote(stem),
            file=INDEX,
            own=quote(f"{name}-{version}-{build}"),
        )


def _check_entry_points(link: dict[str, object] | None) -> None:
    noarch = link.get("noarch") if link else None
    if noarch is None:
        return
    entry_points = noarch.get("entry_points") if isinstance(noarch, dict) else noarch
    if entry_points is None:
        return
    if not isinstance(entry_points, list):
        raise InvalidMetadataError(
            gettext_noop(
                "%(file)s gives its entry points as %(entry_points)s. They must be a list."
            ),
            file=LINK,
            entry_points=quote(entry_points),
        )
    for entry_point in entry_points:
        match = _ENTRY_POINT.fullmatch(entry_point) if isinstance(entry_point, str) else None
        if match is None or ".." in match["command"] or match["command"] == ".":
            raise UnsafeEntryPointError(
                gettext_noop(
                    "%(file)s has the entry point %(entry_point)s. It must read 'command = "
                    "package.module:function', and the command must be a plain file name."
                ),
                file=LINK,
                entry_point=quote(entry_point),
            )
