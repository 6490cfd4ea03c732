from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from accounts import membership
from accounts.api.finding import find_organization
from accounts.authentication import identify_session
from accounts.forms import OrganizationForm, show_refusal
from accounts.models import Membership
from accounts.roles import Role
from accounts.views.frame import form_page, own_account, page, page_of, settings_frame
from portal.errors import Conflict, Forbidden, InvalidInput, NotFound


@form_page
def organization_new(request: HttpRequest) -> HttpResponse:
    form = OrganizationForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = membership.create_organization(by=identify_session(request), **form.cleaned_data)
        except (InvalidInput, Conflict, Forbidden) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request,
                gettext("%(account)s is yours. Invite people, or make a token for CI.")
                % {"account": made.account.name},
            )
            return redirect("accounts:members", made.account.name)
    status = 422 if form.errors else 200
    return render(request, "accounts/organization_new.html", {"form": form}, status=status)


@page
def organizations(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = own_account(request, account)
    other_owners = Membership.objects.filter(
        organization=OuterRef("organization"), role=Role.OWNER
    ).exclude(user=identity.user)
    memberships = (
        Membership.objects.filter(user=identity.user)
        .select_related("organization__account")
        .annotate(
            people=Count("organization__memberships"),
            is_only_owner=Q(role=Role.OWNER) & ~Exists(other_owners),
        )
        .order_by("organization__account__name")
    )
    context = {
        **settings_frame(request, found, "organizations"),
        "page": page_of(request, memberships),
    }
    return render(request, "accounts/organizations.html", context)


@form_page
def organization_leave(request: HttpRequest, account: str, organization: str) -> HttpResponse:
    identity, found = own_account(request, account)
    left = find_organization(organization)
    held = Membership.objects.filter(organization=left, user=identity.user).first()
    if held is None:
        raise NotFound
    if request.method == "POST":
        try:
            membership.leave(by=identity, organization=left)
        except Conflict as refusal:
            messages.error(request, refusal.detail)
        else:
            messages.success(
                request, gettext("You have left %(account)s.") % {"account": left.account.name}
            )
        return redirect("accounts:organizations", found.name)
    title = gettext("Leave %(name)s") % {"name": left.account.name}
    context = {
        **settings_frame(request, found, "organizations", title),
        "organization": left,
        "membership": held,
    }
    return render(request, "accounts/organization_leave.html", context)
