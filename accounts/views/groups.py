from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts import groups as acts
from accounts.api.finding import find_group, find_user, user_named
from accounts.forms import GroupForm, GroupMemberForm, TypedNameForm, show_refusal
from accounts.models import Group, GroupMember, Membership, Organization, Token
from accounts.parts import part
from accounts.roles import Role
from accounts.views.frame import (
    act_of,
    administered_organization,
    form_page,
    members_organization,
    page,
    page_of,
    settings_frame,
    to_row,
)
from portal.errors import Conflict, InvalidInput, NotFound

_MAX_CANDIDATES = 200


def _owners(organization: Organization) -> list[Membership]:
    """The group that is no row: whoever has the role owner."""
    owners = Membership.objects.filter(organization=organization, role=Role.OWNER)
    return list(owners.select_related("user__account", "added_by").order_by("user__username"))


@page
def groups(request: HttpRequest, account: str) -> HttpResponse:
    _, organization = members_organization(request, account)
    rows = (
        Group.objects.filter(organization=organization)
        .annotate(
            people=Count("members", distinct=True),
            chosen=Count("collaborations", distinct=True),
        )
        .order_by("name")
    )
    context = {
        **settings_frame(request, organization.account, "groups"),
        "page": page_of(request, rows),
        "owners": len(_owners(organization)),
    }
    return render(request, "accounts/groups.html", context)


@page
def owners(request: HttpRequest, account: str) -> HttpResponse:
    """The group that every organization has and nobody edits."""
    _, organization = members_organization(request, account)
    context = {
        **settings_frame(request, organization.account, "groups", "owners"),
        "owners": _owners(organization),
    }
    return render(request, "accounts/owners.html", context)


@form_page
def group_new(request: HttpRequest, account: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    form = GroupForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = acts.create_group(by=identity, organization=organization, **form.values())
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("The group %(name)s is there. Add its members.") % {"name": made.name},
            )
            return redirect("accounts:group", organization.account.name, made.name)
    context = {
        **settings_frame(request, organization.account, "groups", gettext("New group")),
        "form": form,
    }
    return render(request, "accounts/group_new.html", context, status=422 if form.errors else 200)


def _number(rows: QuerySet[Any, Any], per: str) -> Coalesce:
    """How many of the rows belong to one group, as a part of a query about groups."""
    counted = rows.filter(**{per: OuterRef("pk")}).order_by().values(per).annotate(n=Count("pk"))
    return Coalesce(Subquery(counted.values("n")), 0)


def _figures(group: Group) -> dict[str, int]:
    """How many people and chosen packages the group has, and tokens of its members that work."""
    packages = Group.objects.filter(pk=OuterRef("pk")).annotate(n=Count("collaborations"))
    found = (
        Group.objects.filter(pk=group.pk)
        .annotate(
            people=_number(GroupMember.objects.all(), "group"),
            tokens=_number(Token.objects.all().usable(), "account__user__package_groups"),
            chosen=Subquery(packages.order_by().values("n")),
        )
        .values_list("people", "tokens", "chosen")
        .get()
    )
    return dict(zip(("people", "tokens", "chosen"), found, strict=True))


def _render(
    request: HttpRequest,
    group: Group,
    *,
    form: GroupForm | None = None,
    member_form: GroupMemberForm | None = None,
) -> HttpResponse:
    """The page of a group; with a form that was wrong, as the answer to it."""
    organization = group.organization
    members = (
        GroupMember.objects.filter(group=group)
        .select_related("user__account", "added_by")
        .annotate(has_second_factor=Exists(Authenticator.objects.filter(user=OuterRef("user_id"))))
    )
    frame = settings_frame(request, organization.account, "groups", group.name)
    figures = _figures(group)
    candidates: list[str] = []
    if frame["may_administer"]:
        outside = Membership.objects.filter(organization=organization).exclude(
            user__group_memberships__group=group
        )
        names = outside.order_by("user__username").values_list("user__username", flat=True)
        candidates = list(names[:_MAX_CANDIDATES])
    wrong = any(each is not None and each.errors for each in (form, member_form))
    context = {
        **frame,
        "group": group,
        "page": page_of(request, members.order_by("user__username"), count=figures["people"]),
        "candidates": candidates,
        **figures,
        **part("group-packages", request=request, group=group, may_choose=frame["may_administer"]),
        "form": form or GroupForm.of(group),
        "member_form": member_form or GroupMemberForm(auto_id="member_%s"),
    }
    return render(request, "accounts/group.html", context, status=422 if wrong else 200)


@page
def group(request: HttpRequest, account: str, group: str) -> HttpResponse:
    _, organization = members_organization(request, account)
    found = find_group(organization, group)
    if found.name != group:
        return redirect("accounts:group", organization.account.name, found.name)
    return _render(request, found)


@act_of("accounts:group")
def group_change(request: HttpRequest, account: str, group: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_group(organization, group)
    form = GroupForm(request.POST)
    if form.is_valid():
        try:
            changed = acts.change_group(by=identity, group=found, **form.values())
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request, gettext("The group %(name)s is saved.") % {"name": changed.name}
            )
            return redirect("accounts:group", organization.account.name, changed.name)
    return _render(request, found, form=form)


@form_page
def group_delete(request: HttpRequest, account: str, group: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_group(organization, group)
    form = TypedNameForm(request.POST if request.method == "POST" else None, name=found.name)
    if form.is_valid():
        acts.delete_group(by=identity, group=found)
        messages.success(request, gettext("The group %(name)s is deleted.") % {"name": found.name})
        return redirect("accounts:groups", organization.account.name)
    context = {
        **settings_frame(
            request,
            organization.account,
            "groups",
            gettext("Delete %(name)s") % {"name": found.name},
        ),
        "group": found,
        "people": GroupMember.objects.filter(group=found).count(),
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/group_delete.html", context, status=status)


@act_of("accounts:group")
def group_member_add(request: HttpRequest, account: str, group: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_group(organization, group)
    form = GroupMemberForm(request.POST, auto_id="member_%s")
    if form.is_valid():
        try:
            added = acts.add_to_group(
                by=identity, group=found, user=user_named(form.cleaned_data["user"])
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("%(who)s is now in %(group)s.")
                % {"who": added.user.username, "group": found.name},
            )
            row = f"member-{added.user.username}"
            return to_row(row, "accounts:group", organization.account.name, found.name)
    return _render(request, found, member_form=form)


@act_of("accounts:group", "user")
def group_member_remove(request: HttpRequest, account: str, group: str, user: str) -> HttpResponse:
    identity, organization = administered_organization(request, account)
    found = find_group(organization, group)
    person = find_user(user)
    words = {"who": person.username, "group": found.name}
    try:
        acts.remove_from_group(by=identity, group=found, user=person)
    except NotFound:
        # Pressed twice, or someone else was faster: what was wanted is so.
        messages.info(request, gettext("%(who)s was not in %(group)s any more.") % words)
    else:
        messages.success(request, gettext("%(who)s is no longer in %(group)s.") % words)
    return redirect("accounts:group", organization.account.name, found.name)
