"""Long work: done by a worker, shown, stopped, begun again, and taken over from a dead one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.identity import OPERATOR
from accounts.models import Event, Membership, Organization
from accounts.tokens import revoke_token
from portal import processes
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound
from portal.sentences import shown
from registry import channel_work, housekeeping, jobs, storage
from registry.channels import create_channel
from registry.models import Channel, ChannelFile, Job, PublishedIndex
from tests.cast import Person
from tests.factories import add_member, make_organization
from tests.registry.api.world import publish

State = Job.State
seen: list[object] = []


@pytest.fixture(autouse=True)
def kinds() -> Iterator[None]:
    """Work of these tests; what it was given stands in ``seen``."""

    @jobs.work("test.count")
    def _count(job: jobs.Running) -> None:
        seen.append(job.position)
        job.set_total(3)
        job.advance(2)
        job.fail("third", "It would not.")
        job.note("That was all.")

    @jobs.work("test.break")
    def _break(job: jobs.Running) -> None:
        seen.append(job.position)
        job.advance(position=7)
        raise LookupError("a bug")

    @jobs.work("test.stop")
    def _stop(job: jobs.Running) -> None:
        job.advance(5)
        jobs.stop(by=job.by, job=Job.objects.get())
        job.wait(jobs._WRITE_SECONDS)
        raise AssertionError("it went on")

    yield
    for kind in ("test.count", "test.break", "test.stop"):
        del jobs._works[kind]
    seen.clear()


def begin(by: Person, acme: Organization, kind: str = "test.count") -> Job:
    return jobs.start(
        by=by.identity, account=acme.account, kind=kind, params={"a": 1}, title="Do it"
    )


def test_a_job_tells_what_was_done_and_what_was_not(owner: Person, acme: Organization) -> None:
    job = begin(owner, acme)
    assert (job.state, job.by_name) == (State.WAITING, owner.name)

    assert jobs.run_due() == 1

    job.refresh_from_db()
    assert (job.state, job.total, job.done, job.failed) == (State.DONE, 3, 2, 1)
    assert job.failures == [{"item": "third", "reason": "It would not."}]
    assert [line["line"] for line in job.lines] == ["That was all."]
    assert job.ended_at is not None
    assert not jobs.run_next()
    assert Event.objects.get(action="job.start").target == "Do it"


def test_work_that_is_stopped_ends_where_it_is(owner: Person, acme: Organization) -> None:
    job = begin(owner, acme, "test.stop")

    jobs.run_due()

    job.refresh_from_db()
    assert (job.state, job.done, job.stopped_by) == (State.STOPPED, 5, owner.name)


def test_one_that_waits_stops_at_once_and_may_be_begun_again(
    owner: Person, acme: Organization, stranger: Person
) -> None:
    job = begin(owner, acme)

    assert jobs.stop(by=owner.identity, job=job).state == State.STOPPED
    assert not jobs.run_next()
    with pytest.raises(Forbidden):
        jobs.retry(by=stranger.identity, job=job)
    jobs.retry(by=owner.identity, job=job)
    jobs.run_due()

    job.refresh_from_db()
    assert (job.state, job.stop_requested_at) == (State.DONE, None)


def test_a_bug_is_tried_again_where_it_came_to_and_then_parked(
    owner: Person, acme: Organization
) -> None:
    job = begin(owner, acme, "test.break")

    for _ in range(6):
        assert jobs.run_due() <= 1
        Job.objects.update(not_before=None)

    job.refresh_from_db()
    # The first time it came further, so that is not counted as a try.
    assert seen == [None, 7, 7, 7]
    assert job.state == State.FAILED
    assert job.key in job.error


def test_a_job_of_a_dead_worker_is_taken_over_and_counts_anew(
    owner: Person, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(owner, acme)
    dead = f"{processes.HOST}/{2**22 + 1}/abc"
    running = {"state": State.RUNNING, "lease_holder": dead, "attempts": 1}
    later = timezone.now() + timedelta(hours=1)
    Job.objects.update(**running, lease_until=later, done=2, total=3)

    assert jobs.run_next()

    job.refresh_from_db()
    assert (job.state, job.done, job.attempts) == (State.DONE, 2, 2)
    assert "ended" in shown(job.lines[0]["line"])
    # One whose worker may live is left to it, until its lease is over.
    Job.objects.update(**running | {"lease_holder": "elsewhere/7/abc"}, lease_until=later)
    assert not jobs.run_next()
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1), attempts=3)
    assert not jobs.run_next()
    job.refresh_from_db()
    assert (job.state, job.error != "") == (State.FAILED, True)


def test_what_a_worker_gives_back_was_no_try(
    owner: Person, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "note_ending", lambda: None)
    job = begin(owner, acme)
    Job.objects.update(
        state=State.RUNNING, lease_holder=processes.new_holder(), attempts=1,
        lease_until=timezone.now() + timedelta(hours=1),
    )  # fmt: skip

    jobs.let_go()
    jobs.run_next()

    job.refresh_from_db()
    assert (job.state, job.attempts) == (State.DONE, 1)


def test_an_account_has_one_running_and_twenty_open(owner: Person, acme: Organization) -> None:
    other = make_organization("other", owner=owner.user)
    first = begin(owner, acme)
    begin(owner, acme)
    elsewhere = begin(owner, other)
    Job.objects.filter(pk=first.pk).update(
        state=State.RUNNING, lease_holder="elsewhere/7/abc",
        lease_until=timezone.now() + timedelta(hours=1),
    )  # fmt: skip

    assert jobs.run_due() == 1
    elsewhere.refresh_from_db()
    assert elsewhere.state == State.DONE
    for _ in range(jobs.MOST_OPEN_PER_ACCOUNT - 2):
        begin(owner, acme)
    with pytest.raises(jobs.TooManyJobs):
        begin(owner, acme)
    with pytest.raises(InvalidInput):
        jobs.start(
            by=owner.identity, account=other.account, kind="test.count",
            params={"ids": ["x" * 64] * 50_000}, title="Too much",
        )  # fmt: skip


def test_what_a_command_does_is_taken_over_by_nobody_and_keeps_nobody_waiting(
    owner: Person, acme: Organization
) -> None:
    here = jobs.begin_here(
        by=OPERATOR, account=acme.account, kind="test.count", params={}, title="Do it here"
    )
    beside = begin(owner, acme)
    dead = f"{processes.HOST}/{2**22 + 1}/abc"
    job = Job.objects.get(is_commands=True)
    with pytest.raises(Conflict):
        jobs.retry(by=owner.identity, job=job)

    assert jobs.run_due() == 1  # the other one

    beside.refresh_from_db()
    job.refresh_from_db()
    assert (beside.state, job.state) == (State.DONE, State.RUNNING)
    Job.objects.filter(pk=job.pk).update(lease_holder=dead)
    assert jobs.run_due() == 0
    job.refresh_from_db()
    assert (job.state, job.error) == (State.FAILED, "The command ended in the middle of it.")
    # Who pressed Stop first is not told of a failure.
    jobs.stop(by=owner.identity, job=job)
    Job.objects.filter(pk=job.pk).update(
        state=State.RUNNING, lease_holder=dead, stop_requested_at=timezone.now()
    )
    assert jobs.run_due() == 0
    job.refresh_from_db()
    assert (job.state, job.error) == (State.STOPPED, "")
    # Of one whose account is gone nobody needs to hear.
    job.delete()
    here.count(total=3, done=3, failed=0)
    here.end(State.DONE)
    assert not Job.objects.filter(is_commands=True).exists()


def test_old_jobs_are_forgotten(owner: Person, acme: Organization) -> None:
    old, young = begin(owner, acme), begin(owner, acme)
    jobs.run_due()
    Job.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=31))

    assert housekeeping.keep_house()["old jobs"] == 1

    assert Job.objects.get() == young


# --- Rights -------------------------------------------------------------------------------------


def test_who_was_suspended_meanwhile_has_nothing_done(owner: Person, acme: Organization) -> None:
    create_channel(by=owner.identity, account=acme.account, name="dev")
    publish(owner, "acme", "main", "hello")
    job = copy_all(owner, "main", "dev")
    owner.user.account.suspended_at = timezone.now()
    owner.user.account.save()

    jobs.run_due()

    job.refresh_from_db()
    assert (job.state, job.error) == (State.FAILED, "This account is suspended.")
    assert not ChannelFile.objects.filter(channel__name="dev").exists()


def test_a_revoked_token_does_nothing_more(owner: Person, acme: Organization) -> None:
    create_channel(by=owner.identity, account=acme.account, name="dev")
    publish(owner, "acme", "main", "hello")
    by = owner.identity_with("api:write")
    job = channel_work.start_copy_all(by=by, source=channel("main"), target=channel("dev"))
    assert by.token is not None
    revoke_token(by=owner.identity, token=by.token)

    jobs.run_due()

    job.refresh_from_db()
    assert job.state == State.FAILED
    assert "revoked" in job.error


def test_who_left_the_organization_has_lost_the_right(
    owner: Person, acme: Organization, stranger: Person
) -> None:
    publish(owner, "acme", "main", "hello")
    create_channel(by=owner.identity, account=acme.account, name="dev")
    add_member(acme, stranger.user, role="admin")
    job = copy_all(stranger, "main", "dev")
    Membership.objects.filter(user=stranger.user).delete()

    jobs.run_due()

    job.refresh_from_db()
    assert job.state == State.FAILED
    assert not ChannelFile.objects.filter(channel__name="dev").exists()


# --- What is done to channels --------------------------------------------------------------------


def channel(name: str, account: str = "acme") -> Channel:
    return Channel.objects.select_related("account").get(account__name=account, name=name)


def copy_all(by: Person, source: str, target: str) -> Job:
    return channel_work.start_copy_all(
        by=by.identity, source=channel(source), target=channel(target)
    )


def test_all_files_of_a_channel_are_copied(
    owner: Person, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_work, "_FILES_AT_ONCE", 2)
    create_channel(by=owner.identity, account=acme.account, name="dev")
    for version in ("1.0", "1.1", "1.2", "1.3", "1.4"):
        publish(owner, "acme", "main", "hello", version)

    job = copy_all(owner, "main", "dev")
    jobs.run_due()

    job.refresh_from_db()
    assert (job.state, job.total, job.done, job.failed) == (State.DONE, 5, 5, 0)
    assert ChannelFile.objects.filter(channel__name="dev").count() == 5
    # It is done for another account as well, and a second time it does no harm.
    publish(owner, owner.name, "main", "mine")
    for _ in range(2):
        again = channel_work.start_copy_all(
            by=owner.identity, source=channel("main"), target=channel("main", owner.name)
        )
        jobs.run_due()
        again.refresh_from_db()
        assert (again.state, again.done) == (State.DONE, 5)


def test_what_can_not_be_copied_is_told_and_the_rest_is(owner: Person, acme: Organization) -> None:
    for name in ("a", "b", "c"):
        publish(owner, "acme", "main", name)
    publish(owner, owner.name, "main", "b", about={"summary": "another file"})

    job = channel_work.start_copy_all(
        by=owner.identity, source=channel("main"), target=channel("main", owner.name)
    )
    jobs.run_due()

    job.refresh_from_db()
    assert (job.state, job.done, job.failed) == (State.DONE, 2, 1)
    assert job.failures[0]["item"] == "noarch/b-1.0-0.conda"


def test_an_index_is_rebuilt_and_verified(owner: Person, acme: Organization) -> None:
    publish(owner, "acme", "main", "hello")
    rebuilt = channel_work.start_reindex(by=owner.identity, channel=channel("main"))
    jobs.run_due()
    rebuilt.refresh_from_db()
    assert (rebuilt.state, rebuilt.done) == (State.DONE, rebuilt.total)
    index = PublishedIndex.objects.get(subdir="noarch")
    sound = channel_work.start_verify(by=OPERATOR, channel=channel("main"))
    jobs.run_due()
    sound.refresh_from_db()
    assert (sound.state, sound.failed) == (State.DONE, 0)

    storage.store().delete(str(index.files["repodata.json.zst"]["key"]))
    damaged = channel_work.start_verify(by=owner.identity, channel=channel("main"))
    jobs.run_due()

    damaged.refresh_from_db()
    assert [failure["item"] for failure in damaged.failures] == ["noarch"]
    call_command("reindex", "acme/main")
    assert PublishedIndex.objects.get(subdir="noarch").generation > index.generation


def test_strangers_start_nothing(owner: Person, acme: Organization, stranger: Person) -> None:
    publish(owner, "acme", "main", "hello")
    create_channel(
        by=owner.identity, account=acme.account, name="secret",
        visibility=Channel.Visibility.PRIVATE,
    )  # fmt: skip
    publish(stranger, stranger.name, "main", "mine")

    for act in (channel_work.start_reindex, channel_work.start_verify):
        with pytest.raises(Forbidden):
            act(by=stranger.identity, channel=channel("main"))
    with pytest.raises(Forbidden):
        channel_work.start_copy_all(
            by=stranger.identity, source=channel("main", stranger.name), target=channel("main")
        )
    with pytest.raises(NotFound):
        channel_work.start_copy_all(
            by=stranger.identity, source=channel("secret"), target=channel("main", stranger.name)
        )
