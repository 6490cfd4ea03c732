"""Searching: what is found, in which order, by whom, and what is suggested instead."""

from __future__ import annotations

import re

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


def test_more_than_anybody_reads_is_cut_and_said_so(world: World, anonymous: Client) -> None:
    account = world.organization.account
    main = Channel.objects.get(account=account, name="main")
    file = PackageFile.objects.get(name="hello")
    entry = file.entries.get(channel=main)
    rows = [Package(account=account, name=f"many-{number}") for number in range(MOST_FOUND + 5)]
    Package.objects.bulk_create(rows)
    files, entries = [], []
    for package in rows:
        values = {field.attname: getattr(file, field.attname) for field in file._meta.fields}
        values |= {"id": None, "package_id": package.pk, "name": package.name}
        files.append(PackageFile(**{**values, "filename": f"{package.name}-1.0-0.conda"}))
    PackageFile.objects.bulk_create(files)
    for one in files:
        values = {
            field.attname: getattr(entry, field.attname) for field in entry._meta.concrete_fields
        }
        values |= {"id": None, "file_id": one.pk, "filename": one.filename, "name": one.name}
        entries.append(type(entry)(**values))
    type(entry).objects.bulk_create(entries)

    with CaptureQueriesContext(connection) as queries:
        page = anonymous.get("/search", {"q": "many"})

    assert "The 200 best of more packages" in text_of(page)
    assert len(queries) <= 12
    assert len(names(anonymous, q="many", page=10)) == 20
