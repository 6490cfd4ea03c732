"""Long lists: as many queries for many rows as for few, and pages that meet without a gap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account
from registry import fetches, placement
from registry.conda.version import sort_key
from registry.models import Channel, ChannelFile, Download, Package, PackageFile
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, Browsers, text_of

LISTS = (
    "/", "/search", "/acme", "/acme/channels", f"{HELLO}/versions", f"{HELLO}/files",
    f"{HELLO}/channels", "/acme/channels/main", "/acme/activity", HELLO, f"{HELLO}/1.0",
)  # fmt: skip

ANY = {"Accept": "application/json, text/html"}


def make_files(account: Account, package: Package, versions: list[str], channel: Channel) -> None:
    """Rows as uploads leave them, without the archives."""
    make_files_of(account, {package: versions}, channel)


def make_files_of(
    account: Account, packages: Mapping[Package, Sequence[str]], channel: Channel
) -> None:
    """The same of many packages, by the versions of each."""
    model = PackageFile.objects.filter(account=account).first()
    assert model is not None
    files = [
        PackageFile(
            **{
                field.attname: getattr(model, field.attname)
                for field in PackageFile._meta.concrete_fields
                if field.name not in {"id", "package"}
            }
            | {
                "name": package.name,
                "version": version,
                "version_key": sort_key(version),
                "filename": f"{package.name}-{version}-0.conda",
                "subdir": subdir,
            },
            package=package,
        )
        for package, versions in packages.items()
        for version in versions
        for subdir in ("noarch", "linux-64")
    ]
    PackageFile.objects.bulk_create(files)
    made = PackageFile.objects.filter(package__in=packages, entries=None)
    ChannelFile.objects.bulk_create(ChannelFile.of(file, channel) for file in made)


@pytest.fixture
def full_world(world: World) -> World:
    """acme with 120 more packages and channels, and hello with 240 more files."""
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    packages = Package.objects.bulk_create(
        Package(account=account, name=f"package-{number:03}") for number in range(120)
    )
    Package.objects.filter(pk__in=[p.pk for p in packages]).update(updated_at=timezone.now())
    hello = Package.objects.get(account=account, name="hello")
    more = [f"2.{number}" for number in range(120)]
    make_files_of(account, {package: ["1.0"] for package in packages} | {hello: more}, main)
    Channel.objects.bulk_create(
        Channel(account=account, name=f"channel-{number:03}") for number in range(120)
    )
    return world


def test_a_page_asks_the_same_few_questions_however_much_there_is(
    full_world: World, browsers: Browsers
) -> None:
    for who in ("anonymous", "maintainer"):
        browser = browsers[who]
        browser.get("/docs")  # the first view of a session notes it
        for path in LISTS:
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(path).status_code == 200
            assert len(queries) <= 12, f"{path} as {who}: {len(queries)}"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it counts steps of SQLite's")
def test_what_else_an_account_has_is_no_work_for_a_page(
    full_world: World, anonymous: Client
) -> None:
    paths = [
        "/acme",
        "/api/v1/accounts/acme/files",
        "/api/v1/accounts/acme/files?channel=main",
        "/api/v1/accounts/acme/files?package=hello",
        "/api/v1/accounts/acme/files?filename=hello-1.0-0.conda",
        "/api/v1/accounts/acme/files/noarch/hello-1.0-0.conda",
    ]
    before = [_steps(anonymous, path) for path in paths]

    account = full_world.organization.account
    other = Package.objects.create(account=account, name="zzz")
    main = Channel.objects.get(account=account, name="main")
    make_files(account, other, [f"{number}.0" for number in range(2000)], main)
    Package.objects.bulk_create(
        Package(account=account, name=f"zzz-{number}") for number in range(1000)
    )

    for path, few in zip(paths, before, strict=True):
        many = _steps(anonymous, path)
        # For one file the keys of all packages are gone through, some ten steps each.
        assert many < 2 * few + 100, f"{path}: {few} hundred steps became {many}"


@pytest.mark.parametrize("many", [[], ["hello"], ["hello", "zlib", "curl"]])
def test_what_came_by_hundreds_to_few_packages_hides_no_other_from_the_first_page(
    world: World, browsers: Browsers, many: list[str]
) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    names = [f"package-{number:02}" for number in range(20)] + many
    for name in names:
        package, _ = Package.objects.get_or_create(account=account, name=name)
        versions = 120 if name in many else 2
        make_files(account, package, [f"3.{number}" for number in range(versions)], main)

    page = browsers["anonymous"].get("/", headers=ANY).content.decode()

    newest = page.partition("Most downloaded")[0]
    found = re.findall(r'class="row-title" href="/acme/([\w.-]+)"', newest)
    assert found == names[::-1][:10]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it reads plans of SQLite's")
def test_what_is_counted_of_all_files_is_counted_in_indexes_alone(
    world: World, browsers: Browsers
) -> None:
    paths = {
        "/": "COVERING INDEX files_of_an_account",
        "/dashboard": "COVERING INDEX files_of_an_account",
        "/acme/settings/storage": "COVERING INDEX channels_of_a_file",
        "/acme/settings/storage/unlisted": "COVERING INDEX channels_of_a_file",
        "/acme/settings/channels/copy/main": "COVERING INDEX files_of_an_account",
        "/acme/settings/bin": "INDEX deleted_files",
        "/api/v1/accounts/acme/storage": "COVERING INDEX channels_of_a_file",
        "/api/v1/accounts/acme/bin": "INDEX deleted_files",
    }
    for path, expected in paths.items():
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert browsers["owner"].get(path, headers=ANY).status_code == 200
        asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
        plans = "\n".join(plan for sql in asked for plan in _plan(sql))
        assert expected in plans, f"{path}: {plans}"
        assert not re.search(r"USING INDEX (files|usage)_of_an_account", plans), f"{path}: {plans}"


def _plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%', '%%')}")
        return [row[3] for row in cursor.fetchall()]


def _steps(browser: Client, path: str) -> int:
    """How many hundred steps SQLite goes for a page."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    browser.get(path, headers=ANY)  # what is kept after that is there then
    connection.connection.set_progress_handler(count, 100)
    try:
        assert browser.get(path, headers=ANY).status_code == 200
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps


