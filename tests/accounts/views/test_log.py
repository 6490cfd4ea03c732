from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import audit
from accounts.identity import OPERATOR
from accounts.models import Event, Organization
from tests.accounts.views.pages import words
from tests.cast import Person

LOG = "/acme/settings/log"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def many_events(acme: Organization, owner: Person) -> None:
    for number in range(120):
        audit.record(
            by=owner.identity, account=acme.account, action="token.create", target=f"n{number:03}"
        )


def targets(client: Client, url: str) -> list[str]:
    return re.findall(r"\bn\d{3}\b(?=</strong></th>)", client.get(url).content.decode())


def link(client: Client, url: str, rel: str) -> str | None:
    page = client.get(url).content.decode()
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return LOG + found[1].replace("&amp;", "&") if found else None


def test_the_log_says_who_did_what_from_where(
    acme: Organization, owner: Person, admin: Person
) -> None:
    identity = admin.identity_with("api", name="robot")
    audit.record(by=identity, account=acme.account, action="file.delete", target="linux-64/xz")
    audit.record(by=OPERATOR, account=acme.account, action="organization.create", target="acme")
    audit.record(
        by=owner.identity,
        account=acme.account,
        action="group.change",
        target="<b>builders</b>",
        detail={"before": {"permission": "read"}},
    )

    answer = owner.client.get(LOG)

    text = words(answer)
    assert "adam with token robot deleted linux-64/xz" in text
    assert "the operator founded acme" in text
    assert "Act file.delete" in text
    assert "192.0.2.1" in text
    assert "before permission: read" in text
    assert "a browser" in text
    assert "<b>builders" not in answer.content.decode()


# Whose arguments name the act of a line.
_WRITERS = {"record", "record_all", "_record", "_log", "_publish", "append"}
_ACT = re.compile(r"[a-z]+\.[a-z][a-z_-]+")
# What the code puts together from parts.
_MADE_OF_PARTS = {
    *(f"retention.{act}" for act in ("add", "change", "delete", "run")),
    *(f"transfer.{act}" for act in ("accept", "decline", "offer", "withdraw")),
    *(f"notice.{act}" for act in ("archive", "change", "publish")),
    *(f"collaborator.{act}" for act in ("decline-invitation", "invite", "withdraw-invitation")),
}


def acts_of_the_code() -> Iterator[str]:
    """Each act that is written into the log of an account somewhere."""
    yield from _MADE_OF_PARTS
    for app in ("accounts", "registry"):
        for path in Path(settings.BASE_DIR, app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                named: list[ast.AST] = []
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func).rpartition(".")[2]
                    named = [word.value for word in node.keywords if word.arg == "action"]
                    if called in _WRITERS:
                        named += node.args
                elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "action":
                    named = [node.value]
                for value in named:
                    for part in ast.walk(value):
                        text = part.value if isinstance(part, ast.Constant) else None
                        if isinstance(text, str) and _ACT.fullmatch(text):
                            yield text


def test_each_act_is_told_in_a_sentence(acme: Organization, owner: Person) -> None:
    # Switches are the site's, whose log names acts.
    acts = {act for act in acts_of_the_code() if not act.startswith("switch.")}
    assert {"file.add", "patch.edit", "security.sign-out", "member.hide"} <= acts
    for act in acts:
        audit.record(by=owner.identity, account=acme.account, action=act, target="one thing")

    page: str | None = LOG
    told = ""
    while page:
        told += words(owner.client.get(page))
        page = link(owner.client, page, "next")

    assert {act for act in acts if f"Act {act}" in told} == acts
    assert [act for act in sorted(acts) if f"{act}: one thing" in told] == []


def test_a_patch_leads_to_the_file_that_it_is_of(acme: Organization, owner: Person) -> None:
    for action, target in (("patch.edit", "linux-64/xz-1-0.conda"), ("patch.apply", "noarch")):
        audit.record(by=owner.identity, account=acme.account, action=action, target=target)

    page = owner.client.get(LOG).content.decode()

    assert '<a href="/acme/packages/xz/files/linux-64/xz-1-0.conda">' in page
    assert "patches to <strong>noarch</strong>" in page


def test_pages_follow_each_other_in_both_directions(many_events: None, owner: Person) -> None:
    client = owner.client
    names = [f"n{number:03}" for number in reversed(range(120))]

    older = link(client, LOG, "next")
    assert older is not None
    oldest = link(client, older, "next")
    assert oldest is not None
    assert [targets(client, url) for url in (LOG, older, oldest)] == [
        names[:50],
        names[50:100],
        names[100:],
    ]
    assert link(client, oldest, "next") is None
    assert link(client, LOG, "prev") is None

    newer = link(client, oldest, "prev")
    assert newer is not None
    assert targets(client, newer) == names[50:100]
    newest = link(client, newer, "prev")
    assert newest is not None
    assert targets(client, newest) == names[:50]
    # New lines since: they are there to be reached.
    audit.record(
        by=owner.identity, account=Event.objects.latest("id").account, action="token.create"
    )
    assert link(client, newest, "prev") is not None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("thing=token", ["token.create"]),
        ("thing=member", ["member.add"]),
        ("who=Olga", ["member.add"]),
        ("who=robot", ["token.create"]),
        ("thing=member&who=adam", []),
        ("", ["token.create", "member.add"]),
        ("token=robot", ["token.create"]),
        ("token=olga", []),
        ("target=IT", ["member.add"]),
        ("since=2020-01-01&until=2099-01-01", ["token.create", "member.add"]),
        ("since=2099-01-01", []),
        ("until=2020-01-01", []),
    ],
)
def test_the_log_is_filtered_by_what_and_by_whom(
    acme: Organization, owner: Person, admin: Person, query: str, expected: list[str]
) -> None:
    audit.record(by=owner.identity, account=acme.account, action="member.add", target="rita")
    identity = admin.identity_with("api", name="robot")
    audit.record(by=identity, account=acme.account, action="token.create", target="ci")

    answer = owner.client.get(f"{LOG}?{query}")

    page = answer.content.decode()
    assert re.findall(r"<dd><code>([^<]+)", page) == expected
    if not expected:
        assert "No events match these filters." in words(answer)


