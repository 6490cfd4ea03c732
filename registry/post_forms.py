"""Forms that let whoever holds them store one file for a short while (S3's "POST policy").

No credential goes with such a form: what it may be used for stands in its policy, and is signed.
Those of our own host are signed with the secret key of the site, those of an S3 with its key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from django.utils.crypto import constant_time_compare, salted_hmac

from portal.errors import Forbidden, Unavailable

LENGTH_FIELD, MD5_FIELD = "Content-Length", "Content-MD5"
"""What clients of anaconda.org add by themselves to the fields that they are given."""
_KEY, _POLICY, _SIGNATURE = "key", "policy", "signature"
_STATUS = {"success_action_status": "201"}
_SALT = "registry.post_forms"


@dataclass(frozen=True, slots=True)
class SignedForm:
    """Where the file is to be sent, and the fields to send before it."""

    url: str
    fields: dict[str, str]


# --- Our own -----------------------------------------------------------------------------------


class WrongSignature(Forbidden):
    """It isn't ours, or it was altered."""


class PolicyExpired(Forbidden):
    """It was ours, and its time is over."""


class Policy(msgspec.Struct, frozen=True):
    """What a form may be used for."""

    key: str
    limit_bytes: int
    expires_at: int  # Unix seconds


def sign(url: str, key: str, *, limit_bytes: int, seconds: int) -> SignedForm:
    policy = Policy(key=key, limit_bytes=limit_bytes, expires_at=int(time.time()) + seconds)
    text = base64.b64encode(msgspec.json.encode(policy)).decode("ascii")
    return SignedForm(url, {_KEY: key, **_STATUS, _POLICY: text, _SIGNATURE: _signature(text)})


def check(fields: Mapping[str, str]) -> Policy:
    """What a form with these fields may be used for."""
    text = fields.get(_POLICY, "")
    if not constant_time_compare(fields.get(_SIGNATURE, ""), _signature(text)):
        raise WrongSignature(
            "The form is not one that was given out here, or was changed. Begin the upload again."
        )
    try:
        policy = msgspec.json.decode(base64.b64decode(text, validate=True), type=Policy)
    except (binascii.Error, msgspec.MsgspecError) as error:  # signed by another version of us
        raise WrongSignature("The form is not understood any more. Begin the upload again.") from (
            error
        )
    if fields.get(_KEY) != policy.key:
        raise WrongSignature("The form was given out for another key. Begin the upload again.")
    if policy.expires_at < time.time():
        raise PolicyExpired(
            "Invalid according to Policy: Policy expired. A form is good for a short while only; "
            "begin the upload again."
        )
    return policy


def _signature(text: str) -> str:
    return salted_hmac(_SALT, text, algorithm="sha256").hexdigest()


# --- Those of an S3 ----------------------------------------------------------------------------


class Kind(Enum):
    """S3s differ in what a policy has to say of fields that are none of S3's own."""

    NAMED = "named"  # AWS: each field stands in the policy
    # SeaweedFS: a policy that names them is refused. It keeps a file without a name in memory, as
    # Go's library does by default, and refuses a large one.
    UNNAMED = "unnamed"
    NOT_TAKEN = "not taken"  # others know no such forms at all


def sign_for_s3(
    client: Any,
    bucket: str,
    key: str,
    *,
    kind: Kind,
    limit_bytes: int,
    seconds: int,
    names_file: bool,
) -> SignedForm | None:
    """The client decides the address: sign with one that has that of the S3 as others see it.

    ``names_file`` is whether the file will come with a name. None where the S3 won't take it.
    """
    if kind is Kind.NOT_TAKEN or (kind is Kind.UNNAMED and not names_file):
        return None
    named = [LENGTH_FIELD, MD5_FIELD] if kind is Kind.NAMED else []
    form = client.generate_presigned_post(
        bucket,
        key,
        Fields=dict(_STATUS),
        Conditions=[
            _STATUS,
            ["content-length-range", 1, limit_bytes],
            *(["starts-with", f"${field}", ""] for field in named),
        ],
        ExpiresIn=seconds,
    )
    return SignedForm(form["url"], form["fields"])


def kind_of_s3(client: Any, bucket: str, folder: str) -> Kind:
    """Which kind of form the S3 takes, by sending it one of each; `folder` is where to."""
    key = f"{folder}/form-{secrets.token_hex(12)}"
    for kind in (Kind.NAMED, Kind.UNNAMED):
        form = sign_for_s3(
            client, bucket, key, kind=kind, limit_bytes=1, seconds=60, names_file=True
        )
        if form is not None and _is_taken(form):
            client.delete_object(Bucket=bucket, Key=key)
            return kind
    return Kind.NOT_TAKEN


def _is_taken(form: SignedForm) -> bool:
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - slow, and only S3 needs it
    from botocore.httpsession import URLLib3Session  # noqa: PLC0415 - as above
    from botocore.session import get_session  # noqa: PLC0415 - as above

    data, boundary = b"x", secrets.token_hex(16)
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")
    fields = {**form.fields, LENGTH_FIELD: str(len(data)), MD5_FIELD: md5, "file": data.decode()}
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = AWSRequest(
        "POST", form.url, headers=headers, data=f"{''.join(parts)}--{boundary}--\r\n"
    )
    verify = get_session().get_config_variable("ca_bundle") or True
    with closing(URLLib3Session(verify=verify, timeout=15)) as session:
        status = int(session.send(request.prepare()).status_code)
    if status >= 500 and status != 501:
        raise Unavailable("The object storage does not answer as it should. Try again.")
    return status == 201
