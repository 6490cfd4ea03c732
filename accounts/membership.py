"""Acts on who belongs to an organization: founding, adding, inviting, changing, leaving."""

from __future__ import annotations

import hashlib
import secrets

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit, emails, people, rights, switches
from accounts.authentication import has_verified_email
from accounts.identity import OPERATOR, Identity
from accounts.models import Account, GroupMember, Invitation, Membership, Organization, User
from accounts.roles import Role, role_covers
from accounts.scopes import Ability
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound
from portal.sentences import gettext
from portal.templatetags.ui import within_a_sentence


def _clean_role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        reason = gettext("There is no role %(role)r. The roles are: %(values)s.") % {
            "role": role,
            "values": ", ".join(Role.values),
        }
        raise InvalidInput(reason, {"role": [reason]}) from None


def _require_user(by: Identity) -> User:
    rights.require_ability(by, Ability.MODIFY_GROUPS)
    if by.user is None:
        raise Forbidden(
            gettext("%(name)s is an organization; only a person may do this.") % {"name": by.name}
        )
    return by.user


def _begin(by: Identity, organization: Organization) -> Organization:
    """Hold the organization's row, then see whether ``by`` may: in this order, so that rights
    lost in the meantime count as lost."""
    held = Organization.objects.locked(organization)
    rights.require_admin(by, held.account, Ability.MODIFY_GROUPS)
    return held


def _is_owner(by: Identity, organization: Organization) -> bool:
    return by is OPERATOR or rights.role_in(by, organization.account) == Role.OWNER


def _require_may_give(by: Identity, organization: Organization, role: Role) -> None:
    if role == Role.OWNER and not _is_owner(by, organization):
        raise Forbidden(
            gettext("Only owners of %(account)s can make someone an owner. Ask one of them.")
            % {"account": organization.account.name}
        )


def _membership(organization: Organization, user: User) -> Membership:
    membership = (
        Membership.objects.select_related("user").filter(organization=organization, user=user)
    ).first()
    if membership is None:
        raise NotFound
    membership.organization = organization
    return membership


def _require_other_owner(membership: Membership, sentence: str) -> None:
    """An organization never has no owner; call it while the organization's row is held."""
    others = Membership.objects.filter(
        organization_id=membership.organization_id, role=Role.OWNER
    ).exclude(pk=membership.pk)
    if membership.role == Role.OWNER and not others.exists():
        raise Conflict(sentence)


def _end_invitations_to(organization: Organization, user: User) -> None:
    """Invitations to a member are settled: else one could bring them back after they went."""
    Invitation.objects.open().for_user(user).filter(organization=organization).update(
        withdrawn_at=timezone.now()
    )


def _end_invitations_by(membership: Membership, *, kept_role: Role | None) -> None:
    """What someone invited to goes with the right to invite to it."""
    sent = Invitation.objects.open().filter(
        organization_id=membership.organization_id, invited_by_id=membership.user_id
    )
    if kept_role == Role.ADMIN:
        sent = sent.filter(role=Role.OWNER)
    if kept_role != Role.OWNER:
        sent.update(withdrawn_at=timezone.now())


@transaction.atomic
def create_organization(
    *, by: Identity, name: str, display_name: str = "", owner: User | None = None
) -> Organization:
    """Found an organization; who founds it is its owner. The operator names the ``owner``."""
    if by is OPERATOR and owner is not None:
        founder = owner
    else:
        switches.require(switches.Name.NEW_ORGANIZATIONS)
        founder = _require_user(by)
        if not has_verified_email(founder):
            raise Forbidden(
                gettext(
                    "Verify your e-mail address first: organizations are founded by people who can "
                    "be reached."
                )
            )
    name = people.require_free_name(name, field="name")
    display_name = display_name.strip()
    if len(display_name) > 128 or not display_name.isprintable():
        reason = gettext("Use at most 128 printable characters.")
        raise InvalidInput(
            gettext("The display name can't be kept. %(reason)s") % {"reason": reason},
            {"display_name": [reason]},
        )
    try:
        with transaction.atomic():
            account = Account.objects.create(
                name=name, kind=Account.Kind.ORGANIZATION, display_name=display_name
            )
    except IntegrityError:
        raise Conflict(people.name_taken(name)) from None
    organization = Organization.objects.create(account=account)
    Membership.objects.create(
        organization=organization, user=founder, role=Role.OWNER, added_by=by.user
    )
    audit.record(
        by=by,
        account=account,
        action="organization.create",
        target=name,
        detail={"owner": founder.username},
    )
    return organization


