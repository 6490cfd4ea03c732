"""What is done to a package as a whole: who may, who sees it, what is said of it, its end."""

from __future__ import annotations

from accounts.roles import Permission
from registry import package_invitations, packages, transfers
from registry.collaboration import set_collaborator
from registry.models import Package, PackageFile, PackageInvitation
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import on_package
from tests.factories import make_group, make_user
from tests.registry.api.test_who_may import HIDE, TEXT, TRANSFER, WRITE
from tests.registry.api.world import publish

_HELLO = "/packages/hello"
_SETTINGS = "/{account}/{package}/settings"
_COLLABORATORS = f"{_SETTINGS}/collaborators"
_MAY_SHARE = on_package("PUT", f"{_HELLO}/collaborators/users/sven", WRITE)
_MAY_SHARE_WITH_GROUPS = on_package("PUT", f"{_HELLO}/collaborators/groups/helpers", WRITE)
_MAY_ADMINISTER = on_package("PATCH", _HELLO, HIDE)
_MAY_DESCRIBE = on_package("PATCH", _HELLO, TEXT)
_MAY_TRANSFER = on_package("POST", f"{_HELLO}/transfer", TRANSFER)


def _package(do: Doing) -> Package:
    return do.realm.package(do.name).package


def _levels(do: Doing, package: Package) -> dict[str, str]:
    rows = do.api(f"/accounts/acme/packages/{package.name}/collaborators")["results"]
    return {row["user"] or row["group"]: row["permission"] for row in rows}


def _share(do: Doing, package: Package) -> int:
    made, _ = set_collaborator(
        by=do.realm.olga.identity,
        package=package,
        permission=Permission.READ,
        user=make_user(do.name),
    )
    return made.pk


# --- Collaborators -----------------------------------------------------------------------------


@act("registry:person-add", at=_COLLABORATORS, may=_MAY_SHARE)
def add_a_collaborator(do: Doing) -> None:
    package, who = _package(do), make_user(do.name).username
    do.start(package=package.name)
    do.press("acme", package.name, user=who, permission="write")
    assert _levels(do, package)[who] == "write"


@act("registry:group-add", at=_COLLABORATORS, may=_MAY_SHARE_WITH_GROUPS)
def add_a_group_of_collaborators(do: Doing) -> None:
    package, group = _package(do), make_group(do.realm.acme, do.name)
    do.start(package=package.name)
    do.press("acme", package.name, group=group.name, permission="read")
    assert _levels(do, package)[group.name] == "read"


@act("registry:collaborator-change", at=_COLLABORATORS, may=_MAY_SHARE)
def change_the_level_of_a_collaborator(do: Doing) -> None:
    package = _package(do)
    collaborator = _share(do, package)
    do.start(package=package.name)
    do.press("acme", package.name, collaborator, permission="admin")
    assert _levels(do, package)[do.name] == "admin"


@act(
    "registry:collaborator-remove",
    at=_COLLABORATORS,
    may=on_package("DELETE", f"{_HELLO}/collaborators/users/cora-acme"),
)
def remove_a_collaborator(do: Doing) -> None:
    package = _package(do)
    collaborator = _share(do, package)
    do.start(package=package.name)
    do.press("acme", package.name, collaborator)
    assert do.name not in _levels(do, package)


@act("registry:collaborator-undo", at=_COLLABORATORS, may=_MAY_SHARE)
def take_back_the_removal_of_a_collaborator(do: Doing) -> None:
    package = _package(do)
    collaborator = _share(do, package)
    do.start(package=package.name)
    do.press("acme", package.name, collaborator, view="registry:collaborator-remove")
    do.press("acme", package.name)
    assert _levels(do, package)[do.name] == "read"


@act("registry:person-add", at=_COLLABORATORS, may=_MAY_SHARE)
def invite_a_collaborator_by_mail(do: Doing) -> None:
    package, address = _package(do), f"{do.name}@example.org"
    do.start(package=package.name)
    do.press("acme", package.name, user=address, permission="write")
    assert "/-/package-invitations/" in do.mail_to(address)


def _invited(do: Doing, package: Package) -> PackageInvitation:
    return package_invitations.invite(
        by=do.realm.olga.identity,
        package=package,
        email=f"{do.name}@example.org",
        permission=Permission.WRITE,
    )


@act(
    "registry:package-invitation-resend",
    at=_COLLABORATORS,
    may=_MAY_SHARE,
    invitation="{package_invitation}",
)
def invite_a_collaborator_once_more(do: Doing) -> None:
    package = _package(do)
    invitation = _invited(do, package)
    sent = do.count_of_mail()
    do.start(package=package.name)
    do.press("acme", package.name, invitation.pk)
    assert do.count_of_mail() == sent + 1


@act(
    "registry:package-invitation-withdraw",
    at=_COLLABORATORS,
    may=_MAY_SHARE,
    invitation="{package_invitation}",
)
def withdraw_the_invitation_of_a_collaborator(do: Doing) -> None:
    package = _package(do)
    invitation = _invited(do, package)
    do.start(package=package.name)
    do.press("acme", package.name, invitation.pk)
    assert do.status(f"/-/package-invitations/{invitation.key}") == 404


