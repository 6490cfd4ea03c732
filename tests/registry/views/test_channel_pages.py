"""The pages of channels: what they hold, whether their index is up to date, what changed."""

from __future__ import annotations

import pytest

from registry.models import Channel, StaleMark
from tests.cast import Person
from tests.conda_client import run_pending_tasks
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import Browsers, text_of

MAIN, SECRET = "/acme/channels/main", "/acme/channels/secret"
MEMBERS = {"reader", "maintainer", "admin", "owner"}


def test_a_channel_counts_what_its_reader_may_see(world: World, browsers: Browsers) -> None:
    for who, client in browsers.items():
        page = text_of(client.get(MAIN))
        held = "2 files · 2 packages" if who in MEMBERS else "1 file · 1 package"
        assert held in page, who
        assert ("hidden" in page) == (who in MEMBERS), who
        assert f"noarch {2 if who in MEMBERS else 1} file" in page
        assert "Up to date. The last change went live" in page
        assert "Published hello-1.0-0.conda to main" in page
        assert ("buried" in text_of(client.get("/acme/activity"))) == (who in MEMBERS), who
        listed = text_of(client.get("/acme/channels"))
        assert ("secret" in listed) == (who in MEMBERS), who
        assert listed.count("anaconda.org calls these labels") == 1
        assert client.get(SECRET).status_code == (200 if who in MEMBERS else 404), who


def test_every_way_to_use_a_channel_is_shown(world: World, browsers: Browsers) -> None:
    page = text_of(browsers["anonymous"].get(MAIN))
    for line in ("conda config --add channels", "mamba config prepend channels", 'channels = ["'):
        assert line in page
    assert "In environment.yml" in page
    assert "/conda/t/TOKEN/acme/label/secret" in text_of(browsers["reader"].get(SECRET))


def test_what_waits_is_said_but_not_what_nobody_may_know(world: World, browsers: Browsers) -> None:
    main = Channel.objects.get(name="main")
    StaleMark.objects.create(channel=main, subdir="noarch", package_name="hidden")
    assert "Up to date" in text_of(browsers["stranger"].get(MAIN))
    assert "1 change is waiting to go live" in text_of(browsers["reader"].get(MAIN))
    StaleMark.objects.create(channel=main, subdir="noarch", package_name="hello")
    assert "1 change is waiting to go live" in text_of(browsers["stranger"].get(MAIN))


def test_only_who_manages_a_channel_rebuilds_its_index(world: World, browsers: Browsers) -> None:
    url = "/acme/settings/channels/rebuild/main"
    for who, client in browsers.items():
        may = who in {"admin", "owner"}
        assert (f'action="{url}"' in client.get(MAIN).content.decode()) == may, who
        answer = client.post(url)
        assert answer.status_code == (302 if may or who == "anonymous" else 403), who
        if may:
            assert answer["Location"].startswith("/-/jobs/")
    run_pending_tasks()


def test_all_files_of_a_channel_are_copied_by_a_job(world: World, browsers: Browsers) -> None:
    url = "/acme/settings/channels/copy/main"
    owner = browsers["owner"]
    assert "Copy 2 files" in text_of(owner.get(url))
    assert browsers["stranger"].get("/acme/settings/channels/copy/secret").status_code == 404
    wrong = owner.post(url, {"account": "acme", "channel": "nowhere"})
    assert wrong.status_code == 422
    assert "Error: nothing was done. Into the channel: acme has no channel" in text_of(wrong)
    same = owner.post(url, {"account": "acme", "channel": "main"})
    assert (same.status_code, "both of them" in text_of(same)) == (422, True)
    forged = browsers["stranger"].post(url, {"account": "acme", "channel": "dev"})
    assert forged.status_code == 422
    done = owner.post(url, {"account": "acme", "channel": "dev"})
    assert done["Location"].startswith("/-/jobs/")


def test_copying_all_names_what_is_there_though_the_index_waits(
    world: World, owner: Person, browsers: Browsers
) -> None:
    publish(owner, "acme", "main", "hello", "2.0")
    publish(owner, "acme", "fresh", "hello", "3.0")

    for channel, who, count in (
        ("main", "owner", 3),
        ("main", "stranger", 2),
        ("fresh", "owner", 1),
    ):
        page = text_of(browsers[who].get(f"/acme/settings/channels/copy/{channel}"))
        files = "1 file" if count == 1 else f"{count} files"
        assert f"{files} that you may see" in page, (channel, who)
        assert f"Copy {files}" in page, (channel, who)


@pytest.mark.parametrize(("channel", "proposed"), [("dev", "main"), ("main", "")])
def test_no_channel_is_proposed_to_be_copied_into_itself(
    world: World, browsers: Browsers, channel: str, proposed: str
) -> None:
    answer = browsers["owner"].get(f"/acme/settings/channels/copy/{channel}")

    assert (answer.context["form"]["channel"].value() or "") == proposed


def test_an_empty_channel_says_how_files_come_into_it(world: World, browsers: Browsers) -> None:
    assert "Files come here by upload" in text_of(browsers["owner"].get("/acme/channels/dev"))
    assert "dev is empty." in text_of(browsers["stranger"].get("/acme/channels/dev"))
