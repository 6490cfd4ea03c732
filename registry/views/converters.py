"""The path converters of packages' pages, and the words that keep short URLs apart.

Importing this module registers them. A package may be called ``settings`` and a version
``files``: such a name has only the long form of its URL, every other name the short one, so that
reversing a URL finds the one that works.
"""

from __future__ import annotations

from typing import ClassVar

from django.urls import register_converter

# What may stand behind an account, and behind a package, without being a package or a version.
_PACKAGE_WORDS = """
    activity channels compare dashboard files groups labels members packages repo settings upload
"""
_VERSION_WORDS = """
    badges channels compare delete dependencies dependents downloads feed.atom files labels
    packages settings versions
"""
RESERVED_PACKAGES = frozenset(_PACKAGE_WORDS.split())
RESERVED_VERSIONS = frozenset(_VERSION_WORDS.split())


class _Name:
    """Characters that a name may have; which names there are is asked elsewhere."""

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class FreePackage(_Name):
    regex = "[A-Za-z0-9_][A-Za-z0-9._-]*"
    words: ClassVar[frozenset[str]] = RESERVED_PACKAGES
    takes_reserved = False

    def to_python(self, value: str) -> str:
        name = value.lower()
        if (name in self.words) != self.takes_reserved:
            raise ValueError(name)
        return name

    def to_url(self, value: str) -> str:
        return self.to_python(value)


class ReservedPackage(FreePackage):
    takes_reserved = True


class FreeVersion(FreePackage):
    regex = "[0-9A-Za-z._+!]+"
    words = RESERVED_VERSIONS

    def to_python(self, value: str) -> str:
        super().to_python(value)
        return value


class ReservedVersion(FreeVersion):
    takes_reserved = True


class ChannelName(_Name):
    """The last part of a path: it may hold slashes."""

    regex = "[A-Za-z][0-9A-Za-z_./:-]*"


class Subdir(_Name):
    regex = "[a-z0-9]+(?:-[a-z0-9]+)?"


class Filename(_Name):
    regex = "[0-9A-Za-z._+!-]+"


class Rest(_Name):
    """Whatever follows, for redirects."""

    regex = "[!-~]+"


register_converter(FreePackage, "package")
register_converter(ReservedPackage, "reserved_package")
register_converter(FreeVersion, "version")
register_converter(ReservedVersion, "reserved_version")
register_converter(ChannelName, "channel")
register_converter(Subdir, "subdir")
register_converter(Filename, "filename")
register_converter(Rest, "rest")
