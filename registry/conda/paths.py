"""Where the members of a package would come to lie, and what is wrong with that.

Clients unpack packages with little protection of their own: conda checks member
names but no link targets, rattler allows links to anywhere. So nothing may be
published that leaves the environment it is installed into.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

from registry.conda.errors import (
    DuplicateMemberError,
    Phrase,
    TooLargeError,
    UnsafeLinkError,
    UnsafePathError,
    gettext_noop,
    quote,
)
from registry.conda.limits import Limits

MAX_COMPONENT_BYTES = 255
_MAX_FINDINGS = 5
# Following links costs a step for each component. More than this is no package's need.
_MAX_LINK_STEPS = 2_000_000
_MAX_HOPS = 40

# Most names pass here. No component starts with a dot, so none is "." or "..".
_PLAIN = re.compile(
    r"[\w+@=,~-][\w.+@=,~ -]{0,200}+(?:/[\w+@=,~-][\w.+@=,~ -]{0,200}+)*+", re.ASCII
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE = re.compile(r"[A-Za-z]:")
_WINDOWS_RESERVED = re.compile(
    r"(?:^|/)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.[^/]*)?(?:/|\Z)|[. ](?:/|\Z)|[<>:\"|?*]",
    re.IGNORECASE,
)


def check_path(path: str, *, limits: Limits) -> str:
    """Return the path of a member, without a leading ``./`` and a trailing slash.

    ``.`` alone, the prefix itself, comes back empty.
    """
    if len(path) <= limits.name_bytes and _PLAIN.fullmatch(path):
        return path
    encoded_length = len(path.encode("utf-8", "surrogatepass"))
    if encoded_length > limits.name_bytes:
        raise UnsafePathError(
            gettext_noop(
                "The package holds a path of %(length)s bytes, %(path)s. At most %(most)s are "
                "allowed: shorten it."
            ),
            length=encoded_length,
            path=quote(path),
            most=limits.name_bytes,
        )
    if _CONTROL.search(path):
        raise _unsafe(path, Phrase(gettext_noop("holds a control character")))
    if "\\" in path:
        raise _unsafe(
            path, Phrase(gettext_noop("holds a backslash, which Windows takes for a separator"))
        )
    if path.startswith("/") or _DRIVE.match(path):
        raise _unsafe(path, Phrase(gettext_noop("is absolute")))
    if path in {".", "./"}:
        return ""
    relative = path.removeprefix("./").removesuffix("/")
    for component in relative.split("/"):
        if component in {"", ".", ".."}:
            raise _unsafe(
                path, Phrase(gettext_noop("has the part %(component)s"), component=quote(component))
            )
        if len(component.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES:
            raise _unsafe(
                path,
                Phrase(
                    gettext_noop("has a part of more than %(most)s bytes"), most=MAX_COMPONENT_BYTES
                ),
            )
    return relative


def _unsafe(path: str, reason: Phrase) -> UnsafePathError:
    return UnsafePathError(
        gettext_noop(
            "The package holds the path %(path)s, which %(reason)s. Paths must lead from the "
            "environment's folder downwards, separated by single slashes: rename the file."
        ),
        path=quote(path),
        reason=reason,
    )


class PackageTree:
    """The paths of all members, of both parts of a package."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members: set[str] = set()
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._links: dict[str, str] = {}
        self._names_bytes = 0
        self._steps = 0

    def __len__(self) -> int:
        return len(self._members)

    def add_file(self, path: str) -> None:
        self._add(path)
        self._files.add(path)

    def add_folder(self, path: str) -> None:
        self._add(path)
        self._add_folders(path)

    def add_hard_link(self, path: str, target: str) -> None:
        """The target must have come before: else there is nothing yet to link to."""
        try:
            target = check_path(target, limits=self._limits)
        except UnsafePathError as error:
            raise _unsafe_link(
                path, target, Phrase(gettext_noop("leads out of the environment"))
            ) from error
        if target not in self._files:
            raise _unsafe_link(
                path, target, Phrase(gettext_noop("is no file that comes before it in the archive"))
            )
        self._add(path)
        self._files.add(path)

    def add_symlink(self, path: str, target: str) -> None:
        if not target or len(target) > self._limits.name_bytes or _CONTROL.search(target):
            raise _unsafe_link(
                path, target, Phrase(gettext_noop("is empty, too long or holds control characters"))
            )
        if "\\" in target or target.startswith("/") or _DRIVE.match(target):
            raise _unsafe_link(path, target, Phrase(gettext_noop("is no relative path")))
        self._add(path)
        self._links[path] = target
        self._names_bytes += len(target)

    def _add(self, path: str) -> None:
        if path in self._members:
            raise DuplicateMemberError(
                gettext_noop(
                    "The package holds %(path)s twice. Each path may occur once: rebuild it."
                ),
                path=quote(path),
            )
        self._members.add(path)
        self._names_bytes += len(path)
        if len(self._members) > self._limits.members:
            raise TooLargeError(
                gettext_noop("The package holds more than %(most)s files. Split it up."),
                most=self._limits.members,
            )
        if self._names_bytes > self._limits.all_names_bytes:
            raise TooLargeError(
                gettext_noop(
                    "The paths in the package take more than %(most)s bytes together. Shorten "
                    "them, or split the package up."
                ),
                most=self._limits.all_names_bytes,
            )
        folder = path.rpartition("/")[0]
        if folder and folder not in self._folders:
            self._add_folders(folder)

    def _add_folders(self, folder: str) -> None:
        while folder and folder not in self._folders:
            self._folders.add(folder)
            self._names_bytes += len(folder)
            folder = folder.rpartition("/")[0]

    def check_links(self) -> None:
        """Check what can only be known when all members are."""
        for folder in self._folders & self._links.keys():
            raise UnsafeLinkError(
                gettext_noop(
                    "The package holds %(folder)s as a link and files below it. Files must not be "
                    "written through links: make it a folder."
                ),
                folder=quote(folder),
            )
        for folder in self._folders & self._files:
            raise UnsafePathError(
                gettext_noop(
                    "The package holds %(folder)s as a file and as a folder. It can only be one."
                ),
                folder=quote(folder),
            )
        for path, target in self._links.items():
            self._follow(path, target)

    def _follow(self, start: str, target: str) -> None:
        """Resolve a link as a file system would, over all links of the package.

        Taking ``..`` off the text would not do: behind a link it leads elsewhere.
        A target that does not exist is legal.
        """
        position = start.split("/")[:-1]
        todo = target.split("/")[::-1]
        hops = 0
        while todo:
            self._steps += 1 + len(position) // 16
            if self._steps > _MAX_LINK_STEPS:
                raise UnsafeLinkError(
                    gettext_noop("The package's links are too many or too long to follow.")
                )
            component = todo.pop()
            if component in {"", "."}:
                continue
            if component == "..":
                if not position:
                    raise _unsafe_link(
                        start, target, Phrase(gettext_noop("leads out of the environment"))
                    )
                position.pop()
                continue
            position.append(component)
            path = "/".join(position)
            if path in self._links:
                hops += 1
                if hops > _MAX_HOPS or path == start:
                    raise _unsafe_link(start, target, Phrase(gettext_noop("leads in a circle")))
                position.pop()
                todo.extend(self._links[path].split("/")[::-1])

    def findings(self, subdir: object) -> tuple[Phrase, ...]:
        """What is legal, but would be trouble on some platform the package is for."""
        platform = subdir.partition("-")[0] if isinstance(subdir, str) else "noarch"
        found: list[Phrase] = []
        if platform in {"noarch", "win", "osx"} and (collisions := self._collisions()):
            found.append(
                Phrase(
                    gettext_noop("Where case does not count, these are one file: %(names)s."),
                    names=_listing(collisions),
                )
            )
        if platform in {"noarch", "win"} and (reserved := self._reserved()):
            found.append(
                Phrase(
                    gettext_noop("Windows cannot have a file of this name: %(names)s."),
                    names=_listing(reserved),
                )
            )
        return tuple(found)

    def _collisions(self) -> list[str]:
        first: dict[int, str] = {}
        collisions = list[str]()
        # Folders too: a/x and A/y become one folder, but hold no file twice, so they are fine.
        for path in sorted(self._members):
            # Hashes instead of folded texts, which would double the memory.
            folded = hash(unicodedata.normalize("NFC", path).casefold())
            other = first.setdefault(folded, path)
            if other != path and len(collisions) <= _MAX_FINDINGS:
                collisions.append(f"{quote(other)} = {quote(path)}")
        return collisions

    def _reserved(self) -> list[str]:
        reserved = (path for path in sorted(self._members) if _WINDOWS_RESERVED.search(path))
        return [quote(path) for path in islice(reserved, _MAX_FINDINGS + 1)]


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_FINDINGS])
    if len(names) <= _MAX_FINDINGS:
        return shown
    return Phrase(gettext_noop("%(names)s, and more"), names=shown)


def _unsafe_link(path: str, target: str, reason: Phrase) -> UnsafeLinkError:
    return UnsafeLinkError(
        gettext_noop(
            "The package links %(path)s to %(target)s, which %(reason)s. Links must be relative "
            "and stay inside the environment."
        ),
        path=quote(path),
        target=quote(target),
        reason=reason,
    )
