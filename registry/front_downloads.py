"""Counting the downloads that a front server answered without asking.

It writes a line for each into a file of the minute, in `package_tree.downloads_folder`; once the
minute is over, the lines are counted and the file is gone. A line is what nginx knows of the
request: the time by ISO 8601, a space, and the path, decoded. It writes no line for a part that
isn't the beginning (`registry.delivery.deliver_package`).
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from registry import downloads
from registry.models import PackageFile
from registry.package_tree import downloads_folder
from registry.rows import batched

log = logging.getLogger(__name__)

# Only a request's own second is late, by a busy disk.
_OVER_AFTER_SECONDS = 60.0
# Who took a file and has not come to its end by then was killed.
_TAKEN_FOR_SECONDS = 3600.0
_TAKEN = ".taken"
_LINES_AT_ONCE = 50_000
_NAMES_AT_ONCE = 200


class _Download(NamedTuple):
    account: str
    subdir: str
    filename: str
    day: date


def count() -> int:
    """Count what was noted until a minute ago; how many downloads that were."""
    return sum(map(_count_file, _ready()))


def _ready() -> Iterator[Path]:
    """Files that are complete, each taken so that no other worker counts it."""
    folder = downloads_folder()
    now = time.time()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        kept = _TAKEN_FOR_SECONDS if path.suffix == _TAKEN else _OVER_AFTER_SECONDS
        with suppress(FileNotFoundError):  # another one was quicker
            if path.is_file() and path.stat().st_mtime <= now - kept:
                taken = path.with_name(
                    f"{path.stem.partition('.')[0]}.{secrets.token_hex(8)}{_TAKEN}"
                )
                path.rename(taken)
                os.utime(taken)
                yield taken


def _count_file(path: Path) -> int:
    total = 0
    with path.open("rb") as lines:
        while some := list(islice(lines, _LINES_AT_ONCE)):
            total += _count(Counter(found for line in some if (found := _read(line))))
    path.unlink()
    return total


def _read(line: bytes) -> _Download | None:
    """What a line says; None of one that was cut, or of a path that leads nowhere."""
    try:
        said, _, path = line.decode().rstrip("\n").partition(" ")
        at = datetime.fromisoformat(said)
        _, _, account, *_, subdir, filename = path.split("/")
    except ValueError:
        return None
    return _Download(account, subdir, filename, at.astimezone(UTC).date())


def _count(found: Mapping[_Download, int]) -> int:
    ids = _file_ids(found)
    counts: Counter[tuple[int, date]] = Counter()
    for download, number in found.items():
        file_id = ids.get(download[:3])
        if file_id is not None:  # else it was renamed or given away in this minute
            counts[file_id, download.day] += number
    downloads.add_to_database(counts)
    return counts.total()


def _file_ids(found: Mapping[_Download, int]) -> dict[tuple[str, str, str], int]:
    wanted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for one in found:
        wanted[one.account, one.subdir].add(one.filename)
    ids: dict[tuple[str, str, str], int] = {}
    for (account, subdir), filenames in wanted.items():
        for some in batched(sorted(filenames), _NAMES_AT_ONCE):
            rows = PackageFile.objects.filter(
                account__name=account, subdir=subdir, filename__in=some
            ).values_list("filename", "pk")
            ids |= {(account, subdir, filename): pk for filename, pk in rows}
    return ids