def _join(
    *, organization: Organization, user: User, role: Role, added_by: User | None
) -> Membership:
    if not user.is_active or user.account.suspended_at is not None:
        raise InvalidInput(
            gettext("%(user)s is suspended and can't be a member.") % {"user": user.username}
        )
    membership, created = Membership.objects.get_or_create(
        organization=organization, user=user, defaults={"role": role, "added_by": added_by}
    )
    if not created:
        raise Conflict(
            gettext("%(user)s is %(role)s of %(account)s already. Change the role instead.")
            % {
                "user": user.username,
                "role": within_a_sentence(membership.get_role_display()),
                "account": organization.account.name,
            }
        )
    return membership


@transaction.atomic
def add_member(*, by: Identity, organization: Organization, user: User, role: str) -> Membership:
    organization = _begin(by, organization)
    wanted = _clean_role(role)
    _require_may_give(by, organization, wanted)
    membership = _join(organization=organization, user=user, role=wanted, added_by=by.user)
    _end_invitations_to(organization, user)
    audit.record(
        by=by,
        account=organization.account,
        action="member.add",
        target=user.username,
        detail={"role": wanted.value},
    )
    emails.send_role_changed(membership, by=by)
    return membership


@transaction.atomic
def change_role(*, by: Identity, organization: Organization, user: User, role: str) -> Membership:
    """Give a member another role; the one they have already changes nothing."""
    organization = _begin(by, organization)
    wanted = _clean_role(role)
    membership = _membership(organization, user)
    if membership.role == wanted:
        return membership
    _require_may_give(by, organization, wanted)
    _refuse_touching_owner(by, membership)
    _require_other_owner(
        membership,
        gettext("%(user)s is the only owner of %(account)s. Make someone else an owner first.")
        % {"user": user.username, "account": organization.account.name},
    )
    before, membership.role = membership.role, wanted
    membership.save(update_fields=["role"])
    if role_covers(before, wanted):
        _end_invitations_by(membership, kept_role=wanted)
    audit.record(
        by=by,
        account=organization.account,
        action="member.change-role",
        target=user.username,
        detail={"before": before, "role": wanted.value},
    )
    emails.send_role_changed(membership, by=by)
    return membership


def enlist(*, by: Identity, organization: Organization, user: User, role: str) -> Membership:
    """Have ``user`` hold ``role``: `change_role` for a member, `add_member` for anybody else."""
    if Membership.objects.filter(organization=organization, user=user).exists():
        return change_role(by=by, organization=organization, user=user, role=role)
    return add_member(by=by, organization=organization, user=user, role=role)


def _refuse_touching_owner(by: Identity, membership: Membership) -> None:
    if membership.role == Role.OWNER and not _is_owner(by, membership.organization):
        raise Forbidden(
            gettext("%(user)s is an owner of %(account)s: only owners can change or remove owners.")
            % {"user": membership.user.username, "account": membership.organization.account.name}
        )


def _part(by: Identity, membership: Membership, action: str) -> None:
    """Take someone out of the organization and its groups; their rights are gone with it."""
    user, organization = membership.user, membership.organization
    groups = GroupMember.objects.filter(group__organization=organization, user=user)
    names = list(groups.order_by("group__name").values_list("group__name", flat=True))
    groups.delete()
    _end_invitations_to(organization, user)
    _end_invitations_by(membership, kept_role=None)
    audit.record(
        by=by,
        account=organization.account,
        action=action,
        target=user.username,
        detail={"role": membership.role, "groups": names},
    )
    membership.delete()


