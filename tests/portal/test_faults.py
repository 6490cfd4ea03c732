"""What people and programs are told when something of ours fails."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import switches
from accounts.identity import OPERATOR
from registry import faults
from registry.models import FaultCount


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


def test_faults_are_counted_by_the_hour_and_what_went_well_costs_nothing(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = Client(raise_request_exception=False, headers={"Accept": "text/html"})
    with django_assert_num_queries(0):
        assert client.get("/static/nothing-here").status_code == 404
    assert faults.flush() == 0
    switches.set_switch(by=OPERATOR, name="read-only", is_thrown=True)
    for _ in range(2):
        assert client.post("/ada").status_code == 503
    assert not FaultCount.objects.exists()

    assert faults.flush() == 2
    client.post("/ada")
    faults.flush()

    row = FaultCount.objects.get()
    assert (row.status, row.count) == (503, 3)
    assert timedelta(0) <= timezone.now() - row.hour < timedelta(hours=1, minutes=1)
    FaultCount.objects.update(hour=timezone.now() - timedelta(days=31))
    assert faults.sweep() == 1
