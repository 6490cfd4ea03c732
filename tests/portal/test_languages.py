"""What stands in the catalogues is whole, and pages speak the language of who reads them."""

from __future__ import annotations

import gettext
import html
import io
import json
import random
import re
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts import membership
from accounts.models import Organization
from portal.catalogues import Entry, catalogues, compiled, entries
from registry.conda.errors import InvalidChannelNameError
from registry.conda.names import check_channel_name
from registry.models import Channel
from registry.publishing import InvalidChannelName
from tests.accounts.views.pages import words
from tests.cast import Person
from tests.conda_client import put

_PLACES = re.compile(r"%\(\w+\)[sdr]|%%|%[sd]|\{\w*\}|</?\w[^>]*>")
PAGES = [
    "/", "/search", "/acme", "/acme/channels", "/account/login", "/account/signup",
    "/account/password/reset/", "/nobody-is-called-so", "/dashboard", "/olga/settings/profile",
    "/olga/settings/access", "/olga/settings/access/new", "/acme/settings/members",
    "/acme/groups/new", "/acme/settings/channels/new", "/acme/settings/policy",
    "/acme/settings/bin", "/acme/settings/storage", "/acme/settings/log", "/acme/settings/admin",
]  # fmt: skip


def read(path: Path) -> list[Entry]:
    return list(entries(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parts[-3])
def test_every_text_is_translated_with_the_same_places_to_fill_in(path: Path) -> None:
    for entry in read(path)[1:]:
        assert entry.is_translated, f"{entry.msgid!r} lacks a translation"
        wanted = sorted(set(_PLACES.findall(entry.msgid + entry.plural)))
        found = sorted(set(_PLACES.findall("".join(entry.msgstrs))))
        assert found == wanted, entry.msgid
        for text in entry.msgstrs:
            assert text[-1:] in {".", "…"} or entry.msgid[-1:] not in {".", "…"}, entry.msgid


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parts[-3])
def test_what_is_compiled_is_what_is_written(path: Path) -> None:
    found = read(path)
    again = "make messages compiles it anew"
    assert path.with_suffix(".mo").read_bytes() == compiled(found), again

    known = gettext.GNUTranslations(io.BytesIO(compiled(found)))
    plural = next(e for e in found if e.plural and not e.context)
    assert known.ngettext(plural.msgid, plural.plural, 1) == plural.msgstrs[0]
    assert known.ngettext(plural.msgid, plural.plural, 2) == plural.msgstrs[1]
    assert known.pgettext("how a day is written", "j F Y") == "j. F Y"


