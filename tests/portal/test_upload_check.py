"""What a front server is told that asks whether an upload may begin."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization
from registry.models import PackageFile
from tests.builders import build_conda
from tests.cast import Person

PATH = "/conda/acme/noarch/hello-1.0-0.conda"


def ask(path: str = PATH, *, token: str = "", body: bytes = b"") -> Any:
    headers = {"X-Upload-Check": "1"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Client().put(path, body, content_type="application/octet-stream", headers=headers)


def test_who_may_upload_is_told_to_go_on(acme: Organization, owner: Person) -> None:
    answer = ask(token=owner.token("api:write").secret)

    assert (answer.status_code, answer.content) == (204, b"")


def test_nothing_is_published_by_asking(acme: Organization, owner: Person) -> None:
    answer = ask(token=owner.token().secret, body=build_conda("hello", "1.0").data)

    assert answer.status_code == 204
    assert not PackageFile.objects.exists()


@pytest.mark.parametrize(
    ("path", "scopes", "status", "said"),
    [
        (PATH, (), "401", "Uploading needs a credential"),
        (PATH, ("conda:download",), "403", "conda:download"),
        ("/conda/nobody/noarch/hello-1.0-0.conda", ("api:write",), "404", "nothing here"),
        ("/conda/acme/noarch/x.conda", ("api:write",), "422", "x.conda"),
    ],
)
def test_a_refusal_comes_in_headers(
    acme: Organization,
    owner: Person,
    path: str,
    scopes: tuple[str, ...],
    status: str,
    said: str,
) -> None:
    token = owner.token(*scopes).secret if scopes else ""

    answer = ask(path, token=token)

    assert answer.status_code == 403
    assert answer.headers["X-Refused-Status"] == status
    assert answer.headers["X-Refused-Kind"] == "problem"
    assert said in json.loads(answer.headers["X-Refused-Words"])["detail"]


def test_the_challenge_goes_with_the_refusal(acme: Organization) -> None:
    assert ask().headers["WWW-Authenticate"].startswith("Basic ")


def test_without_the_mark_nothing_changes(acme: Organization, owner: Person) -> None:
    answer = Client().put(PATH)

    assert answer.status_code == 401
    assert "X-Refused-Status" not in answer.headers
