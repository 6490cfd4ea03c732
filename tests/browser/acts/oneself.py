"""What each does about themselves: offers and invitations to them, how they sign in, their end."""

from __future__ import annotations

import re
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client

from accounts.models import Membership, Organization, Token
from accounts.roles import Permission, Role
from registry import channel_transfers, package_invitations, transfers
from tests.accounts.views.pages import days_from_now
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import OWNERS, SIGNED_IN, by_api
from tests.browser.test_security_walk import virtual_key
from tests.factories import (
    PASSWORD,
    add_member,
    make_invitation,
    make_organization,
)
from tests.one_time_codes import code_of

_SECURITY = "/{me}/settings/security"


def _organization(do: Doing) -> Organization:
    """One of gus's, which the one who acts does not know."""
    return make_organization(do.name, owner=do.realm.gus.user)


def _role(do: Doing, organization: Organization) -> str | None:
    held = Membership.objects.filter(organization=organization, user=do.person.user).first()
    return held.role if held else None


# --- Organizations -----------------------------------------------------------------------------


@act("accounts:organization-new", at="/dashboard", may=SIGNED_IN)
def make_an_organization(do: Doing) -> None:
    do.start()
    do.press(name=do.name)
    assert do.api(f"/accounts/{do.name}/members", by=do.person)["results"][0]["role"] == "owner"


@act(
    "accounts:organization-leave",
    at="/{me}/settings/organizations",
    may=SIGNED_IN,
    own=True,
    account="{me}",
)
def leave_an_organization(do: Doing) -> None:
    organization = _organization(do)
    add_member(organization, do.person.user)
    do.start()
    do.press(do.me, organization.account.name)
    assert _role(do, organization) is None


_MAY_BE_SHOWN = by_api("GET", "/members")


@act("registry:membership-show", at="/{account}/members", may=_MAY_BE_SHOWN)
def show_that_one_belongs_to_an_organization(do: Doing) -> None:
    do.start()
    do.press("acme")
    assert f">{do.me}</a>" in do.text("/acme/members")


@act("registry:membership-hide", at="/{account}/members", may=_MAY_BE_SHOWN)
def hide_that_one_belongs_to_an_organization(do: Doing) -> None:
    Membership.objects.filter(user=do.person.user).update(is_public=True)
    do.start()
    do.press("acme")
    assert f">{do.me}</a>" not in do.text("/acme/members")


def _invite(do: Doing, organization: Organization) -> int:
    return make_invitation(
        organization, f"{do.me}@example.org", key=do.name, expires_at=days_from_now(3),
        role=Role.ADMIN, user=do.person.user, invited_by=do.realm.gus.user,
    ).pk  # fmt: skip


@act(
    "accounts:own-invitation-accept",
    at="/dashboard",
    may=SIGNED_IN,
    own=True,
    invitation="{own_invitation}",
)
def accept_an_invitation_on_the_dashboard(do: Doing) -> None:
    organization = _organization(do)
    invitation = _invite(do, organization)
    do.start()
    do.press(invitation)
    assert _role(do, organization) == "admin"


@act(
    "accounts:own-invitation-decline",
    at="/dashboard",
    may=SIGNED_IN,
    own=True,
    invitation="{own_invitation}",
)
def decline_an_invitation_on_the_dashboard(do: Doing) -> None:
    organization = _organization(do)
    invitation = _invite(do, organization)
    do.start()
    do.press(invitation)
    assert _role(do, organization) is None
    assert organization.account.name not in do.words("/dashboard", by=do.person)


@act("accounts:invitation-accept", at="/-/invitations/{key}", may=SIGNED_IN, own=True)
def accept_an_invitation_that_was_mailed(do: Doing) -> None:
    organization = _organization(do)
    _invite(do, organization)
    do.start(key=do.name)
    do.press(do.name)
    assert _role(do, organization) == "admin"


@act("accounts:invitation-decline", at="/-/invitations/{key}", may=SIGNED_IN, own=True)
def decline_an_invitation_that_was_mailed(do: Doing) -> None:
    organization = _organization(do)
    _invite(do, organization)
    do.start(key=do.name)
    do.press(do.name)
    assert _role(do, organization) is None
    assert do.name not in str(do.words("/dashboard", by=do.person))


