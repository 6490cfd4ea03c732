"""The REST API's OpenAPI document, and the page that shows it.

The hooks add what no view says of itself: the problems that every operation may answer with, and
the upload, which reads a raw body and is no view of the REST framework's.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from portal.problems import CONTENT_TYPE

Schema = dict[str, Any]

_METHODS = {"get", "put", "post", "patch", "delete"}
_PROBLEM: Schema = {
    "type": "object",
    "description": "Why not, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Which problem it is; where it is described."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What we got, what we wanted, what to do."},
        "errors": {
            "type": "object",
            "description": "For invalid input: the fields, and what is wrong with each.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
_PROBLEMS = {
    "400": "What was sent is not what was asked for.",
    "401": "A credential is needed, or the one that was sent is wrong, expired or revoked.",
    "403": "Known, but not yours to do: the role, the token's scopes or its limits stand against.",
    "404": "Missing, or not to be known of.",
    "406": "Only JSON can be given.",
    "429": "Too many attempts with a password; Retry-After says how long to wait.",
}
_PROBLEMS_OF_CHANGES = {"409": "The state of things stands against it."}
_PROBLEMS_OF_BODIES = {
    "413": "The body is too large.",
    "415": "The body is not JSON.",
}
_REFUSALS_OF_UPLOADS = {
    "400": "The form or the channel's name can't be read.",
    "401": _PROBLEMS["401"],
    "402": "The account has no room.",
    "403": "The channel is locked, or the package is not yours to publish.",
    "404": _PROBLEMS["404"],
    "409": "The file is in the channel already, or its name belongs to a file with other content.",
    "413": "The file is too large.",
    "422": "Not a usable package, or not the bytes that were announced.",
    "429": _PROBLEMS["429"],
    "503": "All places for uploads are taken; Retry-After says how long to wait.",
}


def _text(description: str) -> Schema:
    return {
        "description": description,
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }


def add_upload(result: Schema, **_: Any) -> Schema:
    for path in ("/api/v1/upload/{account}", "/api/v1/upload/{account}/{channel}"):
        to_channel = path.endswith("{channel}")
        operation: Schema = {
            "operationId": "upload_to_channel" if to_channel else "upload",
            "tags": ["files"],
            "summary": "Publish a package file" + ("" if to_channel else " to the channel main"),
            "description": (
                "Name, version, build and subdir are read from the package itself. The answers "
                "are plain text, since the programs that upload show them as they are."
            ),
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in (["account", "channel"] if to_channel else ["account"])
            ]
            + [
                {
                    "name": "force",
                    "in": "query",
                    "description": (
                        "With true, the file replaces another one of its name, and one that is "
                        "there already is no error."
                    ),
                    "schema": {"type": "boolean", "default": False},
                },
                {
                    "name": "wait",
                    "in": "query",
                    "description": (
                        "Answer when clients see the file, after so many seconds at most; like "
                        "the header Prefer: wait=N. Preference-Applied in the answer says that "
                        "they do."
                    ),
                    "schema": {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {
                                "file": {
                                    "type": "string",
                                    "contentMediaType": "application/octet-stream",
                                    "description": (
                                        "One .conda or .tar.bz2. Its part may have the headers "
                                        "X-File-Name and X-File-Sha256; they are held against it."
                                    ),
                                },
                                "attestation": {
                                    "type": "string",
                                    "description": "A Sigstore bundle about the file, as CEP 27 "
                                    "has it: both are taken, or nothing is.",
                                },
                            },
                        }
                    }
                },
            },
            "security": [{"bearer": []}, {"basic": []}],
            "responses": {
                "200": _text("With force: the same file was there."),
                "201": _text("The file is in the channel, and survives the loss of power."),
                **{status: _text(text) for status, text in _REFUSALS_OF_UPLOADS.items()},
            },
        }
        result["paths"][path] = {"post": operation}
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def add_problems(result: Schema, **_: Any) -> Schema:
    result["components"]["schemas"]["Problem"] = _PROBLEM
    content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, item in result["paths"].items():
        for method in _METHODS & item.keys():
            operation = item[method]
            if path.startswith("/api/v1/upload/"):
                continue
            problems = dict(_PROBLEMS)
            if method != "get":
                problems |= _PROBLEMS_OF_CHANGES
            if "requestBody" in operation:
                problems |= _PROBLEMS_OF_BODIES
            if operation.get("operationId") == "attestations_add":
                problems["422"] = "Not an attestation of this file, or one that doesn't verify."
            for status, description in problems.items():
                operation["responses"].setdefault(
                    status, {"description": description, "content": content}
                )
    return result


def refuse_unknown_fields(result: Schema, **_: Any) -> Schema:
    """Say of what is sent that it has no other fields, as the endpoints hold it."""
    for name, schema in result["components"]["schemas"].items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
    return result


@cache
def document() -> Schema:
    """The whole document, which is the same for everybody."""
    schema: Schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # the library has no annotations there
    return schema


class Document(SpectacularJSONAPIView):
    """``/api/v1/openapi.json``"""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(document(), headers={"Cache-Control": "no-cache"})


class Browsable(SpectacularSwaggerSplitView):
    """``/api/v1/docs``: the document to read, and to try with the session of the one who reads."""

    authentication_classes = []
    url_name = "openapi"