def _walk(browser: Client, path: str, pattern: str, label: str = "next") -> list[list[str]]:
    """What ``pattern`` finds on each page, from one link to the next."""
    pages: list[list[str]] = []
    query = ""
    while len(pages) < 20:
        page = browser.get(query if query.startswith("/") else path + query).content.decode()
        pages.append(re.findall(pattern, page))
        link = re.search(rf'rel="{label}" href="(\?[^"]*)"', page)
        if link is None:
            break
        query = path.partition("?")[0] + link[1].replace("&amp;", "&")
    return pages


@pytest.mark.parametrize(
    ("path", "pattern", "count"),
    [
        ("/acme", r'<th scope="row"><a href="/acme/([\w.-]+)"', 121),
        ("/acme/channels", r'href="/acme/channels/([\w.-]+)">', 122),
        ("/search", r'class="row-title" href="/acme/([\w.-]+)"', 121),
        (f"{HELLO}/versions", r'<th scope="row"><a class="mono" href="/acme/hello/([\d.]+)"', 121),
        (f"{HELLO}/files", r'<th scope="row"><a class="mono" href="([^"]+)"', 241),
    ],
)
def test_pages_of_a_list_meet_without_a_gap_and_lead_back(
    full_world: World, anonymous: Client, path: str, pattern: str, count: int
) -> None:
    forward = _walk(anonymous, path, pattern)
    names = [name for page in forward for name in page]

    assert len(names) == len(set(names)) == count
    last = anonymous.get(path + _last_query(anonymous, path))
    back = re.search(r'rel="prev" href="(\?[^"]*)"', last.content.decode())
    assert back is not None
    before = anonymous.get(path + back[1].replace("&amp;", "&")).content.decode()
    assert re.findall(pattern, before) == forward[-2]


def _last_query(browser: Client, path: str) -> str:
    query = ""
    while True:
        page = browser.get(path + query).content.decode()
        link = re.search(r'rel="next" href="(\?[^"]*)"', page)
        if link is None:
            return query
        query = link[1].replace("&amp;", "&")


def test_versions_stand_in_their_own_order(full_world: World, anonymous: Client) -> None:
    page = anonymous.get(f"{HELLO}/versions").content.decode()

    shown = re.findall(r'<th scope="row"><a class="mono" href="/acme/hello/([\d.]+)"', page)

    assert shown[:3] == ["2.119", "2.118", "2.117"]
    assert anonymous.get(f"{HELLO}/versions?after=2.0").content.decode().count("1.0</a>") == 1


