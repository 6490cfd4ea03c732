"""``condarium import`` as a job: followed and stopped on a page while it runs, with a live host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import Organization
from registry.models import Job
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.registry.importing_host import (
    COMMITTED,
    SLOW,
    TOTAL,
    Browser,
    browser_of,
    importing,
    publish_many,
)
from tests.registry.sources import HELLO, NEWER, Site, folder_of, run, serving
from tests.servers import PASSWORD, LiveServer, PreparedData, run_commands

AGAIN = "Run the command again: it goes on where it stopped."


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(Site(tmp_path / "site")) as served:
        served.folder.mkdir()
        yield served


# --- With a live host ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, prepared_data: PreparedData
) -> Iterator[LiveServer]:
    """With maria, and sven, who has nothing to do with her."""
    with LiveServer(tmp_path_factory.mktemp("host"), data=prepared_data) as server:
        run_commands(
            ["createuser", "sven", "--email", "sven@example.org", "--password-stdin"],
            env=server.env,
            input=PASSWORD,
        )
        yield server


def change(host: LiveServer, rows: str, values: str) -> None:
    """Write into the database of the host what would take long to come about."""
    script = f"""
import datetime
from django.utils import timezone
from registry.models import Job, PublishedIndex
now, day = timezone.now(), datetime.timedelta(days=1)
{rows}.update({values})
"""
    run_commands(["shell", "--no-imports", "-c", script], env=host.env)


@pytest.fixture(scope="module")
def maria(host: LiveServer) -> Browser:
    return browser_of(host, "maria")


@pytest.fixture(scope="module")
def sven(host: LiveServer) -> Browser:
    return browser_of(host, "sven")


def test_an_import_is_followed_stopped_on_its_page_and_goes_on(
    host: LiveServer, maria: Browser, sven: Browser, site: Site
) -> None:
    publish_many(site, "stopped")
    before = len(maria.jobs())
    with importing(host, site.url, "maria/stopped") as command:
        job = maria.newest_job(after=before)
        page = maria.wait_for(job, f"{COMMITTED} of {TOTAL}, 98 %")
        assert f"Import {site.url} into maria/stopped" in page
        assert "A command on the host does this." in page
        assert "Started by the operator" in page
        # As its script asks for it.
        assert f"{COMMITTED} of {TOTAL}" in maria.text(f"{job}?part=state")

        assert sven.get(job).status_code == 404
        assert sven.post(f"{job}/stop", "/-/jobs").status_code == 404
        assert job not in sven.get("/-/jobs").text
        assert command.process.poll() is None

        assert "The job stops in a moment." in maria.post(f"{job}/stop", job).text
        code, out, err = command.end()

    assert code == 3, out + err
    assert "Stopped on a page by maria. Run it again to go on." in err
    page = maria.text(job)
    assert f"{COMMITTED} of {TOTAL}" in page
    assert "Stopped by maria" in page
    assert AGAIN in page
    assert "Begin again" not in page

    site.slow_seconds = 0.0
    with importing(host, site.url, "maria/stopped") as command:
        code, out, err = command.end()
    assert code == 0, err
    assert f"{SLOW} published, 0 added to the channel, {COMMITTED} were there" in out
    page = maria.text(maria.newest_job(after=before + 1))
    assert f"{TOTAL} of {TOTAL}" in page
    assert f"{SLOW} published, 0 added to the channel, {COMMITTED} were there" in page
    assert AGAIN not in page


def test_a_killed_import_ends_on_its_page_and_is_taken_over_by_nobody(
    host: LiveServer, maria: Browser, site: Site
) -> None:
    publish_many(site, "killed")
    before = len(maria.jobs())
    with importing(host, site.url, "maria/killed") as command:
        job = maria.newest_job(after=before)
        maria.wait_for(job, f"{COMMITTED} of {TOTAL}")
        command.process.kill()
        command.process.wait()  # a process that nobody waited for is not quite gone
        page = maria.wait_for(job, "The command ended in the middle of it.")

    assert "Failed" in page
    assert f"{COMMITTED} of {TOTAL}" in page
    assert AGAIN in page
    assert "Begin again" not in page
    site.slow_seconds = 0.0
    with importing(host, site.url, "maria/killed") as command:
        assert command.end()[0] == 0
    assert len(maria.jobs()) == before + 2


def test_ctrl_c_ends_the_job_as_well(host: LiveServer, maria: Browser, site: Site) -> None:
    publish_many(site, "interrupted")
    before = len(maria.jobs())
    with importing(host, site.url, "maria/interrupted") as command:
        job = maria.newest_job(after=before)
        maria.wait_for(job, f"{COMMITTED} of {TOTAL}")
        command.process.send_signal(signal.SIGINT)
        code, _, err = command.end()

    assert code == 130
    assert "Stopped. Run it again to go on." in err
    page = maria.text(job)
    assert "Stopped by the operator" in page
    assert f"{COMMITTED} of {TOTAL}" in page
    assert AGAIN in page


def test_stop_is_heard_while_the_source_does_not_answer(
    host: LiveServer, maria: Browser, site: Site
) -> None:
    site.publish(HELLO)
    site.slow, site.slow_seconds = "repodata.json", 600.0
    before = len(maria.jobs())
    with importing(host, site.url, "maria/waiting") as command:
        job = maria.newest_job(after=before)
        maria.wait_for(job, "0 so far")
        maria.post(f"{job}/stop", job)
        code, _, err = command.end()
        site.slow_seconds = 0.0

    assert code == 3, err
    assert "Stopped by maria" in maria.text(job)


def test_stop_is_heard_while_somebody_else_makes_the_index(
    host: LiveServer, maria: Browser, tmp_path: Path
) -> None:
    first, second = (build_conda("indexed", version) for version in ("1.0", "2.0"))
    with importing(host, str(folder_of(tmp_path / "first", first)), "maria/indexed") as command:
        assert command.end()[0] == 0
    change(
        host,
        "PublishedIndex.objects.filter(channel__name='indexed', subdir='noarch')",
        "lease_holder='elsewhere/1/x', lease_until=now + day",
    )
    before = len(maria.jobs())
    with importing(host, str(folder_of(tmp_path / "second", second)), "maria/indexed") as command:
        job = maria.newest_job(after=before)
        maria.wait_for(job, "The files are in. Their index is being made.")
        maria.post(f"{job}/stop", job)
        code, _, err = command.end()

    assert code == 3, err
    page = maria.text(job)
    assert "Stopped by maria" in page
    assert "1 of 1" in page


def test_two_into_one_channel_at_once_both_go_on(
    host: LiveServer, maria: Browser, site: Site
) -> None:
    publish_many(site, "twice")
    before = len(maria.jobs())
    with importing(host, site.url, "maria/twice") as first:
        maria.wait_for(maria.newest_job(after=before), f"{COMMITTED} of {TOTAL}")
        with importing(host, site.url, "maria/twice", "--package", "twice-0*") as second:
            code, out, err = second.end()
            assert code == 0, err
            assert "Another import into the same place runs. Both go on" in out
            assert "100 were there" in out
        with importing(host, site.url, "maria/else", "--package", "twice-000") as third:
            _, out, _ = third.end()
            assert "Another import" not in out
        assert first.process.poll() is None


def test_a_command_whose_machine_slept_has_its_job_back(
    host: LiveServer, maria: Browser, site: Site
) -> None:
    """Whoever looked meanwhile was told that it had ended."""
    publish_many(site, "asleep")
    before = len(maria.jobs())
    with importing(host, site.url, "maria/asleep") as command:
        job = maria.newest_job(after=before)
        maria.wait_for(job, f"{COMMITTED} of {TOTAL}")
        os.kill(command.process.pid, signal.SIGSTOP)
        # As when the lease is over, which nobody waits for here.
        change(host, f"Job.objects.filter(key={job[-16:]!r})", "lease_until=now - day")
        maria.wait_for(job, "The command ended in the middle of it.")
        os.kill(command.process.pid, signal.SIGCONT)
        page = maria.wait_for(job, "A command on the host does this.")
        assert "The command ended" not in page


# --- What stands in it ---------------------------------------------------------------------------


def test_what_was_refused_stands_in_the_job(
    owner: Person, acme: Organization, channel: ChannelAddress, tmp_path: Path
) -> None:
    other = build_conda("hello", "1.0", files={"share/other": "other"})
    assert owner.upload(HELLO, to=channel).status_code == 201
    source = folder_of(tmp_path / "source", other, NEWER)
    (source / "noarch" / "torn-1.0-0.conda").write_bytes(HELLO.data[:-40])

    assert run(str(source), "acme").code == 1

    job = Job.objects.get()
    assert (job.kind, job.state, job.account) == ("channel.import", Job.State.DONE, acme.account)
    assert (job.total, job.done, job.failed, job.unlisted_failures) == (3, 1, 2, 0)
    page = owner.client.get(f"/-/jobs/{job.key}").content.decode()
    assert "Done in part" in page
    assert f"noarch/{HELLO.filename}" in page
    assert "acme already has" in page
    assert "The .conda file does not end with its ZIP dir" in page
    assert "1 published, 0 added to the channel, 0 were there, 1 conflicts, 1 refused." in page


def test_a_source_that_fails_ends_the_job_with_its_words_and_no_secret(
    owner: Person, acme: Organization, site: Site
) -> None:
    host = site.url.removeprefix("http://")

    assert run(f"http://olga:password@{host}/t/cdm-secret/x", "acme").code == 1

    job = Job.objects.get()
    assert job.state == Job.State.FAILED
    page = owner.client.get(f"/-/jobs/{job.key}").content.decode()
    assert f"{site.url}/t/…/x has no repodata for us" in page
    assert AGAIN in page
    for text in (page, str(job.params), str(job.title)):
        assert "secret" not in text
        assert "password@" not in text


def test_what_does_not_begin_is_no_job(acme: Organization, tmp_path: Path) -> None:
    assert run("/nowhere", "acme").code == 2
    assert run(str(tmp_path), "acme", subdirs=["../etc"]).code == 2
    assert not Job.objects.exists()
