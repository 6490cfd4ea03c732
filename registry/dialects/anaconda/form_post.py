"""The form between stage and commit, answered as an S3 would.

Whoever holds a form may send it, so no credential is asked for or looked at: clients pick one up
from a netrc. Success is 201 and nothing else; what is refused must be XML, of which the stock
client shows one thing: that ``InvalidDigest`` means wrong bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from portal.body import BodyTooLarge, BodyTooSlow, LengthNeeded, TruncatedBody, open_body
from portal.errors import InvalidInput, Refusal, Unavailable
from registry import stages
from registry.delivery import MethodNotAllowed
from registry.dialects.multipart import BrokenForm, FormFile, Rules
from registry.post_forms import LENGTH_FIELD, MD5_FIELD, PolicyExpired, WrongSignature
from registry.publishing import DigestMismatch
from registry.quotas import QuotaExceeded
from registry.receiving import upload_slot
from registry.stages import StageGone
from registry.storage import StorageFull, UploadTooLarge

# Names of accounts don't begin with a dash, and no other route of this API is called so.
PATH = "api/-/staged"
_RULES = Rules(max_parts=32)
_FORM_BYTES = 2**20  # what a form may be larger than its file
_CODES: Mapping[type[Refusal], tuple[str, int]] = {
    WrongSignature: ("SignatureDoesNotMatch", 403),
    PolicyExpired: ("AccessDenied", 403),
    StageGone: ("AccessDenied", 403),
    # An S3 says BadDigest where the digest is one; only of this one the client makes words.
    DigestMismatch: ("InvalidDigest", 400),
    UploadTooLarge: ("EntityTooLarge", 400),
    BodyTooLarge: ("EntityTooLarge", 400),
    TruncatedBody: ("IncompleteBody", 400),
    BodyTooSlow: ("RequestTimeout", 400),
    LengthNeeded: ("MissingContentLength", 411),
    MethodNotAllowed: ("MethodNotAllowed", 405),
    InvalidInput: ("InvalidArgument", 400),
    QuotaExceeded: ("QuotaExceeded", 402),
    StorageFull: ("InsufficientStorage", 507),
    Unavailable: ("ServiceUnavailable", 503),
}
_OTHERS = ("MalformedPOSTRequest", 400)


def own_url(request: HttpRequest) -> str:
    """The address of the form, under the name by which the client found us: it may know no other.

    The scheme of our own name is what the site says, whatever a proxy in front leaves out.
    """
    if request.get_host() == urlsplit(settings.BASE_URL).netloc:
        return f"{settings.BASE_URL}/{PATH}"
    return request.build_absolute_uri(f"/{PATH}")


@csrf_exempt
def receive_form(request: HttpRequest) -> HttpResponse:
    try:
        if request.method != "POST":
            raise MethodNotAllowed(request.method or "", "POST")
        with upload_slot():
            body = open_body(request.META, limit_bytes=settings.MAX_UPLOAD_BYTES + _FORM_BYTES)
            return _receive(FormFile(request.META.get("CONTENT_TYPE", ""), body, _RULES))
    except Refusal as refusal:
        return _refused(refusal)


def _receive(form: FormFile) -> HttpResponse:
    fields = _fields(form)
    admission = stages.admit(fields)
    length = fields.get(LENGTH_FIELD)
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 20):
        raise InvalidInput(f"{LENGTH_FIELD} is {length[:40]!r}; a whole number is wanted.")
    digests = stages.receive(
        admission,
        form,
        size_bytes=None if length is None else int(length),
        md5_base64=fields.get(MD5_FIELD),
    )
    return _xml(
        f"<PostResponse><Key>{admission.stage.key}</Key>"
        f"<ETag>&quot;{digests.md5}&quot;</ETag></PostResponse>",
        HTTPStatus.CREATED,
    )


def _fields(form: FormFile) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in form.fields:
        if name in fields:
            raise BrokenForm(f"The form has two fields named {name[:40]!r}. Begin again.")
        try:
            fields[name] = value.decode("ascii")
        except UnicodeDecodeError as error:
            raise BrokenForm(f"The field {name[:40]!r} is no plain text.") from error
    return fields


def _refused(refusal: Refusal) -> HttpResponse:
    kinds = (_CODES[kind] for kind in type(refusal).__mro__ if kind in _CODES)
    code, status = next(kinds, _OTHERS)
    message = escape(refusal.detail)
    answer = _xml(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status)
    for name, value in refusal.headers.items():
        answer.headers[name] = value
    return answer


def _xml(text: str, status: int) -> HttpResponse:
    # In one line: a refusal may have to travel in a header (`portal.upload_check`).
    return HttpResponse(
        f'<?xml version="1.0" encoding="UTF-8"?>{text}',
        status=status,
        content_type="application/xml",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
