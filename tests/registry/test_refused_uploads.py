"""What is refused leaves nothing behind, on every face that takes files in, and says what to do."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from botocore.config import Config
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import tokens
from accounts.models import Event
from registry import placement
from registry.channels import change_channel
from registry.models import Blob, Channel, ChannelFile, Package, PackageFile, StaleMark
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import Answer, ChannelAddress, get, run_pending_tasks, stored_files
from tests.factories import make_organization, make_token, make_user

HELLO = build_conda("hello", "1.0", subdir="linux-64")
OTHER = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})
_BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Sent:
    """A request as a server hands it over: ``missing`` bytes of the body never came."""

    method: str
    url: str
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, secret: str | None, *, missing: int = 0) -> Answer:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        came = self.body[: len(self.body) - missing]
        environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(came),
            "CONTENT_LENGTH": str(len(self.body)),
            "CONTENT_TYPE": self.content_type,
        }
        return Client(headers={**headers, **self.headers}).generic(
            self.method,
            self.url,
            b"",
            **environ,
        )


def by_channel_address(data: bytes, *, sha256: str | None = None) -> Sent:
    headers = {"X-Checksum-Sha256": sha256} if sha256 else {}
    url = f"/conda/acme/linux-64/{HELLO.filename}"
    return Sent("PUT", url, data, "application/octet-stream", headers)


def by_forgejo(data: bytes, *, sha256: str | None = None) -> Sent:
    assert sha256 is None, "Forgejo's clients announce no digest"
    return Sent("PUT", f"/api/packages/acme/conda/{HELLO.filename}", data, "")


def by_prefix(data: bytes, *, sha256: str | None = None) -> Sent:
    head = (
        f"--{_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{HELLO.filename}"\r\n'
        f"X-File-Name: {HELLO.filename}\r\n"
        f"X-File-Sha256: {sha256 or hashlib.sha256(data).hexdigest()}\r\n\r\n"
    )
    form = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    return Sent("POST", "/api/v1/upload/acme", form, kind)


Face = Callable[..., Sent]
FACES: dict[str, Face] = {
    "channel address": by_channel_address,
    "Forgejo": by_forgejo,
    "prefix.dev": by_prefix,
}


def everything() -> tuple[Any, ...]:
    """All that an upload could have left: rows, bytes, temporary files, what clients are told."""
    run_pending_tasks()
    models = (Blob, Package, PackageFile, ChannelFile, Channel, StaleMark)
    told = (get(f"/conda/acme/{path}") for path in ("linux-64/repodata.json", "channeldata.json"))
    return (
        [model.objects.count() for model in models],
        Event.objects.exclude(action__startswith="token.").count(),
        stored_files(),
        [(answer.status_code, answer.body) for answer in told],
    )


def said(answer: Answer) -> str:
    """The sentence that is meant for the person who uploads."""
    if not answer.headers["Content-Type"].startswith("application/"):
        return str(answer.content.decode())
    body = json.loads(answer.content)
    return str(body.get("detail") or body["message"])


@pytest.fixture
def secrets(maintainer: Person, stranger: Person) -> dict[str, str | None]:
    soon_over = timezone.now() - timedelta(seconds=1)
    revoked = maintainer.token()
    tokens.revoke_token(by=maintainer.identity, token=revoked.token)
    globex = make_organization("globex", owner=make_user("gwen"))
    return {
        "none": None,
        "unknown": tokens.make_secret("user"),
        "expired": maintainer.token(expires_at=soon_over).secret,
        "revoked": revoked.secret,
        "read-only": maintainer.token("conda:download", "api:read").secret,
        "of another organization": make_token(globex.account).secret,
        "of somebody else": stranger.token().secret,
        "for another channel": maintainer.token(channels=["dev"]).secret,
        "for another package": maintainer.token(packages=["world*"]).secret,
        "good": maintainer.token("api:write").secret,
    }


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("token", "status", "remedy"),
    [
        ("none", 401, "Send a token"),
        ("unknown", 401, "make a new one"),
        ("expired", 401, "Make a new one"),
        ("revoked", 401, "Make a new one"),
        ("read-only", 403, "A token with .* may"),
        ("of another organization", 403, "Ask an admin of acme"),
        ("of somebody else", 403, "Ask an admin of acme"),
        ("for another channel", 403, "Use another token"),
        ("for another package", 403, "Use another token"),
    ],
)
def test_a_token_that_will_not_do_leaves_nothing(
    channel: ChannelAddress,
    secrets: dict[str, str | None],
    face: str,
    token: str,
    status: int,
    remedy: str,
) -> None:
    before = everything()

    answer = FACES[face](HELLO.data).answer(secrets[token])

    # Forgejo asks for another credential where others say that this one may not.
    assert answer.status_code == (401 if face == "Forgejo" else status), answer.content
    assert re.search(remedy, said(answer))
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    assert everything() == before


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b"no package at all", "must be a .conda file|structure is invalid"),
        (b"", "empty|must be a .conda file|structure is invalid"),
        (HELLO.data[:-1], "upload it again|structure is invalid"),
    ],
    ids=["text", "nothing", "cut"],
)
def test_what_is_no_package_leaves_nothing(
    channel: ChannelAddress, secrets: dict[str, str | None], face: str, data: bytes, remedy: str
) -> None:
    before = everything()

    answer = FACES[face](data).answer(secrets["good"])

    assert answer.status_code == (400 if face == "Forgejo" else 422), answer.content
    assert re.search(remedy, said(answer)), said(answer)
    assert everything() == before


@pytest.mark.parametrize("face", ["channel address", "prefix.dev"])
def test_a_wrong_sha256_leaves_nothing(
    channel: ChannelAddress, secrets: dict[str, str | None], face: str
) -> None:
    before = everything()

    answer = FACES[face](HELLO.data, sha256=OTHER.sha256).answer(secrets["good"])

    assert answer.status_code == 422
    assert HELLO.sha256 in said(answer)
    assert "Send the file again" in said(answer)
    assert everything() == before


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("is_deleted", [False, True], ids=["there", "deleted"])
def test_other_bytes_under_a_known_name_leave_nothing(
    channel: ChannelAddress,
    owner: Person,
    secrets: dict[str, str | None],
    face: str,
    is_deleted: bool,
) -> None:
    assert FACES[face](HELLO.data).answer(secrets["good"]).status_code == 201
    if is_deleted:
        # Elsewhere the name would be free again.
        change_channel(by=owner.identity, channel=channel.row, is_immutable=True)
        placement.delete_file(by=owner.identity, file=PackageFile.objects.get())
    before = everything()

    answer = FACES[face](OTHER.data).answer(secrets["good"])

    assert answer.status_code == 409
    wanted = "Raise the build number|package file already exists"  # Forgejo's own words
    assert re.search(wanted, said(answer))
    assert everything() == before


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 1.0], ids=["none", "1 %", "half", "but one byte"])
def test_a_body_that_was_cut_leaves_nothing(
    channel: ChannelAddress, secrets: dict[str, str | None], face: str, part: float
) -> None:
    sent = FACES[face](HELLO.data)
    before = everything()

    missing = max(1, len(sent.body) - int(len(sent.body) * part))
    answer = sent.answer(secrets["good"], missing=missing)

    assert answer.status_code == 400, answer.content
    assert "Send it again" in said(answer)
    assert everything() == before
    assert sent.answer(secrets["good"]).status_code == 201


@pytest.mark.parametrize("face", FACES)
def test_a_store_that_does_not_answer_is_said_and_leaves_nothing(
    channel: ChannelAddress,
    secrets: dict[str, str | None],
    settings: Settings,
    face: str,
) -> None:
    before = everything()
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        options = {
            "bucket_name": "packages",
            "endpoint_url": address,
            "region_name": "us-east-1",
            "access_key": "key",
            "secret_key": "secret",
            "client_config": Config(connect_timeout=1, retries={"max_attempts": 1}),
        }
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
        }
        settings.S3_BUCKET = "packages"

        answer = FACES[face](HELLO.data).answer(secrets["good"])

    settings.S3_BUCKET = ""
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "try again" in said(answer)
    # The claim on the bytes that were to come is swept with time; nothing else is there.
    assert not Blob.objects.exclude(files=None).exists()
    Blob.objects.all().delete()
    assert everything() == before
    assert FACES[face](HELLO.data).answer(secrets["good"]).status_code == 201