def texts_of(page: str) -> set[str]:
    """What is read on a page: texts between tags, and those of attributes."""
    page = re.sub(r"<(script|style|code|pre|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    named = re.findall(r'(?:aria-label|placeholder|title|alt|data-[\w-]+-text)="([^"]*)"', page)
    return {
        " ".join(html.unescape(text).split())
        for text in [*named, *re.split(r"<[^>]+>", page)]
        if re.search(r"[A-Za-z]{2}", text)
    }


@pytest.fixture
def german(owner: Person, acme: Organization) -> Client:
    owner.client.cookies["language"] = "de"
    return owner.client


def test_two_pages_at_random_hold_no_english_sentence(german: Client) -> None:
    known = [entry for path in catalogues() for entry in read(path)[1:]]
    # Some words of one language are others in the other: several filters are "Filter" in German.
    theirs = {text for entry in known for text in entry.msgstrs}
    english = {entry.msgid for entry in known if "%(" not in entry.msgid} - theirs
    for path in random.sample(PAGES, 2):
        page = german.get(path, follow=True).content.decode()
        assert '<html lang="de"' in page, path
        assert not texts_of(page) & english, path


def test_a_visitor_chooses_a_language_below_the_page_and_stays_there(db: None) -> None:
    visitor = Client(HTTP_ACCEPT="text/html", HTTP_ACCEPT_LANGUAGE="fr, en;q=0.5")
    assert '<html lang="en"' in visitor.get("/search").content.decode()

    answer = visitor.post("/-/language", {"language": "de", "next": "/search"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/search")
    page = visitor.get("/search")
    assert '<html lang="de"' in page.content.decode()
    assert page.headers["Content-Language"] == "de"
    assert {"Accept-Language", "Cookie"} <= set(page.headers["Vary"].split(", "))


@pytest.mark.parametrize(
    ("posted", "goal"),
    [
        ({"language": "xx"}, "/"),
        ({"language": "de", "next": "//evil.test"}, "/"),
        ({"language": "de", "next": "registry"}, "/"),
        ({"language": "de", "next": "x\0y"}, "/"),
    ],
)
def test_no_language_that_is_none_and_no_way_out(
    db: None, posted: dict[str, str], goal: str
) -> None:
    answer = Client(HTTP_ACCEPT="text/html").post("/-/language", posted)

    assert answer.headers["Location"] == "/"
    assert bool(answer.cookies["language"].value) == (posted["language"] == "de")


def test_what_programs_are_told_stays_english(owner: Person, acme: Organization) -> None:
    token = owner.token("all").secret
    for accepted in ("application/json", "text/html, */*;q=0.1"):
        answer = Client().post(
            "/api/v1/accounts/acme/groups",
            {"name": "about/", "permission": "read"},
            content_type="application/json",
            headers={
                "Accept-Language": "de", "Accept": accepted, "Authorization": f"Bearer {token}",
                "Cookie": "language=de",
            },
        )  # fmt: skip
        assert "Use at most 64 letters" in answer.json()["detail"], answer.content
        assert "Content-Language" not in answer.headers
    assert translation.get_language() == "en"


@pytest.mark.parametrize("name", ["1st", "a//b", "label", "a/linux-64"])
def test_what_is_no_channel_name_is_said_in_the_readers_language(german: Client, name: str) -> None:
    posted = {"name": name, "visibility": "public"}
    in_german = german.post("/acme/settings/channels/new", posted)
    with pytest.raises(InvalidChannelNameError) as found:
        check_channel_name(name)
    in_english = str(InvalidChannelName(found.value))

    assert in_english == str(found.value)
    page = html.unescape(in_german.content.decode())
    assert in_german.status_code == 422
    assert f"Der Name des Channels ist '{name}'." in page
    assert in_english.partition(". ")[2] not in page


def test_what_is_wrong_with_a_file_is_said_in_the_readers_language(
    german: Client, owner: Person, acme: Organization
) -> None:
    Channel.objects.create(account=acme.account, name="main")
    sent = SimpleUploadedFile("bad-1.0-0.conda", b"no archive")
    page = words(german.post("/acme/upload", {"files": [sent]}))
    assert "Die Datei beginnt mit 'no a'. Sie muss eine .conda-Datei (ZIP) oder" in page
    assert "It must be" not in page

    instructions = json.dumps({"packages": {"hello-1.0-0.tar.bz2": {"depends": [1]}}}).encode()
    upload = SimpleUploadedFile("patch_instructions.json", instructions)
    posted = {"subdir": "noarch", "document": upload}
    page = words(german.post("/acme/settings/channels/apply-patches/main", posted))
    assert "enthält 1 in depends. Jede Angabe muss eine Zeichenkette aus höchstens" in page

    path, asked = "/conda/acme/noarch/bad-1.0-0.conda", {"Accept-Language": "de"}
    answer = put(path, b"no archive", token=owner.token().secret, headers=asked)
    detail = json.loads(answer.content)["detail"]
    assert detail.startswith("The file begins with 'no a'. It must be a .conda file (ZIP) or")


def test_what_scripts_of_pages_fetch_is_german_too(german: Client, acme: Organization) -> None:
    scripted = {"Accept": "*/*", "X-Requested-With": "XMLHttpRequest"}
    shown = german.get("/search?q=nothing-is-called-so&part=results", headers=scripted)
    assert "Kein Paket passt zu" in shown.content.decode()

    Channel.objects.create(account=acme.account, name="frozen", is_locked=True)
    refused = german.post("/acme/upload?channel=frozen", headers=scripted)
    assert "gesperrt" in refused.json()["detail"]


def test_hidden_and_missing_look_alike_in_german_too(acme: Organization, stranger: Person) -> None:
    Channel.objects.create(account=acme.account, name="hushed", visibility="private")

    def page(name: str) -> str:
        path = f"/acme/channels/{name}"
        text = stranger.client.get(path, headers={"Accept-Language": "de"}).content.decode()
        assert "Nicht gefunden" in text
        return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", text).replace(name, "")

    assert page("hushed") == page("absent")


def test_a_mail_speaks_the_language_of_who_gets_it(
    owner: Person,
    reader: Person,
    acme: Organization,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    reader.user.language = "de"
    reader.user.save()

    with django_capture_on_commit_callbacks(execute=True):
        membership.change_role(by=owner.identity, organization=acme, user=reader.user, role="admin")

    [message] = mail.outbox
    assert message.subject == "Du bist jetzt Admin von acme"
    assert "olga hat dich zu Admin von acme" in message.body


def test_mails_about_signing_in_say_du(owner: Person) -> None:
    visitor = Client(HTTP_ACCEPT="text/html")
    visitor.cookies["language"] = "de"
    for address in (owner.user.email, "nobody@example.org"):
        visitor.post("/account/password/reset/", {"email": address})

    reset, unknown = mail.outbox
    assert reset.subject == "Wähle ein neues Passwort"
    assert "/account/password/reset/key/" in reset.body
    assert "für das Konto olga" in reset.body
    assert unknown.subject == "Mit dieser Adresse gibt es kein Konto"
    for message in mail.outbox:
        assert not re.search(r"\b(Sie|Ihr\w*|Ihnen|[Bb]itte|Hello)\b", str(message.body))
        assert not str(message.body).startswith("\n")
