"""Retention rules: what goes from a channel, what stays, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Event
from registry import channels, housekeeping, placement, retention
from registry.models import Channel, ChannelFile, Package, PackageFile, RetentionRule
from registry.retention import Glob, Terms
from tests.accounts.views.pages import words
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, run_pending_tasks
from tests.registry.api.world import by_session

API = "/accounts/acme/retention"
UNRELEASED = ["arch-2.0.dev1", "hello-1.1.dev3", "hello-1.1rc1"]
DEV = ChannelAddress("acme", "dev")


@pytest.fixture
def publish(owner: Person, channel: ChannelAddress) -> Callable[..., None]:
    """Publish ``name version [build] [subdir]`` to main of acme, or elsewhere."""

    def send(*specs: str, to: ChannelAddress = channel) -> None:
        for spec in specs:
            name, version, build, subdir = [*spec.split(), "0", "noarch"][:4]
            if len(spec.split()) == 3:
                build, subdir = spec.split()[2], "noarch"
            built = build_conda(name, version, build=build, subdir=subdir)
            assert owner.upload(built, to=to).status_code == 201

    return send


def add_rule(
    owner: Person, *, enabled: bool = True, channel: str = "main", **terms: Any
) -> RetentionRule:
    row = Channel.objects.select_related("account").get(account__name="acme", name=channel)
    return retention.add_rule(
        by=owner.identity, channel=row, terms=Terms(**terms), is_enabled=enabled
    )


def would_go(rule: RetentionRule) -> list[str]:
    return sorted(f"{file.subdir}/{file.filename}" for file in retention.preview(rule).files)


def standing(channel: str = "main") -> list[str]:
    entries = ChannelFile.objects.filter(channel__account__name="acme", channel__name=channel)
    return sorted(f"{entry.subdir}/{entry.filename}" for entry in entries)


def file_of(spec: str) -> PackageFile:
    name, version = spec.split()
    return PackageFile.objects.get(name=name, version=version)


def let_it_be(days: float, *specs: str) -> None:
    """Let files be in their channels for so long; all without any named."""
    entries = ChannelFile.objects.all()
    if specs:
        entries = entries.filter(file__in=[file_of(spec).pk for spec in specs])
    entries.update(added_at=timezone.now() - timedelta(days=days))


def run_due() -> None:
    RetentionRule.objects.update(due_at=timezone.now())
    housekeeping.keep_house()


# --- What goes ---------------------------------------------------------------------------------


def test_the_newest_versions_stay_with_all_their_builds(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.9", "hello 1.10 a", "hello 1.10 b", "hello 1.8", "other 0.1")

    rule = add_rule(owner, keep_newest=1)

    assert would_go(rule) == ["noarch/hello-1.8-0.conda", "noarch/hello-1.9-0.conda"]
    rule = add_rule(owner, keep_newest=2)
    assert would_go(rule) == ["noarch/hello-1.8-0.conda"]


def test_versions_that_are_spelled_differently_are_one(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0 a", "hello 1.0.0 b", "hello 0.9")

    assert would_go(add_rule(owner, keep_newest=1)) == ["noarch/hello-0.9-0.conda"]


def test_a_platform_that_fell_behind_keeps_the_newest_it_has(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0 0 osx-64", "hello 1.1 0 osx-64", "hello 2.0 0 linux-64")

    assert would_go(add_rule(owner, keep_newest=1)) == ["osx-64/hello-1.0-0.conda"]


def test_a_fix_of_an_older_version_does_not_push_the_newest_out(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 2.0")
    let_it_be(100)
    publish("hello 1.0.1")

    assert would_go(add_rule(owner, keep_newest=1)) == ["noarch/hello-1.0.1-0.conda"]


def test_what_a_patch_took_out_is_not_one_of_the_newest(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 2.0", "hello 3.0")
    ChannelFile.objects.filter(file=file_of("hello 3.0")).update(is_withdrawn=True)

    # Nor does it go before those that are older.
    assert would_go(add_rule(owner, keep_newest=1)) == ["noarch/hello-1.0-0.conda"]


def test_what_came_lately_stays(owner: Person, publish: Callable[..., None]) -> None:
    publish("hello 1.0", "hello 1.1", "hello 1.2")
    let_it_be(31, "hello 1.0", "hello 1.2")
    let_it_be(29, "hello 1.1")

    rule = add_rule(owner, younger_than_days=30)

    assert would_go(rule) == ["noarch/hello-1.0-0.conda", "noarch/hello-1.2-0.conda"]


def test_age_counts_from_when_a_file_came_into_the_channel(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", to=DEV)
    let_it_be(400)
    PackageFile.objects.update(uploaded_at=timezone.now() - timedelta(days=400))
    placement.add_to_channel(
        by=owner.identity, file=file_of("hello 1.0"), channel=ChannelAddress("acme").row
    )

    assert would_go(add_rule(owner, younger_than_days=30)) == []
    assert would_go(add_rule(owner, younger_than_days=30, channel="dev"))


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"remove_pattern": "hello"}, ["hello-1.0", "hello-1.1.dev3", "hello-1.1rc1"]),
        ({"remove_pattern": "HELLO/1.1*"}, ["hello-1.1.dev3", "hello-1.1rc1"]),
        ({"remove_pattern": "*/*rc* */*.dev*"}, UNRELEASED),
        ({"remove_pattern": "*/*/cuda*"}, ["arch-1.0"]),
        ({"remove_pattern": "*", "keep_pattern": "hello arch/*"}, []),
        ({"remove_pattern": "*", "keep_pattern": "*/1.0"}, UNRELEASED),
        ({"keep_newest": 1}, ["arch-1.0", "hello-1.0", "hello-1.1rc1"]),
        ({"keep_newest": 1, "keep_pattern": "*/*rc?"}, ["arch-1.0", "hello-1.0"]),
        ({"keep_newest": 2, "remove_pattern": "*/1.0"}, ["hello-1.0"]),
    ],
)  # fmt: skip
def test_patterns_tell_what_goes_and_what_stays(
    terms: dict[str, Any],
    expected: list[str],
    owner: Person,
    publish: Callable[..., None],
) -> None:
    publish(
        "hello 1.0", "hello 1.1.dev3", "hello 1.1rc1", "arch 1.0 cuda_0", "arch 2.0.dev1",
    )  # fmt: skip

    rule = add_rule(owner, **terms)

    assert [name.partition("/")[2].rpartition("-")[0] for name in would_go(rule)] == expected


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("hello", True),
        ("hell?", True),
        ("h*/2.*", True),
        ("hello/2.0/py[0-9]*", True),
        ("hello/2.0/cuda*", False),
        ("hello/2", False),
        ("ello", False),
        ("hello/[!2]*", False),
    ],
)
def test_a_pattern_matches_its_parts_as_a_whole(pattern: str, matches: bool) -> None:
    assert Glob.parse(pattern).matches("hello", "2.0", "PY311_0") is matches


def test_no_pattern_keeps_the_server_busy() -> None:
    """However many stars there are."""
    evil = Glob.parse("/".join(["*a" * 150 + "b"] * 3))

    assert not evil.matches("a" * 64, "a" * 64, "a" * 64)


# --- Doing it ----------------------------------------------------------------------------------


def test_what_stands_nowhere_else_is_deleted_and_the_rest_is_taken_out(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1", "hello 1.2")
    placement.copy_file(
        by=owner.identity, file=file_of("hello 1.1"), account_name="acme", channel_name="dev"
    )
    run_pending_tasks()
    rule = add_rule(owner, keep_newest=1)
    found = retention.preview(rule)
    freed = file_of("hello 1.0").size_bytes
    assert (found.totals.files, found.totals.deleted_files) == (2, 1)
    assert found.totals.freed_bytes == freed

    done = retention.run_rule(by=owner.identity, rule=rule)

    assert (done.removed, done.deleted, done.freed_bytes) == (1, 1, freed)
    assert (standing(), standing("dev")) == (
        ["noarch/hello-1.2-0.conda"],
        ["noarch/hello-1.1-0.conda"],
    )
    assert file_of("hello 1.0").deleted_at is not None
    assert file_of("hello 1.1").deleted_at is None
    run_pending_tasks()
    offered = owner.repodata(ChannelAddress("acme"), "noarch")
    assert list(offered["packages.conda"]) == ["hello-1.2-0.conda"]
    assert sorted(offered["removed"]) == ["hello-1.0-0.conda", "hello-1.1-0.conda"]
    assert would_go(rule) == []


def test_the_log_names_the_rule(owner: Person, publish: Callable[..., None]) -> None:
    publish("hello 1.0", "hello 1.1", "hello 1.2")
    placement.copy_file(
        by=owner.identity, file=file_of("hello 1.1"), account_name="acme", channel_name="dev"
    )
    rule = add_rule(owner, keep_newest=1)

    run_due()

    events = Event.objects.filter(detail__rule=rule.pk).order_by("pk")
    told = [(event.action, event.target, event.actor) for event in events]
    assert told == [
        ("retention.add", "main", owner.user),
        ("file.remove", "noarch/hello-1.1-0.conda", None),
        ("file.delete", "noarch/hello-1.0-0.conda", None),
        ("retention.run", "main", None),
    ]
    shown = words(owner.client.get("/acme/settings/log"))
    assert "a retention rule" in shown


def test_rules_run_by_themselves_once_they_are_due(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1")
    off = add_rule(owner, enabled=False, keep_newest=1)
    rule = add_rule(owner, keep_newest=1)

    housekeeping.keep_house()

    assert len(standing()) == 2  # there is an hour for second thoughts
    RetentionRule.objects.filter(pk=rule.pk).update(due_at=timezone.now())
    housekeeping.keep_house()
    assert standing() == ["noarch/hello-1.1-0.conda"]
    rule.refresh_from_db()
    off.refresh_from_db()
    assert rule.due_at is not None
    assert timedelta(hours=23) < rule.due_at - timezone.now() < timedelta(hours=25)
    assert rule.last_run is not None
    assert (rule.last_run["deleted"], off.ran_at) == (1, None)


def test_very_many_go_some_at_a_time(
    owner: Person, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(*(f"hello 1.{number}" for number in range(9)))
    rule = add_rule(owner, keep_newest=1)
    monkeypatch.setattr(retention, "SLICE", 3)
    monkeypatch.setattr(retention, "_AT_ONCE", 2)

    done = retention.run_rule(by=owner.identity, rule=rule, at_most=1)
    assert (done.removed + done.deleted, done.is_complete, len(standing())) == (1, False, 8)
    monkeypatch.setattr(retention, "RUN_SECONDS", 0)
    housekeeping.keep_house()
    assert len(standing()) == 8
    monkeypatch.setattr(retention, "RUN_SECONDS", 60)
    housekeeping.keep_house()
    assert standing() == ["noarch/hello-1.8-0.conda"]
    rule.refresh_from_db()
    assert rule.due_at is not None
    assert rule.due_at > timezone.now() + timedelta(hours=23)


@pytest.mark.parametrize("switch", ["is_locked", "is_immutable"])
def test_a_channel_that_must_not_change_is_left_alone(
    switch: str, owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1")
    rule = add_rule(owner, keep_newest=1)
    Channel.objects.filter(name="main").update(**{switch: True})

    run_due()

    rule.refresh_from_db()
    assert len(standing()) == 2
    assert switch.removeprefix("is_") in str(rule.last_run)
    shown = words(owner.client.get(f"/acme/settings/channels/retention-rule/{rule.pk}/main"))
    assert switch.removeprefix("is_") in shown
    assert not Event.objects.filter(action="retention.run").exists()


def test_a_file_that_is_about_to_be_uploaded_anew_is_left_to_that(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1")
    PackageFile.objects.filter(version="1.0").update(leaving_until=timezone.now())

    assert would_go(add_rule(owner, remove_pattern="*")) == ["noarch/hello-1.1-0.conda"]


def test_what_became_one_of_the_newest_meanwhile_stays(
    owner: Person, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked anew when the rows are held."""
    publish("hello 1.0", "hello 1.1")
    rule = add_rule(owner, keep_newest=1)
    look = retention.unkept

    def then_the_newest_goes(*args: Any, **kwargs: Any) -> Any:
        found = list(look(*args, **kwargs))
        if "names" not in kwargs:
            placement.delete_file(by=owner.identity, file=file_of("hello 1.1"))
        return iter(found)

    monkeypatch.setattr(retention, "unkept", then_the_newest_goes)
    done = retention.run_rule(by=owner.identity, rule=rule)

    assert (done.removed, done.deleted) == (0, 0)
    assert standing() == ["noarch/hello-1.0-0.conda"]


