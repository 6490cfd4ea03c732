"""The organization that the walk goes through, as a year of work leaves it.

Made in a process of its own, in the data folder of a host that is not started yet:
``condarium shell -c "from tests.browser.walk_world import make_world; make_world()"``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from allauth.mfa.models import Authenticator
from django.utils import timezone

from accounts.identity import Identity
from accounts.models import Event, Organization, Token
from accounts.roles import Permission, Role
from registry import indexing, publishing
from registry.collaboration import set_collaborator
from registry.management.demo_packages import DemoPackage
from registry.models import Channel, ChannelFile, Download, DownloadTotal, Package, PackageFile
from registry.publishing import Claims
from tests.cast import Person
from tests.factories import add_member, make_group, make_organization, make_token, make_user

ORGANIZATION, PACKAGE = "neutrons", "diffraction"
_LIBRARY = "libneutron >=2.3,<3.0a0"
PLATFORMS = ("linux-64", "osx-arm64", "win-64")
_PEOPLE = {
    "olga": "Olga Berger", "mira": "Mira Santos", "rita": "Rita Okafor", "jun": "Jun Takeda",
}  # fmt: skip

diffraction = partial(
    DemoPackage,
    PACKAGE,
    summary="Reduces powder diffraction data",
    depends=(_LIBRARY, "tof-units >=1.0"),
    description="From **events** to a diffraction pattern, in one call:\n\n"
    "    reduce --run 21435 --vanadium 21400 --bins 0.5,3.0,0.001\n\n"
    "It\n\n"
    "- masks detectors and monitors\n- focuses by detector bank\n- normalizes to vanadium\n\n"
    "and reads NeXus files of all instruments since 2019.",
)


def _published() -> Iterator[tuple[int, DemoPackage]]:
    """Package files, and how many days ago each was published; dependencies come first."""
    yield 340, DemoPackage("tof-units", "1.0.0", "Units and constants for time-of-flight data")
    for days, version in ((330, "2.3.0"), (120, "2.4.0")):
        for subdir in PLATFORMS:
            yield days, DemoPackage(
                "libneutron", version, "Reads and writes event data", subdir=subdir,
                build="h5e1f_0", run_exports={"weak": [_LIBRARY]},
            )  # fmt: skip
    for days, version in ((310, "3.0.0"), (205, "3.0.1"), (96, "3.1.0"), (33, "3.1.1")):
        for subdir in PLATFORMS[: 2 if version == "3.0.0" else 3]:
            yield days, diffraction(version, subdir=subdir, build="h77c2_0")
    yield 9, diffraction("3.2.0.dev4", subdir="linux-64", build="h0d51_0", channels=("dev",))
    yield 75, DemoPackage("tof-units", "1.1.0", "Units and constants for time-of-flight data")
    yield (
        180,
        DemoPackage(
            "instrument-view",
            "0.9.0",
            "Draws where the detectors are",
            depends=("tof-units >=1.0",),
        ),
    )
    yield 60, DemoPackage(
        "reflectometry", "1.2.0", "Reduces reflectometry data", subdir="linux-64",
        build="h91ab_1", depends=(_LIBRARY, PACKAGE),
    )  # fmt: skip


def make_world() -> None:
    people = {name: Person(make_user(name)) for name in _PEOPLE}
    for name, person in people.items():
        account = person.user.account
        account.display_name = _PEOPLE[name]
        account.save()
    for name in ("olga", "mira"):
        Authenticator.objects.create(user=people[name].user, type=Authenticator.Type.TOTP, data={})
    neutrons = make_organization(ORGANIZATION, owner=people["olga"].user)
    neutrons.account.display_name = "Neutrons for all"
    neutrons.account.save()
    for name, role in {"rita": Role.ADMIN, "mira": Role.MEMBER, "jun": Role.MEMBER}.items():
        add_member(neutrons, people[name].user, role=role)
    _publish(neutrons, people["mira"])
    _hand_out(neutrons, people["olga"])
    _share(neutrons, people)
    _download()
    indexing.run_overdue()


def _publish(neutrons: Organization, mira: Person) -> None:
    nightly = make_token(
        neutrons.account,
        *("api:read", "api:write"),
        name="GitLab CI",
        expires_at=timezone.now() + timedelta(days=17),
        created_by=mira.user,
    ).token
    by = Identity(user=mira.user, token=nightly)
    for days, package in _published():
        for channel in package.channels:
            publishing.publish(
                by=by,
                account_name=ORGANIZATION,
                channel_name=channel,
                body=io.BytesIO(package.data()),
                claims=Claims(filename=package.filename),
            )
        _backdate(package.filename, package.subdir, timezone.now() - timedelta(days=days, hours=5))
    year_ago = timezone.now() - timedelta(days=350)
    Token.objects.filter(pk=nightly.pk).update(
        created_at=year_ago,
        last_used_at=timezone.now() - timedelta(days=9),
        last_used_ip="198.51.100.7",
    )
    for model in (Channel, Package):
        model.objects.update(created_at=year_ago)


def _hand_out(neutrons: Organization, olga: Person) -> None:
    cluster = make_token(
        neutrons.account,
        "conda:download",
        name="Analysis cluster",
        expires_at=timezone.now() + timedelta(days=203),
        created_by=olga.user,
    ).token
    Token.objects.filter(pk=cluster.pk).update(
        created_at=timezone.now() - timedelta(days=162),
        last_used_at=timezone.now() - timedelta(hours=2),
        last_used_ip="198.51.100.40",
    )


def _backdate(filename: str, subdir: str, when: datetime) -> None:
    files = PackageFile.objects.filter(filename=filename, subdir=subdir)
    files.update(uploaded_at=when)
    ChannelFile.objects.filter(file__in=files).update(added_at=when)
    newest = Event.objects.order_by("-pk").values("pk")[:1]
    Event.objects.filter(pk__in=newest).update(at=when)


def _share(neutrons: Organization, people: dict[str, Person]) -> None:
    package = Package.objects.select_related("account").get(name=PACKAGE)
    admins = make_group(neutrons, "diffraction-admins", members=[people["rita"].user])
    builders = make_group(neutrons, "builders", members=[people["mira"].user, people["jun"].user])
    for group, permission in ((admins, Permission.ADMIN), (builders, Permission.WRITE)):
        set_collaborator(
            by=people["olga"].identity, package=package, permission=permission, group=group
        )
    package.collaborators.update(created_at=timezone.now() - timedelta(days=200))


def _download() -> None:
    """Weeks with their ends, and newer versions more than older ones."""
    today = timezone.now().date()
    for number, file in enumerate(PackageFile.objects.order_by("pk")):
        age = (timezone.now() - file.uploaded_at).days
        counts = {
            days: (number * 3 + 100 - days)
            * (2 if (today - timedelta(days=days)).weekday() < 5 else 1)
            // 9
            for days in range(min(age, 90))
        }
        Download.objects.bulk_create(
            Download(file=file, day=today - timedelta(days=days), count=count)
            for days, count in counts.items()
        )
        DownloadTotal.objects.create(file=file, count=sum(counts.values()))
