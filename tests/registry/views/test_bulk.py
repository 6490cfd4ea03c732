"""Many files at once: chosen in a list, looked at, moved, copied, deleted, and brought back."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Event, GroupMember
from registry import jobs
from registry.models import Binned, Channel, ChannelFile, Download, Job, Package, PackageFile
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.conda_client import run_pending_tasks
from tests.factories import make_organization
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, Browsers, text_of
from tests.registry.views.test_lists import make_files

FILES = f"{HELLO}/files"


def hello_files() -> list[PackageFile]:
    return list(PackageFile.objects.filter(name="hello").order_by("pk"))


def where(file: PackageFile) -> list[str]:
    entries = ChannelFile.objects.filter(file=file).order_by("channel__name")
    return list(entries.values_list("channel__name", flat=True))


@pytest.fixture
def three(world: World, owner: Person) -> list[PackageFile]:
    """Three files of hello: one in main, two in the private channel secret."""
    for version in ("2.0", "3.0"):
        publish(owner, "acme", "secret", "hello", version)
    return hello_files()


def ids(files: list[PackageFile]) -> list[int]:
    return [file.pk for file in files]


def undo_of(answer: Any) -> str:
    """The address of the offer that a page makes to take back what was done."""
    found = re.search(r'action="(/acme/files/undo/[^"]+)"', answer.content.decode())
    assert found, text_of(answer)
    return found[1]


# --- Lists -------------------------------------------------------------------------------------


def test_a_list_of_ten_thousand_files_asks_twelve_questions(
    world: World, maintainer: Person
) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    make_files(account, hello, [f"2.{number}" for number in range(5000)], main)

    maintainer.client.get("/")
    for query in ("", "?sort=-downloads", "?q=2.7&platform=linux-64&channel=main&since=2026-01-01"):
        with CaptureQueriesContext(connection) as queries:
            answer = maintainer.client.get(FILES + query)
        assert answer.status_code == 200
        assert len(queries) <= 12, "\n".join(q["sql"][:300] for q in queries)
    assert "Select all 10,001 that match" in words(maintainer.client.get(FILES))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("build=0&format=conda", ["1.0", "2.0", "3.0"]),
        ("format=tar.bz2", []),
        ("since=2020-02-30", ["1.0", "2.0", "3.0"]),
        ("channel=secret", ["2.0", "3.0"]),
        ("version=2.0", ["2.0"]),
        ("sort=version", ["1.0", "2.0", "3.0"]),
        ("sort=-downloads", ["1.0", "2.0", "3.0"]),
        ("sort=nonsense", ["1.0", "2.0", "3.0"]),
    ],
)
def test_files_are_filtered_and_sorted(
    three: list[PackageFile], maintainer: Person, query: str, found: list[str]
) -> None:
    page = maintainer.client.get(f"{FILES}?{query}").content.decode()

    shown = re.findall(r'files/noarch/hello-([\d.]+)-0.conda"', page)
    assert sorted(shown) == found
    if query == "sort=version":
        assert shown == found
        assert page.count('aria-sort="ascending"') == 1


def test_who_may_not_write_is_shown_nothing_to_choose(
    three: list[PackageFile], browsers: Browsers
) -> None:
    for who in ("anonymous", "stranger", "reader"):
        page = browsers[who].get(FILES).content.decode()
        assert "data-row" not in page
        assert "bulk-bar" not in page


def test_versions_are_put_moved_and_taken_out_from_the_channels_of_a_package(
    three: list[PackageFile], browsers: Browsers
) -> None:
    page = "/acme/hello/channels"
    for who in ("anonymous", "stranger", "reader"):
        assert "/acme/files/" not in browsers[who].get(page).content.decode()

    def acts(browser: Client) -> dict[str, str]:
        found = browser.get(page).content.decode()
        links = re.findall(r'href="(/acme/files/[^"]+)"[^>]*>.*?visually-hidden">([^<]+)<', found)
        return {label: html.unescape(address) for address, label in links}

    browser = browsers["maintainer"]
    offered = acts(browser)
    assert "Put 1.0 into dev" in offered
    preview = browser.get(offered["Put 1.0 into dev"])
    assert "1 file" in words(preview)
    assert browser.post(offered["Put 1.0 into dev"]).status_code == 302
    assert {"Move 1.0 out of dev into another channel", "Remove 1.0 from dev"} <= set(acts(browser))
    assert browser.post(acts(browser)["Remove 1.0 from dev"]).status_code == 302
    assert "Put 1.0 into dev" in acts(browser)

    Channel.objects.filter(name="dev").update(is_locked=True)
    assert not [label for label in acts(browser) if "dev" in label]
    Channel.objects.filter(name="main").update(is_immutable=True)
    assert not [label for label in acts(browser) if " main" in label and "Put" not in label]


def test_sorted_pages_meet_without_a_gap(world: World, maintainer: Person) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    make_files(account, hello, [f"2.{number}" for number in range(30)], main)

    for sort in ("file", "-platform", "version", "build", "-size", "uploaded", "-downloads"):
        seen: list[str] = []
        query = f"?sort={sort}"
        while query:
            page = maintainer.client.get(FILES + query).content.decode()
            seen += re.findall(r'<th scope="row"><a class="mono" href="([^"]+)"', page)
            link = re.search(r'rel="next" href="(\?[^"]*)"', page)
            query = link[1].replace("&amp;", "&") if link else ""
        assert len(seen) == len(set(seen)) == 61, sort


# --- Moving, copying, taking out ---------------------------------------------------------------


def test_files_are_moved_after_a_look_and_the_move_is_taken_back(
    three: list[PackageFile], maintainer: Person, anonymous: Client
) -> None:
    ChannelFile.objects.create(
        **{
            field: getattr(ChannelFile.objects.get(file=three[2]), field)
            for field in ("file", "subdir", "filename", "name", "repodata_key")
        },
        channel=Channel.objects.get(name="dev"),
    )
    chosen: dict[str, str | list[int]] = {"package": "hello", "file": ids(three)}
    asked = words(maintainer.client.get("/acme/files/move", chosen))
    assert "3 files are chosen." in asked

    fields = {**chosen, "from": "secret", "to": "dev"}
    preview = maintainer.client.get("/acme/files/move", fields)
    said = words(preview)
    assert "2 files go from secret to dev." in said
    assert "1 file becomes public." in said
    assert "1 stands in dev already." in said
    assert "1 does not stand in secret, and is left alone." in said
    assert "Move 2 files" in said
    assert where(three[1]) == ["secret"]

    done = maintainer.client.post(preview.wsgi_request.get_full_path(), follow=True)

    assert "2 files moved from secret to dev." in words(done)
    assert [where(file) for file in three] == [["main"], ["dev"], ["dev"]]
    assert anonymous.get(f"{FILES}/noarch/hello-2.0-0.conda").status_code == 200
    # The offer is still there after a reload.
    again = maintainer.client.get(done.request["PATH_INFO"], query_params=done.wsgi_request.GET)
    back = maintainer.client.post(undo_of(again), follow=True)
    assert "Undone for 2 files." in words(back)
    # What stood in both before does so again.
    assert [where(file) for file in three] == [["main"], ["secret"], ["dev", "secret"]]
    assert "too late to undo" in words(maintainer.client.post(undo_of(done), follow=True))


def test_all_that_match_a_filter_are_taken_out_of_a_channel(
    three: list[PackageFile], maintainer: Person
) -> None:
    url = "/acme/files/remove?package=hello&all=1&channel=secret&from=secret"
    said = words(maintainer.client.get(url))
    assert "2 files leave secret." in said
    assert "2 of them stand in no channel then" in said

    done = maintainer.client.post(url, follow=True)

    assert [where(file) for file in three] == [["main"], [], []]
    assert Event.objects.filter(action="file.remove").count() == 2
    maintainer.client.post(undo_of(done))
    assert [where(file) for file in three] == [["main"], ["secret"], ["secret"]]


def test_files_are_copied_within_the_account_and_to_another(
    three: list[PackageFile], maintainer: Person
) -> None:
    globex = make_organization("globex", owner=maintainer.user)
    publish(maintainer, "globex", "main", "hello", "2.0", files={"x": "other"})
    chosen = f"package=hello&files={_packed(ids(three))}"
    url = f"/acme/files/copy?{chosen}&to=dev"
    assert "3 files will also stand in acme/dev." in words(maintainer.client.get(url))
    done = maintainer.client.post(url, follow=True)
    assert "3 files also stand in acme/dev now." in words(done)
    assert [where(file) for file in three] == [
        ["dev", "main"],
        ["dev", "secret"],
        ["dev", "secret"],
    ]
    maintainer.client.post(undo_of(done))
    assert where(three[0]) == ["main"]

    url = f"/acme/files/copy?{chosen}&to=main&to_account=globex"
    said = words(maintainer.client.get(url))
    assert "2 files will also stand in globex/main." in said
    assert "globex has files of the same name with other content. (1)" in said
    maintainer.client.post(url)
    assert PackageFile.objects.filter(account=globex.account).count() == 3


def _packed(keys: list[int]) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    parts: list[str] = []
    for key, before in zip(keys, [0, *keys], strict=False):
        number, text = key - before, ""
        while number or not text:
            number, digit = divmod(number, 36)
            text = digits[digit] + text
        parts.append(text)
    return ".".join(parts)


def test_a_locked_channel_is_said_before_anything_is_done(
    three: list[PackageFile], maintainer: Person
) -> None:
    Channel.objects.filter(name="dev").update(is_locked=True, lock_note="freeze")
    url = f"/acme/files/move?package=hello&file={three[1].pk}&from=secret&to=dev"

    for answer in (maintainer.client.get(url), maintainer.client.post(url)):
        assert answer.status_code == 422
        assert "dev is locked: “freeze”." in words(answer)
    assert where(three[1]) == ["secret"]


def test_those_one_may_not_write_stay_and_the_others_go(
    three: list[PackageFile], world: World, owner: Person, stranger: Person
) -> None:
    owner.client.post(
        f"{HELLO}/settings/collaborators/add-person", {"user": "sven", "permission": "write"}
    )
    other = publish(owner, "acme", "main", "other")
    url = f"/acme/files/copy?file={three[0].pk}&file={other.pk}&to=dev"

    said = words(stranger.client.get(url))

    assert "1 file will also stand in acme/dev." in said
    assert "You may not write other." in said
    stranger.client.post(url)
    assert (where(three[0]), where(other)) == (["dev", "main"], ["main"])


def test_a_forged_act_is_refused(three: list[PackageFile], browsers: Browsers) -> None:
    chosen = f"file={three[0].pk}&from=main&to=dev"
    for act in ("move", "copy", "remove", "delete"):
        for who in ("reader", "stranger"):
            for package in ("package=hello&", ""):
                answer = browsers[who].post(f"/acme/files/{act}?{package}{chosen}")
                assert answer.status_code == 403, (act, who)
        assert browsers["anonymous"].post(f"/acme/files/{act}?{chosen}").status_code == 302
    assert where(three[0]) == ["main"]
    # A file that they may not know of is as good as none.
    hidden = f"/acme/files/move?file={three[1].pk}&from=secret&to=dev"
    assert browsers["stranger"].get(hidden)["Location"] == "/acme"


def test_more_than_go_at_once_become_a_job(world: World, maintainer: Person) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    make_files(account, hello, [f"2.{number}" for number in range(250)], main)
    url = "/acme/files/move?package=hello&all=1&from=main&to=dev"
    preview = words(maintainer.client.get(url))
    assert "501 files go from main to dev." in preview
    assert "they become a job" in preview

    started = maintainer.client.post(url, follow=True)

    assert "Move 501 files from acme/main to acme/dev" in words(started)
    assert ChannelFile.objects.filter(channel__name="dev").count() == 0
    jobs.run_due()
    assert Job.objects.get().state == Job.State.DONE
    assert ChannelFile.objects.filter(channel__name="dev").count() == 501
    assert not ChannelFile.objects.filter(channel__name="main", name="hello").exists()

    gone = maintainer.client.post(
        "/acme/files/delete?package=hello&all=1",
        {"typed": "hello", "reason": "too many"},
        follow=True,
    )
    assert "Delete 501 files" in words(gone)
    # Begun again after a crash, it leaves alone what was done.
    Job.objects.filter(kind="files.delete").update(position=hello_files()[200].pk)
    jobs.run_due()
    assert PackageFile.objects.staying().filter(name="hello").count() == 201
    assert Binned.objects.filter(reason="too many").count() == 300


def test_a_job_asks_again_what_its_starter_may(world: World, maintainer: Person) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    hello = Package.objects.get(account=account, name="hello")
    make_files(account, hello, [f"2.{number}" for number in range(250)], main)
    maintainer.client.post("/acme/files/remove?package=hello&all=1&from=main")
    GroupMember.objects.filter(user=maintainer.user).delete()

    jobs.run_due()

    assert ChannelFile.objects.filter(channel__name="main", name="hello").count() == 501
    job = Job.objects.get()
    assert (job.done, job.failed, job.unlisted_failures) == (0, 501, 0)


def test_strange_choices_are_as_good_as_none(world: World, maintainer: Person) -> None:
    for chosen in (
        "",
        "file=x",
        "files=-1",
        "files=zzzzzzzzzzzzz.zzzzzzzzzzzzz",
        "file=99999999999",
    ):
        answer = maintainer.client.get(f"/acme/files/move?package=hello&{chosen}", follow=True)
        assert "No file was chosen." in words(answer)


# --- Deleting, and the bin ---------------------------------------------------------------------


def test_files_are_deleted_after_a_look_and_brought_back(
    three: list[PackageFile], maintainer: Person
) -> None:
    Download.objects.create(file=three[1], day=timezone.now().date(), count=7)
    Download.objects.create(file=three[1], day=timezone.now().date() - timedelta(days=40), count=9)
    url = f"/acme/files/delete?package=hello&file={three[1].pk}&file={three[2].pk}"
    page = words(maintainer.client.get(url))
    assert "Delete 2 files?" in page
    assert "7 in 30 days" in page
    assert "Until then it can be restored from the bin." in page
    assert maintainer.client.post(url, {"typed": "helo"}).status_code == 422

    done = maintainer.client.post(url, {"typed": "hello", "reason": "broken"}, follow=True)

    assert "2 files are deleted." in words(done)
    assert set(Binned.objects.values_list("reason", "deleted_by")) == {("broken", "maria")}
    assert Event.objects.filter(action="file.delete", detail__reason="broken").count() == 2
    back = maintainer.client.post(undo_of(done), follow=True)
    assert "Undone for 2 files." in words(back)
    assert [where(file) for file in three] == [["main"], ["secret"], ["secret"]]


def test_a_version_and_a_package_are_deleted_and_restored_from_the_bin(
    three: list[PackageFile], owner: Person, browsers: Browsers
) -> None:
    assert "Delete hello 2.0?" in words(owner.client.get(f"{HELLO}/2.0/delete"))
    owner.client.post(f"{HELLO}/2.0/delete", {"typed": "hello 2.0"})
    assert Binned.objects.count() == 1
    assert "holds 1 deleted file" in words(owner.client.get("/acme/settings/storage"))
    gone = owner.client.post(f"{HELLO}/delete", {"typed": "hello"}, follow=True)
    assert "hello is deleted." in words(gone)
    assert browsers["anonymous"].get(HELLO).status_code == 404

    shown = words(owner.client.get("/acme/settings/bin"))
    assert "3 files" in shown
    assert "noarch/hello-2.0-0.conda secret" in shown
    assert "hello-1.0" not in words(owner.client.get("/acme/settings/bin?q=2.0"))
    for who in ("anonymous", "stranger", "reader", "maintainer"):
        assert browsers[who].get("/acme/settings/bin").status_code in {302, 403}
        assert browsers[who].post("/acme/settings/bin/empty", {"typed": "acme"}).status_code in {
            302,
            403,
        }

    restored = owner.client.post("/acme/files/restore", {"file": ids(three)}, follow=True)

    assert "3 files are restored." in words(restored)
    run_pending_tasks()
    assert browsers["anonymous"].get(HELLO).status_code == 200
    assert "The bin is empty." in words(restored)
    again = owner.client.post("/acme/files/restore", {"file": ids(three)}, follow=True)
    assert "None of them is in the bin any more." in words(again)


def test_who_may_not_write_restores_nothing(
    three: list[PackageFile], owner: Person, browsers: Browsers
) -> None:
    owner.client.post(f"{HELLO}/3.0/delete", {"typed": "hello 3.0"})

    for who in ("reader", "stranger"):
        for keys in (ids(three), [0]):
            assert browsers[who].post("/acme/files/restore", {"file": keys}).status_code == 403
    assert Binned.objects.count() == 1


def test_what_is_in_the_bin_goes_for_good_when_its_name_is_typed(
    three: list[PackageFile], owner: Person
) -> None:
    owner.client.post(f"{HELLO}/delete", {"typed": "hello"})
    for number in (0, 2**31, 2**63, 10**30):
        nothing = owner.client.get(f"/acme/settings/bin/delete/{number}")
        assert nothing.status_code == 404
    one = f"/acme/settings/bin/delete/{three[0].pk}"
    assert owner.client.post(one, {"typed": "hello"}).status_code == 422
    done = owner.client.post(one, {"typed": three[0].filename}, follow=True)
    assert "hello-1.0-0.conda is gone for good." in words(done)
    assert owner.client.get(one).status_code == 404

    assert owner.client.post("/acme/settings/bin/empty", {"typed": "no"}).status_code == 422
    emptied = owner.client.post("/acme/settings/bin/empty", {"typed": "acme"}, follow=True)

    assert "2 files are gone for good." in words(emptied)
    assert not Binned.objects.exists()
    assert Event.objects.filter(action="file.purge").count() == 3
