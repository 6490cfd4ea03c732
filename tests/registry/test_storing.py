"""Bytes that are stored by several at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from registry.storage import FolderStore


def test_many_are_stored_side_by_side_in_folders_that_nobody_has_made(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    root = tmp_path / "files"
    root.mkdir()

    def store(number: int) -> None:
        files = {}
        for folder in range(256):
            path = tmp_path / f"incoming-{number}-{folder}"
            path.write_bytes(b"x")
            files[f"blobs/{folder:02x}/{number}"] = str(path)
        together.wait(20)
        FolderStore(root).keep_all(files)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(store, range(8)))

    assert len([path for path in root.rglob("*") if path.is_file()]) == 8 * 256
