"""What packages, versions, builds, package files and channels may be called (CEP 26)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from registry.conda.errors import (
    InvalidBuildError,
    InvalidChannelNameError,
    InvalidFilenameError,
    InvalidNameError,
    InvalidVersionError,
    Phrase,
    gettext_noop,
    quote,
)
from registry.conda.subdirs import looks_like_subdir
from registry.conda.version import sort_key

MAX_NAME_LENGTH = 64
MAX_BUILD_LENGTH = 64
MAX_FILENAME_LENGTH = 211
MAX_CHANNEL_NAME_LENGTH = 128


class ArchiveFormat(StrEnum):
    """The two kinds of package file (CEP 35); the value is the extension."""

    CONDA = ".conda"
    TAR_BZ2 = ".tar.bz2"


# CEP 26 gives "^(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|$))*$". This says the
# same without a choice inside a repetition, so matching takes linear time.
_PACKAGE_NAME = re.compile(r"(?:[a-z0-9]|_(?!_))[._-]?(?:[a-z0-9]+[._-])*[a-z0-9]*")
_BUILD_STRING = re.compile(r"[a-zA-Z0-9_.+]+")
# Package names may contain dashes, versions and build strings may not, so only the last
# two dashes separate.
_FILENAME = re.compile(
    r"(?P<name>[^/\\]+)-(?P<version>[^-/\\]+)-(?P<build>[^-/\\]+?)(?P<extension>\.conda|\.tar\.bz2)"
)
_CHANNEL_NAME = re.compile(r"[a-zA-Z][0-9a-zA-Z_\-./:]*")


def check_package_name(text: object) -> str:
    if (
        not isinstance(text, str)
        or len(text) > MAX_NAME_LENGTH
        or _PACKAGE_NAME.fullmatch(text) is None
    ):
        rule = Phrase(
            gettext_noop(
                "The package name is %(name)s. It must consist of lowercase letters and digits, "
                "with single '.', '-' or '_' between them, and be at most %(most)s characters long."
            ),
            name=quote(text),
            most=MAX_NAME_LENGTH,
        )
        if isinstance(text, str) and text != text.lower():
            hint = Phrase(gettext_noop("Rename it to %(name)s."), name=quote(text.lower()))
        elif isinstance(text, str) and text.startswith("__"):
            hint = Phrase(
                gettext_noop("Names with two leading underscores belong to virtual packages.")
            )
        else:
            raise InvalidNameError(rule.template, **rule.values)
        raise InvalidNameError(gettext_noop("%(rule)s %(hint)s"), rule=rule, hint=hint)
    return text


def check_version(text: object) -> str:
    """Return ``text`` if it is a version that every client can order (CEP 33)."""
    if not isinstance(text, str):
        raise InvalidVersionError(
            gettext_noop("The version is %(text)s. It must be a string, such as '1.0'."),
            text=quote(text),
        )
    sort_key(text)
    return text


def check_build_string(text: object) -> str:
    if (
        not isinstance(text, str)
        or len(text) > MAX_BUILD_LENGTH
        or _BUILD_STRING.fullmatch(text) is None
    ):
        raise InvalidBuildError(
            gettext_noop(
                "The build string is %(text)s. It must consist of letters, digits, '.', '_' and "
                "'+', and be 1 to %(most)s characters long."
            ),
            text=quote(text),
            most=MAX_BUILD_LENGTH,
        )
    return text


def check_filename(text: object) -> tuple["Dist", ArchiveFormat]:
    """Take the name of a package file apart; each part must be valid."""
    if not isinstance(text, str) or len(text) > MAX_FILENAME_LENGTH:
        raise InvalidFilenameError(
            gettext_noop(
                "The file name is %(text)s. It must be a string of at most %(most)s characters."
            ),
            text=quote(text),
            most=MAX_FILENAME_LENGTH,
        )
    match = _FILENAME.fullmatch(text)
    if match is None:
        raise InvalidFilenameError(
            gettext_noop(
                "The file name is %(text)s. It must be '<name>-<version>-<build>.conda' or "
                "'….tar.bz2'."
            ),
            text=quote(text),
        )
    dist = Dist(
        name=check_package_name(match["name"]),
        version=check_version(match["version"]),
        build=check_build_string(match["build"]),
    )
    return dist, ArchiveFormat(match["extension"])


def check_channel_name(text: object) -> str:
    """Return ``text`` if a channel of an account may be called so (CEP 26: labels).

    It becomes a part of URLs in which ``t`` announces a token, ``label`` a
    channel, and the last folder is a subdir, so these are kept free.
    """
    if (
        not isinstance(text, str)
        or len(text) > MAX_CHANNEL_NAME_LENGTH
        or _CHANNEL_NAME.fullmatch(text) is None
    ):
        raise InvalidChannelNameError(
            gettext_noop(
                "The channel name is %(name)s. It must begin with a letter, consist of letters, "
                "digits, '_', '-', '.', '/' and ':', and be at most %(most)s characters long."
            ),
            name=quote(text),
            most=MAX_CHANNEL_NAME_LENGTH,
        )
    segments = text.casefold().split("/")
    if not all(segments) or "." in segments or ".." in segments:
        raise InvalidChannelNameError(
            gettext_noop(
                "The channel name is %(name)s. Between its slashes must stand names, other than "
                "'.' and '..'."
            ),
            name=quote(text),
        )
    if text.casefold() == "nolabel" or "t" in segments or "label" in segments:
        raise InvalidChannelNameError(
            gettext_noop(
                "The channel name is %(name)s. 'nolabel', 't' and 'label' have a meaning of their "
                "own for clients: choose another name."
            ),
            name=quote(text),
        )
    if looks_like_subdir(segments[-1]):
        raise InvalidChannelNameError(
            gettext_noop(
                "The channel name is %(name)s. Clients would take its end for a subdir: choose "
                "another name."
            ),
            name=quote(text),
        )
    return text


@dataclass(frozen=True, slots=True, order=True)
class Dist:
    """One build of one version of a package, whatever archive it comes in.

    The subdir is no part of it: the same dist may stand in several subdirs.
    """

    name: str
    version: str
    build: str

    @classmethod
    def from_filename(cls, filename: str) -> Self:
        dist, _ = check_filename(filename)
        return cls(dist.name, dist.version, dist.build)

    def __str__(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    def filename(self, extension: ArchiveFormat) -> str:
        return f"{self}{extension.value}"
