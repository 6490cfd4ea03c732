"""Inviting people to collaborate on a package who have no account here, or whose name nobody knows.

The mail leads to a page; whoever has shown that the address is theirs accepts there, or declines.
"""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.emails import send_package_invitation
from accounts.identity import Identity
from accounts.roles import Permission, permission_covers
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound
from portal.sentences import gettext
from registry import access
from registry.models import Collaborator, Package, PackageInvitation

MAX_OPEN = 50
"""As many may wait for one package: they send mail to anybody."""


@transaction.atomic
def invite(
    *, by: Identity, package: Package, email: str, permission: Permission
) -> PackageInvitation:
    """Send an invitation; a new one to the same address takes the place of the one before."""
    access.require_collaborators(by, package)
    if by.user is None:
        raise Forbidden(
            gettext("%(name)s is an organization; only a person may do this.") % {"name": by.name}
        )
    address = _clean(email)
    waiting = PackageInvitation.objects.filter(package=package)
    waiting.filter(email=address).delete()
    if waiting.filter(expires_at__gt=timezone.now()).count() >= MAX_OPEN:
        raise Conflict(
            gettext("%(n)s invitations to %(package)s wait already. Withdraw some first.")
            % {"n": MAX_OPEN, "package": package.name}
        )
    made = PackageInvitation.objects.create(
        package=package, email=address, permission=permission, invited_by=by.user
    )
    _log(by, made, "invite")
    send_package_invitation(
        made.email,
        inviter=by.name,
        package=f"{package.account.name}/{package.name}",
        permission=Permission(made.permission),
        expires_at=made.expires_at,
        path=f"/-/package-invitations/{made.key}",
    )
    return made


def _clean(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        reason = gettext("%(email)s is not an e-mail address.") % {"email": address[:80]}
        raise InvalidInput(reason, {"user": [reason]}) from None
    return address


def resend(*, by: Identity, invitation: PackageInvitation) -> PackageInvitation:
    return invite(
        by=by,
        package=invitation.package,
        email=invitation.email,
        permission=Permission(invitation.permission),
    )


@transaction.atomic
def withdraw(*, by: Identity, invitation: PackageInvitation) -> None:
    access.require_collaborators(by, invitation.package)
    _log(by, invitation, "withdraw-invitation")
    invitation.delete()


def _log(by: Identity, invitation: PackageInvitation, act: str) -> None:
    audit.record(
        by=by,
        account=invitation.package.account,
        action=f"collaborator.{act}",
        target=f"{invitation.package.name}: {invitation.email}",
        detail={"permission": str(invitation.permission)},
    )


# --- Answering -----------------------------------------------------------------------------------


def find_invitation(key: str) -> PackageInvitation:
    found = (
        PackageInvitation.objects.select_related("package__account", "invited_by")
        .filter(key=key, package__deleted_at=None)
        .first()
    )
    if found is None or not _inviter_may(found):
        raise NotFound
    if found.expires_at <= timezone.now():
        raise Conflict(
            gettext("This invitation has expired. Ask %(who)s for a new one.")
            % {"who": found.invited_by.username}
        )
    return found


def _inviter_may(invitation: PackageInvitation) -> bool:
    inviter = Identity(user=invitation.invited_by)
    return access.may_package(inviter, invitation.package, Permission.ADMIN)


def is_theirs(by: Identity, invitation: PackageInvitation) -> bool:
    if by.user is None:
        return False
    return PackageInvitation.objects.for_user(by.user).filter(pk=invitation.pk).exists()


def _require_theirs(by: Identity, invitation: PackageInvitation) -> PackageInvitation:
    rows = PackageInvitation.objects.select_related("package__account", "invited_by")
    held = rows.select_for_update(of=("self",)).filter(pk=invitation.pk).first()
    if held is None:
        raise NotFound
    if not is_theirs(by, held):
        raise Forbidden(
            gettext(
                "This invitation was sent to someone else, or to an address that you have not "
                "verified as yours. Sign in with the account it was sent to, or verify the address."
            )
        )
    return held


@transaction.atomic
def accept(*, by: Identity, invitation: PackageInvitation) -> Collaborator | None:
    """Collaborate from now on; what they may already, they keep. None where the package is their
    own."""
    held = _require_theirs(by, find_invitation(invitation.key))
    package, user = held.package, by.user
    held.delete()
    if user is None or user.account_id == package.account_id:
        return None
    found, created = Collaborator.objects.get_or_create(
        package=package,
        user=user,
        defaults={"permission": held.permission, "added_by": held.invited_by},
    )
    before = None if created else found.permission
    if before is not None and permission_covers(before, Permission(held.permission)):
        return found
    found.permission = held.permission
    found.save(update_fields=["permission"])
    audit.record(
        by=by,
        account=package.account,
        action="collaborator.add" if created else "collaborator.change",
        target=f"{package.name}: {user.username}",
        detail={"permission": held.permission, "before": before, "invited": held.email},
    )
    return found


@transaction.atomic
def decline(*, by: Identity, invitation: PackageInvitation) -> None:
    held = _require_theirs(by, invitation)
    _log(by, held, "decline-invitation")
    held.delete()


def sweep() -> int:
    """Forget those that expired a month ago: until then their page says so."""
    old = timezone.now() - timedelta(days=30)
    return PackageInvitation.objects.filter(expires_at__lt=old).delete()[0]
