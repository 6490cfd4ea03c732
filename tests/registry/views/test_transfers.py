"""Packages that go to another account: offered, looked at, accepted; and what is left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Event
from registry import placement, transfers
from registry.channels import change_channel, create_channel
from registry.endings import delete_account
from registry.holding import hold_packages
from registry.models import (
    Channel,
    Collaborator,
    DownloadTotal,
    MovedPackage,
    Package,
    PackageFile,
    Transfer,
)
from registry.packages import delete_package
from registry.quotas import set_quota
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress, get, run_pending_tasks
from tests.factories import PASSWORD, make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

ACME, GLOBEX = ChannelAddress("acme"), ChannelAddress("gus")


@pytest.fixture
def confirmed(world: World, owner: Person) -> Person:
    answer = owner.client.post("/account/reauthenticate/?next=/dashboard", {"password": PASSWORD})
    assert answer.status_code == 302
    return owner


@pytest.fixture
def gus(db: None) -> Person:
    """Whom packages are offered to: their own account."""
    return Person(make_user("gus"))


def offered(by: Person, package: str, to: str = "gus", **more: str) -> str:
    """The address of the offer that somebody makes."""
    form = {"target": to, "typed": package, **more}
    answer = by.client.post(f"/acme/{package}/settings/admin/transfer", form)
    assert answer.status_code == 302, text_of(answer)
    return str(answer.headers["Location"])


def filenames(person: Person, channel: ChannelAddress) -> list[str]:
    return sorted(person.repodata(channel, "noarch")["packages.conda"])


def package_of(account: str, name: str) -> Package:
    return Package.objects.get(account__name=account, name=name)


def test_an_accepted_package_stands_in_the_channels_of_its_new_account(
    confirmed: Person, gus: Person, anonymous: Client
) -> None:
    file = PackageFile.objects.get(filename="hello-1.0-0.conda")
    DownloadTotal.objects.create(file=file, count=41)
    dev = Channel.objects.get(account__name="acme", name="dev")
    placement.add_to_channel(by=confirmed.identity, file=file, channel=dev)

    shown = text_of(confirmed.client.get("/acme/hello/settings/admin/transfer?target=Gus"))
    assert "Nothing changes until an admin of gus accepts" in shown
    assert "Nobody keeps rights" in shown
    address = offered(confirmed, "hello")
    assert "acme offers hello to gus" in text_of(gus.client.get("/dashboard"))
    page = text_of(gus.client.get(address))
    assert "to gus/dev, which is made" in page
    assert get("/conda/acme/noarch/hello-1.0-0.conda").status_code == 200

    answer = gus.client.post(f"{address}/accept")
    assert answer.headers["Location"] == "/gus/hello"

    run_pending_tasks()
    file.refresh_from_db()
    assert (file.account.name, file.package.account.name) == ("gus", "gus")
    assert file.download_total.count == 41
    for channel in ("main", "dev"):
        assert filenames(gus, ChannelAddress("gus", channel)) == ["hello-1.0-0.conda"]
    left = get("/conda/acme/noarch/repodata.json").body
    assert b'"removed":["hello-1.0-0.conda"]' in left
    assert filenames(confirmed, ACME) == ["hidden-1.0-0.conda"]
    assert get("/conda/gus/noarch/hello-1.0-0.conda").body
    assert get("/conda/acme/noarch/hello-1.0-0.conda").status_code == 404
    assert "Says hello" in text_of(anonymous.get("/gus/hello"))
    assert not Collaborator.objects.filter(package=file.package).exists()
    for account in ("acme", "gus"):
        acts = Event.objects.filter(account__name=account, action__startswith="transfer.")
        assert sorted(acts.values_list("action", flat=True)) == [
            "transfer.accept",
            "transfer.offer",
        ]
        # Where somebody is stands in the log of their own account.
        told = acts.exclude(ip_address=None).values_list("actor_name", flat=True)
        assert list(told) == ["olga" if account == "acme" else "gus"]
    assert "gus accepted it" in text_of(confirmed.client.get(address))
    assert gus.client.post(f"{address}/accept").status_code == 409


def test_old_pages_lead_on_until_there_is_a_new_package_of_the_name(
    confirmed: Person, gus: Person, anonymous: Client, stranger: Person
) -> None:
    gus.client.post(f"{offered(confirmed, 'hello')}/accept")

    for path in ("", "/versions", "/files?q=x", "/1.0"):
        old = anonymous.get(f"/acme/hello{path}")
        assert (old.status_code, old.headers["Location"]) == (308, f"/gus/hello{path}"), path
    assert get("/api/v1/accounts/acme/packages/hello").status_code == 404
    assert confirmed.upload(build_conda("hello", "3.0"), to=ACME).status_code == 201
    run_pending_tasks()
    assert "3.0" in text_of(anonymous.get("/acme/hello"))
    assert anonymous.get("/acme/hello/1.0").status_code == 404

    # And back again, past what is left of it there.
    delete_package(by=confirmed.identity, package=package_of("acme", "hello"))
    again = gus.client.post("/account/reauthenticate/?next=/", {"password": PASSWORD})
    assert again.status_code == 302
    back = gus.client.post(
        "/gus/hello/settings/admin/transfer", {"target": "acme", "typed": "hello"}
    )
    confirmed.client.post(f"{back.headers['Location']}/accept")
    run_pending_tasks()
    assert filenames(confirmed, ACME) == ["hello-1.0-0.conda", "hidden-1.0-0.conda"]
    assert anonymous.get("/gus/hello").headers["Location"] == "/acme/hello"
    assert not MovedPackage.objects.filter(account__name="acme").exists()


def test_what_is_private_stays_private_and_is_named_to_nobody_else(
    confirmed: Person, gus: Person, stranger: Person, anonymous: Client
) -> None:
    create_channel(by=gus.identity, account=gus.user.account, name="secret")
    buried, hidden = (offered(confirmed, name) for name in ("buried", "hidden"))
    for address in (buried, hidden):
        assert stranger.client.get(address).status_code == 404
        for act in ("accept", "decline", "withdraw"):
            assert stranger.client.post(f"{address}/{act}").status_code == 404
        assert text_of(gus.client.get(address))
        for path in ("/acme/buried", "/acme/hidden"):
            assert gus.client.get(path).status_code == 404

    for address in (buried, hidden):
        assert gus.client.post(f"{address}/accept").status_code == 302
    run_pending_tasks()

    # gus' channel secret is public, so what stood in acme's stands nowhere.
    assert b"buried" not in get("/conda/gus/label/secret/noarch/repodata.json").body
    assert anonymous.get("/gus/buried").status_code == 404
    assert gus.client.get("/gus/buried").status_code == 200
    for account in ("acme", "gus"):
        assert b"hidden" not in get(f"/conda/{account}/noarch/repodata.json").body
    assert filenames(gus, GLOBEX) == ["hidden-1.0-0.conda"]
    assert anonymous.get("/acme/hidden").status_code == 404
    assert gus.client.get("/acme/hidden").headers["Location"] == "/gus/hidden"


def test_people_keep_their_rights_if_that_is_offered_and_groups_never(
    confirmed: Person, gus: Person
) -> None:
    query = "target=gus&keeps_collaborators=on"
    asked = text_of(confirmed.client.get(f"/acme/hello/settings/admin/transfer?{query}"))
    assert "cora-acme keeps their rights" in asked
    address = offered(confirmed, "hello", keeps_collaborators="on")
    assert "cora-acme (Read)" in text_of(gus.client.get(address))
    gus.client.post(f"{address}/accept")
    [left] = Collaborator.objects.filter(package__name="hello")
    assert left.user is not None
    assert left.user.username == "cora-acme"


def test_what_is_deleted_while_it_is_accepted_stays_deleted(
    confirmed: Person, gus: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = offered(confirmed, "hello")

    def late(ids: list[int]) -> dict[int, Package]:
        delete_package(by=confirmed.identity, package=Package.objects.get(name="hello"))
        return hold_packages(ids)

    monkeypatch.setattr("registry.transfers.hold_packages", late)
    answer = gus.client.post(f"{address}/accept")

    assert answer.status_code == 409
    assert "This transfer doesn't wait any more." in text_of(answer)
    assert Package.objects.get(name="hello").account.name == "acme"


@pytest.mark.parametrize("goes", ["acme", "gus"])
def test_offers_of_and_to_a_deleted_account_go_with_it(
    confirmed: Person, gus: Person, goes: str
) -> None:
    address = offered(confirmed, "hello")
    gone, left = (confirmed, gus) if goes == "acme" else (gus, confirmed)
    assert left.client.get(address).status_code == 200

    delete_account(by=gone.identity, account=Account.objects.get(name=goes))

    assert left.client.get(address).status_code == 404
    assert "offers hello" not in text_of(left.client.get("/dashboard"))
    if left == confirmed:
        page = text_of(left.client.get("/acme/hello/settings/admin/transfer"))
        assert "See what it means" in page


def test_a_package_whose_new_account_was_deleted_leads_nowhere(
    confirmed: Person, gus: Person
) -> None:
    zoe = Person(make_user("zoe"))
    first = offered(confirmed, "hello")
    gus.client.post(f"{first}/accept")
    assert 'href="/gus/hello"' in gus.client.get(first).content.decode()
    package = Package.objects.get(name="hello", account__name="gus")
    second = transfers.offer(by=gus.identity, package=package, target_name="zoe")
    transfers.accept(by=zoe.identity, transfer=second)

    delete_account(by=zoe.identity, account=zoe.user.account)

    assert "gus accepted it" in text_of(gus.client.get(first))


def test_offers_are_declined_withdrawn_and_end_by_themselves(
    confirmed: Person, gus: Person, reader: Person
) -> None:
    declined = offered(confirmed, "hello")
    twice = confirmed.client.get("/acme/hello/settings/admin/transfer")
    assert twice.headers["Location"] == declined
    assert gus.client.post(f"{declined}/withdraw").status_code == 403
    assert confirmed.client.post(f"{declined}/decline").status_code == 403
    assert reader.client.get(declined).status_code == 404
    gus.client.post(f"{declined}/decline")
    assert "gus declined it" in text_of(confirmed.client.get(declined))

    withdrawn = offered(confirmed, "hello")
    confirmed.client.post(f"{withdrawn}/withdraw")
    assert gus.client.post(f"{withdrawn}/accept").status_code == 409

    late = offered(confirmed, "hello")
    Transfer.objects.filter(state="waiting").update(expires_at=timezone.now() - timedelta(1))
    assert gus.client.post(f"{late}/accept").status_code == 409
    assert "offers hello" not in text_of(gus.client.get("/dashboard"))
    assert offered(confirmed, "hello") != late
    assert package_of("acme", "hello").deleted_at is None
    assert not Package.objects.filter(account__name="gus").exists()


def _same_name(acme: Person, gus: Person) -> None:
    assert gus.upload(build_conda("hello", "9.0"), to=GLOBEX).status_code == 201


def _locked(acme: Person, gus: Person) -> None:
    main = Channel.objects.get(account__name="acme", name="main")
    change_channel(by=acme.identity, channel=main, is_locked=True)


def _immutable(acme: Person, gus: Person) -> None:
    main = Channel.objects.get(account__name="acme", name="main")
    change_channel(by=acme.identity, channel=main, is_immutable=True)


def _no_room(acme: Person, gus: Person) -> None:
    boss = Person(make_user("boss", is_superuser=True))
    set_quota(by=boss.identity, account=gus.user.account, max_bytes=1, max_files=None)


def _locked_there(acme: Person, gus: Person) -> None:
    made = create_channel(by=gus.identity, account=gus.user.account, name="main")
    change_channel(by=gus.identity, channel=made, is_locked=True)


def _offerer_left(acme: Person, gus: Person) -> None:
    acme.user.memberships.update(role="member")


def _other_bytes_there(acme: Person, gus: Person) -> None:
    assert gus.upload(build_conda("hello", "1.0", files={"x": "y"}), to=GLOBEX).status_code == 201
    main = Channel.objects.get(account__name="gus", name="main")
    change_channel(by=gus.identity, channel=main, is_immutable=True)
    delete_package(by=gus.identity, package=package_of("gus", "hello"))


@pytest.mark.parametrize(
    ("hinder", "said"),
    [
        (_same_name, "gus has a package hello."),
        (_locked, "main of acme is locked."),
        (_immutable, "which is immutable: they stay there for good."),
        (_no_room, "gus has used 0 B of 1 B"),
        (_locked_there, "main of gus is locked."),
        (_offerer_left, "olga, who offered it, may not do so any more."),
        (_other_bytes_there, "Another hello-1.0-0.conda stood in main of gus"),
    ],
)
def test_what_can_not_be_taken_over_says_why_and_nothing_changes(
    confirmed: Person, gus: Person, hinder: Any, said: str
) -> None:
    address = offered(confirmed, "hello")
    hinder(confirmed, gus)
    before = list(PackageFile.objects.order_by("pk").values_list("pk", "account", "package"))

    page = text_of(gus.client.get(address))
    assert said in page
    assert "Accept hello" not in page
    answer = gus.client.post(f"{address}/accept")

    assert answer.status_code == 409
    assert said in text_of(answer)
    after = list(PackageFile.objects.order_by("pk").values_list("pk", "account", "package"))
    assert after == before
    assert Transfer.objects.get().state == Transfer.State.WAITING


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nobody-here", "There is no account nobody-here."),
        ("acme", "acme has it already."),
    ],
)
def test_a_target_that_can_not_be_is_refused_at_once(
    confirmed: Person, target: str, said: str
) -> None:
    url = "/acme/hello/settings/admin/transfer"
    for answer in (
        confirmed.client.get(url, {"target": target}),
        confirmed.client.post(url, {"target": target, "typed": "hello"}),
    ):
        assert answer.status_code == 422
        assert said in text_of(answer)
    wrong = confirmed.client.post(url, {"target": "olga", "typed": "hallo"})
    assert wrong.status_code == 422
    assert not Transfer.objects.exists()


def test_only_admins_of_a_package_offer_it(
    world: World, maintainer: Person, reader: Person, stranger: Person
) -> None:
    for person in (maintainer, reader, stranger):
        for answer in (
            person.client.get("/acme/hello/settings/admin/transfer"),
            person.client.post("/acme/hello/settings/admin/transfer", {"target": "sven"}),
        ):
            assert answer.status_code == 403
