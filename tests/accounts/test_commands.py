from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Event, Membership, Organization, Token, User
from accounts.tokens import find, looks_like_token
from tests.cast import Person
from tests.factories import PASSWORD

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    """What a command prints on stdout."""
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def create_user(monkeypatch: pytest.MonkeyPatch, *arguments: str, password: str = PASSWORD) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
    return run("createuser", *arguments, "--password-stdin")


# --- createuser --------------------------------------------------------------------------------


def test_createuser_makes_a_user_who_can_sign_in(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    create_user(monkeypatch, "Ada", "--email", "Ada@Example.org", password=" spaces count ")

    user = User.objects.get()
    assert (user.username, user.email) == ("ada", "ada@example.org")
    assert user.check_password(" spaces count ")
    assert not user.is_superuser
    assert EmailAddress.objects.get().verified
    event = Event.objects.get()
    assert (event.action, event.target, event.user_agent) == (
        "user.create",
        "ada",
        "condarium command",
    )


def test_createuser_makes_a_site_admin(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    create_user(monkeypatch, "ada", "--email", "ada@example.org", "--superuser")

    assert User.objects.get().is_superuser


@pytest.mark.parametrize(
    ("name", "email", "password", "sentence"),
    [
        ("olga", "new@example.org", PASSWORD, "The name olga is taken. Try olga-2."),
        ("new", "olga@example.org", PASSWORD, "The name new is reserved. Choose another."),
        ("nina", "olga@example.org", PASSWORD, "The address olga@example.org belongs to another"),
        ("nina", "nowhere", PASSWORD, "'nowhere' is not an e-mail address."),
        ("nina", "nina@example.org", "short", "This password is too short"),
        ("nina", "nina@example.org", "", "This password is too short"),
    ],
)
def test_createuser_says_in_one_line_why_not(
    owner: Person,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    email: str,
    password: str,
    sentence: str,
) -> None:
    with pytest.raises(CommandError) as refused:
        create_user(monkeypatch, name, "--email", email, password=password)

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert User.objects.count() == 1


# --- createorg ---------------------------------------------------------------------------------


def test_createorg_makes_an_organization_with_an_owner(stranger: Person) -> None:
    run("createorg", "Neutrons", "--owner", "Sven", "--display-name", "Neutron people")

    organization = Organization.objects.get()
    assert organization.account.name == "neutrons"
    assert Membership.objects.get().role == "owner"
    assert Event.objects.get().actor is None


def test_createorg_says_why_not(stranger: Person, acme: Organization) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        run("createorg", "neutrons", "--owner", "nobody")
    with pytest.raises(CommandError, match="The name acme is taken"):
        run("createorg", "acme", "--owner", "sven")


# --- createtoken -------------------------------------------------------------------------------


def test_createtoken_prints_the_token_and_nothing_else(acme: Organization, owner: Person) -> None:
    printed = run(
        "createtoken", "Acme", "--name", "ci-xz", "--scope", "api:write", "--scope", "api:read",
        "--expires", "30d", "--user", "olga", "--channel", "dev", "--package", "xz",
        "--package", "xz-*",
    )  # fmt: skip

    secret = printed.removesuffix("\n")
    assert looks_like_token(secret)
    token = find(secret)
    assert token is not None
    assert (token.account, token.name, token.created_by) == (acme.account, "ci-xz", owner.user)
    assert token.scopes == ["api:read", "api:write"]
    assert (token.channels, token.packages) == (["dev"], ["xz", "xz-*"])
    assert token.expires_at is not None
    assert abs(token.expires_at - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("expires", "lifetime"),
    [("12h", timedelta(hours=12)), ("2w", timedelta(weeks=2)), (None, timedelta(days=90))],
)
def test_createtoken_takes_spans(owner: Person, expires: str | None, lifetime: timedelta) -> None:
    span = ["--expires", expires] if expires else []

    run("createtoken", "olga", "--name", "ci", "--scope", "all", *span)

    expires_at = Token.objects.get().expires_at
    assert expires_at is not None
    assert abs(expires_at - timezone.now() - lifetime) < timedelta(minutes=1)


def test_a_token_lives_to_the_end_of_the_day_it_was_given(owner: Person) -> None:
    last_day = (timezone.now() + timedelta(days=10)).date()

    run("createtoken", "olga", "--name", "ci", "--scope", "all", "--expires", str(last_day))

    end = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC) + timedelta(days=1)
    assert Token.objects.get().expires_at == end


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "--scope", "all"], "There is no user and no organization 'nobody'."),
        (["olga", "--scope", "fly"], "There is no scope 'fly'."),
        (["olga", "--scope", "all", "--user", "nobody"], "There is no user 'nobody'."),
        (["olga", "--scope", "all", "--expires", "never"], "Every token expires."),
        (["olga", "--scope", "all", "--expires", "2027-02-30"], "write 90d, 12h, 2w or a day"),
        (["olga", "--scope", "all", "--expires", "2020-01-01"], "The date has passed already."),
        (["olga", "--scope", "all", "--expires", "0d"], "The date has passed already."),
        (["olga", "--scope", "all", "--expires", "999999d"], "lives for at most"),
        (["olga", "--scope", "all", "--expires", "9999-12-31"], "write 90d, 12h, 2w or a day"),
    ],
)
def test_createtoken_says_in_one_line_why_not(
    owner: Person, arguments: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        run("createtoken", *arguments, "--name", "ci")

    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Token.objects.exists()


# --- As processes ------------------------------------------------------------------------------


def condarium(
    data: Path, *arguments: str, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=ROOT,
        env={
            **kept,
            "CONDARIUM_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            **variables,
        },
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("exists", [True, False])
def test_a_command_before_the_first_start_says_what_to_do(tmp_path: Path, exists: bool) -> None:
    data = tmp_path / "host"
    if exists:
        data.mkdir()

    done = condarium(data, "createtoken", "acme", "--name", "ci", "--scope", "all")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "condarium migrate" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unreachable_database_is_one_line(tmp_path: Path) -> None:
    done = condarium(
        tmp_path,
        "createorg",
        "acme",
        "--owner",
        "ada",
        CONDARIUM_DATABASE_URL=f"postgresql://user@/condarium?host={tmp_path}",
    )

    assert done.returncode == 1
    assert "can't be reached" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_commands_set_up_a_host_that_ci_can_publish_to(tmp_path: Path) -> None:
    data = tmp_path / "host"
    data.mkdir()
    assert condarium(data, "migrate", "--verbosity", "0").returncode == 0

    made = condarium(
        data, "createuser", "ada", "--email", "ada@example.org", "--password-stdin", stdin=PASSWORD
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert condarium(data, "createorg", "acme", "--owner", "ada").returncode == 0
    token = condarium(
        data, "createtoken", "acme", "--name", "ci", "--scope", "api:write", "--user", "ada"
    )
    again = condarium(data, "createtoken", "acme", "--name", "ci", "--scope", "api:write")

    assert token.returncode == 0
    # The mail about it goes to the console, and must not stand beside the token.
    assert re.fullmatch(r"cph-o[A-Za-z0-9]{49}\n", token.stdout)
    assert "A token was made for acme" in token.stderr
    assert again.returncode == 1
    assert again.stdout == ""
    assert again.stderr.splitlines()[-1] == (
        "CommandError: acme already has a token named ci. Choose another name, or revoke that one "
        "first."
    )