@transaction.atomic
def remove_member(*, by: Identity, organization: Organization, user: User) -> None:
    """Take ``user`` out; what they could do through the organization ends with their next
    request. Tokens of the organization that they made go on working, and stand in its list."""
    organization = _begin(by, organization)
    membership = _membership(organization, user)
    _refuse_touching_owner(by, membership)
    _require_other_owner(
        membership,
        gettext("%(user)s is the only owner of %(account)s. Make someone else an owner first.")
        % {"user": user.username, "account": organization.account.name},
    )
    _part(by, membership, "member.remove")


@transaction.atomic
def leave(*, by: Identity, organization: Organization) -> None:
    organization = Organization.objects.locked(organization)
    membership = _membership(organization, _require_user(by))
    _require_other_owner(
        membership, gettext("You are the only owner. Make someone else an owner first, then leave.")
    )
    _part(by, membership, "member.leave")


@transaction.atomic
def show_membership(*, by: Identity, organization: Organization, is_public: bool) -> None:
    """Let everybody know that ``by`` belongs to the organization, or only its members."""
    user = _require_user(by)
    membership = Membership.objects.select_for_update(of=("self",)).filter(
        organization=organization, user=user
    ).first()  # fmt: skip
    if membership is None:
        raise Forbidden(
            gettext("You do not belong to %(account)s.") % {"account": organization.account.name}
        )
    if membership.is_public == is_public:
        return
    membership.is_public = is_public
    membership.save(update_fields=["is_public"])
    audit.record(
        by=by,
        account=organization.account,
        action="member.show" if is_public else "member.hide",
        target=user.username,
    )


# --- Invitations -------------------------------------------------------------------------------


def _key_digest(key: str) -> str:
    # 256 random bits: no salt, no slow hash.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _addressee(email_or_name: str) -> tuple[str, User | None]:
    """The address to write to, and the user when they were named rather than addressed."""
    typed = email_or_name.strip().lower()
    if "@" in typed:
        try:
            validate_email(typed)
        except ValidationError:
            reason = gettext("%(typed)r is not an e-mail address.") % {"typed": typed}
            raise InvalidInput(reason, {"email_or_name": [reason]}) from None
        return typed, None
    address = (
        EmailAddress.objects.select_related("user")
        .filter(user__username=typed, user__is_active=True, verified=True)
        .order_by("-primary")
        .first()
    )
    if address is None:
        reason = gettext(
            "There is nobody called %(typed)r with a verified address. Try their e-mail address."
        ) % {"typed": typed}
        raise InvalidInput(reason, {"email_or_name": [reason]})
    return address.email, address.user


def _refuse_members(organization: Organization, email: str, user: User | None) -> None:
    known = (
        Q(user=user)
        if user
        else Q(user__emailaddress__email=email, user__emailaddress__verified=True)
    )
    if Membership.objects.filter(known, organization=organization).exists():
        who = user.username if user else email
        raise Conflict(
            gettext("%(who)s is a member of %(account)s already.")
            % {"who": who, "account": organization.account.name}
        )


@transaction.atomic
def invite(
    *, by: Identity, organization: Organization, email_or_name: str, role: str
) -> tuple[Invitation, str]:
    """Offer membership by mail; the key is in the mail and in what is returned, and kept nowhere.

    A new invitation to the same addressee takes the place of the one before.
    """
    organization = _begin(by, organization)
    wanted = _clean_role(role)
    _require_may_give(by, organization, wanted)
    email, user = _addressee(email_or_name)
    _refuse_members(organization, email, user)
    Invitation.objects.open().filter(organization=organization, email=email, user=user).update(
        withdrawn_at=timezone.now()
    )
    key = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        organization=organization,
        email=email,
        user=user,
        role=wanted,
        key_digest=_key_digest(key),
        invited_by=by.user,
        expires_at=timezone.now() + settings.INVITATION_LIFETIME,
    )
    audit.record(
        by=by,
        account=organization.account,
        action="invitation.send",
        target=invitation.addressee,
        detail={"role": wanted.value},
    )
    emails.send_invitation(invitation, by=by, key=key)
    return invitation, key


def find_invitation(*, key: str) -> Invitation:
    """The invitation that ``key`` opens, in whatever state; `NotFound` for any other key."""
    invitation = (
        Invitation.objects.select_related("organization__account", "invited_by", "user")
        .filter(key_digest=_key_digest(key))
        .first()
    )
    if invitation is None:
        raise NotFound
    return invitation


