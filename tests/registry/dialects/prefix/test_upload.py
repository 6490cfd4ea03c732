"""prefix.dev's upload, byte for byte as rattler-build sends it, and broken in many ways."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from registry.dialects.prefix import form
from registry.dialects.prefix.form import FilePart
from registry.models import PackageFile
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get, stored_files

HELLO = build_conda("hello", "1.0", subdir="linux-64")
BOUNDARY = "9a1f3d7c2b-5e6f7a8b9c0d1e2f"


@dataclass(frozen=True)
class Part:
    name: str
    data: bytes
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, boundary: str) -> bytes:
        disposition = f'form-data; name="{self.name}"'
        if self.filename is not None:
            disposition += f'; filename="{self.filename}"'
        lines = [f"--{boundary}", f"Content-Disposition: {disposition}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.data + b"\r\n"


def file_part(
    data: bytes = HELLO.data, *, filename: str = HELLO.filename, sha256: str | None = None
) -> Part:
    """The part that carries the package, with the headers that rattler-build gives it."""
    headers = {
        "content-type": "application/octet-stream",
        "content-length": str(len(data)),
        "x-file-name": filename,
        "x-file-sha256": sha256 or HELLO.sha256,
    }
    return Part("file", data, filename, headers)


def encoded(*parts: Part, boundary: str = BOUNDARY) -> bytes:
    return b"".join(part.encoded(boundary) for part in parts) + f"--{boundary}--\r\n".encode()


def post(
    path: str,
    body: bytes,
    *,
    token: str | None,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    environ: Mapping[str, Any] | None = None,
) -> Answer:
    client = Client(headers={"Authorization": f"Bearer {token}"} if token else {})
    told = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), **(environ or {})}
    return client.generic("POST", f"/api/v1/upload/{path}", body, content_type, **told)


def refused(answer: Answer, status: int) -> str:
    """Check the form of a refusal and that it left nothing behind; what it says."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    text: str = answer.content.decode()
    assert 10 < len(text) <= 512
    assert "<html" not in text
    assert not PackageFile.objects.exists()
    assert stored_files() == []
    return text


def test_a_file_is_published(maintainer: Person, channel: ChannelAddress) -> None:
    answer = post("acme", encoded(file_part()), token=maintainer.token("api:write").secret)

    assert answer.status_code == 201
    assert get(channel.url(f"linux-64/{HELLO.filename}")).body == HELLO.data


def test_channels_come_after_the_account(owner: Person, channel: ChannelAddress) -> None:
    for path in ("acme/dev", "ACME/a/b/", "acme/main"):
        assert post(path, encoded(file_part()), token=owner.token().secret).status_code == 201

    for name in ("dev", "a/b", "main"):
        url = ChannelAddress("acme", name).url(f"linux-64/{HELLO.filename}")
        assert get(url).status_code == 200


def test_a_chunked_form_is_read_too(maintainer: Person, channel: ChannelAddress) -> None:
    environ = {
        "wsgi.input": io.BytesIO(encoded(file_part())),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }

    answer = post("acme", b"", token=maintainer.token().secret, environ=environ)

    assert answer.status_code == 201


def test_the_headers_of_a_plain_form_are_enough(
    maintainer: Person, channel: ChannelAddress
) -> None:
    # As curl -F file=@… does, with another field beside it.
    body = encoded(Part("note", b"hello"), Part("file", HELLO.data, HELLO.filename))

    assert post("acme", body, token=maintainer.token().secret).status_code == 201


def test_a_boundary_may_lie_anywhere_in_the_blocks() -> None:
    lookalike = f"\r\n--{BOUNDARY[:-1]}".encode()
    overhead = len(encoded(Part("file", b"", "x"))) - len(lookalike)
    for size in range(form._BLOCK_BYTES - overhead - 60, form._BLOCK_BYTES + 10):
        data = b"d" * (size - len(lookalike)) + lookalike
        part = FilePart(
            f"multipart/form-data; boundary={BOUNDARY}",
            io.BytesIO(encoded(Part("file", data, "x"), Part("note", b"x"))),
        )
        buffer, received = memoryview(bytearray(100_000)), b""
        while count := part.readinto(buffer):
            received += buffer[:count]

        assert received == data


@pytest.mark.parametrize(
    ("query", "status"), [("", 409), ("?force=false", 409), ("?force=true", 200)]
)
def test_the_same_file_again_is_there_already(
    maintainer: Person, channel: ChannelAddress, query: str, status: int
) -> None:
    token = maintainer.token().secret
    post("acme", encoded(file_part()), token=token)

    again = post(f"acme{query}", encoded(file_part()), token=token)

    assert again.status_code == status
    assert PackageFile.objects.count() == 1


@pytest.mark.parametrize(("query", "status"), [("", 409), ("?force=true", 201)])
def test_other_bytes_under_a_known_name_are_taken_by_force_only(
    maintainer: Person, channel: ChannelAddress, query: str, status: int
) -> None:
    token = maintainer.token().secret
    post("acme", encoded(file_part()), token=token)
    other = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})

    answer = post(f"acme{query}", encoded(file_part(other.data, sha256=other.sha256)), token=token)

    assert answer.status_code == status
    says = "in place of" if query else "upload it with force to replace"
    assert says in answer.content.decode()
    there = get(channel.url(f"linux-64/{HELLO.filename}")).body
    assert there == (other.data if query else HELLO.data)


