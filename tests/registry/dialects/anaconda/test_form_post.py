"""The form between stage and commit: odd, broken, cut, altered, late, too much, or wrong."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import resolve
from pytest_django import Settings

from accounts.names import check_account_name
from registry.dialects import multipart
from registry.models import Blob, PackageFile
from registry.receiving import upload_slot
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ask, stored_files
from tests.registry.dialects.anaconda.staging import (
    BOUNDARY,
    Field,
    code,
    commit,
    cut,
    encoded,
    fields_of,
    post,
    send,
    staged,
)

HELLO = build_conda("hello", "1.0", subdir="linux-64")
OTHER = build_conda("hello", "1.0", subdir="linux-64", files={"x": "other"})
Document = dict[str, Any]
Form = Callable[[Document], list[Field]]

pytestmark = pytest.mark.usefixtures("channel")


@pytest.fixture
def document(maintainer: Person) -> Document:
    """What the stage of the package is answered with."""
    return staged(maintainer, HELLO)


def good(document: Document) -> list[Field]:
    return fields_of(document, HELLO.data)


def changed(name: str, value: str) -> Form:
    def form(document: Document) -> list[Field]:
        return [(n, value.encode() if n == name else d, f) for n, d, f in good(document)]

    return form


def without(*names: str) -> Form:
    return lambda document: [field for field in good(document) if field[0] not in names]


def nothing_is_stored() -> bool:
    return not (stored_files() or PackageFile.objects.exists() or Blob.objects.exists())


# --- Forms that are taken ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        good,
        lambda document: [*good(document)[-2::-1], good(document)[-1]],
        lambda document: fields_of(document, HELLO.data, filename=None),
        lambda document: fields_of(document, HELLO.data, filename="C:\\x.conda"),
        lambda document: [("Policy", b"x", None), *good(document), ("Submit", b"Upload", None)],
        without("Content-Length", "Content-MD5"),
        without("success_action_status"),
    ],
    ids=[
        "as sent by clients",
        "fields backwards",
        "file without a name, as rattler-build sends it",
        "another name",
        "other fields",
        "without what the client adds",
        "without the status",
    ],
)
def test_a_form_that_holds_what_it_must_is_taken(
    maintainer: Person, document: Document, form: Form
) -> None:
    answer = post(document["post_url"], encoded(form(document)))

    assert answer.status_code == 201, answer.content
    assert answer["Content-Type"] == "application/xml"
    assert HELLO.md5.encode() in answer.content
    assert stored_files() == [f"staged/{document['dist_id']}"]
    assert commit(maintainer, HELLO, document).status_code == 200


def test_a_form_may_be_sent_in_chunks(maintainer: Person, document: Document) -> None:
    environ = {
        "wsgi.input": io.BytesIO(encoded(good(document))),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }

    assert post(document["post_url"], b"", environ=environ).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200


@pytest.mark.parametrize("authorization", ["Basic bWU6bmV0cmM=", "token cph-nothing", "x"])
def test_no_credential_is_looked_at(document: Document, authorization: str) -> None:
    environ = {"HTTP_AUTHORIZATION": authorization}

    answer = post(document["post_url"], encoded(good(document)), environ=environ)

    assert answer.status_code == 201


def test_nothing_of_the_form_is_logged(
    document: Document, caplog: pytest.LogCaptureFixture
) -> None:
    fields = document["form_data"]
    post(document["post_url"], encoded(good(document)))
    post(document["post_url"], encoded(changed("signature", "0" * 64)(document)))

    logged = "".join(f"{record.__dict__}" for record in caplog.records)
    assert "/api/-/staged" in logged
    for secret in (fields["policy"], fields["signature"]):
        assert secret not in logged


# --- Forms that are not theirs to send ---------------------------------------------------------


def policy_with(**members: object) -> Form:
    def form(document: Document) -> list[Field]:
        policy = json.loads(base64.b64decode(document["form_data"]["policy"]))
        text = base64.b64encode(json.dumps({**policy, **members}).encode()).decode()
        return changed("policy", text)(document)

    return form


@pytest.mark.parametrize(
    "form",
    [
        changed("signature", "0" * 64),
        changed("signature", ""),
        changed("policy", ""),
        changed("policy", "e30="),
        policy_with(limit_bytes=2**60),
        policy_with(expires_at=2**40),
        policy_with(key="0" * 24),
        changed("key", "0" * 24),
        changed("key", "../../blobs/x"),
        without("key"),
        without("policy"),
        without("signature"),
        lambda document: [good(document)[-1], *good(document)[:-1]],
    ],
)
def test_a_form_that_was_altered_is_refused_before_its_file_is_read(
    document: Document, form: Form
) -> None:
    body = encoded(form(document))
    environ = {"wsgi.input": ReadNoFurther(body), "CONTENT_LENGTH": "2000000000"}

    answer = post(document["post_url"], b"", environ=environ)

    assert code(answer, 403) == "SignatureDoesNotMatch"
    assert nothing_is_stored()


class ReadNoFurther(io.RawIOBase):
    """The beginning of a body that must be answered without the rest of it."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__()
        self._left = [beginning]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        assert self._left, "The file was read before it was decided whether it may come."
        data = self._left.pop()
        assert len(data) < multipart.BLOCK_BYTES
        buffer[: len(data)] = data
        return len(data)


