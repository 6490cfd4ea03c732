"""The pages for those who run the site, and a job that is followed, in a browser."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from accounts import switches
from accounts.identity import OPERATOR
from accounts.models import Organization
from registry import channel_work, housekeeping, indexing, jobs
from registry.channels import create_channel
from registry.models import Blob, Channel, ChoreRun, FaultCount, Job, PackageFile
from tests.browser.going import follow
from tests.browser.looks import look_at
from tests.cast import Person
from tests.factories import make_organization, make_user
from tests.registry.api.world import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_LONG = "a-person-with-a-name-as-long-as-a-name-may-be-0123"


@pytest.fixture
def root(transactional_db: None, context: BrowserContext, page: Page) -> Person:
    """A site admin, signed in a moment ago with a second factor."""
    root = Person(make_user("root-of-all", is_superuser=True))
    Authenticator.objects.create(user=root.user, type="totp", data={})
    session = SessionStore(root.client.session.session_key)
    session["account_authentication_methods"] = [{"method": "mfa", "at": time.time()}]
    session["account_authentication_methods_user"] = str(root.user.pk)
    session.save()
    page.goto("/docs")
    key = session.session_key or ""
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": page.url}])
    return root


@pytest.fixture
def acme(root: Person) -> Organization:
    acme = make_organization("acme", owner=root.user)
    make_user(_LONG[:39])
    for version in ("1.0", "1.1"):
        publish(root, "acme", "main", "hello", version)
    create_channel(by=root.identity, account=acme.account, name="dev")
    indexing.run_overdue()
    return acme


def in_trouble() -> None:
    """Stored packages are damaged, answers were errors, and a chore fails."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for back, status, count in ((0, 500, 3), (5, 500, 1), (5, 503, 12_000)):
        FaultCount.objects.create(hour=hour - timedelta(hours=back), status=status, count=count)
    housekeeping.keep_house()
    ChoreRun.objects.filter(name="blobs").update(
        ended_at=None, failed_at=timezone.now(), failure="OperationalError"
    )
    Blob.objects.update(damage=Blob.Damage.CONTENT)
    PackageFile.objects.filter(version="1.0").update(filename=f"{'x' * 190}-1.0-0.conda")


def test_those_who_run_the_site_look_at_all_of_it(acme: Organization, page: Page) -> None:
    page.goto("/-/site/")
    expect(page.get_by_text("All is well")).to_be_visible()
    look_at(page, "site-overview")
    in_trouble()
    page.reload()
    expect(page.get_by_text("stored packages are damaged").first).to_be_visible()
    look_at(page, "site-overview-in-trouble")
    for name in ("accounts", "switches", "notices", "jobs", "index", "storage", "settings", "log"):
        follow(page.get_by_role("navigation", name="Site").get_by_role("link", name=name))
        look_at(page, f"site-{name}")
    page.goto("/-/site/accounts/acme")
    look_at(page, "site-account")
    page.get_by_label("Reason").fill("A wave of spam")
    page.get_by_role("button", name="Suspend this account").click()
    expect(page.get_by_text("acme is suspended.")).to_be_visible()
    look_at(page, "site-account-suspended")
    follow(page.get_by_role("button", name="End the suspension"))
    page.goto("/-/site/switches")
    box = page.locator("section", has=page.get_by_role("heading", name="Uploads"))
    box.get_by_label("What people are told besides").fill("Back at noon.")
    box.get_by_role("button", name="Close Uploads").click()
    expect(page.get_by_text("Back at noon.").first).to_be_visible()
    look_at(page, "site-switches-thrown")
    follow(page.get_by_role("button", name="Open again"))
    switches.forget()


def test_what_is_said_to_everybody_begins_where_the_page_does(
    acme: Organization, page: Page
) -> None:
    switches.set_switch(by=OPERATOR, name="notice", is_thrown=True, message="Moves at noon.")
    frame = ".site-header .bar, .site-banners, nav.breadcrumb, .page, .site-footer > div"
    for width in (360, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/acme/hello")
        expect(page.get_by_text("Moves at noon.")).to_be_visible()
        edges = page.locator(frame).evaluate_all(
            """(parts) => parts.map((part) => {
              const { left, right } = part.getBoundingClientRect();
              return [left + parseFloat(getComputedStyle(part).paddingLeft), right];
            })"""
        )
        assert len(edges) == 5
        assert edges == [edges[0]] * 5
    switches.forget()


def test_a_job_is_followed_without_a_reload(root: Person, acme: Organization, page: Page) -> None:
    main, dev = (
        Channel.objects.select_related("account").get(account=acme.account, name=name)
        for name in ("main", "dev")
    )
    job = channel_work.start_copy_all(by=root.identity, source=main, target=dev)
    page.goto(f"/-/jobs/{job.key}")
    expect(page.get_by_text("It waits for a worker")).to_be_visible()
    look_at(page, "job-waiting")
    Job.objects.filter(pk=job.pk).update(state="running", total=200, done=84, failed=1)
    expect(page.get_by_text("85 of 200, 42 %").first).to_be_visible()
    expect(page.locator("#status")).to_have_text("40 % done")
    look_at(page, "job-running")
    failures = [{"item": f"linux-64/{'x' * 190}.conda", "reason": "It would not."}] * 30
    Job.objects.filter(pk=job.pk).update(state="waiting", failures=[])
    worker = threading.Thread(target=jobs.run_due)
    worker.start()
    worker.join()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    Job.objects.filter(pk=job.pk).update(failed=300, failures=failures, error="It went wrong.")
    page.reload()
    look_at(page, "job-over")
    page.goto("/-/jobs")
    look_at(page, "jobs")


def test_djangos_admin_keeps_to_the_policy(acme: Organization, page: Page) -> None:
    for path in ("", "accounts/account/", "accounts/user/", "registry/accountquota/add/"):
        page.goto(f"/-/django-admin/{path}")
        expect(page.locator("#content")).to_be_visible()
    page.goto(f"/-/django-admin/accounts/account/{acme.account.pk}/change/")
    expect(page.get_by_text("acme").first).to_be_visible()
