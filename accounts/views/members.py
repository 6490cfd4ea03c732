from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import membership
from accounts.api.finding import find_invitation, find_user, user_named
from accounts.forms import AddMemberForm, InviteForm, RoleForm, show_refusal
from accounts.identity import Identity
from accounts.models import GroupMember, Invitation, Membership, Organization, User
from accounts.rights import role_in
from accounts.roles import Role
from accounts.views.frame import (
    act_of,
    administered_organization,
    form_page,
    page,
    page_of,
    settings_frame,
    to_row,
)
from portal.errors import Conflict, InvalidInput, NotFound
from portal.spreadsheets import csv_lines, download

_MAX_INVITATIONS_SHOWN = 100


def _is_owner(identity: Identity, organization: Organization) -> bool:
    return role_in(identity, organization.account) == Role.OWNER


def _with_groups(organization: Organization) -> QuerySet[Membership]:
    """The members, each with what the page says of them."""
    theirs = GroupMember.objects.filter(group__organization=organization).select_related("group")
    other_owners = Membership.objects.filter(organization=organization, role=Role.OWNER).exclude(
        pk=OuterRef("pk")
    )
    seen = UserSession.objects.filter(user=OuterRef("user_id")).order_by("-last_seen_at")
    return (
        Membership.objects.filter(organization=organization)
        .select_related("user__account", "added_by")
        .prefetch_related(Prefetch("user__group_memberships", queryset=theirs, to_attr="in_groups"))
        .annotate(
            has_second_factor=Exists(Authenticator.objects.filter(user=OuterRef("user_id"))),
            is_only_owner=Q(role=Role.OWNER) & ~Exists(other_owners),
            last_active=Coalesce(Subquery(seen.values("last_seen_at")[:1]), "user__last_login"),
        )
        .order_by("user__username")
    )


def _render(
    request: HttpRequest,
    identity: Identity,
    organization: Organization,
    *,
    add_form: AddMemberForm | None = None,
    invite_form: InviteForm | None = None,
) -> HttpResponse:
    """The page of members; with a form that was wrong, as the answer to it."""
    frame = settings_frame(request, organization.account, "members")
    is_owner = frame["role"] == Role.OWNER
    invitations = (
        Invitation.objects.open()
        .filter(organization=organization)
        .select_related("user", "invited_by")[:_MAX_INVITATIONS_SHOWN]
    )
    roles = [role for role in Role.choices if is_owner or role[0] != Role.OWNER]
    wrong = any(form is not None and form.errors for form in (add_form, invite_form))
    context = {
        **frame,
        "page": page_of(request, _with_groups(organization)),
        "invitations": invitations,
        "roles": roles,
        "is_owner": is_owner,
        "me": identity.user,
        "add_form": add_form or AddMemberForm(may_make_owners=is_owner, auto_id="add_%s"),
        "invite_form": invite_form or InviteForm(may_make_owners=is_owner, auto_id="invite_%s"),
    }
    return render(request, "accounts/members.html", context, status=422 if wrong else 200)


