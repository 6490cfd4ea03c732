from __future__ import annotations

from datetime import timedelta

from allauth.usersessions.models import UserSession
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.middleware import forget_sessions
from tests.cast import Person


def test_a_page_view_soon_after_another_writes_nothing(stranger: Person) -> None:
    stranger.client.get("/dashboard")

    with CaptureQueriesContext(connection) as queries:
        stranger.client.get("/dashboard")

    assert not [q for q in queries.captured_queries if not q["sql"].startswith("SELECT")]


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