def test_filters_go_with_the_pages(many_events: None, owner: Person) -> None:
    older = link(owner.client, f"{LOG}?thing=token&who=olga", "next")

    assert older is not None
    assert "thing=token&who=olga&before=" in older
    assert len(targets(owner.client, older)) == 50


@pytest.mark.parametrize(
    "query",
    ["before=x", "before=-1", f"before={10**30}", "after=x", "thing=x", "who=%00", "since=soon"],
)
def test_a_query_that_makes_no_sense_is_answered_in_words(
    acme: Organization, owner: Person, query: str
) -> None:
    answer = owner.client.get(f"{LOG}?{query}")

    assert answer.status_code == 422
    assert "Error:" in words(answer)


def test_events_of_other_accounts_are_not_in_it(
    acme: Organization, owner: Person, stranger: Person
) -> None:
    audit.record(by=stranger.identity, account=stranger.user.account, action="token.create")

    assert "Nothing happened yet." in words(owner.client.get(LOG))


def test_a_page_asks_as_much_for_many_lines_as_for_none(
    many_events: None, owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    owner.client.get("/acme/groups")  # signs in

    with django_assert_max_num_queries(12):
        owner.client.get(LOG)


# --- Taken away --------------------------------------------------------------------------------


def streamed(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    assert answer.streaming
    assert "no-store" in answer.headers["Cache-Control"]
    return answer.getvalue().decode()


def test_a_spreadsheet_gets_all_lines_that_match_and_no_formula(
    acme: Organization, owner: Person
) -> None:
    for number in range(502):
        audit.record(by=OPERATOR, account=acme.account, action="group.create", target=f"{number}")
    hostile = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"]
    for target in hostile:
        audit.record(by=owner.identity, account=acme.account, action="token.create", target=target)

    everything = list(csv.reader(io.StringIO(streamed(owner.client, f"{LOG}.csv"))))
    some = list(csv.reader(io.StringIO(streamed(owner.client, f"{LOG}.csv?thing=token"))))

    assert everything[0][:5] == ["at", "actor", "token", "action", "target"]
    assert len(everything) == 1 + 502 + len(hostile)
    assert [row[4] for row in some[1:]] == [f"'{target}" for target in reversed(hostile)]


def test_a_program_gets_one_json_object_a_line(acme: Organization, owner: Person) -> None:
    audit.record(
        by=owner.identity,
        account=acme.account,
        action="group.change",
        target="=builders",
        detail={"before": {"permission": "read"}},
    )

    [line] = streamed(owner.client, f"{LOG}.jsonl").splitlines()

    event = json.loads(line)
    assert (event["actor"], event["action"], event["target"]) == (
        "olga",
        "group.change",
        "=builders",
    )
    assert event["detail"] == {"before": {"permission": "read"}}


def test_an_export_asks_for_some_hundreds_at_a_time(
    acme: Organization, owner: Person, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1100):
        audit.record(by=OPERATOR, account=acme.account, action="group.create", target=f"{number}")
    owner.client.get("/acme/groups")

    with django_assert_max_num_queries(12):
        assert len(streamed(owner.client, f"{LOG}.jsonl").splitlines()) == 1100


def test_a_feed_reader_comes_with_a_token(
    acme: Organization, owner: Person, reader: Person, nobody: Client
) -> None:
    audit.record(by=owner.identity, account=acme.account, action="token.create", target="<ci>")

    def feed(secret: str) -> tuple[int, bytes]:
        answer = nobody.get(f"{LOG}.atom", headers={"Authorization": f"Bearer {secret}"})
        return answer.status_code, answer.content

    status, body = feed(owner.token("api:read").secret)
    assert status == 200
    titles = [e.text for e in ET.fromstring(body).iter(f"{ATOM}title")]
    assert titles == ["Audit log of acme", "olga made the token <ci>"]
    assert feed(reader.token("api:read").secret)[0] == 403
    assert feed(owner.token("conda:download").secret)[0] == 403
    assert nobody.get(f"{LOG}.atom").status_code == 401
    assert owner.client.get(f"{LOG}.atom").status_code == 200


@pytest.mark.parametrize("kind", ["csv", "jsonl", "atom"])
def test_filters_that_make_no_sense_take_nothing_away(
    acme: Organization, owner: Person, kind: str
) -> None:
    assert owner.client.get(f"{LOG}.{kind}?since=soon").status_code == 400
