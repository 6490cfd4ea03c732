"""Locked packages: they say so, and nobody changes what files they have, or where."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.test import Client

from accounts.models import Event
from portal.errors import Refusal
from registry import bin as bins
from registry import placement, retention
from registry.models import Channel, Package, PackageFile
from registry.packages import delete_package
from registry.placement import CopyMode
from registry.refusing import PackageLocked
from registry.replacing import announce, leave
from registry.retention import Terms
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.factories import make_user
from tests.registry.api.world import World
from tests.registry.views.browsers import text_of

LOCK = "/acme/hello/settings/lock"


def test_a_locked_package_says_who_locked_it_and_takes_no_files_until_it_is_unlocked(
    world: World, owner: Person, anonymous: Client
) -> None:
    assert "Lock hello" in text_of(owner.client.get(LOCK))
    answer = owner.client.post(f"{LOCK}/lock", {"lock_note": "Release freeze."}, follow=True)
    assert "hello is locked." in text_of(answer)
    shown = text_of(anonymous.get("/acme/hello"))
    assert "was locked just now by olga" in shown
    assert "Release freeze." in shown

    built = build_conda("hello", "2.0")
    for address in (
        "/conda/acme/noarch/hello-2.0-0.conda",
        "/api/packages/acme/conda/main/hello-2.0-0.conda",
    ):
        token = owner.token("all").secret
        refused = Client().put(
            address,
            built.data,
            content_type="application/octet-stream",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert refused.status_code in {401, 403}, address
        assert "hello of acme is locked since" in refused.content.decode()
    assert not Package.objects.filter(files__version="2.0").exists()

    owner.client.post(f"{LOCK}/unlock")
    assert owner.upload(built, to=ChannelAddress("acme")).status_code == 201
    acts = Event.objects.filter(action__endswith="lock").values_list("action", flat=True)
    assert sorted(acts) == ["package.lock", "package.unlock"]


def test_only_admins_of_a_package_lock_it(
    world: World, maintainer: Person, reader: Person, stranger: Person
) -> None:
    for person in (maintainer, reader, stranger):
        assert person.client.get(LOCK).status_code == 403
        for act in ("lock", "unlock"):
            assert person.client.post(f"{LOCK}/{act}").status_code == 403
    assert not Package.objects.exclude(locked_at=None).exists()


def _leave(by: Person, file: PackageFile) -> None:
    announce(by.identity, file)
    leave(by.identity, file)


def _acts(by: Person, file: PackageFile) -> dict[str, Callable[[], object]]:
    channels = Channel.objects.select_related("account").filter(account__name="acme")
    main, dev = channels.get(name="main"), channels.get(name="dev")
    who, files = by.identity, [file]
    return {
        "put": partial(placement.add_files, by=who, files=files, channel=dev),
        "remove": partial(placement.remove_files, by=who, files=files, channel=main),
        "move": partial(
            placement.move_files, by=who, files=files, from_channel=main, to_channel=dev
        ),
        "delete": partial(placement.delete_files, by=who, files=files),
        "leave": partial(_leave, by, file),
        "delete package": partial(delete_package, by=who, package=file.package),
    }


def test_no_act_changes_where_files_of_a_locked_package_stand(world: World, owner: Person) -> None:
    files = PackageFile.objects.select_related("account", "package")
    file = files.get(filename="hello-1.0-0.conda")
    owner.client.post(f"{LOCK}/lock")
    for name, act in _acts(owner, file).items():
        with pytest.raises(PackageLocked, match=r"hello of acme is locked since .* by olga"):
            act()
        file.refresh_from_db()
        assert (file.deleted_at, file.leaving_until) == (None, None), name
        assert list(file.entries.values_list("channel__name", flat=True)) == ["main"], name


def test_a_locked_package_is_copied_by_others_but_takes_no_copies_and_nothing_back(
    world: World, owner: Person
) -> None:
    gus = Person(make_user("gus"))
    file = PackageFile.objects.get(filename="hello-1.0-0.conda")
    assert owner.upload(build_conda("hello", "2.0"), to=ChannelAddress("acme")).status_code == 201
    newer = PackageFile.objects.get(filename="hello-2.0-0.conda")
    placement.delete_file(by=owner.identity, file=newer)
    owner.client.post(f"{LOCK}/lock")

    placement.copy_file(by=gus.identity, file=file, account_name="gus")
    assert gus.upload(build_conda("hello", "3.0"), to=ChannelAddress("gus")).status_code == 201
    theirs = PackageFile.objects.get(filename="hello-3.0-0.conda")
    with pytest.raises(Refusal, match="is locked"):
        placement.copy_files(
            by=owner.identity, files=[theirs], account_name="acme", mode=CopyMode.UPDATE
        )
    with pytest.raises(Refusal, match="is locked"):
        bins.restore_files(by=owner.identity, account=file.account, files=[newer])


def test_retention_leaves_a_locked_package_alone_and_previews_say_why(
    world: World, owner: Person
) -> None:
    main = Channel.objects.select_related("account").get(account__name="acme", name="main")
    rule = retention.add_rule(
        by=owner.identity, channel=main, terms=Terms(remove_pattern="hello/*/*")
    )
    assert [file.name for file in retention.unkept(rule)] == ["hello"]
    owner.client.post(f"{LOCK}/lock")
    assert not list(retention.unkept(rule))
    file = PackageFile.objects.get(filename="hello-1.0-0.conda")
    page = owner.client.get(f"/acme/files/remove?file={file.pk}&from=main")
    assert "hello of acme is locked since" in text_of(page)


@pytest.mark.parametrize("page", ["files", "versions", "1.0", "files/noarch/hello-1.0-0.conda"])
def test_pages_of_a_locked_package_offer_no_acts_on_its_files(
    world: World, owner: Person, page: str
) -> None:
    def offered() -> list[str]:
        html = owner.client.get(f"/acme/hello/{page}").text
        acts = ("/files/move", "/files/remove", "/delete", "/replace")
        return [act for act in acts if act in html]

    before = offered()
    assert before

    owner.client.post(f"{LOCK}/lock")

    assert offered() == []