def refuse_closed(invitation: Invitation) -> None:
    """Refuse an invitation that was answered, withdrawn or has expired, saying which."""
    if invitation.accepted_at or invitation.declined_at:
        raise Conflict(gettext("This invitation was answered already."))
    who = invitation.invited_by.username if invitation.invited_by else invitation.organization
    if invitation.withdrawn_at:
        raise Conflict(
            gettext("This invitation was withdrawn. Ask %(who)s for a new one.") % {"who": who}
        )
    if invitation.expires_at <= timezone.now():
        raise Conflict(
            gettext("This invitation has expired. Ask %(who)s for a new one.") % {"who": who}
        )


def _open_invitation_of(user: User, found: Invitation) -> Invitation:
    """The invitation to answer, with its organization's row held: it is answered once."""
    organization = Organization.objects.locked(found.organization)
    invitation = Invitation.objects.select_related("invited_by").filter(pk=found.pk).first()
    if invitation is None:
        raise NotFound
    invitation.organization = organization
    refuse_closed(invitation)
    if not Invitation.objects.for_user(user).filter(pk=invitation.pk).exists():
        raise Forbidden(
            gettext(
                "This invitation was sent to someone else, or to an address that you have not "
                "verified as yours. Sign in with the account it was sent to, or verify the address."
            )
        )
    return invitation


@transaction.atomic
def accept_invitation(
    *, by: Identity, key: str = "", invitation: Invitation | None = None
) -> Membership:
    """Join. The key is for who comes from the mail; whose invitation it is needs none."""
    user = _require_user(by)
    invitation = _open_invitation_of(user, invitation or find_invitation(key=key))
    organization = invitation.organization
    if organization.account.suspended_at is not None:
        raise Conflict(
            gettext("%(account)s is suspended. Nobody can join it now.")
            % {"account": organization.account.name}
        )
    membership = _join(
        organization=organization,
        user=user,
        role=Role(invitation.role),
        added_by=invitation.invited_by,
    )
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    _end_invitations_to(organization, user)
    audit.record(
        by=by,
        account=organization.account,
        action="invitation.accept",
        target=user.username,
        detail={"role": invitation.role},
    )
    return membership


@transaction.atomic
def decline_invitation(
    *, by: Identity, key: str = "", invitation: Invitation | None = None
) -> None:
    user = _require_user(by)
    invitation = _open_invitation_of(user, invitation or find_invitation(key=key))
    invitation.declined_at = timezone.now()
    invitation.save(update_fields=["declined_at"])
    audit.record(
        by=by,
        account=invitation.organization.account,
        action="invitation.decline",
        target=user.username,
    )


@transaction.atomic
def resend_invitation(*, by: Identity, invitation: Invitation) -> Invitation:
    """Send the mail again, with a key of its own and the full time to answer.

    The key in the mail before opens nothing any more: it was never kept, only its hash.
    """
    organization = _begin(by, invitation.organization)
    invitation.refresh_from_db()
    invitation.organization = organization
    refuse_closed(invitation)
    _require_may_give(by, organization, Role(invitation.role))
    key = secrets.token_urlsafe(32)
    invitation.key_digest = _key_digest(key)
    invitation.expires_at = timezone.now() + settings.INVITATION_LIFETIME
    invitation.save(update_fields=["key_digest", "expires_at"])
    audit.record(
        by=by,
        account=organization.account,
        action="invitation.resend",
        target=invitation.addressee,
        detail={"role": invitation.role},
    )
    emails.send_invitation(invitation, by=by, key=key)
    return invitation


@transaction.atomic
def withdraw_invitation(*, by: Identity, invitation: Invitation) -> None:
    organization = _begin(by, invitation.organization)
    invitation.refresh_from_db()
    refuse_closed(invitation)
    invitation.withdrawn_at = timezone.now()
    invitation.save(update_fields=["withdrawn_at"])
    audit.record(
        by=by,
        account=organization.account,
        action="invitation.withdraw",
        target=invitation.addressee,
    )
