"""The REST framework's door to `accounts.authentication`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from accounts.authentication import PATH_TOKEN, identify
from accounts.identity import Identity
from accounts.models import User


class CredentialAuthentication(SessionAuthentication):
    """Puts the `Identity` of the one who asks on ``request.auth``, nobody's too.

    A signed-in browser may use the API as its pages do: then a change needs the CSRF token, since
    a browser sends its cookie also when another site made it ask.
    """

    def authenticate(self, request: Request) -> tuple[User | None, Identity]:
        plain = request._request  # noqa: SLF001 - the framework's own authenticators use it so
        identity = identify(plain, session=True)
        if not identity.is_anonymous and not _sends_credential(request):
            self.enforce_csrf(request)
        return identity.user, identity

    def authenticate_header(self, request: Request) -> str:
        return 'Basic realm="Condarium"'


def _sends_credential(request: Request) -> bool:
    names = (PATH_TOKEN, "HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
    return any(request.META.get(name) for name in names)


class CredentialScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers by subclassing
    """How the OpenAPI document says it."""

    target_class = "accounts.api.authentication.CredentialAuthentication"
    name = ["bearer", "basic"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        ways: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}]
        if auto_schema.method == "GET" and getattr(auto_schema.view, "public_reads", False):
            ways.append({})
        return ways

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "A token, made in Settings, Access.",
            },
            {
                "type": "http",
                "scheme": "basic",
                "description": (
                    "A token as the password, with any name; or name and password of a user "
                    "without a second factor."
                ),
            },
        ]
