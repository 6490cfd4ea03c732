"""Reading variables of the environment, and failing loudly.

Only `portal/settings.py` calls these. A wrong value ends the start with one line that names the
variable, what stood in it and what was wanted; secrets are never repeated.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit


class ConfigurationError(SystemExit):
    """A setting that nothing can be started with: printed as one line, exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(f"condarium: {message}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read for a variable; of a secret only whether it is set."""

    name: str
    value: str
    is_given: bool
    is_secret: bool = False


readings: dict[str, Reading] = {}
"""Every variable that was asked for, for the page that shows them to those who run the site."""


def text(name: str, default: str = "") -> str:
    given = os.environ.get(name, "").strip()
    readings[name] = Reading(name, given or default, is_given=bool(given))
    return given or default


def flag(name: str, *, default: bool) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ConfigurationError(f"{name} is {value!r}; write 1 or 0.")


def number(name: str, default: int, *, at_least: int = 0) -> int:
    value = text(name, str(default))
    try:
        result = int(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}; a whole number is wanted.") from None
    if result < at_least:
        raise ConfigurationError(f"{name} is {result}; it must be at least {at_least}.")
    return result


def words(name: str) -> list[str]:
    return [word for word in text(name).replace(",", " ").split() if word]


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
    return value


def secret(name: str) -> str:
    """The value of ``NAME``, or the content of the file that ``NAME_FILE`` names."""
    path = os.environ.get(f"{name}_FILE", "").strip()
    given = os.environ.get(name, "").strip()
    # Never the value itself, not even in memory that a page reads.
    readings[name] = Reading(name, "", is_given=bool(path or given), is_secret=True)
    if not path:
        return given
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{name}_FILE can't be read: {error.strerror}.") from None


def existing_file(name: str) -> str:
    """The path of a file that is there, or nothing."""
    value = text(name)
    if value and not Path(value).is_file():
        raise ConfigurationError(f"{name} is {value!r}, which is no file that can be read.")
    return value


def base_url(name: str, default: str) -> str:
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
        raise ConfigurationError(f"{name} is {value!r}; write it like https://conda.example.org")
    return value


def postgres_options(name: str, url: str) -> dict[str, str]:
    """The connection that a ``postgresql://user:password@host:port/name`` URL describes.

    A folder of a Unix socket is given as ``?host=/folder``, as libpq has it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or len(parts.path) < 2:
        raise ConfigurationError(
            f"{name} must look like postgresql://user:password@host:5432/condarium"
        )
    query = dict(item.partition("=")[::2] for item in parts.query.split("&") if item)
    return {
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(query.get("host", "")) or parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def stored_secret_key(data_folder: Path) -> str:
    """The key kept in the data folder, or one that lasts as long as this process.

    Reading settings changes nothing on disk; `make_secret_key` is called by ``serve``.
    """
    try:
        return (data_folder / "secret-key").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return secrets.token_urlsafe(50)


def make_secret_key(data_folder: Path) -> None:
    """Make the data folder's key once; readable by its owner only.

    It is there as a whole or not at all, also for those who start at the same moment.
    """
    data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=data_folder, prefix=".secret-key-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            os.link(name, data_folder / "secret-key")
    finally:
        Path(name).unlink()
