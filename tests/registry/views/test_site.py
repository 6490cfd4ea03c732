"""The pages for those who run the site."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import switches
from accounts.models import Account, Event
from portal import env
from registry import channel_work, chores, endings, housekeeping, jobs, quotas
from registry.management.commands import worker as worker_command
from registry.models import Blob, Channel, ChoreRun, FaultCount, Job, PackageFile
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, text_of

PAGES = ("", "accounts", "switches", "notices", "jobs", "index", "storage", "settings", "log")


def prove(client: Client, *, method: str = "mfa", age: float = 0) -> None:
    """Note in the session that they signed in so long ago."""
    session = client.session
    session["account_authentication_methods"] = [{"method": method, "at": time.time() - age}]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()


@pytest.fixture
def root(world: World) -> Person:
    """A site admin who has just proved their second factor."""
    root = Person(make_user("root-of-all", is_superuser=True))
    Authenticator.objects.create(user=root.user, type="totp", data={})
    prove(root.client)
    return root


@pytest.fixture(autouse=True)
def fresh_switches() -> Iterator[None]:
    yield
    switches._known = switches._Known(0.0, {})


def test_for_others_the_pages_are_not_there(root: Person, browsers: Browsers) -> None:
    for name in PAGES:
        for browser in browsers.values():
            assert browser.get(f"/-/site/{name}").status_code == 404
    for act in ("switches/uploads/throw", "accounts/acme/suspend", "index/1/rebuild"):
        assert browsers["owner"].post(f"/-/site/{act}", {"reason": "x"}).status_code == 404
    assert not switches.is_thrown("uploads")
    assert "/-/site/" not in browsers["owner"].get("/dashboard").content.decode()


def test_a_password_is_no_proof_and_an_old_one_is_none(root: Person) -> None:
    for method, age in (("password", 0), ("mfa", 1000)):
        prove(root.client, method=method, age=age)
        answer = root.client.get("/-/site/switches")
        assert answer.headers["Location"] == (
            "/account/2fa/reauthenticate/?next=%2F-%2Fsite%2Fswitches"
        )
        assert root.client.post("/-/site/switches/uploads/throw").status_code == 302
    assert not switches.is_thrown("uploads")
    Authenticator.objects.all().delete()
    assert root.client.get("/-/site/").headers["Location"] == "/account/2fa/"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_there_with_few_queries(
    root: Person, name: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    root.client.get("/-/site/")
    with django_assert_max_num_queries(12):
        answer = root.client.get(f"/-/site/{name}")
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert root.client.get(f"/-/site/{name}?after=x&state=y&before=-1").status_code == 200


def test_pages_tell_of_deleted_accounts_without_leading_to_them(
    world: World, root: Person, owner: Person
) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    job = channel_work.start_verify(by=root.identity, channel=main)
    endings.delete_account(by=owner.identity, account=account)
    endings.delete_account(by=owner.identity, account=owner.user.account)

    told = {name: root.client.get(f"/-/site/{name}") for name in (*PAGES, f"jobs/{job.key}")}

    assert {answer.status_code for answer in told.values()} == {200}
    for name, answer in told.items():
        assert "~" not in text_of(answer), name
        assert "/~" not in answer.content.decode(), name
    for name in ("log", "storage", "jobs", f"jobs/{job.key}"):
        assert "a deleted account" in text_of(told[name]), name


def test_what_is_known_of_jobs_and_checks_is_told_and_no_more(
    world: World, root: Person, owner: Person
) -> None:
    assert "no index was verified in the last 30 days" in text_of(
        root.client.get("/-/site/storage")
    )
    assert "By kind" not in text_of(root.client.get("/-/site/jobs"))
    main = Channel.objects.get(account=world.organization.account, name="main")
    job = channel_work.start_verify(by=root.identity, channel=main)
    jobs.run_due()
    ended = timezone.now()
    Job.objects.filter(pk=job.pk).update(
        started_at=ended - timedelta(seconds=2.5), ended_at=ended, by_name="root-of-all"
    )
    failed = channel_work.start_verify(by=root.identity, channel=main)
    Job.objects.filter(pk=failed.pk).update(
        state=Job.State.FAILED, error="no disk", ended_at=ended - timedelta(days=1)
    )

    stored = text_of(root.client.get("/-/site/storage"))
    assert "by root-of-all" in stored
    assert "nothing was damaged." in stored
    told = text_of(root.client.get("/-/site/jobs"))
    assert "Verify indexes just now 2.5 s 2 1 (50 %)" in told
    Job.objects.filter(pk=job.pk).update(failed=1, by_name="", is_operators=True)
    stored = text_of(root.client.get("/-/site/storage"))
    assert "by the operator, just now – 1 index was damaged, and made anew." in stored


@pytest.mark.parametrize(
    ("page", "lie"),
    [
        ("jobs?state=running", "When somebody starts one"),
        ("index?account=nobody", "The first upload to a channel makes one"),
    ],
)
def test_a_filter_that_finds_nothing_can_be_cleared(
    world: World, root: Person, page: str, lie: str
) -> None:
    shown = root.client.get(f"/-/site/{page}").content.decode()

    assert lie not in shown
    assert f'href="/-/site/{page.partition("?")[0]}">Clear</a>' in shown


def test_parts_of_what_accounts_keep_are_parts_of_the_sum(
    world: World, root: Person, owner: Person
) -> None:
    # Kept twice and stored once: no account keeps more than all of it.
    PackageFile.objects.all().delete()
    for account in (world.organization.account.name, owner.name):
        publish(owner, account, "main", "shared")

    told = text_of(root.client.get("/-/site/storage"))
    assert told.count("50 %") == 2


def test_chores_tell_when_they_were_done_and_how_they_failed(root: Person) -> None:
    assert "No worker has kept house yet." in text_of(root.client.get("/-/site/jobs"))
    housekeeping.keep_house()
    ended = timezone.now() - timedelta(hours=2)
    ChoreRun.objects.filter(name="old jobs").update(seconds=1.5, began_at=ended, ended_at=ended)
    ChoreRun.objects.filter(name="blobs").update(
        ended_at=ended, failed_at=ended + timedelta(hours=1), failure="OSError"
    )

    told = text_of(root.client.get("/-/site/jobs"))

    assert "Forget old jobs 2 hours ago 1.5 s –" in told
    assert "Delete bytes that no file needs just now" in told
    assert "Failing OSError 1 hour ago" in told
    overview = text_of(root.client.get("/-/site/"))
    assert "A chore of the worker failed when it was done last." in overview


def test_every_chore_is_told_in_words(root: Person) -> None:
    known = [chore.name for chore in worker_command._CHORES if chore.name]
    for name in known:
        chores.run(name, lambda: None)
    done = {*housekeeping.keep_house(), *known}

    page = root.client.get("/-/site/jobs").context["chores"]
    assert {chore["row"].name for chore in page} == done
    assert not {str(chore["label"]) for chore in page} & done


def test_damaged_packages_are_listed_with_what_to_do(
    root: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    whole = text_of(root.client.get("/-/site/storage"))
    assert "None is damaged." in whole
    assert "Each is read again after 30 days;" in whole
    assert "no stored package is damaged" in text_of(root.client.get("/-/site/"))
    names = set(PackageFile.objects.present().values_list("filename", flat=True))
    Blob.objects.update(damage=Blob.Damage.CONTENT)

    with django_assert_max_num_queries(12):
        listed = text_of(root.client.get("/-/site/storage"))

    assert names
    assert all(name in listed for name in names)
    assert "Have the same file uploaded again" in listed
    assert "Other bytes" in listed
    count = Blob.objects.count()
    assert f"{count} stored packages are damaged." in text_of(root.client.get("/-/site/"))


def test_errors_of_a_day_are_counted_and_need_somebody(root: Person) -> None:
    assert "Errors None in 24 hours." in text_of(root.client.get("/-/site/"))
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours, status, count in ((1, 503, 40), (1, 500, 2), (3, 500, 1), (30, 500, 7)):
        FaultCount.objects.create(hour=now - timedelta(hours=hours), status=status, count=count)

    told = text_of(root.client.get("/-/site/"))

    assert "3 of status 500 , 40 of status 503 in 24 hours." in told.replace("500,", "500 ,")
    assert "3 answers of the last 24 hours were errors of ours." in told
    # The chart counts what the words name.
    assert re.search(r"Most errors of the last 24 hours came after \d\d:00 UTC: 42", told)


def test_a_switch_is_thrown_and_put_back(root: Person, anonymous: Client) -> None:
    page = root.client.post(
        "/-/site/switches/read-only/throw", {"message": "<b>Moving</b>"}, follow=True
    )
    assert "&lt;b&gt;Moving&lt;/b&gt;" in page.content.decode()
    assert "&lt;b&gt;Moving&lt;/b&gt;" in anonymous.get("/").content.decode()
    assert "Nothing can be changed right now" in root.client.get("/-/site/").content.decode()

    root.client.post("/-/site/switches/read-only/reset")

    assert "Moving" not in anonymous.get("/").content.decode()
    assert root.client.post("/-/site/switches/coffee/throw").status_code == 404
    said = root.client.post("/-/site/switches/uploads/throw", {"message": "x" * 601})
    assert said.status_code == 422
    actions = set(Event.objects.filter(actor=root.user).values_list("action", flat=True))
    assert actions == {"switch.throw", "switch.reset"}


def test_a_notice_stands_on_all_pages_until_its_end(root: Person, anonymous: Client) -> None:
    form = {"message": "Maintenance on Sunday", "ends_at": "2020-01-01T00:00"}
    assert root.client.post("/-/site/notices", form).status_code == 422
    root.client.post("/-/site/notices", {**form, "ends_at": "2999-01-01T00:00"})
    assert "Maintenance on Sunday" in anonymous.get("/").content.decode()

    root.client.post("/-/site/switches/notice/reset")

    assert "Maintenance" not in anonymous.get("/").content.decode()


def test_an_account_is_suspended_given_room_and_let_in_again(root: Person, owner: Person) -> None:
    url = "/-/site/accounts/olga"
    assert root.client.post(f"{url}/suspend", {"reason": ""}).status_code == 422
    root.client.post(f"{url}/suspend", {"reason": "Spam", "until": "2999-01-01T00:00"})
    assert owner.client.get("/dashboard").status_code == 302
    listed = root.client.get("/-/site/accounts?state=suspended").content.decode()
    assert ("olga" in listed, "adam" in listed) == (True, False)
    root.client.post(f"{url}/unsuspend")
    root.client.post(f"{url}/quota", {"max_bytes": "3000", "max_files": ""})

    account = Account.objects.get(name="olga")
    assert account.suspended_at is None
    assert quotas.limits_of(account) == quotas.Limits(3000, None)
    assert root.client.get(f"{url}/suspend").headers["Location"] == url
    own = root.client.post("/-/site/accounts/root-of-all/suspend", {"reason": "x"})
    assert own.status_code == 422
    nobody = root.client.get("/-/site/accounts?state=suspended").content.decode()
    assert "Nobody is suspended." in nobody


def test_a_lost_second_factor_is_reset_with_a_note(root: Person, owner: Person) -> None:
    Authenticator.objects.create(user=owner.user, type="totp", data={})
    url = "/-/site/accounts/olga/reset-second-factor"
    assert root.client.post(url, {"note": ""}).status_code == 422

    root.client.post(url, {"note": "She called"})

    assert not Authenticator.objects.filter(user=owner.user).exists()
    assert root.client.post("/-/site/accounts/acme/reset-second-factor").status_code == 404


def test_an_index_is_rebuilt_and_its_job_followed(root: Person) -> None:
    main = Channel.objects.get(account__name="acme", name="main")
    answer = root.client.post(f"/-/site/index/{main.pk}/rebuild")
    url = answer.headers["Location"]
    assert "Rebuild the index of acme/main" in root.client.get(url).content.decode()
    assert "The job is stopped." in text_of(root.client.post(f"{url}/stop", follow=True))
    assert Job.objects.get().state == Job.State.STOPPED
    assert "The job waits for a worker." in text_of(root.client.post(f"{url}/retry", follow=True))
    jobs.run_due()
    assert Job.objects.get().state == Job.State.DONE
    assert "<html" not in root.client.get(f"{url}?part=state").content.decode()
    root.client.post(f"/-/site/index/{main.pk}/verify")
    assert "Verify the index" in root.client.get("/-/site/jobs").content.decode()
    assert root.client.post("/-/site/index/999999/verify").status_code == 404


def test_settings_show_no_secret(root: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "readings", dict(env.readings))
    monkeypatch.setenv("CONDARIUM_SECRET_KEY", "hush-hush")
    assert env.secret("CONDARIUM_SECRET_KEY") == "hush-hush"
    monkeypatch.setenv("CONDARIUM_PORT", "8123")
    env.number("CONDARIUM_PORT", 8080)

    page = root.client.get("/-/site/settings").content.decode()

    assert "hush" not in page
    assert "8123" in page
    assert "CONDARIUM_WEB_THREADS" in page


def test_the_log_of_all_accounts_is_filtered(root: Person) -> None:
    Event.objects.create(account=None, action="switch.throw", target="uploads")
    whole = root.client.get("/-/site/log").content.decode()
    some = root.client.get("/-/site/log?account=acme").content.decode()

    assert ("the site" in whole, "the site<" in some) == (True, False)
    assert "threw the switch <strong>uploads</strong>" in whole
    assert "<code>switch.throw</code>" not in whole
    assert "No events match" in root.client.get("/-/site/log?who=nobody-here").content.decode()
