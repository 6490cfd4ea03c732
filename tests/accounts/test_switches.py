"""What is closed for everybody at once, and suspended accounts."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import suspension, switches
from accounts.identity import OPERATOR
from accounts.models import Event, Organization, Switch
from portal.errors import Conflict, Forbidden, InvalidInput
from registry import housekeeping, indexing
from tests.builders import build_conda
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import publish


@pytest.fixture
def closed(db: None) -> Iterator[None]:
    """Looks at the switches each time that somebody asks."""
    switches.forget()
    yield
    switches._known = switches._Known(0.0, {})


def throw(name: str, message: str = "Back at noon.") -> None:
    switches.set_switch(by=OPERATOR, name=name, is_thrown=True, message=message)


def status_of(url: str) -> int:
    answer = Client().get(url)
    answer.getvalue()  # reads to the end
    return answer.status_code


def put(person: Person, account: str = "acme", secret: str = "") -> tuple[int, bytes]:
    package = build_conda("put", "1.0")
    secret = secret or person.token("api:write").secret
    answer = Client().put(
        f"/conda/{account}/main/noarch/{package.filename}", package.data,
        "application/octet-stream", headers={"Authorization": f"Bearer {secret}"},
    )  # fmt: skip
    return answer.status_code, answer.content


@pytest.mark.usefixtures("closed")
def test_read_only_refuses_every_change_and_no_reading(owner: Person, acme: Organization) -> None:
    publish(owner, "acme", "main", "hello")
    indexing.run_overdue()
    secret = owner.token("all").secret
    throw("read-only")

    assert status_of("/conda/acme/noarch/repodata.json") == 200
    assert status_of("/conda/acme/noarch/hello-1.0-0.conda") == 200
    page = owner.client.get("/acme/hello").content.decode()
    assert "Nothing can be changed right now" in page
    assert "Back at noon." in page
    for method, path in [
        ("PUT", "/conda/acme/main/noarch/x-1.0-0.conda"),
        ("POST", "/api/v1/organizations"),
        ("POST", "/api/stage/acme/x/1.0/noarch/x-1.0-0.conda"),
        ("POST", "/api/channels/acme/upload/x-1.0-0.conda"),
        ("PUT", "/api/packages/acme/conda/main/x-1.0-0.conda"),
        ("DELETE", "/api/package/acme/hello"),
    ]:
        answer = Client().generic(method, path, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 503, path
        assert int(answer.headers["Retry-After"]) > 0
        assert "Back at noon." in answer.json()["detail"]
        assert answer.json()["error"] == answer.json()["detail"]
    refused = owner.client.post("/-/organizations/new", {"name": "x"})
    assert (refused.status_code, "Back at noon." in refused.content.decode()) == (503, True)
    assert Client().post("/account/login/", {}).status_code != 503
    assert housekeeping.keep_house() == {}


@pytest.mark.usefixtures("closed")
def test_uploads_are_refused_and_opened_again(owner: Person, acme: Organization) -> None:
    throw("uploads")
    status, body = put(owner)
    assert (status, b"Back at noon." in body) == (503, True)

    switches.set_switch(by=OPERATOR, name="uploads", is_thrown=False)

    assert put(owner)[0] == 201


@pytest.mark.usefixtures("closed")
def test_downloads_are_refused_whatever_was_answered_a_moment_ago(
    owner: Person, acme: Organization
) -> None:
    publish(owner, "acme", "main", "hello")
    indexing.run_overdue()
    url = "/conda/acme/noarch/hello-1.0-0.conda"
    assert [status_of(url) for _ in range(3)] == [200] * 3

    throw("downloads")

    assert Client().get(url).headers["Retry-After"] == "300"
    assert status_of(url) == 503
    assert status_of("/conda/acme/noarch/repodata.json") == 200


@pytest.mark.usefixtures("closed")
def test_nobody_signs_up_or_founds_an_organization(
    owner: Person, acme: Organization, client: Client
) -> None:
    throw("sign-up")
    throw("new-organizations")

    page = client.get("/account/signup/", headers={"Accept": "text/html"})
    assert (page.status_code, "Back at noon." in page.content.decode()) == (503, True)
    assert "/account/signup/" not in client.get("/").content.decode()
    assert owner.client.post("/-/organizations/new", {"name": "more"}).status_code == 503


@pytest.mark.usefixtures("closed")
def test_another_process_knows_within_two_seconds(owner: Person, acme: Organization) -> None:
    switches.thrown()
    # As another process would: nobody tells this one.
    Switch.objects.create(name="uploads", is_thrown=True)
    assert not switches.is_thrown("uploads")

    deadline = time.monotonic() + 2
    asked = time.monotonic()
    while not switches.is_thrown("uploads"):
        assert asked < deadline
        time.sleep(0.05)
        asked = time.monotonic()
    Switch.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    switches.forget()
    assert not switches.is_thrown("uploads")


@pytest.mark.usefixtures("closed")
def test_the_operator_switches_by_command(db: None) -> None:
    def run(*words: str) -> str:
        out = io.StringIO()
        call_command("switch", *words, stdout=out)
        return out.getvalue()

    assert run().splitlines()[0] == "sign-up: on"
    assert run("uploads", "off", "--message", "Moving.").startswith("uploads: off, by the operator")
    assert switches.thrown()["uploads"].message == "Moving."
    assert run("read-only", "on").startswith("read-only: on")
    assert run("uploads", "on").startswith("uploads: on")
    assert set(switches.thrown()) == {"read-only"}
    with pytest.raises(CommandError, match="sentence"):
        run("notice", "on")
    actions = [(event.action, event.target) for event in Event.objects.order_by("pk")]
    assert actions == [
        ("switch.throw", "uploads"), ("switch.throw", "read-only"), ("switch.reset", "uploads"),
    ]  # fmt: skip


def test_only_site_admins_switch(owner: Person) -> None:
    with pytest.raises(Forbidden):
        switches.set_switch(by=owner.identity, name="uploads", is_thrown=True)
    root = Person(make_user("root-of-all", is_superuser=True))
    with pytest.raises(Forbidden):
        switches.set_switch(by=root.identity_with("all"), name="uploads", is_thrown=True)
    with pytest.raises(InvalidInput):
        switches.set_switch(by=root.identity, name="coffee", is_thrown=True)


# --- Suspensions --------------------------------------------------------------------------------


def test_who_is_suspended_opens_nothing_and_what_they_published_stays(
    owner: Person, acme: Organization, stranger: Person
) -> None:
    publish(owner, owner.name, "main", "hello")
    indexing.run_overdue()
    secret = owner.token("all").secret
    assert owner.client.get("/dashboard").status_code == 200

    suspension.suspend(by=OPERATOR, account=owner.user.account, reason="Spam")

    assert owner.client.get("/dashboard").status_code == 302
    assert put(owner, owner.name, secret)[0] == 401
    assert status_of(f"/conda/{owner.name}/noarch/hello-1.0-0.conda") == 200
    browser = Client(headers={"Accept": "text/html"})
    password = {"login": owner.name, "password": "correct horse battery staple"}
    page = browser.post("/account/login/", password, follow=True)
    assert "suspended" in page.content.decode()
    assert browser.get("/dashboard").status_code == 302
    event = Event.objects.get(action="account.suspend")
    assert event.detail == {"reason": "Spam", "until": "for good"}
    suspension.lift(by=OPERATOR, account=owner.user.account)
    assert put(owner, owner.name, secret)[0] == 201


def test_nothing_is_published_to_a_suspended_organization(
    owner: Person, acme: Organization
) -> None:
    suspension.suspend(by=OPERATOR, account=acme.account, reason="Spam")

    assert put(owner)[0] == 403


def test_a_suspension_with_an_end_ends(stranger: Person) -> None:
    account = stranger.user.account
    with pytest.raises(InvalidInput):
        suspension.suspend(by=OPERATOR, account=account, reason="x", until=timezone.now())
    with pytest.raises(InvalidInput):
        suspension.suspend(by=OPERATOR, account=account, reason=" ")
    until = timezone.now() + timedelta(hours=1)
    suspension.suspend(by=OPERATOR, account=account, reason="Cool down", until=until)
    assert suspension.sweep() == 0
    type(account).objects.update(suspended_until=timezone.now())

    assert housekeeping.keep_house()["suspensions that ended"] == 1

    account.refresh_from_db()
    assert (account.suspended_at, account.suspended_for) == (None, "")


def test_site_admins_lock_nobody_out_but_others(owner: Person) -> None:
    root = Person(make_user("root-of-all", is_superuser=True))
    Authenticator.objects.create(user=owner.user, type="totp", data={})

    with pytest.raises(Conflict):
        suspension.suspend(by=root.identity, account=root.user.account, reason="Oops")
    with pytest.raises(Conflict):
        suspension.reset_second_factor(by=root.identity, user=root.user, note="Me")
    with pytest.raises(Forbidden):
        suspension.suspend(by=owner.identity, account=root.user.account, reason="No")
    with pytest.raises(InvalidInput):
        suspension.reset_second_factor(by=root.identity, user=owner.user, note="")
    suspension.reset_second_factor(by=root.identity, user=owner.user, note="Called her")

    assert not Authenticator.objects.filter(user=owner.user).exists()
    assert Event.objects.get().detail == {"note": "Called her", "factors": 1}
