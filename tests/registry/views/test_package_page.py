"""What the page of a package says in five seconds, to each who looks."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.identity import OPERATOR
from registry import indexing, placement, quotas
from registry.models import Channel, Download, Package, PackageFile
from tests.cast import Person
from tests.factories import make_user
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, Browsers, active_parts, text_of
from tests.registry.views.test_lists import make_files


def _fetched(file: PackageFile, **days_ago: int) -> None:
    today = timezone.now().date()
    Download.objects.bulk_create(
        Download(file=file, day=today - timedelta(days=int(name[1:])), count=count)
        for name, count in days_ago.items()
    )


def test_downloads_are_a_line_and_a_number(world: World, anonymous: Client) -> None:
    _fetched(PackageFile.objects.get(name="hello"), d0=1000, d29=200, d30=30, d89=4, d90=50_000)

    answer = anonymous.get(HELLO)
    page = answer.content.decode()

    assert "1,234" in text_of(answer)
    assert 'aria-label="1,234 downloads in 90 days"' in page
    assert "<polyline points=" in page
    assert active_parts(answer) == []
    file = text_of(anonymous.get(f"{HELLO}/files/noarch/hello-1.0-0.conda"))
    assert "1,200 in 30 days, 1,234 in 90 days" in file


def test_german_counts_who_needs_it_in_the_right_case(world: World, anonymous: Client) -> None:
    assert "Needed by 0 packages" in text_of(anonymous.get(HELLO))
    in_german = text_of(anonymous.get(HELLO, headers={"accept-language": "de"}))
    assert "Gebraucht von 0 Paketen" in in_german


def test_what_only_members_may_know_of_is_counted_for_them_alone(
    world: World, owner: Person, browsers: Browsers
) -> None:
    publish(owner, "acme", "secret", "hello", "9.0")
    indexing.run_overdue()
    _fetched(PackageFile.objects.get(version="9.0"), d1=77)
    publish(owner, "acme", "secret", "user-of-hello", depends=["hello"])
    indexing.run_overdue()

    for who in ("anonymous", "stranger"):
        words = text_of(browsers[who].get(HELLO))
        assert "9.0" not in words
        assert "77" not in words
        assert "Needed by 0 packages" in words
    words = text_of(browsers["reader"].get(HELLO))
    assert "9.0" in words
    assert "77" in words
    assert "Needed by 1 package" in words


def test_the_install_box_names_the_channel_that_holds_the_newest(
    world: World, owner: Person, browsers: Browsers
) -> None:
    publish(owner, "acme", "dev", "hello", "2.0")

    assert "/conda/acme/label/dev hello" in text_of(browsers["anonymous"].get(HELLO))
    placement.remove_from_channel(
        by=owner.identity,
        file=PackageFile.objects.get(version="2.0"),
        channel=Channel.objects.get(account=world.organization.account, name="dev"),
    )
    assert "/conda/acme hello" in text_of(browsers["anonymous"].get(HELLO))
    words = text_of(browsers["maintainer"].get(HELLO))
    assert "2.0 stands in no channel. The newest that can be installed is 1.0, in main." in words


def test_an_emptied_package_says_what_was_there(
    world: World, owner: Person, browsers: Browsers
) -> None:
    file = PackageFile.objects.get(name="hello")
    placement.delete_file(by=owner.identity, file=file)

    assert "hello has no files that you may see." in text_of(browsers["anonymous"].get(HELLO))
    words = text_of(browsers["maintainer"].get(HELLO))
    assert "hello has no files any more. Last was 1.0, deleted just now by olga." in words
    assert "Restore it from the bin" not in words
    assert "Restore it from the bin" in text_of(browsers["owner"].get(HELLO))


_LONG_PAGES = [
    *(
        HELLO + page
        for page in (
            "", "/versions", "/2.7", "/compare", "/badges",
            "/files", "/files?platform=noarch&sort=-downloads", "/files/noarch/hello-2.7-0.conda",
            "/channels", "/dependencies", "/dependents?sort=downloads",
            "/downloads?by=version",
        )
    ),
    "/", "/search?q=hello", "/acme", "/acme/channels", "/acme/channels/main", "/acme/activity",
    "/acme/members", "/dashboard", "/acme/compare?from=main&to=dev", "/olga",
    "/acme/users/dependencies?depth=3", "/acme/hidden",
]  # fmt: skip
# For who may see them.
_LONG_SETTINGS = [
    "/acme/settings/storage", "/acme/settings/storage?page=2", "/acme/settings/channels",
    "/acme/settings/bin", "/acme/settings/members", "/acme/settings/access", "/acme/settings/log",
    "/acme/groups", "/acme/groups/helpers", f"{HELLO}/settings/collaborators",
    f"{HELLO}/settings/tokens", f"{HELLO}/delete", f"{HELLO}/2.7/delete",
    "/acme/files/move?package=hello", "/-/jobs",
]  # fmt: skip


def test_pages_of_ten_thousand_files_ask_few_questions(
    world: World, owner: Person, browsers: Browsers
) -> None:
    account = world.organization.account
    hello = Package.objects.get(account=account, name="hello")
    main = Channel.objects.get(account=account, name="main")
    make_files(account, hello, [f"2.{number}" for number in range(400)], main)
    # A busy account: something waits for the index, was deleted, needs somebody and each other.
    for name, needs in (("needed", []), ("users", ["needed", "hello"]), ("more", ["users"])):
        publish(owner, "acme", "main", name, depends=needs)
    indexing.run_overdue()
    placement.delete_file(by=owner.identity, file=publish(owner, "acme", "main", "gone"))
    quotas.set_quota(by=OPERATOR, account=account, max_bytes=1, max_files=1)
    root = Person(make_user("root-of-all", is_superuser=True))

    asked: dict[tuple[str, str], int] = {}
    for who in ("anonymous", "stranger", "reader", "maintainer", "owner", "site admin"):
        browser = root.client if who == "site admin" else browsers[who]
        browser.get("/docs")  # the first view of a session notes it
        for page in _LONG_PAGES + (_LONG_SETTINGS if who in {"maintainer", "owner"} else []):
            with CaptureQueriesContext(connection) as queries:
                answer = browser.get(page)
            if page in _LONG_SETTINGS or who == "anonymous":
                assert answer.status_code in {200, 302, 403, 404}, (who, page)
            elif page != "/acme/hidden":
                assert answer.status_code == 200, (who, page)
            asked[who, page] = len(queries)

    assert {where: number for where, number in asked.items() if number > 12} == {}


def test_a_pre_release_is_not_what_people_are_offered(
    world: World, owner: Person, anonymous: Client
) -> None:
    publish(owner, "acme", "main", "tool", "1.4")
    publish(owner, "acme", "dev", "tool", "2.0.dev3")
    publish(owner, "acme", "dev", "early", "0.1rc1")

    page = anonymous.get("/acme/tool").content.decode()
    assert "conda/acme tool</code>" in page or "/conda/acme tool" in page
    assert '<span class="mono muted break">1.4</span>' in page
    assert "2.0.dev3" in page
    assert "0.1rc1" in anonymous.get("/acme/early").content.decode()
    assert "1.4" in text_of(anonymous.get("/search", {"q": "tool"}))
    assert "is newer" not in text_of(anonymous.get("/acme/tool/2.0.dev3"))
    publish(owner, "acme", "main", "tool", "1.5")
    assert "1.5 is newer." in text_of(anonymous.get("/acme/tool/1.4"))
