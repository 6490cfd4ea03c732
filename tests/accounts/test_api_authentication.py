from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.identity import Identity
from tests.cast import Person


class WhoAmI(APIView):
    def get(self, request: Request) -> Response:
        identity: Identity = request.auth  # type: ignore[assignment]  # DRF knows tokens only
        return Response({"name": identity.name, "token": bool(identity.token)})

    post = get


urlpatterns = [path("whoami", WhoAmI.as_view())]
pytestmark = pytest.mark.urls(__name__)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_says_who_asks(owner: Person, method: str) -> None:
    secret = owner.token("api:read").secret
    client = Client(enforce_csrf_checks=True)

    answer = getattr(client, method)("/whoami", HTTP_AUTHORIZATION=f"Bearer {secret}")

    assert answer.json() == {"name": "olga", "token": True}


def test_a_token_in_a_header_of_its_own_changes_things_too(owner: Person) -> None:
    secret = owner.token("api:write").secret
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/whoami", HTTP_X_API_KEY=secret)

    assert answer.json() == {"name": "olga", "token": True}


def test_nobody_is_anonymous(db: None) -> None:
    assert Client().post("/whoami").json() == {"name": "anonymous", "token": False}


def test_a_wrong_token_is_a_problem_document(db: None) -> None:
    answer = Client().get("/whoami", HTTP_AUTHORIZATION="Bearer wrong")

    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="Condarium"'
    problem: dict[str, Any] = answer.json()
    assert problem["type"].endswith("#invalid-credential")
    assert "not known here" in problem["detail"]


def test_a_session_reads_but_changes_nothing_from_another_site(owner: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)

    assert client.get("/whoami").json() == {"name": "olga", "token": False}
    forged = client.post("/whoami")
    assert forged.status_code == 403
    assert "CSRF" in forged.json()["detail"]
