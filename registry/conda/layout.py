"""In which order an index document holds what it says.

A document (``repodata.json``, ``run_exports.json``) is a row of pieces, each with a key of
bytes: the text that opens a part of it, and one piece for each record. Keys sort as the pieces
stand, so whoever knows the key of what changed knows where the document changes.
"""

from __future__ import annotations

from enum import IntEnum

V3_SCHEMA = 3
"""From this ``schema_version`` on a package can be read only by clients that know ``v3``."""


class Part(IntEnum):
    """The parts of ``repodata.json``, in their order (CEP 36; ``v3``: CEP 48)."""

    TAR_BZ2 = 1
    CONDA = 2
    V3_CONDA = 3
    V3_TAR_BZ2 = 4
    REMOVED = 5
    END = 6


def part_of(filename: str, *, schema_version: int) -> Part:
    is_conda = filename.endswith(".conda")
    if schema_version >= V3_SCHEMA:
        return Part.V3_CONDA if is_conda else Part.V3_TAR_BZ2
    return Part.CONDA if is_conda else Part.TAR_BZ2


def record_key(filename: str, *, schema_version: int) -> str:
    """Under which key the record of a file stands: ``v3`` leaves the extension out (CEP 48)."""
    if schema_version < V3_SCHEMA:
        return filename
    return filename.removesuffix(".conda").removesuffix(".tar.bz2")


def repodata_key(filename: str, *, schema_version: int) -> bytes:
    part = part_of(filename, schema_version=schema_version)
    return bytes([part]) + record_key(filename, schema_version=schema_version).encode()


def removal_key(filename: str) -> bytes:
    return bytes([Part.REMOVED]) + filename.encode()