# --- Packages and channels that are offered to them --------------------------------------------


def _invited_to_a_package(do: Doing) -> str:
    file = do.realm.package(do.name)
    file.package.collaborators.filter(user=do.person.user).delete()
    return package_invitations.invite(
        by=do.realm.olga.identity,
        package=file.package,
        email=f"{do.me}@example.org",
        permission=Permission.WRITE,
    ).key


_PACKAGE_INVITATION = "/-/package-invitations/{package_invitation_key}"


@act(
    "registry:package-invitation-accept",
    at=_PACKAGE_INVITATION,
    may=SIGNED_IN,
    own=True,
    key="{package_invitation_key}",
)
def accept_to_work_on_a_package(do: Doing) -> None:
    key = _invited_to_a_package(do)
    do.start(package_invitation_key=key)
    do.press(key)
    assert do.status(f"/acme/{do.name}/settings/description", by=do.person) == 200


@act(
    "registry:package-invitation-decline",
    at=_PACKAGE_INVITATION,
    may=SIGNED_IN,
    own=True,
    key="{package_invitation_key}",
)
def decline_to_work_on_a_package(do: Doing) -> None:
    key = _invited_to_a_package(do)
    do.start(package_invitation_key=key)
    do.press(key)
    assert do.status(f"/-/package-invitations/{key}", by=do.person) == 404


def _offered_package(do: Doing) -> str:
    file = do.realm.package(do.name)
    return transfers.offer(
        by=do.realm.olga.identity, package=file.package, target_name=do.me,
        keeps_collaborators=False,
    ).key  # fmt: skip


def _offered_channel(do: Doing) -> str:
    return channel_transfers.offer(
        by=do.realm.olga.identity, channel=do.realm.channel(do.name), target_name=do.me
    ).key


_TRANSFER = "/-/transfers/{transfer}"
_CHANNEL_TRANSFER = "/-/channel-transfers/{channel_transfer}"


@act("registry:transfer-accept", at=_TRANSFER, may=SIGNED_IN, own=True, key="{transfer}")
def accept_a_package(do: Doing) -> None:
    key = _offered_package(do)
    do.start(transfer=key)
    do.press(key)
    assert do.status(f"/{do.me}/{do.name}") == 200
    assert do.led(f"/acme/{do.name}") == f"/{do.me}/{do.name}"


@act("registry:transfer-decline", at=_TRANSFER, may=SIGNED_IN, own=True, key="{transfer}")
def decline_a_package(do: Doing) -> None:
    key = _offered_package(do)
    do.start(transfer=key)
    do.press(key)
    assert do.status(f"/{do.me}/{do.name}") == 404
    assert "declined it" in do.words(f"/-/transfers/{key}")


@act(
    "registry:channel-transfer-accept",
    at=_CHANNEL_TRANSFER,
    may=SIGNED_IN,
    own=True,
    key="{channel_transfer}",
)
def accept_a_channel(do: Doing) -> None:
    key = _offered_channel(do)
    do.start(channel_transfer=key)
    do.press(key)
    assert do.status(f"/{do.me}/channels/{do.name}") == 200


@act(
    "registry:channel-transfer-decline",
    at=_CHANNEL_TRANSFER,
    may=SIGNED_IN,
    own=True,
    key="{channel_transfer}",
)
def decline_a_channel(do: Doing) -> None:
    key = _offered_channel(do)
    do.start(channel_transfer=key)
    do.press(key)
    assert do.status(f"/{do.me}/channels/{do.name}") == 404
    assert "declined it" in do.words(f"/-/channel-transfers/{key}")


# --- Their account -----------------------------------------------------------------------------


@act("accounts:token-new", at="/{me}/settings/access", may=SIGNED_IN, own=True, account="{me}")
def make_a_token_of_ones_own(do: Doing) -> None:
    do.start()
    do.press(do.me, name=do.name, scopes="conda:download")
    assert Token.objects.get(name=do.name).account.name == do.me


