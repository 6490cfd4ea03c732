"""A token whose end is near says so in the answers that it gets."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Organization
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import make_token

HEADER = "Conda-Token-Warning"
REPODATA = "/conda/acme/noarch/repodata.json"


def soon(days: float = 9.5) -> datetime:
    return timezone.now() + timedelta(days=days)


def test_the_warning_names_the_token_its_end_and_where_to_make_another(
    acme: Organization, settings: Settings
) -> None:
    settings.BASE_URL = "https://conda.example.org"
    ends = soon()
    ci = make_token(acme.account, "all", name="ci für xz", expires_at=ends)

    answer = get("/api/authentication", token=ci.secret)

    days = (ends.date() - timezone.now().date()).days
    assert answer[HEADER] == (
        f'The token "ci f?r xz" of acme expires in {days} days, at {ends:%Y-%m-%d %H:%M} UTC. '
        "Make a new one: https://conda.example.org/acme/settings/access"
    )
    assert ci.secret not in str(answer.headers)


@pytest.mark.parametrize(
    ("days_left", "days_before", "is_warned"),
    [(13.9, 14, True), (14.1, 14, False), (13.9, 0, False), (29, 30, True), (0.01, 14, True)],
)
def test_it_is_given_as_long_before_the_end_as_the_host_says(
    owner: Person, settings: Settings, days_left: float, days_before: int, is_warned: bool
) -> None:
    settings.TOKEN_WARNING = timedelta(days=days_before)
    token = owner.token(expires_at=soon(days_left))

    answer = get("/api/authentication", token=token.secret)

    assert (HEADER in answer) is is_warned


@pytest.mark.parametrize(
    "path", ["/api/authentication", "/api/v1/user", "/api/v1/accounts/nobody/tokens"]
)
def test_every_api_answers_so_refusals_too(owner: Person, path: str) -> None:
    near = owner.token(expires_at=soon())

    assert HEADER in get(path, token=near.secret)
    assert HEADER not in get(path, token=owner.token().secret)
    assert HEADER not in get(path)


def test_a_token_in_the_path_of_a_channel_is_warned_each_time(
    owner: Person, channel: ChannelAddress
) -> None:
    owner.upload(build_conda("xz", "5.6.3"), to=channel)
    run_pending_tasks()
    near = owner.token("conda:download", expires_at=soon())

    for path in (f"/conda/t/{near.secret}/acme", f"/t/{near.secret}/conda/acme"):
        for _ in range(2):
            answer = get(f"{path}/noarch/repodata.json")
            assert answer.status_code == 200
            assert HEADER in answer
            assert "private" in answer["Cache-Control"]


def test_what_a_shared_cache_may_keep_is_not_warned(owner: Person, channel: ChannelAddress) -> None:
    owner.upload(build_conda("xz", "5.6.3"), to=channel)
    run_pending_tasks()
    near = owner.token(expires_at=soon())

    for token in (near.secret, near.secret, None):
        answer = get(REPODATA, token=token)
        assert answer.status_code == 200
        assert "public" in answer["Cache-Control"]
        assert HEADER not in answer