def test_many_releases_of_a_package_take_one_line_of_the_first_page(
    world: World, owner: Person, browsers: Browsers
) -> None:
    account = world.organization.account
    main, secret = (Channel.objects.get(account=account, name=name) for name in ("main", "secret"))
    publish(owner, "acme", "main", "other")
    hello = Package.objects.get(account=account, name="hello")
    make_files(account, hello, [f"2.{number}" for number in range(12)], main)
    make_files(account, hello, ["3.0"], secret)
    PackageFile.objects.filter(package=hello).update(uploaded_at=timezone.now())

    said = text_of(browsers["stranger"].get("/"))
    assert "acme/hello 2.11 and 12 more versions this week" in said
    assert said.count("acme/hello") == 1
    assert said.index("acme/hello") < said.index("acme/other 1.0")
    assert "3.0 and 13 more versions this week" in text_of(browsers["reader"].get("/"))


NAMES = r'<th scope="row"><a href="/acme/([\w.-]+)"'


def test_packages_of_an_account_are_sorted_as_one_likes(
    full_world: World, owner: Person, browsers: Browsers
) -> None:
    today = timezone.now().date()
    fetched = {"package-007": 30, "package-003": 20, "hello": 20, "buried": 50, "hidden": 40}
    files = {file.name: file for file in PackageFile.objects.filter(name__in=fetched)}
    for name, count in fetched.items():
        Download.objects.create(file=files[name], day=today, count=count)
        Download.objects.create(file=files[name], day=today - timedelta(days=30), count=1000)
    # One file of hello stands where only members look, and is the newest of all.
    newest = publish(owner, "acme", "secret", "hello", "9.0")
    Download.objects.create(file=newest, day=today, count=5)
    PackageFile.objects.filter(name="package-009").update(
        uploaded_at=timezone.now() - timedelta(minutes=1)
    )
    PackageFile.objects.exclude(name__in=["package-009", "hello"]).update(
        uploaded_at=timezone.now() - timedelta(days=1)
    )
    PackageFile.objects.filter(name="hello").exclude(pk=newest.pk).update(
        uploaded_at=timezone.now() - timedelta(days=2)
    )
    assert fetches.note_fetches() == 5
    assert fetches.note_fetches() == 0

    def first(who: str, sort: str) -> list[str]:
        page = browsers[who].get("/acme", {"sort": sort}).content.decode()
        return re.findall(NAMES, page)[:4]

    publicly = ["package-007", "hello", "package-003", "package-000"]
    assert first("anonymous", "-downloads") == first("stranger", "-downloads") == publicly
    assert first("reader", "-downloads") == ["buried", "hidden", "package-007", "hello"]
    assert first("anonymous", "-updated")[0] == "package-009"
    assert first("anonymous", "updated")[0] == "hello"
    assert first("reader", "-updated")[:2] == ["hello", "package-009"]
    assert first("reader", "-name")[0] == "package-119"
    for who, shown in (("anonymous", ">20<"), ("reader", ">25<")):
        page = browsers[who].get("/acme", {"q": "hello", "sort": "-downloads"}).content.decode()
        assert shown in page, who


def test_sorted_packages_meet_without_a_gap(full_world: World, anonymous: Client) -> None:
    for sort in ("-downloads", "downloads", "-updated", "updated", "-name"):
        forward = _walk(anonymous, f"/acme?sort={sort}", NAMES)
        names = [name for page in forward for name in page]
        assert len(names) == len(set(names)) == 121, sort
    for place in ("x", "1-", "-1", "9" * 40 + "-1", "99999999999999999-1", "1-1"):
        for sort in ("downloads", "updated", "name"):
            assert anonymous.get("/acme", {"sort": sort, "after": place}).status_code == 200


def test_packages_by_update_are_each_shown_once_where_their_newest_seen_file_puts_them(
    full_world: World, owner: Person, browsers: Browsers
) -> None:
    PackageFile.objects.update(uploaded_at=timezone.now() - timedelta(days=1))  # all at once
    publish(owner, "acme", "main", "package-007", "2.0")
    publish(owner, "acme", "secret", "package-003", "2.0")
    for file in PackageFile.objects.filter(name="package-009"):
        placement.delete_file(by=owner.identity, file=file)
    present = PackageFile.objects.present()
    seen = {
        "anonymous": present.filter(entries__channel__name="main", package__is_private=False),
        "reader": present.filter(entries__isnull=False),
        "owner": present,
    }
    for who, files in seen.items():
        newest: dict[str, tuple[Any, int]] = {}
        for name, at, pk in files.values_list("name", "uploaded_at", "pk"):
            newest[name] = max((at, pk), newest.get(name, (at, pk)))
        wanted = sorted(newest, key=newest.__getitem__)
        assert "package-009" not in wanted
        for sort, names in (("updated", wanted), ("-updated", wanted[::-1])):
            forward = _walk(browsers[who], f"/acme?sort={sort}", NAMES)
            assert [name for page in forward for name in page] == names, (who, sort)
        last = f"/acme?sort=updated&before={_ticks(newest[wanted[-1]])}"
        back = _walk(browsers[who], last, NAMES, label="prev")
        assert [name for page in reversed(back) for name in page] == wanted[:-1], who


