"""Speaking to the host as users of Forgejo's registry do: curl with a name and a secret."""

from __future__ import annotations

import base64
import bz2
import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.test import Client

NOT_FOUND = b'{"reason":"Not Found","message":""}\n'
DUPLICATE = b'{"reason":"Conflict","message":"package file already exists"}\n'


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    """A response that was read to its end."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    def __getitem__(self, name: str) -> str:
        return self.headers[name]


def reason(response: Answer | HttpResponse) -> tuple[str, str]:
    """The two words of an error, checked to be spelled as Forgejo spells them."""
    body = json.loads(response.content)
    assert list(body) == ["reason", "message"]
    assert response.content == (
        json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )
    assert response["Content-Type"] == "application/json"
    return body["reason"], body["message"]


@dataclass(frozen=True)
class Curl:
    """Requests below ``/api/packages/<account>/conda/``, or to any path that begins with ``/``."""

    account: str
    authorization: str = ""

    def ask(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> Answer:
        if not path.startswith("/"):
            path = f"/api/packages/{self.account}/conda/{path}"
        sent = {"Authorization": self.authorization} if self.authorization else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "")
        # As curl --upload-file has it, there is no Content-Type.
        response: Any = Client(enforce_csrf_checks=True).generic(
            method, path, body, content_type=content_type, headers=sent
        )
        content = b"".join(response)
        return Answer(response.status_code, dict(response.headers), content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, b"", **headers)

    def head(self, path: str, **headers: str) -> Answer:
        return self.ask("HEAD", path, b"", **headers)

    def put(self, path: str, body: bytes, **headers: str) -> Answer:
        return self.ask("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.ask("DELETE", path, b"", **headers)

    def document(self, path: str) -> dict[str, Any]:
        response = self.get(path)
        assert response.status_code == 200
        data = bz2.decompress(response.content) if path.endswith("2") else response.content
        document: dict[str, Any] = json.loads(data)
        return document