@page
def members(request: HttpRequest, account: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    return _render(request, identity, organization)


_COLUMNS = ("name", "display_name", "role", "groups", "second_factor", "last_active", "since",
            "added_by")  # fmt: skip
_CHUNK = 500


def _in_chunks(rows: QuerySet[Membership]) -> Iterator[Membership]:
    """All of them by name, some hundreds at a time: no query waits for a slow client."""
    after = ""
    while True:
        chunk = list(rows.filter(user__username__gt=after)[:_CHUNK])
        yield from chunk
        if len(chunk) < _CHUNK:
            return
        after = chunk[-1].user.username


def _csv_row(member: Any) -> tuple[object, ...]:
    return (
        member.user.username,
        member.user.account.display_name,
        member.role,
        ", ".join(each.group.name for each in member.user.in_groups),
        "yes" if member.has_second_factor else "no",
        member.last_active.isoformat() if member.last_active else "",
        member.created_at.isoformat(),
        member.added_by.username if member.added_by else "",
    )


@never_cache
@login_required
@require_safe
def members_csv(request: HttpRequest, account: str) -> StreamingHttpResponse:
    _, organization = administered_organization(request, account)
    rows = map(_csv_row, _in_chunks(_with_groups(organization)))
    return download(
        csv_lines(_COLUMNS, rows),
        filename=f"members-{organization.account.name}.csv",
        content_type="text/csv",
    )


@act_of("accounts:members")
def member_add(request: HttpRequest, account: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    is_owner = _is_owner(identity, organization)
    form = AddMemberForm(request.POST, may_make_owners=is_owner, auto_id="add_%s")
    if form.is_valid():
        try:
            added = membership.add_member(
                by=identity,
                organization=organization,
                user=user_named(form.cleaned_data["user"]),
                role=form.cleaned_data["role"],
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _now(added))
            row = f"member-{added.user.username}"
            return to_row(row, "accounts:members", organization.account.name)
    return _render(request, identity, organization, add_form=form)


@act_of("accounts:members")
def member_invite(request: HttpRequest, account: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    is_owner = _is_owner(identity, organization)
    form = InviteForm(request.POST, may_make_owners=is_owner, auto_id="invite_%s")
    if form.is_valid():
        try:
            sent, _key = membership.invite(
                by=identity, organization=organization, **form.cleaned_data
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("%(who)s is invited. The link is in the mail.") % {"who": sent.addressee},
            )
            row = f"invitation-{sent.pk}"
            return to_row(row, "accounts:members", organization.account.name)
    return _render(request, identity, organization, invite_form=form)


_NOW = {
    Role.OWNER: gettext_lazy("%(who)s is now owner of %(name)s."),
    Role.ADMIN: gettext_lazy("%(who)s is now admin of %(name)s."),
    Role.MEMBER: gettext_lazy("%(who)s is now member of %(name)s."),
}


def _now(member: Membership) -> str:
    return str(_NOW[Role(member.role)]) % {
        "who": member.user.username,
        "name": member.organization.account.name,
    }


def _member(organization: Organization, user: User) -> Membership:
    found = Membership.objects.filter(organization=organization, user=user).first()
    if found is None:
        raise NotFound
    return found


@act_of("accounts:members", "user")
def member_role(request: HttpRequest, account: str, user: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    person = find_user(user)
    # Any role may be asked for: the act says who may give which.
    form = RoleForm(request.POST, may_make_owners=True)
    try:
        if not form.is_valid():
            raise InvalidInput(gettext("Choose one of the roles."))
        changed = membership.change_role(
            by=identity, organization=organization, user=person, role=form.cleaned_data["role"]
        )
    except (InvalidInput, Conflict) as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, _now(changed))
    return redirect("accounts:members", organization.account.name)


@form_page
def member_remove(request: HttpRequest, account: str, user: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    person = find_user(user)
    held = _member(organization, person)
    name = organization.account.name
    if request.method == "POST":
        try:
            membership.remove_member(by=identity, organization=organization, user=person)
        except Conflict as refusal:
            messages.error(request, refusal.detail)
        else:
            messages.success(
                request,
                gettext("%(who)s is no longer a member of %(name)s.")
                % {"who": person.username, "name": name},
            )
        return redirect("accounts:members", name)
    groups = GroupMember.objects.filter(group__organization=organization, user=person)
    context = {
        **settings_frame(
            request,
            organization.account,
            "members",
            gettext("Remove %(who)s") % {"who": person.username},
        ),
        "person": person,
        "membership": held,
        "groups": groups.order_by("group__name").values_list("group__name", flat=True),
        "tokens_made": organization.account.tokens.filter(
            created_by=person, revoked_at=None
        ).count(),
    }
    return render(request, "accounts/member_remove.html", context)


@act_of("accounts:members", "invitation")
def invitation_withdraw(request: HttpRequest, account: str, invitation: int) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_invitation(organization, invitation)
    found.organization = organization
    try:
        membership.withdraw_invitation(by=identity, invitation=found)
    except Conflict as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request,
            gettext("The invitation to %(who)s is withdrawn.") % {"who": found.addressee},
        )
    return redirect("accounts:members", organization.account.name)


@act_of("accounts:members", "invitation")
def invitation_resend(request: HttpRequest, account: str, invitation: int) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_invitation(organization, invitation)
    found.organization = organization
    try:
        membership.resend_invitation(by=identity, invitation=found)
    except Conflict as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(
            request,
            gettext("The invitation to %(who)s is sent again. The link before works no more.")
            % {"who": found.addressee},
        )
    return redirect("accounts:members", organization.account.name)
