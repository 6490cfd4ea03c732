"""Fetching from another server, for imports: tried again where that helps, within limits, and
without telling anybody else what opens it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit, urlunsplit

from portal.errors import InvalidInput

if TYPE_CHECKING:
    import urllib3

_BLOCK_BYTES = 256 * 1024
_TRIES = 4
# So many files in a row that can't be fetched: then the trouble is not theirs.
_MAX_FAILURES_IN_A_ROW = 20


class SourceUnusable(InvalidInput):
    title = "Nothing can be imported from there"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be fetched."""

    text: str
    is_absence: bool = False

    def __str__(self) -> str:
        return self.text


def split_address(url: str, *, like: str) -> tuple[str, str | None]:
    """An address without what opens it, ending in a slash; and what opens it, as it was written.

    Raises `SourceUnusable` for what is no address of a folder on the web.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise SourceUnusable(f"The address must be like {like}.") from None
    if parts.query or parts.fragment:
        raise SourceUnusable("The address of a source has no '?' and no '#'.")
    userinfo, at, host = parts.netloc.rpartition("@")
    address = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/", "", ""))
    return address, userinfo if at else None


class Remote:
    """A server elsewhere. ``headers`` say who asks; no other server is sent them."""

    def __init__(self, url: str, *, shown: str, headers: Mapping[str, str], scratch: Path) -> None:
        parts = urlsplit(url)
        self._url = url
        self._shown = shown
        self._origin = (parts.scheme, parts.netloc)
        self._headers = dict(headers)
        self._scratch = scratch
        self._http = _manager(parts.scheme, parts.hostname or "")
        self._failures = _Failures()

    def close(self) -> None:
        self._http.clear()

    def opened(self, place: str, limit_bytes: int, *, number: int = 0) -> BinaryIO | Trouble:
        """What lies at a place, in a file that has no name any more: no sweep takes it. Those who
        ask side by side do so by different numbers."""
        self._scratch.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._scratch.with_name(f"{self._scratch.name}index{number}")
        try:
            trouble = self._download(place, path, limit_bytes)
            return path.open("rb") if trouble is None else trouble
        finally:
            path.unlink(missing_ok=True)

    def fetch(self, place: str, target: Path, limit_bytes: int) -> str | None:
        """Fetch one of many files; returns what was in the way. Raises `SourceUnusable` when it
        was the same with many before."""
        trouble = self._download(place, target, limit_bytes)
        if self._failures.note(failed=trouble is not None):
            raise SourceUnusable(
                f"The last {_MAX_FAILURES_IN_A_ROW} files could not be fetched from {self._shown}: "
                f"{trouble}"
            )
        return None if trouble is None else f"It could not be fetched: {trouble}"

    def _download(self, place: str, target: Path, limit_bytes: int) -> Trouble | None:
        """Fetch what lies at an address, relative to the server's, into a file."""
        from urllib3.exceptions import HTTPError, MaxRetryError  # noqa: PLC0415 - see `_manager`

        url = urljoin(self._url, place)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            return Trouble("its address is none of http or https.")
        # What opens this server is no other server's business.
        headers = self._headers if (parts.scheme, parts.netloc) == self._origin else {}
        trouble = Trouble("")
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(0.5 * 2**attempt)
            try:
                trouble_or_none = self._download_once(url, headers, target, limit_bytes)
            except MaxRetryError as error:
                return Trouble(f"{_what(error)}.")
            except (HTTPError, TimeoutError) as error:  # cut short: worth another try
                trouble = Trouble(f"{_what(error)}.")
            else:
                return trouble_or_none
        return trouble

    def _download_once(
        self, url: str, headers: dict[str, str], target: Path, limit_bytes: int
    ) -> Trouble | None:
        answer = self._http.request(
            "GET", url, headers=headers, preload_content=False, decode_content=False
        )
        try:
            if answer.status != 200:
                return Trouble(f"the answer was {answer.status}.", answer.status in {403, 404, 410})
            size_bytes = 0
            with target.open("wb") as file:
                target.chmod(0o644)
                for block in answer.stream(_BLOCK_BYTES, decode_content=False):
                    size_bytes += len(block)
                    if size_bytes > limit_bytes:
                        answer.close()
                        return Trouble(f"it is larger than {limit_bytes:,} bytes.")
                    file.write(block)
        finally:
            answer.release_conn()
        return None


@dataclass
class _Failures:
    """How many files could not be fetched since the last one that could."""

    in_a_row: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, *, failed: bool) -> bool:
        with self.lock:
            self.in_a_row = self.in_a_row + 1 if failed else 0
            return self.in_a_row >= _MAX_FAILURES_IN_A_ROW


def _what(error: Exception) -> str:
    """The kind of a failure: the words of the library may hold the address, and with it a token."""
    reason = getattr(error, "reason", None)
    return f"{type(reason if isinstance(reason, Exception) else error).__name__}"


def _manager(scheme: str, host: str) -> urllib3.PoolManager:
    # They are slow to import, and who takes in a folder needs neither.
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - as said

    import urllib3  # noqa: PLC0415 - as said

    retries = urllib3.Retry(
        total=_TRIES,
        redirect=5,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        retry_after_max=300,
        raise_on_status=False,
    )
    options: dict[str, Any] = {
        "retries": retries,
        "timeout": urllib3.Timeout(connect=10, read=60),
        "maxsize": 16,
        "headers": {"User-Agent": "condarium-import"},
    }
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
