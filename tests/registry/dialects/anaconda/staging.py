"""Uploads in three steps, as the stock client and rattler-build send them."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from django.test import Client

from registry.conda.names import check_filename
from tests.builders import BuiltPackage
from tests.cast import Person
from tests.conda_client import Answer, subdir_of
from tests.registry.dialects.anaconda.calls import STOCK_CLIENT, call, said

BOUNDARY = "6b1f3d7c2b5e4a7f8b9c0d1e2f3a4b5c"
Field = tuple[str, bytes, str | None]
"""A part of a form: its name, what is in it, and the name of the file, if it gives one."""


def path_of(built: BuiltPackage, *, owner: str = "acme", subdir: str | None = None) -> str:
    """The end of the paths of stage and commit; the client quotes the file's name alone."""
    dist, _ = check_filename(built.filename)
    basename = quote(f"{subdir or subdir_of(built)}/{built.filename}")
    return f"{owner}/{dist.name}/{dist.version}/{basename}"


def stage(
    by: Person | str | None,
    built: BuiltPackage,
    *labels: str,
    owner: str = "acme",
    path: str | None = None,
    members: Mapping[str, object] = {},
    agent: str = STOCK_CLIENT,
) -> Answer:
    """The first step; ``members`` replace those of the body, None takes one out."""
    body = {
        "distribution_type": "conda",
        "description": "",
        "attrs": {"subdir": "noarch", "depends": [], "machine": None},
        "dependencies": {"depends": []},
        "channels": list(labels),
        "sha256": built.sha256,
        **members,
    }
    known = {name: value for name, value in body.items() if value is not None}
    path = path or path_of(built, owner=owner)
    return call("POST", f"/stage/{path}", by, known, agent=agent)


def staged(by: Person | str, built: BuiltPackage, *labels: str, **how: Any) -> dict[str, Any]:
    document: dict[str, Any] = said(stage(by, built, *labels, **how))
    return document


def added_by_the_client(data: bytes) -> dict[str, str]:
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    return {"Content-Length": str(len(data)), "Content-MD5": md5}


def fields_of(
    document: Mapping[str, Any], data: bytes, *, filename: str | None = "noarch/x-1-0.conda"
) -> list[Field]:
    """The parts of a good form, in the order in which clients send them."""
    fields = {**document["form_data"], **added_by_the_client(data)}
    parts: list[Field] = [(name, value.encode(), None) for name, value in fields.items()]
    return [*parts, ("file", data, filename)]


def encoded(fields: Iterable[Field], *, boundary: str = BOUNDARY) -> bytes:
    body = b""
    for name, data, filename in fields:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def post(
    url: str, body: bytes, *, content_type: str | None = None, environ: Mapping[str, Any] = {}
) -> Answer:
    """The form without a credential; ``environ`` overrides what the server is told of it."""
    kind = content_type or f"multipart/form-data; boundary={BOUNDARY}"
    path = url.removeprefix("http://testserver")
    told = {"CONTENT_TYPE": kind, **environ}
    return Client(enforce_csrf_checks=True).generic("POST", path, body, kind, **told)


def cut(body: bytes, *, missing: int) -> dict[str, Any]:
    """What a server is told of a body whose end never came."""
    return {
        "wsgi.input": io.BytesIO(body[: len(body) - missing]),
        "CONTENT_LENGTH": str(len(body)),
    }


def send(document: Mapping[str, Any], built: BuiltPackage) -> Answer:
    """The second step."""
    return post(document["post_url"], encoded(fields_of(document, built.data)))


def commit(
    by: Person | str | None,
    built: BuiltPackage,
    document: Mapping[str, Any],
    *,
    owner: str = "acme",
    path: str | None = None,
) -> Answer:
    """The third step."""
    body = {"dist_id": document["dist_id"]}
    return call("POST", f"/commit/{path or path_of(built, owner=owner)}", by, body)


def upload(by: Person | str, built: BuiltPackage, *labels: str, owner: str = "acme") -> Any:
    """All three steps; what the last one is answered with."""
    document = staged(by, built, *labels, owner=owner)
    answer = send(document, built)
    assert answer.status_code == 201, answer.content
    return said(commit(by, built, document, owner=owner))


def code(answer: Answer, status: int) -> str:
    """What an S3 calls the refusal of a form; the client reads nothing else."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/xml"
    error = ET.fromstring(answer.content)
    assert error.tag == "Error"
    found, message = error.findtext("Code"), error.findtext("Message")
    assert found
    assert message
    assert message.endswith(".")
    return found
