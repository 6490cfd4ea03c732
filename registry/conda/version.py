"""The order of versions (CEP 33).

A version is an epoch, a list of components and a list of local components; a
component is a list of numbers and strings. Lists are compared as if zeros
stood behind them without end, so that ``1.1 == 1.1.0`` and ``1.1a1 < 1.1``.

That comparison is put into bytes once, and everything else follows: versions
are equal, ordered and hashed as their keys are, in Python as in a database.
"""

import re
from functools import lru_cache
from typing import Self

from registry.conda.errors import InvalidVersionError, gettext_noop, quote

MAX_VERSION_LENGTH = 64
MAX_NUMBER = 2**31 - 1

_CHARACTERS = re.compile(r"[0-9a-z._+!]+")
_ATOMS = re.compile(r"[0-9]+|[^0-9]+")

# What stands next in a list, seen from a list that has ended, which is all zeros.
_BELOW_ZERO, _END, _ABOVE_ZERO = b"\x01", b"\x02", b"\x03"
_POST = b"\xff\xff\xff\xff"


class VersionOrder:
    """A version that can be compared.

    ``str()`` gives the spelling it was made from: equal versions may be spelled
    differently.
    """

    __slots__ = ("_text", "key")

    key: bytes

    def __init__(self, text: str) -> None:
        self._text = text
        self.key = sort_key(text)

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"VersionOrder({self._text!r})"

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, VersionOrder) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.key < other.key if isinstance(other, VersionOrder) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.key <= other.key if isinstance(other, VersionOrder) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.key > other.key if isinstance(other, VersionOrder) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.key >= other.key if isinstance(other, VersionOrder) else NotImplemented


PRERELEASE = r"(^|[0-9._])(a|b|c|rc|alpha|beta|pre|preview|dev)([0-9._+]|$)"
"""What people call versions that are not meant for everybody; to clients they are like others."""

_PRERELEASE = re.compile(PRERELEASE, re.IGNORECASE)


def is_prerelease(version: str) -> bool:
    return _PRERELEASE.search(version) is not None


@lru_cache(maxsize=4096)  # one package asks several times, and many have the same version
def sort_key(version: str) -> bytes:
    """Bytes that order as the versions do; equal versions have equal bytes.

    Raises ``InvalidVersionError`` for what is no version.
    """
    epoch, components, local = _split(version)
    return _encode_list([_encode_component(version, part) for part in (epoch, *components)]) + (
        _encode_list([_encode_component(version, part) for part in local])
    )


def _split(version: str) -> tuple[str, list[str], list[str]]:
    if len(version) > MAX_VERSION_LENGTH:
        raise InvalidVersionError(
            gettext_noop(
                "The version %(version)s is %(length)s characters long. At most %(most)s are "
                "allowed: shorten it."
            ),
            version=quote(version),
            length=len(version),
            most=MAX_VERSION_LENGTH,
        )
    if _CHARACTERS.fullmatch(version) is None:
        raise InvalidVersionError(
            gettext_noop(
                "The version is %(version)s. It must consist of lowercase letters, digits, '.', "
                "'_', one '!' behind an epoch and one '+' before a local part."
            ),
            version=quote(version),
        )
    epoch, mark, rest = version.rpartition("!")
    if not mark:
        epoch = "0"
    elif not epoch.isdigit():
        raise InvalidVersionError(
            gettext_noop(
                "The version is %(version)s. Before its only '!' must stand an epoch, that is a "
                "whole number, as in '1!2.0'."
            ),
            version=quote(version),
        )
    public, mark, local = rest.partition("+")
    if "+" in local:
        raise InvalidVersionError(
            gettext_noop(
                "The version is %(version)s. It may have only one '+', before its local part."
            ),
            version=quote(version),
        )
    # One underscore at the end stays with the last component, for versions like
    # openssl's: 1.0.1_ < 1.0.1a.
    kept = "_" if public.endswith("_") and public != "_" else ""
    components = public[: len(public) - len(kept)].replace("_", ".").split(".")
    components[-1] += kept
    return epoch, components, local.replace("_", ".").split(".") if mark else []


def _encode_component(version: str, component: str) -> bytes:
    if not component:
        raise InvalidVersionError(
            gettext_noop(
                "The version is %(version)s, which has an empty part. Between two of '.', '_', '!' "
                "and '+' there must be a letter or a digit."
            ),
            version=quote(version),
        )
    atoms = [_encode_atom(version, atom) for atom in _ATOMS.findall(component)]
    if not component[0].isdigit():
        # Keeps numbers and strings in phase: a component always starts with a number.
        atoms.insert(0, _END)
    return _encode_list(atoms)


def _encode_atom(version: str, atom: str) -> bytes:
    """The class byte, then the value; zero is the class byte of the end alone."""
    if atom.isdigit():
        number = int(atom)
        if number > MAX_NUMBER:
            raise InvalidVersionError(
                gettext_noop(
                    "The version %(version)s holds a number above %(most)s. Clients cannot read "
                    "it: use smaller numbers."
                ),
                version=quote(version),
                most=MAX_NUMBER,
            )
        return _ABOVE_ZERO + number.to_bytes(4, "big") if number else _END
    if atom == "post":
        return _ABOVE_ZERO + _POST
    # Upper case puts it before "_" and every lower-case string.
    return _BELOW_ZERO + (b"DEV" if atom == "dev" else atom.encode("ascii")) + b"\x00"


def _encode_list(elements: list[bytes]) -> bytes:
    """Order-preserving bytes of a list that zeros follow without end.

    What counts behind a run of zeros is whether the next element is below or
    above zero: below, the longer run is the greater; above, the smaller. An
    element is zero if it is its ``_END`` alone, else its first byte tells its side.
    """
    encoded = bytearray()
    zeros = 0
    for element in elements:
        if element == _END:
            zeros += 1
            continue
        if element.startswith(_BELOW_ZERO):
            encoded += _BELOW_ZERO + bytes((zeros,)) + element
        else:
            encoded += _ABOVE_ZERO + bytes((255 - zeros,)) + element
        zeros = 0
    return bytes(encoded) + _END
