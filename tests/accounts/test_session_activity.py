from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.middleware import forget_sessions
from tests.cast import Person


def test_a_page_view_soon_after_another_writes_nothing(stranger: Person) -> None:
    stranger.client.get("/dashboard")

    with CaptureQueriesContext(connection) as queries:
        stranger.client.get("/dashboard")

    changes = [query["sql"] for query in queries if "SELECT" not in query["sql"][:7]]
    assert not changes  # a UNION of several begins with a bracket on PostgreSQL


def test_a_session_is_seen_again_after_some_minutes(stranger: Person) -> None:
    stranger.client.get("/dashboard")
    UserSession.objects.update(last_seen_at=timezone.now() - timedelta(minutes=6), ip="192.0.2.9")
    forget_sessions()

    stranger.client.get("/dashboard")

    session = UserSession.objects.get()
    assert timezone.now() - session.last_seen_at < timedelta(minutes=1)
    assert session.ip == "127.0.0.1"


def test_nobody_has_no_session(stranger: Person) -> None:
    stranger.client.get("/dashboard")
    stranger.client.logout()
    UserSession.objects.all().delete()

    stranger.client.get("/account/login/")

    assert not UserSession.objects.exists()


@pytest.mark.parametrize(
    "key", [r'"aaaaaaaaaaaaaaaa\000"', r'"\377\377\377\377\377\377\377\377"', "a" * 4000]
)
def test_a_cookie_that_holds_no_key_is_nobody_s(db: None, key: str) -> None:
    anybody = Client(HTTP_ACCEPT="text/html", HTTP_COOKIE=f"{settings.SESSION_COOKIE_NAME}={key}")

    assert anybody.get("/search").status_code == 200
    assert anybody.get("/dashboard").status_code == 302