def _ticks(place: tuple[Any, int]) -> str:
    at, pk = place
    return f"{(at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)}-{pk}"


@pytest.mark.parametrize(
    "query",
    [
        "after=%00",
        "before=nonsense",
        "after=1-&before=99999999999999999999-1.0",
        "after=0-1..0",
        "platform=zz-99&channel=nowhere&version=!!!&q=%00",
        "q=" + "x" * 5000,
        "page=-1",
    ],
)
def test_an_address_that_makes_no_sense_shows_the_list(
    world: World, anonymous: Client, query: str
) -> None:
    for path in ("/", "/search", "/acme", f"{HELLO}/files", f"{HELLO}/versions"):
        assert anonymous.get(f"{path}?{query}").status_code == 200


def test_files_are_filtered_by_each_of_the_fields(full_world: World, anonymous: Client) -> None:
    def found(**query: Any) -> list[str]:
        page = anonymous.get(f"{HELLO}/files", query).content.decode()
        return re.findall(r'<th scope="row"><a class="mono" href="[^"]+/([^"/]+/[^"/]+)"', page)

    assert found(version="2.7") == ["linux-64/hello-2.7-0.conda", "noarch/hello-2.7-0.conda"] or (
        found(version="2.7") == ["noarch/hello-2.7-0.conda", "linux-64/hello-2.7-0.conda"]
    )
    assert found(version="2.7", platform="noarch") == ["noarch/hello-2.7-0.conda"]
    assert found(q="2.77-0", platform="linux-64") == ["linux-64/hello-2.77-0.conda"]
    assert found(channel="dev") == []
    assert "No file matches these filters." in text_of(
        anonymous.get(f"{HELLO}/files", {"channel": "dev"})
    )


def test_search_puts_names_before_summaries_and_the_exact_name_first(
    world: World, owner: Person, anonymous: Client
) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    for name in ("libhello", "hello-extra", "greeter"):
        summary = "It says hello" if name == "greeter" else ""
        package = Package.objects.create(
            account=account, name=name, summary=summary, latest_version="1.0"
        )
        make_files(account, package, ["1.0"], main)

    page = anonymous.get("/search", {"q": "Hello"}).content.decode()

    shown = re.findall(r'class="row-title" href="/acme/([\w.-]+)"', page)
    assert shown == ["hello", "hello-extra", "libhello", "greeter"]
    assert "Exact name" in page
    assert "No package matches" in text_of(anonymous.get("/search", {"q": "nothing at all"}))


def test_hits_by_summary_come_last_the_oldest_of_them_and_the_shortest_names_first(
    world: World, owner: Person, anonymous: Client
) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    summaries = {f"made-{'x' * (number % 4)}{number:03}": "A telescope" for number in range(205)}
    by_name = {"my-telescope": "For the sky", "telescope": "", "telescopes": "A telescope"}
    names = [*summaries, *by_name]
    made = Package.objects.bulk_create(
        Package(account=account, name=name, summary=(summaries | by_name)[name]) for name in names
    )
    file = PackageFile.objects.filter(account=account).first()
    assert file is not None
    for package in made:
        file.pk, file.package, file.name = None, package, package.name
        file.filename = f"{package.name}-1.0-0.conda"
        file.save(force_insert=True)
        ChannelFile.of(file, main).save()

    pages = _walk(anonymous, "/search?q=telescope", r'class="row-title" href="/acme/([\w.-]+)"')

    # One more is looked for than is shown, to know that there are others.
    oldest = sorted(list(summaries)[:198], key=lambda name: (len(name), name))
    shown = [name for page in pages for name in page]
    assert shown == ["telescope", "telescopes", "my-telescope", *oldest[:197]]
