"""Archives that come as a form: Forgejo takes the first file of one for the body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest
from multipart import parse_options_header

from portal.body import open_body
from portal.errors import InvalidInput
from registry.dialects.multipart import FORM_DATA, FormFile, InvalidForm, NoFile, NotAForm, Rules
from registry.storage import Readable

_URLENCODED = "application/x-www-form-urlencoded"
_RULES = Rules(
    is_file=lambda part: part.filename is not None,
    only_one=False,
    max_parts=100,
    max_other_bytes=None,
)


def open_archive(request: HttpRequest, *, limit_bytes: int) -> Readable:
    """The archive that a PUT carries: its body, or the first file of its form."""
    content_type = request.META.get("CONTENT_TYPE", "")
    kind, _ = parse_options_header(content_type)
    if kind.startswith(_URLENCODED):
        raise InvalidInput(
            f"The body came as {_URLENCODED}, which holds no file. Send the file as it is: "
            "curl --upload-file, or --data-binary with -H 'Content-Type: application/octet-stream'."
        )
    body = open_body(request.META, limit_bytes=limit_bytes)
    return FirstFile(content_type, body) if kind.startswith(FORM_DATA) else body


class FirstFile:
    """The first file of a form, and what is wrong with the form in Forgejo's users' words.

    Its end is only reported when the whole form has arrived: one that was cut later on was cut.
    """

    def __init__(self, content_type: str, body: Readable) -> None:
        with _worded():
            self._file = FormFile(content_type, body, _RULES)

    def readinto(self, buffer: memoryview, /) -> int:
        with _worded():
            return self._file.readinto(buffer)


@contextmanager
def _worded() -> Iterator[None]:
    try:
        yield
    except NotAForm as refusal:
        raise InvalidInput(
            f"The body came as {FORM_DATA}, but the header names no boundary between its parts. "
            "Let the client write that header, or send the file as it is: curl --upload-file."
        ) from refusal
    except NoFile as refusal:
        raise InvalidInput(
            f"The body came as {FORM_DATA} without a file in it. Send one as a part with a file "
            "name, or send the file as it is: curl --upload-file."
        ) from refusal
    except InvalidForm as refusal:
        raise InvalidInput(
            f"The body came as {FORM_DATA}, but can't be read as such. Send it again, or send "
            "the file as it is: curl --upload-file."
        ) from refusal