def test_a_rule_that_is_changed_while_it_runs_stops(
    owner: Person, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("hello 1.0", "hello 1.1")
    rule = add_rule(owner, keep_newest=1)
    look = retention.unkept

    def then_it_is_changed(*args: Any, **kwargs: Any) -> Any:
        RetentionRule.objects.filter(pk=rule.pk).update(keep_newest=5)
        return look(*args, **kwargs)

    monkeypatch.setattr(retention, "unkept", then_it_is_changed)
    done = retention.run_rule(by=owner.identity, rule=rule)

    assert "changed" in done.note
    assert len(standing()) == 2


def test_a_preview_costs_a_few_queries(
    owner: Person,
    publish: Callable[..., None],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    publish(*(f"hello 1.{number}" for number in range(6)))
    rule = RetentionRule.objects.select_related("channel__account").get(
        pk=add_rule(owner, keep_newest=1).pk
    )

    with django_assert_num_queries(2):
        assert len(retention.preview(rule).files) == 5


# --- Rules over the API, on pages and by the operator --------------------------------------------


def test_the_api_makes_previews_runs_and_deletes_rules(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1", "hello 1.2")
    caller = by_session(owner)

    made = caller.call("POST", API, {"channel": "main", "keep_newest": 1})

    assert made.status_code == 201, made.content
    rule = made.json()
    assert (rule["is_enabled"], rule["due_at"], rule["last_run"]) == (False, None, None)
    one = f"{API}/{rule['id']}"
    found = caller.get(f"{one}/preview?offset=1&limit=1").json()
    assert (found["files"], found["deleted_files"], found["left_alone"]) == (2, 2, "")
    [shown] = found["results"]
    assert (shown["filename"], shown["is_deleted"]) == ("hello-1.0-0.conda", True)
    switched = caller.call("PATCH", one, {"is_enabled": True, "younger_than_days": 3}).json()
    assert (switched["keep_newest"], switched["younger_than_days"]) == (1, 3)
    assert switched["due_at"]
    assert caller.get(f"{one}/preview").json()["files"] == 0
    caller.call("PATCH", one, {"younger_than_days": None})
    assert caller.call("POST", f"{one}/run").json()["deleted"] == 2
    assert caller.get(one).json()["last_run"]["deleted"] == 2
    assert [row["id"] for row in caller.get(f"{API}?channel=main").json()["results"]] == [
        rule["id"]
    ]
    assert caller.get(f"{API}?channel=dev").json()["results"] == []
    assert caller.call("DELETE", one).status_code == 204
    assert caller.get(one).status_code == 404
    actions = Event.objects.filter(action__startswith="retention.").order_by("pk")
    assert list(actions.values_list("action", flat=True)) == [
        "retention.add", "retention.change", "retention.change", "retention.run",
        "retention.delete",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({}, "keep_newest"),
        ({"keep_pattern": "hello"}, "keep_newest"),
        ({"keep_newest": 0}, "keep_newest"),
        ({"keep_newest": "many"}, "keep_newest"),
        ({"keep_newest": 10**12}, "keep_newest"),
        ({"younger_than_days": -1}, "younger_than_days"),
        ({"remove_pattern": "a/b/c/d"}, "remove_pattern"),
        ({"remove_pattern": "hello//x"}, "remove_pattern"),
        ({"remove_pattern": "/"}, "remove_pattern"),
        ({"remove_pattern": "x " * 30}, "remove_pattern"),
        ({"remove_pattern": "x" * 501}, "remove_pattern"),
        ({"keep_newest": 1, "keep_patern": "x"}, "keep_patern"),
        ({"keep_newest": 1, "channel": ""}, "channel"),
    ],
)
def test_a_rule_that_can_not_be_meant_is_refused(
    terms: dict[str, Any], field: str, owner: Person, channel: ChannelAddress
) -> None:
    answer = by_session(owner).call("POST", API, {"channel": "main", **terms})

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not RetentionRule.objects.exists()


def test_a_channel_has_a_limited_number_of_rules(owner: Person, channel: ChannelAddress) -> None:
    for _ in range(retention.MAX_RULES):
        add_rule(owner, keep_newest=1)

    answer = by_session(owner).call("POST", API, {"channel": "main", "keep_newest": 1})

    assert answer.status_code == 409


def test_rules_are_the_business_of_those_who_manage_the_channel(
    owner: Person,
    admin: Person,
    reader: Person,
    maintainer: Person,
    stranger: Person,
    private_channel: ChannelAddress,
) -> None:
    rule = add_rule(owner, keep_newest=1, channel="secret")
    one = f"{API}/{rule.pk}"

    for person in (reader, maintainer, stranger):
        caller = by_session(person)
        for method, path in [
            ("GET", API), ("GET", one), ("GET", f"{one}/preview"), ("POST", f"{one}/run"),
            ("PATCH", one), ("DELETE", one),
        ]:  # fmt: skip
            assert caller.call(method, path, {}).status_code == 403
        page = f"/acme/settings/channels/retention-rule/{rule.pk}/secret"
        assert person.client.get(page).status_code == 403
    assert by_session(admin).get(one).status_code == 200
    own = f"/accounts/olga/retention/{rule.pk}"
    assert by_session(owner).get(own).status_code == 404


def test_the_pages_make_a_rule_show_what_it_does_and_run_it(
    owner: Person, publish: Callable[..., None]
) -> None:
    publish("hello 1.0", "hello 1.1")
    rules = "/acme/settings/channels/retention/main"
    assert "keeps everything" in words(owner.client.get(rules))

    wrong = owner.client.post(rules, {"keep_pattern": "hello"})
    assert (wrong.status_code, RetentionRule.objects.count()) == (422, 0)
    made = owner.client.post(rules, {"keep_newest": "1"}, follow=True)

    assert "hello-1.0-0.conda" in words(made)
    rule = RetentionRule.objects.get()
    page = f"/acme/settings/channels/retention-rule/{rule.pk}/main"
    saved = owner.client.post(page, {"keep_newest": "1", "keep_pattern": "x"}, follow=True)
    assert "what matches x" in words(saved)
    acts = "/acme/settings/channels"
    on = owner.client.post(f"{acts}/switch-rule-on/{rule.pk}/main", follow=True)
    assert "The rule is on" in words(on)
    assert "Switch it off" in words(on)
    ran = owner.client.post(f"{acts}/run-rule/{rule.pk}/main", follow=True)
    assert "1 file went" in words(ran)
    assert "keeps all that stands" in words(ran)
    off = owner.client.post(f"{acts}/switch-rule-off/{rule.pk}/main", follow=True)
    assert "The rule is off" in words(off)
    assert "Remove everything but" in words(owner.client.get(rules))
    gone = owner.client.post(f"{acts}/delete-rule/{rule.pk}/main", follow=True)
    assert "keeps everything" in words(gone)
    assert owner.client.get(page).status_code == 404
    assert standing() == ["noarch/hello-1.1-0.conda"]


def test_a_rule_of_another_channel_is_not_found(
    owner: Person, channel: ChannelAddress, private_channel: ChannelAddress
) -> None:
    rule = add_rule(owner, keep_newest=1, channel="secret")

    page = f"/acme/settings/channels/retention-rule/{rule.pk}/main"

    assert owner.client.get(page).status_code == 404


def test_rules_go_with_their_channel(owner: Person, private_channel: ChannelAddress) -> None:
    add_rule(owner, keep_newest=1, channel="secret")

    channels.delete_channel(by=owner.identity, channel=private_channel.row)

    assert not RetentionRule.objects.exists()


def test_the_operator_looks_and_runs(
    owner: Person, publish: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("retention")
    assert "There are no rules" in capsys.readouterr().out
    publish("hello 1.0", "hello 1.1")
    rule = add_rule(owner, enabled=False, keep_newest=1)

    call_command("retention", "ACME/main")

    shown = capsys.readouterr().out
    assert f"acme/main, rule {rule.pk}: keep_newest 1; off; 1 file would go" in shown
    call_command("retention", "--run")
    assert "No rule is switched on" in capsys.readouterr().out
    retention.change_rule(by=owner.identity, rule=rule, is_enabled=True)
    call_command("retention", "acme", "--run")
    assert "1 deleted" in capsys.readouterr().out
    assert standing() == ["noarch/hello-1.1-0.conda"]
    with pytest.raises(CommandError, match="no channel"):
        call_command("retention", "acme/nightly")
    with pytest.raises(CommandError):
        call_command("retention", "nobody")


def test_the_latest_version_follows(owner: Person, publish: Callable[..., None]) -> None:
    publish("hello 1.0", "hello 2.0")
    rule = add_rule(owner, remove_pattern="hello/2.*")

    retention.run_rule(by=owner.identity, rule=rule)

    assert Package.objects.get(name="hello").latest_version == "1.0"
