"""Publishing and reading through channel addresses, as clients and CI do."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings
from django.test import Client

from registry import indexing
from registry.conda.archive import read_package
from registry.models import Channel
from tests.builders import BuiltPackage

if TYPE_CHECKING:
    from tests.cast import Person


# A response of Django's with what its test client adds to it, which has no public name.
Answer = Any


@dataclass(frozen=True)
class ChannelAddress:
    """A channel as clients know it: by its address."""

    account: str
    name: str = "main"

    def url(self, path: str = "") -> str:
        label = "" if self.name == "main" else f"/label/{quote(self.name)}"
        return f"/conda/{self.account}{label}/{path}".rstrip("/")

    @property
    def row(self) -> Channel:
        return Channel.objects.select_related("account").get(
            account__name=self.account, name=self.name
        )


def subdir_of(built: BuiltPackage) -> str:
    """Where a good package says it belongs."""
    index = read_package(io.BytesIO(built.data), size_bytes=built.size).index
    return str(index["subdir"])


def put(
    url: str,
    data: bytes,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    """PUT a raw body; ``environ`` overrides what the server is told of the request."""
    given = {"Authorization": f"Bearer {token}"} if token else {}
    client = Client(headers={**given, **(headers or {})})
    # As curl sends it; a form would be something else.
    return client.generic("PUT", url, data, "application/octet-stream", **(environ or {}))


def upload(
    person: Person,
    built: BuiltPackage,
    *,
    to: ChannelAddress,
    subdir: str | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Publish with a token of the person's that may do everything the person may."""
    url = to.url(f"{subdir or subdir_of(built)}/{quote(built.filename)}")
    return put(f"{url}{query}", built.data, token=person.token().secret, headers=headers)


def get(url: str, *, token: str | None = None, **headers: str) -> Answer:
    """GET as a program does; ``If_None_Match=`` stands for the header of that name."""
    return ask("GET", url, token=token, **headers)


def head(url: str, *, token: str | None = None, **headers: str) -> Answer:
    return ask("HEAD", url, token=token, **headers)


def ask(method: str, url: str, *, token: str | None = None, **headers: str) -> Answer:
    """A request without a body. The answer's is read at once, into ``body``: an answer that is
    streamed holds its file open until then."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        named["Authorization"] = f"Bearer {token}"
    response: Answer = Client(headers=named).generic(method, url)
    response.body = response.getvalue()
    return response


def repodata(person: Person, channel: ChannelAddress, subdir: str) -> dict[str, Any]:
    """What a client with the person's token is given as repodata."""
    response = get(channel.url(f"{subdir}/repodata.json"), token=person.token().secret)
    assert response.status_code == 200, response.body
    read: dict[str, Any] = json.loads(response.body)
    return read


def run_pending_tasks() -> None:
    """Do what a worker would do now."""
    indexing.run_overdue()


def stored_files() -> list[str]:
    """What lies in the store and where uploads are received, other than index files."""
    folder = settings.FILES_FOLDER
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path.parts[0] != "index")