# --- What is said of it, and who sees it -------------------------------------------------------


@act("registry:description", at=f"{_SETTINGS}/description", may=_MAY_DESCRIBE)
def describe_a_package(do: Doing) -> None:
    package = _package(do)
    do.start(package=package.name)
    do.press("acme", package.name, summary="Says it anew")
    assert do.api(f"/accounts/acme/packages/{package.name}")["summary"] == "Says it anew"


@act("registry:description-follow", at=f"{_SETTINGS}/description", may=_MAY_DESCRIBE)
def let_the_description_follow_the_uploads(do: Doing) -> None:
    package = do.realm.package(do.name, about={"summary": "As uploaded"}).package
    packages.change_package(
        by=do.realm.olga.identity, package=package, fields={"summary": "By hand"}
    )
    do.start(package=package.name)
    do.press("acme", package.name, "summary")
    assert do.api(f"/accounts/acme/packages/{package.name}")["summary"] == "As uploaded"


@act("registry:package-hide", at=f"{_SETTINGS}/visibility", may=_MAY_ADMINISTER)
def make_a_package_private(do: Doing) -> None:
    package = _package(do)
    do.start(package=package.name)
    do.press("acme", package.name)
    assert do.status(f"/acme/{package.name}", by=do.realm.gus) == 404


@act("registry:package-show", at=f"{_SETTINGS}/visibility", may=_MAY_ADMINISTER)
def make_a_package_public(do: Doing) -> None:
    package = _package(do)
    Package.objects.filter(pk=package.pk).update(is_private=True)
    do.start(package=package.name)
    do.press("acme", package.name, typed=package.name)
    assert do.status(f"/acme/{package.name}", by=do.realm.gus) == 200


# --- Lock, archive, end ------------------------------------------------------------------------


@act("registry:package-lock-act", at=f"{_SETTINGS}/lock", may=_MAY_ADMINISTER)
def lock_a_package(do: Doing) -> None:
    package = _package(do)
    do.start(package=package.name)
    do.press("acme", package.name, lock_note="Release freeze")
    assert do.publish(package.name, "2.0") == 403


@act("registry:package-unlock", at=f"{_SETTINGS}/lock", may=_MAY_ADMINISTER)
def unlock_a_package(do: Doing) -> None:
    package = _package(do)
    packages.lock_package(by=do.realm.olga.identity, package=package)
    do.start(package=package.name)
    do.press("acme", package.name)
    assert do.publish(package.name, "2.0") == 201


@act("registry:package-archive", at=f"{_SETTINGS}/admin", may=_MAY_ADMINISTER)
def archive_a_package(do: Doing) -> None:
    package = _package(do)
    do.start(package=package.name)
    do.press("acme", package.name, note="Use another one")
    assert do.publish(package.name, "2.0") == 403


@act("registry:package-unarchive", at=f"{_SETTINGS}/admin", may=_MAY_ADMINISTER)
def take_a_package_out_of_the_archive(do: Doing) -> None:
    package = _package(do)
    packages.archive_package(by=do.realm.olga.identity, package=package)
    do.start(package=package.name)
    do.press("acme", package.name)
    assert do.publish(package.name, "2.0") == 201


@act("registry:package-delete", at=f"{_SETTINGS}/admin", may=on_package("DELETE", _HELLO))
def delete_a_package_that_others_need(do: Doing) -> None:
    package = _package(do)
    needing = publish(do.realm.olga, "acme", "main", f"{do.name}-user", depends=[do.name])
    do.realm.index()
    do.start(package=package.name)
    do.follow(f'[href$="/{package.name}/delete"]')
    do.told(needing.name)
    do.press("acme", package.name, typed=package.name)
    assert do.status(f"/acme/{package.name}") == 404


# --- To another account ------------------------------------------------------------------------


@act("registry:transfer-offer", at=f"{_SETTINGS}/admin", may=_MAY_TRANSFER)
def offer_a_package_to_another_account(do: Doing) -> None:
    package = _package(do)
    do.start(package=package.name)
    do.follow(f'[href$="/{package.name}/settings/admin/transfer"]')
    asking = do.page.locator("main form:not([method=post])")
    do.fill(asking, target="gus")
    do.send(asking)
    do.press("acme", package.name, typed=package.name)
    assert package.name in do.words("/dashboard", by=do.realm.gus)


def _offered(do: Doing, file: PackageFile, target: str) -> str:
    return transfers.offer(
        by=do.realm.olga.identity, package=file.package, target_name=target,
        keeps_collaborators=True,
    ).key  # fmt: skip


@act(
    "registry:transfer-withdraw",
    at="/-/transfers/{transfer}",
    may=_MAY_TRANSFER,
    key="{transfer}",
)
def withdraw_the_offer_of_a_package(do: Doing) -> None:
    file = do.realm.package(do.name)
    key = _offered(do, file, "gus")
    do.open(f"/-/transfers/{key}")
    do.press(key)
    assert "withdrew it" in do.words(f"/-/transfers/{key}", by=do.realm.gus)
