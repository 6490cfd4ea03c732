"""What people and programs are told when something of ours fails."""

from __future__ import annotations

import json
import logging

import pytest
from django.db import connection
from django.test import Client


@pytest.fixture
def nothing_to_ask(db: None) -> None:
    """A database without its accounts, as after a migration that was forgotten."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_account RENAME TO elsewhere")


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    [
        ("/ada", "text/html", True),
        ("/ada", "*/*", False),
        ("/conda/ada/main/noarch/repodata.json", "", False),
        ("/api/v1/accounts/ada", "", False),
    ],
)
@pytest.mark.usefixtures("nothing_to_ask")
def test_a_fault_is_a_page_for_a_browser_and_a_problem_for_a_program(
    path: str, accept: str, is_page: bool, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(raise_request_exception=False, headers={"Accept": accept} if accept else {})
    with caplog.at_level(logging.CRITICAL):
        answer = client.get(path)

    assert answer.status_code == 500
    said = answer.headers["X-Request-Id"]
    if is_page:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert said in answer.text
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert said in json.loads(answer.content)["detail"]
    assert "accounts_account" not in answer.text