def test_a_form_is_good_for_a_short_while(maintainer: Person, settings: Settings) -> None:
    settings.STAGE_FORM_SECONDS = -1
    document = staged(maintainer, HELLO)

    answer = send(document, HELLO)

    assert code(answer, 403) == "AccessDenied"
    assert b"Policy expired" in answer.content
    assert nothing_is_stored()


def test_a_form_of_another_site_is_refused(maintainer: Person, settings: Settings) -> None:
    document = staged(maintainer, HELLO)
    settings.SECRET_KEY = "another" * 10

    assert code(send(document, HELLO), 403) == "SignatureDoesNotMatch"


def test_a_form_is_of_no_use_after_its_commit(maintainer: Person, document: Document) -> None:
    send(document, HELLO)
    assert commit(maintainer, HELLO, document).status_code == 200

    assert code(send(document, HELLO), 403) == "AccessDenied"
    assert stored_files() == [f"blobs/{HELLO.sha256[:2]}/{HELLO.sha256}"]


# --- Forms that can't be read ------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        without("file"),
        lambda document: [*good(document), ("file", b"another", "x.conda")],
        lambda document: [*good(document)[:1], *good(document)],
        lambda document: [("n", b"", None)] * 100 + good(document),
        lambda document: [("note", b"n" * 100_000, None), *good(document)],
        lambda document: [*good(document), ("note", b"n" * 100_000, None)],
        lambda document: [("note", "ü".encode(), None), *good(document)],
    ],
    ids=[
        "no file",
        "two files",
        "a field twice",
        "too many fields",
        "a large field",
        "a large field behind the file",
        "no plain text",
    ],
)
def test_a_form_that_holds_something_else_stores_nothing(document: Document, form: Form) -> None:
    answer = post(document["post_url"], encoded(form(document)))

    assert code(answer, 400) == "MalformedPOSTRequest"
    assert nothing_is_stored()


@pytest.mark.parametrize("missing", [1, 5, 30, 500, 1400])
def test_a_form_that_was_cut_stores_nothing(document: Document, missing: int) -> None:
    body = encoded(good(document))

    by_the_connection = post(document["post_url"], b"", environ=cut(body, missing=missing))
    by_its_writer = post(document["post_url"], body[: len(body) - missing])

    assert code(by_the_connection, 400) == "IncompleteBody"
    if missing > 2:  # of the line break behind the last boundary nothing depends
        assert code(by_its_writer, 400) == "MalformedPOSTRequest"
        assert nothing_is_stored()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/octet-stream",
        "multipart/form-data",
        "multipart/form-data; boundary=another",
        f"multipart/mixed; boundary={BOUNDARY}",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_a_body_that_is_no_form_is_refused(document: Document, content_type: str) -> None:
    answer = post(document["post_url"], encoded(good(document)), content_type=content_type or " ")

    assert code(answer, 400) == "MalformedPOSTRequest"
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Disposition", b"Content-Position"),
        (b"form-data;", b"attachment;"),
        (b'name="policy"', b"name"),
        (b'name="policy"', b'name="\xff\xfe"'),
        (b'name="policy"', b'name="pol\x00icy"'),
        (b"\r\n", b"\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b'name="file"', b'name="file"\r\nContent-Length: 3'),
        (b'name="file"', b'name="file"\r\nX: ' + b"y" * 10_000),
    ],
)
def test_a_form_that_no_writer_would_write_is_refused(
    document: Document, old: bytes, new: bytes
) -> None:
    answer = post(document["post_url"], encoded(good(document)).replace(old, new))

    assert answer.status_code in {400, 403}
    assert code(answer, answer.status_code) in {"MalformedPOSTRequest", "SignatureDoesNotMatch"}
    assert nothing_is_stored()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_forms_are_posted(method: str) -> None:
    answer = ask(method, "/api/-/staged")

    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert answer["Content-Type"] == "application/xml"


