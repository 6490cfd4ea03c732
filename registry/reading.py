"""Reading archives that strangers send, in bounded memory also when many come at once."""

from __future__ import annotations

import threading
from dataclasses import replace

from registry.conda.archive import PackageContents, read_package
from registry.conda.errors import LargeWindowError
from registry.conda.limits import DEFAULT_LIMITS, MEBIBYTE, Limits
from registry.conda.names import ArchiveFormat
from registry.storage import Incoming

# What most tools pack with. A file of a few MiB can ask for 128, and twenty of them for 2.5 GiB.
ORDINARY = replace(DEFAULT_LIMITS, zstd_window_bytes=8 * MEBIBYTE)
large_window = threading.Lock()


def read_contents(
    incoming: Incoming, *, archive_format: ArchiveFormat | None, minimal: bool
) -> PackageContents:
    """`read_package`; of the archives that need much memory one at a time in this process."""

    def read(limits: Limits) -> PackageContents:
        return read_package(
            incoming.file,
            size_bytes=incoming.size_bytes,
            format=archive_format,
            minimal=minimal,
            limits=limits,
        )

    try:
        return read(ORDINARY)
    except LargeWindowError:
        with large_window:
            return read(DEFAULT_LIMITS)