@act("accounts:locale", at="/{me}/settings/profile", may=SIGNED_IN, own=True, account="{me}")
def choose_the_zone_that_pages_show(do: Doing) -> None:
    do.start()
    do.press(do.me, time_zone="Asia/Tokyo")
    do.start()
    assert do.page.locator("[name=time_zone]").input_value() == "Asia/Tokyo"


# --- Signing in --------------------------------------------------------------------------------


@act("account_email", at=_SECURITY, may=SIGNED_IN)
def add_an_address_and_prove_it(do: Doing) -> None:
    address = f"{do.me}@example.net"
    do.start()
    do.page.get_by_text("Add an address").click()
    form = do.page.locator("details form")
    do.fill(form, email=address)
    do.send(form)
    code = re.search(r"^\s*([A-Z0-9]+-?[A-Z0-9]+)\s*$", do.mail_to(address), re.MULTILINE)
    assert code is not None
    form = do.page.locator("main form", has=do.page.locator("[name=code]"))
    do.fill(form, code=code[1])
    do.send(form)
    assert EmailAddress.objects.get(email=address).verified


@act("account_email", at=_SECURITY, may=SIGNED_IN)
def remove_an_address(do: Doing) -> None:
    address = f"{do.me}@example.com"
    EmailAddress.objects.create(user=do.person.user, email=address, verified=True)
    do.start()
    do.settled(do.page.get_by_role("button", name=f"Remove {address}"))
    do.start()
    assert address not in do.page.locator("main").inner_text()


def _elsewhere(do: Doing) -> tuple[Client, UserSession]:
    """Another browser of theirs."""
    client = Client(HTTP_ACCEPT="text/html")
    client.force_login(do.person.user)
    key = client.session.session_key
    session = UserSession.objects.create(
        user=do.person.user, session_key=key, ip="192.0.2.7", user_agent="another browser"
    )
    assert client.get("/dashboard").status_code == 200
    return client, session


@act("accounts:session-end", at=_SECURITY, may=SIGNED_IN, own=True, account="{me}")
def sign_a_device_out(do: Doing) -> None:
    elsewhere, session = _elsewhere(do)
    do.start()
    do.press(do.me, session.pk)
    assert elsewhere.get("/dashboard").status_code == 302
    do.start()


@act("accounts:sessions-end", at=_SECURITY, may=SIGNED_IN, own=True, account="{me}")
def sign_out_everywhere_else(do: Doing) -> None:
    elsewhere = [_elsewhere(do)[0] for _ in range(2)]
    do.start()
    do.press(do.me)
    assert [client.get("/dashboard").status_code for client in elsewhere] == [302, 302]
    do.start()


def _factors(do: Doing, *, totp: bool = False, passkey: bool = False) -> None:
    """What second factors they have from now on, with recovery codes to the first."""
    user = do.person.user
    cache.clear()  # a code is good once in half a minute
    Authenticator.objects.filter(user=user).delete()
    if totp:
        TOTP.activate(user, "JBSWY3DPEHPK3PXP")
        RecoveryCodes.activate(user)
    if passkey:
        Authenticator.objects.create(
            user=user, type="webauthn", data={"name": "laptop", "credential": {}}
        )


def _has(do: Doing, kind: str) -> bool:
    return bool(Authenticator.objects.filter(user=do.person.user, type=kind).exists())


@act("mfa_activate_totp", at=_SECURITY, may=SIGNED_IN, last=True)
def add_an_authenticator_app(do: Doing) -> None:
    _factors(do)
    do.start()
    do.follow('[href="/account/2fa/totp/activate/"]')
    do.press(code=code_of(do.page.locator(".command-box pre").inner_text()))
    assert len(do.page.locator(".command-box pre").inner_text().split()) == 10
    assert _has(do, "totp")


@act("accounts:codes-saved", at=_SECURITY, may=SIGNED_IN, last=True, own=True, account="{me}")
def say_that_one_keeps_the_recovery_codes(do: Doing) -> None:
    _factors(do, totp=True)
    do.start()
    do.follow('[href="/account/2fa/recovery-codes/"]')
    do.page.get_by_label("I keep these codes").check()
    do.settled(do.page.get_by_role("button", name="Done"))
    do.told("10 of 10 are left.")
    assert not do.page.get_by_role("link", name="Save them").count()


