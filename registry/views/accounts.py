"""The pages of an account: who this is, what they publish, and what happened lately."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import membership
from accounts.models import Membership
from accounts.rights import role_in
from accounts.views.frame import act_of
from portal.errors import NotFound
from registry import access
from registry import activity as activities
from registry.filter_forms import ActivityForm, PositionForm
from registry.models.channel import MAIN
from registry.views.charts import uploads_calendar
from registry.views.frame import account_context, to, viewer
from registry.views.happenings import rows_of
from registry.views.install import channel_variants
from registry.views.package_lists import sorted_packages_part
from registry.views.paging import links, position, slice_of


@require_safe
def account(request: HttpRequest, account: str) -> HttpResponse:
    identity = viewer(request)
    found = access.find_account(account)
    main = access.visible_channels(identity, found).filter(name=MAIN).first()
    context = {
        **account_context(identity, found, "packages"),
        "main": main,
        "variants": channel_variants(identity, main) if main is not None else [],
        **sorted_packages_part(request, identity, found),
    }
    return render(request, "registry/account.html", context)


@require_safe
def activity(request: HttpRequest, account: str) -> HttpResponse:
    """What was published, moved and removed, as far as the viewer may know."""
    identity = viewer(request)
    found = access.find_account(account)
    before = ActivityForm(request.GET).cleaned_data.get("before")
    happened = activities.of_account(identity, found, before=before)
    context = {
        **account_context(identity, found, "activity"),
        "happenings": rows_of(found.name, happened.rows),
        "is_first": before is None,
        "uploads": uploads_calendar(identity, found) if before is None else None,
        "older_url": f"?before={happened.older_than}" if happened.older_than else "",
    }
    return render(request, "registry/activity.html", context)


# --- Members -----------------------------------------------------------------------------------


@require_safe
def members(request: HttpRequest, account: str) -> HttpResponse:
    """Who belongs to an organization: all for its members, else those who want it known."""
    identity = viewer(request)
    found = access.find_account(account)
    if not found.is_organization:
        raise NotFound
    form = PositionForm(request.GET)
    role = role_in(identity, found)
    rows = Membership.objects.filter(organization__account=found).select_related("user__account")
    shown = slice_of(
        rows if role is not None else rows.filter(is_public=True),
        ["user__username"],
        after=position(form.value("after")),
        before=position(form.value("before")),
    )
    own = rows.filter(user=identity.user).first() if role is not None and identity.user else None
    context = {
        **account_context(identity, found, "members"),
        "rows": shown.rows,
        "belongs": role is not None,
        "own": own,
        **links(request, shown, [row.user.username for row in shown.rows]),
    }
    return render(request, "registry/members.html", context)


@act_of("registry:account-members")
def membership_show(request: HttpRequest, account: str) -> HttpResponse:
    return _set_public(request, account, is_public=True)


@act_of("registry:account-members")
def membership_hide(request: HttpRequest, account: str) -> HttpResponse:
    return _set_public(request, account, is_public=False)


def _set_public(request: HttpRequest, account: str, *, is_public: bool) -> HttpResponse:
    found = access.find_account(account)
    if not found.is_organization:
        raise NotFound
    membership.show_membership(
        by=viewer(request), organization=found.organization, is_public=is_public
    )
    messages.success(
        request,
        _("Everybody can see now that you belong to %(name)s.") % {"name": found.name}
        if is_public
        else _("Only members see now that you belong to %(name)s.") % {"name": found.name},
    )
    return to("account-members", found.name)
