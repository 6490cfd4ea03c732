"""``condarium demo``: an organization with people, channels and packages to look at."""

from __future__ import annotations

import io
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from accounts import groups, membership, people, tokens
from accounts.identity import OPERATOR, Identity
from accounts.management.acting import ActingCommand
from accounts.models import Account, Organization, User
from accounts.roles import Permission, Role
from accounts.scopes import Scope
from portal.management.commands.serve import prepare_data_folder, prepare_database
from registry import channels, collaboration, indexing, publishing
from registry.management.demo_packages import TO_UPLOAD, demo_packages
from registry.models import Channel, Package
from registry.models.channel import MAIN
from registry.publishing import Claims

ORGANIZATION = "neutrons"
_PEOPLE = {"olga": Role.OWNER, "adam": Role.ADMIN, "maria": Role.MEMBER, "rita": Role.MEMBER}


class Command(ActingCommand):
    help = f"Make the organization {ORGANIZATION} with people, channels and packages to look at."

    def handle(self, *args: Any, **options: Any) -> None:
        prepare_data_folder()
        prepare_database()
        super().handle(*args, **options)

    def act(self, **_options: Any) -> None:
        if Account.objects.filter(name=ORGANIZATION).exists():
            raise CommandError(
                f"{ORGANIZATION} exists already. For a fresh one choose an empty folder: "
                "CONDARIUM_DATA=… make demo"
            )
        # These people have no mailboxes.
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        with transaction.atomic():
            passwords = {name: secrets.token_urlsafe(12) for name in _PEOPLE}
            users = _make_people(passwords)
            organization = _make_organization(users)
            owner = Identity(user=users["olga"], user_agent=OPERATOR.user_agent)
            account = organization.account
            _make_channels(owner, account)
        count = _publish(owner, account)
        _share(owner, organization)
        indexing.run_overdue()
        ci, reading = _make_tokens(owner, account)
        self._explain(count, passwords, ci=ci, reading=reading, sample=_write_sample())

    def _explain(
        self, count: int, passwords: dict[str, str], *, ci: str, reading: str, sample: Path
    ) -> None:
        url = settings.BASE_URL
        public, private = f"{url}/conda/{ORGANIZATION}", f"{url}/conda/t/{reading}/{ORGANIZATION}"
        people_lines = "\n".join(
            f"  {name:<6} {_PEOPLE[name]:<7} {password}" for name, password in passwords.items()
        )
        self.stdout.write(
            f"""
{count} package files are published in {ORGANIZATION}. Serve them:  make run

Look:       {url}/{ORGANIZATION}
Sign in:    {url}{settings.LOGIN_URL} (olga is the site admin, too)
{people_lines}

A token that publishes, and one that only installs; they are shown this once:
  {ci}
  {reading}

Publish:
  curl --fail-with-body -T {sample} -H "Authorization: Bearer {ci}" {public}/main/noarch/

Install, with whichever of them you have:
  conda create -n demo --override-channels -c {public} diffraction
  mamba create -n demo --override-channels -c {public} diffraction
  pixi init demo --channel {public} && cd demo && pixi add diffraction

Install from the channel dev:
  conda create -n dev --override-channels -c {public}/label/dev -c {public} diffraction

Install from the private channel internal:
  conda create -n tables --override-channels -c {private}/label/internal detector-calibration
"""
        )


def _make_people(passwords: dict[str, str]) -> dict[str, User]:
    return {
        name: people.create_user(
            by=OPERATOR,
            username=name,
            email=f"{name}@example.org",
            password=password,
            # Somebody has to be the site admin: the link that makes one is for empty hosts.
            is_superuser=_PEOPLE[name] == Role.OWNER,
        )
        for name, password in passwords.items()
    }


def _make_organization(users: dict[str, User]) -> Organization:
    organization = membership.create_organization(
        by=OPERATOR, name=ORGANIZATION, display_name="Neutrons for all", owner=users["olga"]
    )
    by = Identity(user=users["olga"], user_agent=OPERATOR.user_agent)
    for name, role in _PEOPLE.items():
        if role != Role.OWNER:
            membership.add_member(by=by, organization=organization, user=users[name], role=role)
    maintainers = groups.create_group(
        by=by,
        organization=organization,
        name="maintainers",
        permission=Permission.WRITE,
        all_packages=True,
        description="Publish all packages",
    )
    diffraction = groups.create_group(
        by=by,
        organization=organization,
        name="diffraction",
        permission=Permission.WRITE,
        description="Look after the diffraction software",
    )
    groups.add_to_group(by=by, group=maintainers, user=users["maria"])
    groups.add_to_group(by=by, group=diffraction, user=users["rita"])
    return organization


def _make_channels(by: Identity, account: Account) -> None:
    main = publishing.ensure_channel(by=by, account=account, name=MAIN)
    channels.change_channel(by=by, channel=main, description="Releases")
    channels.create_channel(by=by, account=account, name="dev", description="From each green build")
    channels.create_channel(
        by=by,
        account=account,
        name="internal",
        visibility=Channel.Visibility.PRIVATE,
        description="For members only",
    )


def _publish(by: Identity, account: Account) -> int:
    count = 0
    for package in demo_packages():
        count += 1
        data = package.data()
        for channel in package.channels:
            publishing.publish(
                by=by,
                account_name=account.name,
                channel_name=channel,
                body=io.BytesIO(data),
                claims=Claims(filename=package.filename),
            )
    return count


def _share(by: Identity, organization: Organization) -> None:
    """Let a group write the package that it looks after."""
    group = organization.groups.get(name="diffraction")
    package = Package.objects.select_related("account").get(
        account=organization.account, name="diffraction"
    )
    collaboration.set_collaborator(by=by, package=package, permission=Permission.WRITE, group=group)


def _make_tokens(by: Identity, account: Account) -> tuple[str, str]:
    ci = tokens.create_token(by=by, account=account, name="CI", scopes=[Scope.API_WRITE])
    reading = tokens.create_token(
        by=by, account=account, name="Install", scopes=[Scope.CONDA_DOWNLOAD]
    )
    return ci.secret, reading.secret


def _write_sample() -> Path:
    """A package file to try an upload with."""
    folder = Path(settings.DATA_FOLDER) / "demo"
    folder.mkdir(exist_ok=True)
    path = folder / TO_UPLOAD.filename
    path.write_bytes(TO_UPLOAD.data())
    return path