@act("mfa_generate_recovery_codes", at=_SECURITY, may=SIGNED_IN, last=True)
def make_new_recovery_codes(do: Doing) -> None:
    _factors(do, totp=True)
    old = Authenticator.objects.get(user=do.person.user, type="recovery_codes").wrap()
    do.start()
    do.press()
    new = do.page.locator(".command-box pre").inner_text().split()
    assert len(new) == 10
    assert not set(new) & set(old.get_unused_codes())


@act("mfa_deactivate_totp", at=_SECURITY, may=SIGNED_IN, last=True)
def remove_the_authenticator_app(do: Doing) -> None:
    _factors(do, totp=True)
    do.start()
    do.press()
    assert not _has(do, "totp")


@act("mfa_add_webauthn", at=_SECURITY, may=SIGNED_IN, last=True)
def add_a_passkey(do: Doing) -> None:
    _factors(do)
    tools: Any = virtual_key(do.page)
    do.start()
    do.follow('[href="/account/2fa/webauthn/add/"]')
    do.page.locator("main [name=name]").fill("laptop")
    do.page.get_by_role("button", name="Add it").click()
    do.told("The passkey is added.")
    tools.send("WebAuthn.disable")
    assert _has(do, "webauthn")


@act("mfa_edit_webauthn", at=_SECURITY, may=SIGNED_IN, last=True, pk="{passkey}")
def rename_a_passkey(do: Doing) -> None:
    _factors(do, passkey=True)
    do.start()
    do.follow('[href$="/edit/"]')
    form = do.page.locator("main form[method=post]")
    do.fill(form, name="blue key")
    do.send(form)
    do.start()
    do.told("blue key")


@act("mfa_remove_webauthn", at=_SECURITY, may=SIGNED_IN, last=True, pk="{passkey}")
def remove_a_passkey(do: Doing) -> None:
    _factors(do, passkey=True)
    do.start()
    do.follow('[href$="/remove/"]')
    form = do.page.locator("main form[method=post]")
    do.send(form)
    assert not _has(do, "webauthn")


# --- The end -----------------------------------------------------------------------------------


def _organization_with_all_roles(do: Doing) -> str:
    """Like acme: the same people have the same roles."""
    made = make_organization(do.name)
    theirs = Membership.objects.filter(organization=do.realm.acme)
    for membership in theirs.select_related("user"):
        add_member(made, membership.user, role=membership.role)
    return made.account.name


@act("registry:account-rename", at="/{account}/settings/admin", may=OWNERS)
def rename_an_organization(do: Doing) -> None:
    name = _organization_with_all_roles(do)
    do.start(account=name)
    do.press(name, name="renamed", understood=True)
    assert do.led(f"/{name}") == "/renamed"
    assert do.status("/renamed") == 200


@act("registry:account-delete", at="/{account}/settings/admin", may=OWNERS)
def delete_an_organization(do: Doing) -> None:
    name = _organization_with_all_roles(do)
    do.start(account=name)
    do.press(name, typed=name)
    assert do.status(f"/{name}") == 404


@act("account_change_password", at=_SECURITY, may=SIGNED_IN, last=True)
def change_the_password(do: Doing) -> None:
    elsewhere, _ = _elsewhere(do)
    new = "another horse, another battery"
    do.start()
    do.press(oldpassword=PASSWORD, password1=new, password2=new)
    assert elsewhere.get("/dashboard").status_code == 302
    do.person.user.refresh_from_db()
    assert do.person.user.check_password(new)


@act(
    "registry:account-delete",
    at="/{me}/settings/admin",
    may=SIGNED_IN,
    last=True,
    own=True,
    account="{me}",
)
def delete_ones_own_account(do: Doing) -> None:
    for organization in Organization.objects.filter(
        memberships__user=do.person.user, memberships__role=Role.OWNER
    ).exclude(memberships__user=do.realm.gus.user):
        add_member(organization, do.realm.gus.user, role=Role.OWNER)
    do.start()
    do.press(do.me, typed=do.me)
    assert do.status(f"/{do.me}", by=do.realm.gus) == 404
