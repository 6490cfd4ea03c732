"""Where a package says that it was built (CEP 31), and its package URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from registry.conda.description import description_fields

_SHA = re.compile(r"[0-9a-fA-F]{7,64}")
_RUN = re.compile(r"[!-~]{1,200}")
_GITHUB = re.compile(r"https://github\.com/[\w.-]{1,100}/[\w.-]{1,100}")
_BUILDERS = (("rattler_build_version", "rattler-build"), ("conda_build_version", "conda-build"))
_VERSION = re.compile(r"[0-9A-Za-z._+-]{1,40}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the one who built the package says of it; nobody has checked it."""

    repository_url: str = ""
    commit: str = ""
    commit_url: str = ""
    run: str = ""
    run_url: str = ""
    builder: str = ""

    def __bool__(self) -> bool:
        return any((self.repository_url, self.commit, self.run, self.builder))


def provenance_of(about: Mapping[str, object]) -> Provenance:
    """What stands in ``about.json``, as far as it can be shown."""
    extra = about.get("extra")
    said: Mapping[str, object] = extra if isinstance(extra, dict) else {}
    # The rules for addresses are those of the links that describe a package.
    address = description_fields({"home": said.get("remote_url")})["home"].rstrip("/")
    address = address.removesuffix(".git")
    commit = _matching(_SHA, said.get("sha"))
    run = _matching(_RUN, said.get("flow_run_id"))
    run_url = ""
    if run.startswith("github_") and run[7:].isdigit() and _GITHUB.fullmatch(address):
        run_url = f"{address}/actions/runs/{run[7:]}"
    return Provenance(
        repository_url=address,
        commit=commit,
        commit_url=f"{address}/commit/{commit}" if address and commit else "",
        run=run,
        run_url=run_url,
        builder=_builder(about),
    )


def _builder(about: Mapping[str, object]) -> str:
    for key, name in _BUILDERS:
        version = _matching(_VERSION, about.get(key))
        if version:
            return f"{name} {version}"
    return ""


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def package_url(
    *,
    name: str,
    version: str = "",
    build: str = "",
    subdir: str = "",
    filename: str = "",
    channel_url: str = "",
) -> str:
    """The purl of a package, or of one file of it."""
    kind = "conda" if filename.endswith(".conda") else "tar.bz2" if filename else ""
    qualifiers = {
        "build": build,
        "repository_url": channel_url,
        "subdir": subdir,
        "type": kind,
    }
    # "/" and ":" need no escape there, and people read it.
    query = "&".join(f"{key}={quote(text, safe='/:')}" for key, text in qualifiers.items() if text)
    at = f"@{quote(version, safe='')}" if version else ""
    return f"pkg:conda/{quote(name, safe='')}{at}" + (f"?{query}" if query else "")