def broken(*pieces: bytes) -> bytes:
    return b"".join(pieces)


WHOLE = encoded(file_part())
END = f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (encoded(file_part(sha256="0" * 64)), 422, "sha256"),
        (encoded(file_part(filename="other-1.0-0.conda")), 422, "other-1.0-0.conda"),
        (encoded(file_part(b"nonsense", sha256="0" * 64)), 422, "sha256"),
        (encoded(Part("file", b"nonsense", "hello-1.0-0.conda")), 422, ""),
        (encoded(Part("file", HELLO.data[:-9], "hello-1.0-0.conda")), 422, ""),
        # The form is cut, after each of its pieces.
        (WHOLE[: -len(END)], 400, "no whole form"),
        (WHOLE[: -len(END) + 4], 400, "no whole form"),
        (WHOLE[:-5], 400, "no whole form"),
        (WHOLE[: len(WHOLE) // 2], 400, "no whole form"),
        (WHOLE[:40], 400, "no whole form"),
        (b"", 400, "no whole form"),
        (WHOLE.replace(END, file_part().encoded(BOUNDARY)), 400, "two parts"),
        # What it holds is not what was asked for.
        (encoded(), 400, "no part named 'file'"),
        (encoded(Part("package", HELLO.data, HELLO.filename)), 400, "no part named 'file'"),
        (encoded(file_part(), file_part()), 400, "two parts named 'file'"),
        (encoded(file_part(), Part("attestation", b"{}")), 422, "attestation"),
        (encoded(Part("attestation", b"{}"), file_part()), 422, "attestation"),
        (encoded(file_part(), *[Part("attestation", b"{}")] * 2), 422, "two parts"),
        (encoded(Part("attestation", b"{}"), file_part(), Part("attestation", b"")), 422, "two"),
        (encoded(file_part(), Part("attestation", b"x" * 2**20 + b"x")), 422, "1048576 bytes"),
        # Too much of something.
        (encoded(*[Part("note", b"x")] * 20, file_part()), 400, "too large"),
        (encoded(file_part(), *[Part("note", b"x")] * 20), 400, "too large"),
        (encoded(Part("note", b"x" * 70_000), file_part()), 400, "more than 65536 bytes"),
        (encoded(file_part(), Part("note", b"x" * 600_000)), 400, "more than 65536 bytes"),
        (encoded(Part("file", b"", None, {"x": "y" * 5000})), 400, "too large"),
        (encoded(Part("file", b"", None, {f"x{i}": "y" for i in range(30)})), 400, "too large"),
        # What no writer of forms would write.
        (WHOLE.replace(b"Content-Disposition", b"Content-Position"), 400, "no whole form"),
        (WHOLE.replace(b"form-data;", b"attachment;"), 400, "no whole form"),
        (WHOLE.replace(b"content-length: ", b"content-length: 1"), 400, "no whole form"),
        (WHOLE.replace(b"content-length: ", b"content-length: -"), 400, "no whole form"),
        (WHOLE.replace(b"\r\n", b"\n"), 400, "no whole form"),
    ],
)
def test_a_form_that_is_wrong_stores_nothing(
    maintainer: Person, channel: ChannelAddress, body: bytes, status: int, says: str
) -> None:
    assert says in refused(post("acme", body, token=maintainer.token().secret), status)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/octet-stream",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 1000}",
        'multipart/form-data; boundary="a\tb"',
        "multipart/mixed; boundary=x",
    ],
)
def test_a_body_that_is_no_form_is_refused(
    maintainer: Person, channel: ChannelAddress, content_type: str
) -> None:
    answer = post("acme", WHOLE, token=maintainer.token().secret, content_type=content_type)

    refused(answer, 400)


def test_a_body_that_is_cut_is_refused(maintainer: Person, channel: ChannelAddress) -> None:
    environ = {"wsgi.input": io.BytesIO(WHOLE), "CONTENT_LENGTH": str(len(WHOLE) + 1)}

    answer = post("acme", b"", token=maintainer.token().secret, environ=environ)

    refused(answer, 400)


class Unreadable(io.RawIOBase):
    """The body of a request that must be answered without it."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any, /) -> int:
        raise AssertionError("The body was read before it was decided who may send one.")


@pytest.mark.parametrize(
    ("who", "scopes", "path", "status"),
    [
        (None, (), "acme", 401),
        ("stranger", ("all",), "acme", 403),
        ("maintainer", ("conda",), "acme", 403),
        ("maintainer", ("api:read",), "acme", 403),
        ("maintainer", ("all",), "acme/unknown", 404),
        ("maintainer", ("all",), "nobody", 404),
        ("maintainer", ("all",), "acme/1x", 400),
        ("maintainer", ("all",), "acme?force=perhaps", 400),
        ("maintainer", ("all",), "a%00b", 404),
    ],
)
def test_who_may_not_is_refused_before_the_body_is_read(
    request: pytest.FixtureRequest,
    channel: ChannelAddress,
    maintainer: Person,
    stranger: Person,
    who: str | None,
    scopes: Sequence[str],
    path: str,
    status: int,
) -> None:
    token = request.getfixturevalue(who).token(*scopes).secret if who else None
    environ = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": "2000000000"}

    answer = post(path, b"", token=token, environ=environ)

    refused(answer, status)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_other_methods_are_refused(channel: ChannelAddress) -> None:
    answer = get("/api/v1/upload/acme")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
