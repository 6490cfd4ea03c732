"""Subdirs: noarch, linux-64 and the like (CEP 26).

The set is open: whoever builds for a new platform names a new subdir.
"""

import re

from registry.conda.errors import InvalidSubdirError, gettext_noop, quote

NOARCH = "noarch"
MAX_SUBDIR_LENGTH = 32

# The order in which people look for their platform.
KNOWN_SUBDIRS = (
    NOARCH,
    "linux-64",
    "linux-aarch64",
    "linux-ppc64le",
    "linux-s390x",
    "linux-riscv64",
    "linux-riscv32",
    "linux-armv7l",
    "linux-armv6l",
    "linux-32",
    "osx-arm64",
    "osx-64",
    "win-64",
    "win-arm64",
    "win-32",
    "emscripten-wasm32",
    "wasi-wasm32",
    "freebsd-64",
    "zos-z",
)

_SUBDIR = re.compile(r"[a-z0-9]+-[a-z0-9]+")
_SYSTEMS = frozenset(
    (
        "android",
        "emscripten",
        "freebsd",
        "ios",
        "linux",
        "netbsd",
        "openbsd",
        "osx",
        "wasi",
        "win",
        "zos",
    )
)
_MACHINES = {"x86_64": "64", "amd64": "64", "x86": "32", "i386": "32", "i686": "32"}


def is_subdir(text: str) -> bool:
    return text == NOARCH or (
        len(text) <= MAX_SUBDIR_LENGTH and _SUBDIR.fullmatch(text) is not None
    )


def check_subdir(text: object) -> str:
    """Return ``text`` if it is a subdir, raise ``InvalidSubdirError`` if not."""
    if not isinstance(text, str) or not is_subdir(text):
        raise InvalidSubdirError(
            gettext_noop(
                "The subdir is %(text)s. It must be 'noarch' or of the form '<system>-<machine>', "
                "such as 'linux-64', in lowercase letters and digits and at most %(most)s "
                "characters long."
            ),
            text=quote(text),
            most=MAX_SUBDIR_LENGTH,
        )
    return text


def looks_like_subdir(text: str) -> bool:
    """Would a person or a client take this for a subdir?

    Narrower than ``is_subdir``: that takes ``release-candidate`` too, which is
    a fine name for a channel.
    """
    folded = text.casefold()
    return folded == NOARCH or (is_subdir(folded) and folded.partition("-")[0] in _SYSTEMS)


def subdir_from_platform(platform: object, arch: object) -> str | None:
    """The subdir of an old package, which names its platform and architecture instead."""
    if not isinstance(platform, str) or platform not in _SYSTEMS:
        return None
    if not isinstance(arch, str):
        return None
    subdir = f"{platform}-{_MACHINES.get(arch, arch)}"
    return subdir if is_subdir(subdir) else None
