"""Refusals as RFC 9457 problem documents: what every API of our own answers with."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from portal.errors import NOT_HERE, InvalidInput, Refusal

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "/docs/problems#"


def problem(refusal: Refusal) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + refusal.slug,
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if isinstance(refusal, InvalidInput) and refusal.errors:
        body["errors"] = refusal.errors
    return body


def problem_response(refusal: Refusal) -> HttpResponse:
    return JsonResponse(
        problem(refusal),
        status=refusal.status,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **refusal.headers},
    )


def _flatten(detail: Any, field: str = "") -> dict[str, list[str]]:
    if isinstance(detail, dict):
        flat: dict[str, list[str]] = {}
        for key, value in detail.items():
            name = f"{field}.{key}" if field else str(key)
            flat.update(_flatten(value, "" if key == "non_field_errors" else name))
        return flat
    if isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        flat = {}
        for position, item in enumerate(detail):
            flat.update(_flatten(item, f"{field}[{position}]"))
        return flat
    sentences = detail if isinstance(detail, list) else [detail]
    return {field or "input": [str(sentence) for sentence in sentences]}


_TITLES = {
    400: ("invalid-input", "The input is not valid"),
    401: ("credential-needed", "A credential is needed"),
    403: ("forbidden", "You may not do this"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "This method is not allowed here"),
    406: ("not-acceptable", "No acceptable form of this can be given"),
    415: ("unsupported-media-type", "This media type is not read here"),
    429: ("too-many-requests", "Too many attempts"),
}


def exception_handler(exception: Exception, _context: dict[str, Any]) -> Response | None:
    """DRF's door to problem documents; anything that is no answer is left to be a bug."""
    headers: dict[str, str] = {}
    if isinstance(exception, Refusal):
        body, headers = problem(exception), exception.headers
    elif isinstance(exception, Http404):
        slug, title = _TITLES[404]
        body = {"type": TYPE_PREFIX + slug, "title": title, "status": 404}
        body["detail"] = NOT_HERE
    elif isinstance(exception, exceptions.ValidationError):
        errors = _flatten(exception.detail)
        first_field, sentences = next(iter(errors.items()))
        refusal = InvalidInput(f"{first_field}: {sentences[0]}", errors)
        body = problem(refusal)
    elif isinstance(exception, exceptions.APIException):
        slug, title = _TITLES.get(exception.status_code, ("refused", "Refused"))
        body = {
            "type": TYPE_PREFIX + slug,
            "title": title,
            "status": exception.status_code,
            "detail": str(exception.detail),
        }
        if isinstance(exception, exceptions.MethodNotAllowed) and exception.detail:
            body["detail"] = str(exception.detail)
    else:
        return None
    set_rollback()
    headers = {"Cache-Control": "no-store", **headers}
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def wants_problem(request: HttpRequest) -> bool:
    """Whether the one who asks reads JSON rather than pages."""
    return request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", "")
