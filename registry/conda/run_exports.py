"""What packages add to the requirements of those built against them, as one file (CEP 12).

What the archives say, unless a patch says otherwise (CEP 21).
"""

from collections.abc import Iterable, Mapping
from typing import BinaryIO

import msgspec

from registry.conda.errors import InvalidMetadataError, gettext_noop, quote
from registry.conda.fragments import FragmentWriter

RUN_EXPORTS_VERSION = 1  # CEP 12 says 0; conda-index, which everybody reads, writes 1.

KINDS = ("noarch", "strong", "strong_constrains", "weak", "weak_constrains")


def normalize_run_exports(raw: object) -> dict[str, list[str]]:
    """Bring every form found in packages into the one of CEP 12.

    A bare list means ``weak``, a bare string a list of one, nothing at all ``{}``, which
    says *known to have none*. Keys that CEP 12 does not know are left out. Raises
    ``InvalidMetadataError`` for what holds no specs.
    """
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        return {"weak": _specs("weak", raw)}
    return {kind: _specs(kind, raw[kind]) for kind in KINDS if raw.get(kind) is not None}


def run_exports_fragment(filename: str, raw: object) -> bytes:
    """The member of ``run_exports.json`` that stands for one package file."""
    entry = {"run_exports": normalize_run_exports(raw)}
    return msgspec.json.encode(filename) + b":" + msgspec.json.encode(entry)


def run_exports_info(subdir: str) -> dict[str, object]:
    platform, arch = _platform_and_arch(subdir)
    return {"arch": arch, "platform": platform, "subdir": subdir, "version": RUN_EXPORTS_VERSION}


def write_run_exports(
    out: BinaryIO,
    *,
    subdir: str,
    packages: Iterable[bytes],
    conda_packages: Iterable[bytes],
) -> int:
    """Write ``run_exports.json`` of one subdir in flat memory; returns its size in bytes.

    Fragments come sorted by filename, one for every file in repodata, also for those that
    export nothing: a file that is not listed makes clients open its archive.
    """
    document = FragmentWriter(out)
    document.raw(b'{"info":')
    document.value(run_exports_info(subdir))
    document.raw(b',"packages":')
    document.members(packages)
    document.raw(b',"packages.conda":')
    document.members(conda_packages)
    document.raw(b"}")
    document.flush()
    return document.offset


def _specs(kind: str, value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(spec, str) for spec in value):
        return list(value)
    raise InvalidMetadataError(
        gettext_noop(
            "info/run_exports.json holds %(value)s for %(kind)s. It must be a list of specs, such "
            'as ["libxz >=5.6"].'
        ),
        value=quote(value),
        kind=repr(kind),
    )


def _platform_and_arch(subdir: str) -> tuple[str | None, str | None]:
    if subdir == "noarch":
        return None, None
    platform, _, arch = subdir.partition("-")
    return platform, {"32": "x86", "64": "x86_64"}.get(arch, arch)
