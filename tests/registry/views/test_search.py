"""Searching: what is found, in which order, by whom, and what is suggested instead."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registry import search_index
from registry.models import Channel, DownloadTotal, Package, PackageFile
from registry.searching import MOST_FOUND
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import text_of
from tests.registry.views.test_lists import make_files


def names(client: Client, **query: str | int) -> list[str]:
    page = client.get("/search", query).content.decode()
    return re.findall(r'class="row-title" href="/[\w.-]+/([\w.-]+)"', page)


@pytest.fixture
def numbers(world: World) -> World:
    """Packages with names and summaries that look alike, all public."""
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    for name, summary, license_name in (
        ("numpy", "Arrays and mathematics", "BSD-3-Clause"),
        ("numpy-base", "The core of numpy", "BSD-3-Clause"),
        ("cupy", "Like NumPy, on graphics cards", "MIT"),
        ("pandas", "Tables, built on numpy", "BSD-3-Clause"),
        ("scikit-learn", "Machine learning", "BSD-3-Clause"),
        ("r", "A language", "GPL-2.0-or-later"),
        ("ripgrep", "Searches folders", "MIT"),
    ):
        package = Package.objects.create(
            account=account, name=name, summary=summary, license=license_name, latest_version="1.0"
        )
        make_files(account, package, ["1.0"], main)
    return world


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("numpy", ["numpy", "numpy-base", "cupy", "pandas"]),
        ("NumPy Base", ["numpy-base"]),
        ("umpy", ["numpy", "numpy-base", "cupy", "pandas"]),
        ("numpy tables", ["pandas"]),
        ("r", ["r", "ripgrep"]),
        ("n", ["numpy", "numpy-base"]),
        ("ri", ["ripgrep"]),
        ("acme/numpy", ["numpy", "numpy-base", "cupy", "pandas"]),
        ("globex/numpy", []),
        ('num"py', []),
        ("numpy OR pandas", []),
        ("name:numpy*", []),
        ("num%", []),
        ("^numpy", []),
        ("%00numpy", []),
    ],
)
def test_names_come_first_and_no_sign_has_a_meaning(
    numbers: World, anonymous: Client, words: str, found: list[str]
) -> None:
    assert names(anonymous, q=words) == found


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("nmupy", "numpy"),
        ("numppy", "numpy"),
        ("umpi", "numpy"),
        ("scikit_learn", "scikit-learn"),
        ("scikitlearn", "scikit-learn"),
        ("ripgerp", "ripgrep"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(
    numbers: World, anonymous: Client, typed: str, meant: str
) -> None:
    page = anonymous.get("/search", {"q": typed})

    assert f"Did you mean {meant} ?" in text_of(page)
    assert f'href="?q={meant}"' in page.content.decode()


def test_what_is_nothing_like_a_name_gets_no_suggestion(numbers: World, anonymous: Client) -> None:
    shown = text_of(anonymous.get("/search", {"q": "zzzzzzzz", "platform": "win-64"}))

    assert "No package matches “zzzzzzzz”." in shown
    assert "Did you mean" not in shown
    assert "Clear 1 filter" in shown


def test_a_private_name_is_neither_found_counted_nor_suggested(
    world: World, anonymous: Client, owner: Person
) -> None:
    hidden = Package.objects.get(name="hidden")
    assert hidden.is_private
    for query in ("hidden", "hiden", "hid", "hi"):
        assert "acme/hidden" not in text_of(anonymous.get("/search", {"q": query}))
        assert "Did you mean" not in text_of(anonymous.get("/search", {"q": query}))
    assert names(owner.client, q="hidden") == ["hidden"]
    assert "Did you mean hidden ?" in text_of(owner.client.get("/search", {"q": "hiden"}))
    assert names(anonymous, q="buried") == []


def test_filters_narrow_down_and_stand_beside_what_was_found(
    numbers: World, anonymous: Client
) -> None:
    page = anonymous.get("/search", {"q": "numpy"}).content.decode()
    assert re.search(r'href="\?q=numpy&amp;license=MIT">MIT</a> <span class="muted">1<', page)
    assert names(anonymous, q="numpy", license="MIT") == ["cupy"]
    chosen = anonymous.get("/search", {"q": "numpy", "license": "MIT"}).content.decode()
    assert 'href="?q=numpy&amp;" aria-current="true">MIT' in chosen
    assert names(anonymous, q="numpy", platform="linux-64")[0] == "numpy"
    assert names(anonymous, q="numpy", platform="osx-arm64") == []
    assert names(anonymous, q="numpy", account="globex") == []
    PackageFile.objects.filter(name="numpy").update(uploaded_at="2001-01-01T00:00:00Z")
    assert names(anonymous, q="numpy", updated="30") == ["numpy-base", "cupy", "pandas"]


def test_what_was_found_is_sorted_as_asked(numbers: World, anonymous: Client) -> None:
    file = PackageFile.objects.filter(name="pandas").first()
    assert file is not None
    DownloadTotal.objects.create(file=file, count=7)
    PackageFile.objects.filter(name="cupy").update(uploaded_at="2001-01-01T00:00:00Z")

    assert names(anonymous, q="numpy", sort="downloads")[0] == "pandas"
    assert names(anonymous, q="numpy", sort="updated")[-1] == "cupy"
    assert names(anonymous, q="numpy", sort="name") == ["cupy", "numpy", "numpy-base", "pandas"]


def test_what_is_sent_while_typing_is_the_results_alone(numbers: World, anonymous: Client) -> None:
    part = anonymous.get("/search", {"q": "numpy", "part": "results"}).content.decode()

    assert "acme/numpy" in part
    assert "<html" not in part
    assert "part=results" not in part


def test_the_index_of_words_follows_what_happens_to_packages(
    world: World, owner: Person, anonymous: Client
) -> None:
    publish(owner, "acme", "main", "brand-new")
    assert names(anonymous, q="rand") == ["brand-new"]
    Package.objects.filter(name="brand-new").update(summary="Nothing but clouds")
    assert names(anonymous, q="clouds") == ["brand-new"]
    if connection.vendor == "sqlite":
        # As a migration that makes the table anew leaves it.
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER registry_packagewords_changed")
        Package.objects.filter(name="brand-new").update(summary="Rain")
        assert names(anonymous, q="clouds") == ["brand-new"]
        search_index.set_up()
        assert names(anonymous, q="clouds") == []
        assert names(anonymous, q="rain") == ["brand-new"]


def fill(world: World, channel: Channel, names: list[str]) -> None:
    """Packages with a file in one channel, many at once."""
    file = PackageFile.objects.get(name="hello")
    entry = file.entries.get(channel__name="main")
    packages = Package.objects.bulk_create(
        Package(account=world.organization.account, name=name) for name in names
    )
    files, entries = [], []
    for package in packages:
        values = {field.attname: getattr(file, field.attname) for field in file._meta.fields}
        values |= {"id": None, "package_id": package.pk, "name": package.name}
        files.append(PackageFile(**{**values, "filename": f"{package.name}-1.0-0.conda"}))
    PackageFile.objects.bulk_create(files)
    for one in files:
        values = {
            field.attname: getattr(entry, field.attname) for field in entry._meta.concrete_fields
        }
        values |= {"id": None, "channel_id": channel.pk}
        values |= {"file_id": one.pk, "filename": one.filename, "name": one.name}
        entries.append(type(entry)(**values))
    type(entry).objects.bulk_create(entries)


def test_more_than_anybody_reads_is_cut_and_said_so(world: World, anonymous: Client) -> None:
    main = Channel.objects.get(account=world.organization.account, name="main")
    fill(world, main, [f"many-{number}" for number in range(MOST_FOUND + 5)])

    with CaptureQueriesContext(connection) as queries:
        page = anonymous.get("/search", {"q": "many"})

    assert "The 200 best of more packages" in text_of(page)
    assert len(queries) <= 12
    assert len(names(anonymous, q="many", page=10)) == 20


def test_what_one_may_not_know_of_takes_no_place(
    world: World, anonymous: Client, owner: Person
) -> None:
    main = Channel.objects.get(account=world.organization.account, name="main")
    secret = Channel.objects.get(account=world.organization.account, name="secret")
    assert secret.is_private
    # Public themselves, and all of them shorter than those that stand in a public channel.
    fill(world, secret, [f"many-{number}" for number in range(2 * MOST_FOUND)])
    fill(world, main, [f"many-to-see-{number:02}" for number in range(30)])

    with CaptureQueriesContext(connection) as queries:
        page = anonymous.get("/search", {"q": "many"})

    assert text_of(page).count("many-to-see-") == 20
    assert "30 packages" in text_of(page)
    assert len(queries) <= 12
    assert names(anonymous, q="many", page=2)[-1] == "many-to-see-29"
    assert "The 200 best of more packages" in text_of(owner.client.get("/search", {"q": "many"}))


@pytest.mark.parametrize(
    ("typed", "index"),
    [("n", "packages_by_letter"), ("nu", "packages_by_letter"), ("numpy", "packages_by_beginning")],
)
def test_names_come_from_an_index_in_their_order(
    numbers: World, anonymous: Client, typed: str, index: str
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("Of so few rows PostgreSQL reads all.")
    plans = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "SUBSTR" in sql:
            # With the values apart, as they are given: SQLite knows an expression by its numbers.
            execute(f"EXPLAIN QUERY PLAN {sql}", params, many, context)
            plans.append(" ".join(str(row[3]) for row in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        assert names(anonymous, q=typed)

    assert f"USING INDEX {index}" in plans[0]
    assert "TEMP B-TREE FOR ORDER BY" not in plans[0]
