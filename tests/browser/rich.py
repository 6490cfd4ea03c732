"""One account with too much of everything, for walks that look at every page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.utils import timezone

from accounts import audit
from accounts.models import Account, Organization
from accounts.roles import Permission
from registry import channel_work, indexing, jobs, placement, sidecars
from registry.channels import create_channel
from registry.collaboration import set_collaborator
from registry.models import (
    Attestation,
    Binned,
    Channel,
    ChannelFile,
    ChannelTransfer,
    Collaborator,
    Download,
    Package,
    PackageFile,
    PackageInvitation,
    Patch,
    RetentionRule,
)
from registry.notices import add_notice
from tests.cast import Person, proven
from tests.factories import (
    add_member,
    make_group,
    make_invitation,
    make_organization,
    make_token,
    make_user,
)
from tests.registry.api.world import publish
from tests.registry.views.test_lists import make_files

NAME = "a-package-with-a-name-of-exactly-sixty-four-characters-abcdefghi"
VERSION = "1.0." + ".".join(["123456789"] * 6)
BUILD = "h" + "0123456789" * 6 + "_10"
FILENAME = f"{NAME}-{VERSION}-{BUILD}.conda"
CHANNEL = "a/channel:of/" + "as-many-characters-as-there-may-be/" * 3 + "x" * 10
PERSON = "a-person-with-a-name-as-long-as-it-may-be-to-be-looked-at-really"
KEY = "k" * 43
OFFER_KEY = "o" * 22
README = """
Works with `everything`. ![logo](https://elsewhere.example.org/logo.png) <script>alert(1)</script>

# A heading that is rather long, so that it has to be wrapped on most of the devices that there are

    ./configure && make --with-many-options-so-that-this-line-is-longer-than-any-phone-is-wide

| Option | Meaning | And | Many | More | Columns | Than | Anybody | Needs |
| ------ | ------: | --- | ---- | ---- | ------- | ---- | ------- | ----- |
| `-9`   | slow    | a   | b    | c    | d       | e    | f       | g     |

שלום עולם, זו חבילה שנכתבה מימין לשמאל, עם `code` ועם https://example.org/ארוך-מאוד בתוך המשפט.

averylongwordwithoutanyplacetobreakitaverylongwordwithoutanyplacetobreakitaverylongwordwithout
"""


@dataclass(frozen=True)
class Rich:
    """acme of olga's, and what the routes of its pages need to be reversed."""

    acme: Organization
    olga: Person
    root: Person
    arguments: dict[str, Any]


def make_rich_world() -> Rich:
    root = Person(make_user("root-of-all", is_superuser=True))
    olga = Person(make_user("olga"))
    acme = make_organization("acme", owner=olga.user)
    long_person = Person(make_user(PERSON))
    add_member(acme, long_person.user)
    file = _publish_all(olga, acme.account)
    main = Channel.objects.get(account=acme.account, name="main")
    group = make_group(acme, "g" * 64, members=[long_person.user, olga.user])
    package = Package.objects.get(account=acme.account, name=NAME)
    for who in ({"user": long_person.user}, {"user": make_user("sven")}, {"group": group}):
        set_collaborator(
            by=olga.identity, package=package, permission=Permission.WRITE, **who
        )  # fmt: skip
    token, invitation = _give_out(acme, olga, long_person)
    soon = timezone.now() + timedelta(days=3)
    notice = add_notice(by=olga.identity, channel=main, message="Moves " * 40, expires_at=soon)
    patch = Patch.objects.create(channel=main, subdir="noarch", kind=Patch.Kind.INSTRUCTIONS)
    job = channel_work.start_copy_all(
        by=olga.identity, source=main, target=Channel.objects.get(account=acme.account, name="dev")
    )
    indexing.run_overdue()
    jobs.run_due()
    for person in (olga, root):
        proven(person)
    kept = {"seed": "0123456789abcdef" * 2, "used_mask": 0}
    Authenticator.objects.create(user=olga.user, type="recovery_codes", data=kept)
    for number in range(60):
        audit.record(
            by=olga.identity_with("all", name=f"token {number} {'t' * 80}"),
            account=acme.account,
            action="file.publish",
            target=f"linux-64/{FILENAME}",
            detail={"sha256": "0" * 64, "channel": CHANNEL},
        )
    key = olga.client.session.session_key
    session, _ = UserSession.objects.get_or_create(
        user=olga.user, session_key=key, defaults={"ip": "2001:db8::5678", "user_agent": "u" * 200}
    )
    binned = Binned.objects.select_related("file").first()
    assert binned is not None
    collaborator = Collaborator.objects.filter(user=long_person.user).get()
    return Rich(
        acme, olga, root,
        {
            "account": "acme", "package": NAME, "version": VERSION, "subdir": "linux-64",
            "filename": FILENAME, "channel": "main", "group": group.name, "user": PERSON,
            "organization": "globex", "token": token, "invitation": invitation, "key": KEY,
            "collaborator": collaborator.pk, "rule": RetentionRule.objects.get().pk,
            "notice": notice.pk, "patch": patch.pk, "session": session.pk, "job": job.key,
            "file": file.pk, "binned": binned.file.pk, "badge": "version", "field": "summary",
            "rest": NAME, "page": "tokens", "name": "uploads", "main": main.pk,
            "offer": OFFER_KEY,
        },
    )  # fmt: skip


def _publish_all(olga: Person, acme: Account) -> PackageFile:
    about = {
        "summary": "Compression library and tools " * 8,
        "description": README,
        "license": "BSD-2-Clause AND LGPL-2.1-or-later AND GPL-2.0-or-later",
        "home": "https://tukaani.org/xz/",
        "dev_url": "https://example.org/a/very/long/address/of/a/repository/with/many/parts/xz",
        "extra": {"remote_url": "https://github.com/acme/xz-feedstock", "sha": "5" * 40},
    }
    inside = {
        "lib/python3.13/site-packages/xz/__init__.py": "import lzma\n" * 20,
        "share/" + "a-long-folder-name/" * 8 + "readme.txt": "xz\n",
        "info/licenses/COPYING": "Do as you like.\n",
        "info/recipe/meta.yaml": "package:\n  name: xz  # its name\n",
    }
    depends = ["libgcc >=13", "bare", f"{'y' * 64} >=1.0,<2.0a0"]
    create_channel(by=olga.identity, account=acme, name=CHANNEL)
    create_channel(
        by=olga.identity, account=acme, name="dev", visibility=Channel.Visibility.PRIVATE
    )
    file = publish(
        olga, "acme", "main", NAME, VERSION, build=BUILD, subdir="linux-64", about=about,
        files=inside, depends=depends, run_exports={"weak": [f"{NAME} >={VERSION}"]},
        constrains=["xz-static <0"],
    )  # fmt: skip
    _attest(file)
    publish(olga, "acme", "main", NAME, "0.9", subdir="osx-arm64", about=about, files=inside)
    publish(olga, "acme", "main", "bare")
    publish(olga, "acme", CHANNEL, "needs-it", depends=[NAME])
    publish(olga, "acme", "main", "removed")
    publish(olga, "acme", "main", "dated", timestamp=0)
    for name in ("dev", CHANNEL, *(f"nightly/{2027 + number}" for number in range(38))):
        channel, _ = Channel.objects.get_or_create(account=acme, name=name)
        ChannelFile.of(file, channel).save()
    main = Channel.objects.select_related("account").get(account=acme, name="main")
    for gone in PackageFile.objects.filter(name="removed").select_related("account", "package"):
        placement.delete_file(by=olga.identity, file=gone)
    package = Package.objects.get(account=acme, name=NAME)
    make_files(acme, package, [f"0.{number}" for number in range(60)], main)
    RetentionRule.objects.create(channel=main, keep_newest=3)
    today = timezone.now().date()
    Download.objects.bulk_create(
        Download(file=file, day=today - timedelta(days=number), count=number * 7 % 100)
        for number in range(90)
    )
    return file


def _attest(file: PackageFile) -> None:
    """As if a workflow and a person had signed it."""
    repository = "https://github.com/acme/" + "a-repository-with-a-long-name-" * 3
    for number, identity in enumerate((f"{repository}/.github/workflows/publish.yml@refs/tags/v1",
                                       "someone@example.org"), 1):  # fmt: skip
        is_workflow = number == 1
        Attestation.objects.create(
            file=file,
            number=number,
            bundle=b"{}",
            bundle_sha256=f"{number:064}",
            sidecar_sha256=f"{number:064}",
            identity=identity,
            issuer="https://token.actions.githubusercontent.com",
            repository=repository if is_workflow else "",
            ref="refs/tags/v1" if is_workflow else "",
            commit="5" * 40 if is_workflow else "",
            run=f"{repository}/actions/runs/12345678901/attempts/1" if is_workflow else "",
            signed_at=timezone.now(),
            log_index=number,
            uploaded_at=timezone.now(),
        )
    sidecars.note(file, f"{2:064}")


def _give_out(acme: Organization, olga: Person, long_person: Person) -> tuple[int, int]:
    soon = timezone.now() + timedelta(days=6)
    token = make_token(
        acme.account,
        *("api:read", "api:write", "conda"),
        name="t" * 100,
        channels=["main", CHANNEL],
        packages=["xz", "xz-*", NAME],
        expires_at=soon,
        created_by=long_person.user,
    ).token
    make_token(acme.account, "all", name="never ends", created_by=olga.user)
    invitation = make_invitation(
        acme, f"{'long' * 20}@example.org", key="a", expires_at=soon, invited_by=long_person.user
    )
    globex = make_organization("globex", owner=long_person.user)
    make_invitation(
        globex, "olga@example.org", key=KEY, expires_at=soon, invited_by=long_person.user
    )
    _offer_to(acme, olga, long_person, globex)
    initech = make_organization("initech", owner=long_person.user)
    add_member(initech, olga.user)
    return token.pk, invitation.pk


def _offer_to(acme: Organization, olga: Person, long_person: Person, globex: Organization) -> None:
    """A channel of acme's to globex, and a package of globex's to olga."""
    ChannelTransfer.objects.create(
        key=OFFER_KEY,
        channel=Channel.objects.get(account=acme.account, name="nightly/2064"),
        source=acme.account,
        target=globex.account,
        offered_by=olga.user,
        offered_by_name=olga.name,
    )
    PackageInvitation.objects.create(
        key=OFFER_KEY,
        package=Package.objects.create(account=globex.account, name="y" * 64),
        email="olga@example.org",
        invited_by=long_person.user,
    )
