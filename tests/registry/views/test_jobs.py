from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from registry import channel_work, jobs
from registry.models import Channel, Job
from tests.cast import Person, proven
from tests.factories import make_user
from tests.registry.api.world import World
from tests.registry.sources import OLD_KIND, Site, folder_of, run, serving
from tests.registry.views.browsers import Browsers

State = Job.State


@pytest.fixture
def job(world: World) -> Job:
    """Waits, and will copy the two files of main to dev."""
    channels = Channel.objects.select_related("account").filter(account__name="acme")
    return channel_work.start_copy_all(
        by=world.owner.identity, source=channels.get(name="main"), target=channels.get(name="dev")
    )


def test_a_job_is_followed_from_waiting_to_done(job: Job, owner: Person) -> None:
    url = reverse("registry:job", args=[job.key])
    waiting = owner.client.get(url).content.decode()
    assert "Copy all files of acme/main to acme/dev" in waiting
    assert "It waits for a worker" in waiting
    assert f'data-follow="{url}?part=state"' in waiting

    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, done=3, failed=1, total=9)
    midway = [owner.client.get(url).content.decode() for _ in range(2)]
    part = owner.client.get(f"{url}?part=state").content.decode()
    assert all("4 of 9, 44 %" in page for page in [*midway, part])
    assert "40 % done" in part
    assert "<html" not in part
    assert "data-over" not in part

    Job.objects.filter(pk=job.pk).update(total=None)
    assert "4 so far" in owner.client.get(url).content.decode()

    Job.objects.filter(pk=job.pk).update(state=State.WAITING, failed=0)
    jobs.run_due()
    over = owner.client.get(url).content.decode()
    assert "2 of 2" in over
    assert "data-follow" not in over
    assert "data-over" in owner.client.get(f"{url}?part=state").content.decode()
    assert f"{url}/stop" not in over


def test_a_job_is_stopped_and_begun_again_by_forms(job: Job, owner: Person) -> None:
    url = reverse("registry:job", args=[job.key])

    stopped = owner.client.post(f"{url}/stop", follow=True).content.decode()
    assert "The job is stopped." in stopped
    assert f"{url}/retry" in stopped
    owner.client.post(f"{url}/retry")
    jobs.run_due()

    job.refresh_from_db()
    assert job.state == State.DONE
    assert owner.client.get(f"{url}/stop").headers["Location"] == url


def test_what_failed_is_listed_with_its_reason(job: Job, owner: Person) -> None:
    failures = [{"item": "linux-64/<b>.conda", "reason": "It would not."}]
    Job.objects.update(state=State.DONE, failed=201, done=1, total=202, failures=failures)

    page = owner.client.get(reverse("registry:job", args=[job.key])).content.decode()

    assert "linux-64/&lt;b&gt;.conda" in page
    assert "And 200 more" in page
    assert "Done in part" in page


def test_what_failed_for_one_reason_is_counted_thing_by_thing(job: Job, owner: Person) -> None:
    failures = [
        {"item": "200 files", "reason": "They would not.", "count": 200},
        {"item": "1 file", "reason": "It would not."},
    ]
    Job.objects.update(state=State.FAILED, failed=204, done=1, total=205, failures=failures)

    page = owner.client.get(reverse("registry:job", args=[job.key])).content.decode()

    assert "And 3 more that are not listed." in page


def test_jobs_are_for_who_started_them_and_admins_of_the_account(
    job: Job, browsers: Browsers
) -> None:
    url = reverse("registry:job", args=[job.key])
    for name, browser in browsers.items():
        listed = browser.get(reverse("registry:jobs"))
        if name == "anonymous":
            assert listed.status_code == 302
            continue
        sees = name in {"admin", "owner"}
        assert (job.title in listed.content.decode()) == sees
        answer = browser.get(url)
        assert answer.status_code == (200 if sees else 404)
        if not sees:
            assert job.title not in answer.content.decode()
            assert browser.post(f"{url}/stop").status_code == 404
    job.refresh_from_db()
    assert job.stop_requested_at is None


def test_an_admin_stops_the_job_of_another_and_does_not_begin_it(
    job: Job, browsers: Browsers
) -> None:
    url = reverse("registry:job", args=[job.key])

    assert browsers["admin"].post(f"{url}/stop").status_code == 302

    job.refresh_from_db()
    assert (job.state, job.stopped_by) == (State.STOPPED, "adam")
    assert f"{url}/retry" not in browsers["admin"].get(url).content.decode()
    assert browsers["admin"].post(f"{url}/retry").status_code == 403


def test_many_jobs_are_paged_and_filtered(
    job: Job,
    owner: Person,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    Job.objects.bulk_create(
        Job(
            account=job.account,
            title=f"Job {number}",
            user=owner.user,
            by_name="olga",
            state="done",
        )
        for number in range(120)
    )
    url = reverse("registry:jobs")
    owner.client.get("/-/jobs")  # signs in
    with django_assert_max_num_queries(7):
        first = owner.client.get(url)
    assert first.content.decode().count("<tr>") == 51
    after = first.context["after_url"]
    second = owner.client.get(url + after)
    assert "Job 69<" in second.content.decode()
    assert second.context["before_url"]

    waiting = owner.client.get(url, {"state": "waiting"}).content.decode()
    assert (job.title in waiting, "Job 1" in waiting) == (True, False)
    assert (
        "No jobs are in this state" in owner.client.get(url, {"state": "failed"}).content.decode()
    )
    assert owner.client.get(url, {"after": "x", "state": "?"}).status_code == 200


def test_an_empty_list_says_what_starts_one(stranger: Person) -> None:
    assert (
        "Copying a whole channel" in stranger.client.get(reverse("registry:jobs")).content.decode()
    )


# --- What a command does -----------------------------------------------------------------------


def test_the_import_of_a_private_channel_is_for_those_who_administer_the_account(
    browsers: Browsers, tmp_path: Path
) -> None:
    assert run(str(folder_of(tmp_path / "source", OLD_KIND)), "acme/secret").code == 0

    path = f"/-/jobs/{Job.objects.get().key}"
    for name, browser in browsers.items():
        if name == "anonymous":
            assert browser.get(path).status_code == 302
            continue
        sees = name in {"admin", "owner"}
        answer = browser.get(path)
        assert answer.status_code == (200 if sees else 404)
        assert (path in browser.get("/-/jobs").content.decode()) == sees
        assert ("secret" in answer.content.decode()) == sees


def test_who_runs_the_site_sees_it_there_and_is_told_to_run_the_command(
    world: World, tmp_path: Path
) -> None:
    with serving(Site(tmp_path)) as empty:
        assert run(empty.url, "acme").code == 1
    root = Person(make_user("root-of-all", is_superuser=True))
    path = f"/-/site/jobs/{Job.objects.get().key}"
    browser = proven(root)

    assert "Import into a channel" in browser.get("/-/site/jobs").content.decode()
    page = browser.get(path).content.decode()
    assert "Run the command again: it goes on where it stopped." in page
    assert "Begin again" not in page
    answer = browser.post(f"{path}/retry", follow=True)
    assert "A command does this. Run it again" in answer.content.decode()
    assert Job.objects.get().state == Job.State.FAILED