def test_no_account_can_be_called_like_the_address_of_the_form() -> None:
    assert resolve("/api/-/staged").url_name == "anaconda-form"
    with pytest.raises(ValidationError):
        check_account_name("-")


def test_the_address_has_no_slash_at_its_end() -> None:
    assert Client().post("/api/-/staged/").status_code == 404


def test_a_front_server_can_ask_whether_the_form_may_come(settings: Settings) -> None:
    settings.UPLOAD_SLOTS = 3
    asked = {"wsgi.input": io.BytesIO(), "HTTP_X_UPLOAD_CHECK": "1"}
    assert post("/api/-/staged", b"", environ=asked).status_code == 204

    with upload_slot(), upload_slot(), upload_slot():
        answer = post("/api/-/staged", b"", environ=asked)

    assert answer.status_code == 403
    assert (answer["X-Refused-Status"], answer["X-Refused-Kind"]) == ("503", "xml")
    assert ET.fromstring(answer["X-Refused-Words"]).findtext("Code") == "ServiceUnavailable"
    assert answer["Retry-After"]


# --- Other bytes than were announced -----------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda document: fields_of(document, OTHER.data),
        lambda document: [*good(document)[:-1], ("file", HELLO.data[:-1], None)],
        lambda document: [*good(document)[:-1], ("file", HELLO.data + b"x", None)],
        lambda document: [*good(document)[:-1], ("file", b"", None)],
        changed("Content-Length", str(HELLO.size + 1)),
        changed("Content-Length", "0"),
        changed("Content-MD5", base64.b64encode(bytes(16)).decode()),
        changed("Content-MD5", base64.b64encode(bytes(15)).decode()),
        changed("Content-MD5", HELLO.md5),
        changed("Content-MD5", "not base64"),
        changed("Content-MD5", ""),
    ],
)
def test_bytes_that_were_not_announced_are_not_stored(
    maintainer: Person, document: Document, form: Form
) -> None:
    answer = post(document["post_url"], encoded(form(document)))

    # The one code that the stock client has words for.
    assert code(answer, 400) == "InvalidDigest"
    assert nothing_is_stored()
    assert send(document, HELLO).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200


@pytest.mark.parametrize("length", ["", "-1", "1e3", "٣", "9" * 30, "0x10"])
def test_a_length_that_is_no_number_is_refused(document: Document, length: str) -> None:
    answer = post(document["post_url"], encoded(changed("Content-Length", length)(document)))

    assert code(answer, 400) in {"InvalidArgument", "MalformedPOSTRequest"}
    assert nothing_is_stored()


def test_without_an_announced_digest_the_first_bytes_count(maintainer: Person) -> None:
    document = staged(maintainer, HELLO, members={"sha256": None})

    assert send(document, HELLO).status_code == 201
    assert code(post(document["post_url"], encoded(fields_of(document, OTHER.data))), 400)
    assert commit(maintainer, HELLO, document).status_code == 200
    assert PackageFile.objects.get().sha256 == HELLO.sha256


def test_a_file_that_is_too_large_is_refused_as_early_as_it_can_be(
    maintainer: Person, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = HELLO.size - 1
    document = staged(maintainer, HELLO)
    body = encoded(good(document))
    said = {"wsgi.input": ReadNoFurther(body), "CONTENT_LENGTH": "2000000"}
    request = {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": str(HELLO.size + 2**20)}

    answers = [
        post(document["post_url"], b"", environ=request),
        post(document["post_url"], b"", environ=said),
        post(document["post_url"], encoded(without("Content-Length")(document))),
    ]

    assert {code(answer, 400) for answer in answers} == {"EntityTooLarge"}
    assert nothing_is_stored()


def test_the_limit_is_that_of_the_form(
    maintainer: Person, document: Document, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = HELLO.size - 1

    assert send(document, HELLO).status_code == 201
    assert commit(maintainer, HELLO, document).status_code == 200
