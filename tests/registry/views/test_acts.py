"""What can be done on the pages: collaborators, visibility, channels, files."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

from django.test import Client

from accounts.models import Event
from accounts.roles import Permission
from registry.models import Channel, ChannelFile, Collaborator, Notice, Package, PackageFile
from tests.accounts.views.pages import words
from tests.builders import build_tar_bz2
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.factories import make_group, make_organization
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, HELLO_FILE

_COLLABORATORS = f"{HELLO}/settings/collaborators"
_CHANNELS = "/acme/settings/channels"


def hello() -> Package:
    return Package.objects.get(account__name="acme", name="hello")


def last_event() -> tuple[str, str]:
    event = Event.objects.latest("id")
    return event.action, event.target


# --- Collaborators -----------------------------------------------------------------------------


def test_a_person_who_is_added_may_publish_until_they_are_removed(
    world: World, owner: Person, stranger: Person
) -> None:
    added = owner.client.post(
        f"{_COLLABORATORS}/add-person", {"user": "Sven", "permission": "write"}, follow=True
    )
    assert "sven may now write hello." in words(added)
    held = Collaborator.objects.get(package=hello(), user=stranger.user)
    assert (held.permission, held.added_by) == (Permission.WRITE, owner.user)
    assert stranger.client.get("/acme/upload").status_code == 200

    changed = owner.client.post(
        f"{_COLLABORATORS}/{held.pk}/change", {"permission": "read"}, follow=True
    )
    assert "sven may now read hello." in words(changed)
    refused = stranger.client.get("/acme/upload")
    assert refused.status_code == 403
    assert 'href="/dashboard"' in refused.content.decode()
    assert "/account/login/" not in refused.content.decode()

    asked = owner.client.get(f"{_COLLABORATORS}/{held.pk}/remove")
    assert "sven will no longer be able to see hello in private." in words(asked)
    removed = owner.client.post(f"{_COLLABORATORS}/{held.pk}/remove", follow=True)
    assert "sven is no longer a collaborator of hello." in words(removed)
    assert not Collaborator.objects.filter(user=stranger.user).exists()
    assert last_event() == ("collaborator.remove", "hello: sven")


def test_a_group_is_added_from_those_of_the_organization(world: World, owner: Person) -> None:
    make_group(world.organization, "builders", permission=Permission.READ)
    foreign = make_group(make_organization("globex"), "spies")

    page = words(owner.client.get(_COLLABORATORS))
    assert "builders" in page
    assert foreign.name not in page
    refused = owner.client.post(
        f"{_COLLABORATORS}/add-group", {"group": foreign.name, "permission": "admin"}
    )
    assert refused.status_code == 422
    added = owner.client.post(
        f"{_COLLABORATORS}/add-group", {"group": "builders", "permission": "admin"}, follow=True
    )

    assert "The group builders is now an admin of hello." in words(added)


def test_the_page_says_who_can_already_and_why(
    world: World, owner: Person, maintainer: Person
) -> None:
    said = words(owner.client.get(_COLLABORATORS))

    assert "Owners and admins of acme Admin organization" in said
    assert "maintainers Write group for all packages, 1 person" in said
    assert "Members of acme Read membership" in said


def test_a_name_that_nobody_has_is_said_beside_the_field(world: World, owner: Person) -> None:
    for name in ("nobody-here", "", "a b"):
        answer = owner.client.post(
            f"{_COLLABORATORS}/add-person", {"user": name, "permission": "write"}
        )
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.content.decode()


def test_a_collaborator_of_another_package_is_not_found(world: World, owner: Person) -> None:
    held = Collaborator.objects.filter(package=hello()).first()
    assert held is not None
    elsewhere = f"/acme/hidden/settings/collaborators/{held.pk}"

    assert owner.client.post(f"{elsewhere}/change", {"permission": "admin"}).status_code == 404
    assert owner.client.post(f"{elsewhere}/remove").status_code == 404


def test_an_act_that_is_asked_for_by_get_leads_to_its_page(world: World, owner: Person) -> None:
    for path, page in (
        (f"{_COLLABORATORS}/add-person", _COLLABORATORS),
        (f"{HELLO}/settings/visibility/hide", f"{HELLO}/settings/visibility"),
        (f"{_CHANNELS}/lock/dev", f"{_CHANNELS}/general/dev"),
        (f"{HELLO_FILE}/put", HELLO_FILE),
        (f"{HELLO_FILE}/remove/main", HELLO_FILE),
    ):
        answer = owner.client.get(path)
        assert (answer.status_code, answer["Location"]) == (302, page)


# --- Visibility --------------------------------------------------------------------------------


def test_a_package_is_hidden_at_once_and_shown_when_its_name_is_typed(
    world: World, owner: Person, anonymous: Client
) -> None:
    owner.client.post(f"{HELLO}/settings/visibility/hide")
    assert anonymous.get(HELLO).status_code == 404

    refused = owner.client.post(f"{HELLO}/settings/visibility/show", {"typed": "helo"})
    assert refused.status_code == 422
    assert "That is 'helo'; type hello." in words(refused)
    assert anonymous.get(HELLO).status_code == 404

    owner.client.post(f"{HELLO}/settings/visibility/show", {"typed": "hello"})
    assert anonymous.get(HELLO).status_code == 200


# --- Channels ----------------------------------------------------------------------------------


def test_a_channel_is_made_changed_locked_and_deleted(world: World, owner: Person) -> None:
    made = owner.client.post(
        f"{_CHANNELS}/new",
        {"name": "rc/2026", "description": "Next", "visibility": "private"},
        follow=True,
    )
    assert "rc/2026 is there" in words(made)
    channel = Channel.objects.get(name="rc/2026")
    assert (channel.description, channel.is_private) == ("Next", True)

    general = f"{_CHANNELS}/general/rc/2026"
    owner.client.post(general, {"description": "Later", "visibility": "public"})
    channel.refresh_from_db()
    assert (channel.description, channel.is_private) == ("Later", False)

    owner.client.post(f"{_CHANNELS}/lock/rc/2026", {"lock_note": "release freeze"})
    assert "Locked: “release freeze”" in words(owner.client.get("/acme/channels/rc/2026"))
    locked = owner.client.post(f"{_CHANNELS}/delete/rc/2026", {"typed": "rc/2026"})
    assert locked.status_code == 422
    assert "is locked. Unlock it first." in words(locked)
    owner.client.post(f"{_CHANNELS}/unlock/rc/2026")

    mistyped = owner.client.post(f"{_CHANNELS}/delete/rc/2026", {"typed": "rc"})
    assert mistyped.status_code == 422
    gone = owner.client.post(f"{_CHANNELS}/delete/rc/2026", {"typed": "rc/2026"}, follow=True)
    assert "rc/2026 is deleted." in words(gone)
    assert not Channel.objects.filter(name="rc/2026").exists()


def test_a_channel_that_cannot_be_made_says_why(world: World, owner: Person) -> None:
    for name, reason in (
        ("main", "already has a channel main"),
        ("linux-64", "take its end for a subdir"),
        ("a b", "must begin with a letter"),
        ("", "required"),
    ):
        answer = owner.client.post(f"{_CHANNELS}/new", {"name": name, "visibility": "public"})
        assert answer.status_code == 422
        assert reason in words(answer)


def test_main_is_not_deleted(world: World, owner: Person) -> None:
    answer = owner.client.post(f"{_CHANNELS}/delete/main", {"typed": "main"})

    assert answer.status_code == 422
    assert "main can't be deleted" in words(owner.client.get(f"{_CHANNELS}/delete/main"))
    assert Channel.objects.filter(name="main").exists()


# --- Files -------------------------------------------------------------------------------------


def test_a_file_is_put_into_a_channel_and_taken_out(
    world: World, maintainer: Person, anonymous: Client
) -> None:
    put = maintainer.client.post(f"{HELLO_FILE}/put", {"channel": "dev"}, follow=True)
    assert "hello-1.0-0.conda stands in dev now." in words(put)
    assert "hello" in words(anonymous.get("/acme/channels/dev"))

    removed = maintainer.client.post(f"{HELLO_FILE}/remove/dev", follow=True)
    assert "hello-1.0-0.conda is out of dev." in words(removed)
    assert not ChannelFile.objects.filter(channel__name="dev").exists()
    assert maintainer.client.post(f"{HELLO_FILE}/remove/dev").status_code == 404
    wrong = maintainer.client.post(f"{HELLO_FILE}/put", {"channel": "nowhere"})
    assert wrong.status_code == 422
    assert "There is no channel nowhere to put it into." in words(wrong)


def test_a_locked_channel_says_so(world: World, owner: Person, maintainer: Person) -> None:
    owner.client.post(f"{_CHANNELS}/lock/main", {"lock_note": "freeze"})
    owner.client.post(f"{_CHANNELS}/lock/dev", {"lock_note": "freeze"})

    put = maintainer.client.post(f"{HELLO_FILE}/put", {"channel": "dev"})
    out = maintainer.client.post(f"{HELLO_FILE}/remove/main", follow=True)
    gone = maintainer.client.post(f"{HELLO_FILE}/delete", {"typed": "hello-1.0-0.conda"})

    for answer in (put, out, gone):
        assert "is locked: “freeze”" in words(answer)
    assert ChannelFile.objects.filter(file__name="hello").count() == 1


def test_a_file_whose_name_is_as_long_as_it_may_be_is_deleted(world: World, owner: Person) -> None:
    package = build_tar_bz2("n" * 64, "10" + ".1" * 31, build="b" * 64)
    assert len(package.filename) > 200
    assert owner.upload(package, to=ChannelAddress("acme", "main")).status_code == 201
    page = f"/acme/{'n' * 64}/files/noarch/{package.filename}/delete"

    assert owner.client.post(page, {"typed": package.filename}).status_code == 302
    assert PackageFile.objects.get(filename=package.filename).deleted_at


def test_a_file_is_deleted_when_its_name_is_typed(
    world: World, maintainer: Person, anonymous: Client
) -> None:
    mistyped = maintainer.client.post(f"{HELLO_FILE}/delete", {"typed": "hello"})
    assert mistyped.status_code == 422
    gone = maintainer.client.post(
        f"{HELLO_FILE}/delete", {"typed": "hello-1.0-0.conda"}, follow=True
    )

    assert "noarch/hello-1.0-0.conda is deleted." in words(gone)
    assert anonymous.get(HELLO_FILE).status_code == 404
    assert "has no files that you may see" in words(anonymous.get(HELLO))


# --- What the newest says ----------------------------------------------------------------------


def test_a_release_in_a_private_channel_is_not_told_of(
    world: World, owner: Person, reader: Person, anonymous: Client
) -> None:
    publish(owner, "acme", "secret", "hello", "2.0", about={"summary": "Says more"})

    for path in (HELLO, "/acme", "/search?q=hello", f"{HELLO}/versions", "/"):
        told = words(anonymous.get(path))
        assert "2.0" not in told, path
        assert "Says more" not in told, path
    assert "Says hello" in words(anonymous.get("/acme"))
    page = words(reader.client.get(HELLO))
    assert "Says more" in page
    assert "/label/secret hello" in page
    assert anonymous.get(f"{HELLO}/2.0").status_code == 404


def test_the_box_names_the_channel_that_has_the_newest(
    world: World, owner: Person, maintainer: Person, anonymous: Client
) -> None:
    publish(owner, "acme", "dev", "hello", "2.0")
    assert "/conda/acme/label/dev hello" in words(anonymous.get(HELLO))
    publish(owner, "acme", "main", "hello", "10.0")
    assert "conda install -c http://127.0.0.1:8080/conda/acme hello" in words(anonymous.get(HELLO))

    ChannelFile.objects.filter(file__version="10.0").delete()
    assert "10.0" not in words(anonymous.get(HELLO))
    said = words(maintainer.client.get(HELLO))
    assert "10.0 stands in no channel. The newest that can be installed is 2.0, in dev." in said
    assert PackageFile.objects.filter(version="10.0").count() == 1


def test_what_is_private_is_shown_with_the_place_of_a_token(world: World, reader: Person) -> None:
    said = words(reader.client.get("/acme/hidden"))

    assert "/conda/t/TOKEN/acme hidden" in said
    assert "put a token that may download in place of TOKEN" in said


def test_a_notice_is_shown_as_conda_prints_it(world: World, owner: Person) -> None:
    Notice.objects.filter(pk=world.notice.pk).update(
        created_at=datetime(2026, 11, 21, 22, 1, 2, tzinfo=UTC), level="warning"
    )

    page = owner.client.get(f"{_CHANNELS}/general/main").content.decode()

    printed = html.unescape(page.partition('<pre tabindex="0">')[2].partition("</pre>")[0])
    assert re.fullmatch(
        r'Channel "http\S+/conda/acme" has the following notices:\n'
        r"  \[warning\] -- Sat Nov 21 22:01:02 2026\n  main moves",
        printed,
    )
