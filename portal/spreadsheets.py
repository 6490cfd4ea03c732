"""CSV for people who open it in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse

# What a spreadsheet takes for the beginning of a formula. Whoever names a file or an account
# must not have a formula run on the desk of whoever looks at the log.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def defused(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULAS) else text


class _Lines:
    """A file that gives back what is written into it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a CSV document, one at a time; nothing is held."""
    writer = csv.writer(_Lines())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([defused(cell) for cell in row])


def download(lines: Iterable[str], *, filename: str, content_type: str) -> StreamingHttpResponse:
    """An answer that is written while it is sent, and saved under ``filename``."""
    answer = StreamingHttpResponse(lines, content_type=f"{content_type}; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
