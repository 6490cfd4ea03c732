"""Who may do what with a package, and who sees it: pages for those who decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core import signing
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from accounts.api.finding import user_named
from accounts.factors import count_secured, has_second_factor, second_factor_of
from accounts.forms import TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Group, Invitation, Membership, Token, User
from accounts.rights import manageable_accounts
from accounts.roles import Permission, Role
from accounts.views.frame import act_of, form_page, page
from portal.errors import Conflict, InvalidInput, NotFound
from registry import access, collaboration, package_invitations
from registry.forms import AddGroupForm, AddPersonForm, PermissionForm
from registry.models import Collaborator, Package, PackageInvitation
from registry.views.frame import package_settings_context, to, viewer
from registry.views.listing import totals

_ROWS_SHOWN = 500


@dataclass(frozen=True, slots=True)
class _Inherited:
    """A right that comes from elsewhere, and so is changed elsewhere."""

    who: str
    permission: str | Promise
    why: str
    url: str = ""
    people: int = 0
    # How many of the people have a second factor.
    secured: int = 0


def _decided(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    """Who asks, and the package whose collaborators are theirs to decide."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_collaborators(identity, found)
    return identity, found


def _groups(package: Package) -> QuerySet[Group]:
    return Group.objects.filter(organization__account=package.account)


def _inherited(package: Package, groups: Sequence[Any]) -> list[_Inherited]:
    account = package.account
    if not account.is_organization:
        secured = has_second_factor(account.user)
        owner = Permission.ADMIN.label
        return [_Inherited(account.name, owner, gettext("it is theirs"), "", 1, int(secured))]
    members_url = reverse("accounts:members", args=[account.name])
    belonging = Membership.objects.filter(organization__account=account)
    ruling = Q(role__in=[Role.OWNER, Role.ADMIN])
    counts = belonging.aggregate(
        people=Count("user", distinct=True),
        secured=count_secured("user_id"),
        admins=Count("user", distinct=True, filter=ruling),
        secured_admins=count_secured("user_id", ruling),
    )
    rows = [
        _Inherited(
            gettext("Owners and admins of %(name)s") % {"name": account.name},
            Permission.ADMIN.label,
            gettext("organization"),
            members_url,
            counts["admins"],
            counts["secured_admins"],
        )
    ]
    rows += [
        _Inherited(
            group.name,
            Permission(group.permission).label,
            ngettext(
                "group for all packages, %(n)d person",
                "group for all packages, %(n)d people",
                group.people,
            )
            % {"n": group.people},
            reverse("accounts:group", args=[account.name, group.name]),
            group.people,
            group.secured,
        )
        for group in groups
        if group.all_packages
    ]
    rows.append(
        _Inherited(
            gettext("Members of %(name)s") % {"name": account.name},
            Permission.READ.label,
            gettext("membership"),
            members_url,
            counts["people"],
            counts["secured"],
        )
    )
    return rows


def _named(package: Package) -> QuerySet[Collaborator]:
    return (
        Collaborator.objects.filter(package=package)
        .select_related("user__account", "group", "added_by")
        .annotate(
            people=Count("group__members__user", distinct=True),
            secured=count_secured("group__members__user_id"),
            has_second_factor=second_factor_of("user_id"),
        )
        .order_by("group__name", "user__username")
    )


def _pending(identity: Identity, package: Package) -> list[Invitation]:
    """Who is invited to the organization; shown to those who may withdraw it."""
    account = package.account
    if not account.is_organization:
        return []
    invited = Invitation.objects.open().filter(
        organization__account=account,
        organization__account__in=manageable_accounts(identity).values("pk"),
    )
    return list(invited.select_related("user", "invited_by").order_by("expires_at")[:_ROWS_SHOWN])


def _counted_groups(package: Package) -> list[Any]:
    """The groups of the organization, each with its people, and whether the package names it."""
    if not package.account.is_organization:
        return []
    named = Collaborator.objects.filter(package=package, group=OuterRef("pk"))
    rows = _groups(package).annotate(
        people=Count("members__user", distinct=True),
        secured=count_secured("members__user_id"),
        is_named=Exists(named),
    )
    return list(rows.order_by("name")[:_ROWS_SHOWN])


def _render(
    request: HttpRequest,
    identity: Identity,
    package: Package,
    *,
    person_form: AddPersonForm | None = None,
    group_form: AddGroupForm | None = None,
) -> HttpResponse:
    """The page of collaborators; with a form that was wrong, as the answer to it."""
    groups = _counted_groups(package)
    offered = [group.name for group in groups if not group.is_named]
    wrong = any(form is not None and form.errors for form in (person_form, group_form))
    context = {
        **package_settings_context(identity, package, "collaborators", held=Permission.ADMIN),
        "inherited": _inherited(package, groups),
        "collaborators": list(_named(package)[:_ROWS_SHOWN]),
        "pending": _pending(identity, package),
        "invited": list(
            PackageInvitation.objects.open()
            .filter(package=package)
            .select_related("invited_by")
            .order_by("expires_at")
        ),
        "new": request.GET.get("new", ""),
        "undo": _undo_of(request, package),
        "permissions": Permission.choices,
        "person_form": person_form or AddPersonForm(auto_id="person_%s"),
        "group_form": group_form
        or AddGroupForm(groups=_groups(package), offered=offered, auto_id="group_%s"),
    }
    return render(request, "registry/collaborators.html", context, status=422 if wrong else 200)


@page
def collaborators(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _decided(request, account, package)
    return _render(request, identity, found)


def _back(package: Package) -> HttpResponse:
    return to("collaborators", package.account.name, package.name)


def _shown(collaborator: Collaborator) -> HttpResponse:
    """Back to the page, at the row."""
    package = collaborator.package
    where = reverse("registry:collaborators", args=[package.account.name, package.name])
    return redirect(f"{where}?new={collaborator.pk}#collaborator-{collaborator.pk}")


_MAY_NOW = {
    Permission.READ: gettext_lazy("%(who)s may now read %(package)s."),
    Permission.WRITE: gettext_lazy("%(who)s may now write %(package)s."),
    Permission.ADMIN: gettext_lazy("%(who)s is now an admin of %(package)s."),
}


def _may_now(collaborator: Collaborator) -> str:
    return str(_MAY_NOW[Permission(collaborator.permission)]) % {
        "who": _who(collaborator),
        "package": collaborator.package.name,
    }


def _who(collaborator: Collaborator) -> str:
    if collaborator.group is not None:
        return gettext("The group %(name)s") % {"name": collaborator.group.name}
    return collaborator.user.username if collaborator.user is not None else "–"


@act_of("registry:collaborators")
def person_add(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _decided(request, account, package)
    form = AddPersonForm(request.POST, auto_id="person_%s")
    if form.is_valid():
        permission = Permission(form.cleaned_data["permission"])
        try:
            if "@" in form.cleaned_data["user"]:
                sent = package_invitations.invite(
                    by=identity,
                    package=found,
                    email=form.cleaned_data["user"],
                    permission=permission,
                )
                messages.success(
                    request, gettext("An invitation was sent to %(who)s.") % {"who": sent.email}
                )
                return _back(found)
            added, _ = collaboration.set_collaborator(
                by=identity,
                package=found,
                user=user_named(form.cleaned_data["user"]),
                permission=permission,
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _may_now(added))
            return _shown(added)
    return _render(request, identity, found, person_form=form)


@act_of("registry:collaborators")
def group_add(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _decided(request, account, package)
    form = AddGroupForm(request.POST, groups=_groups(found), auto_id="group_%s")
    if form.is_valid():
        try:
            added, _ = collaboration.set_collaborator(
                by=identity,
                package=found,
                group=form.cleaned_data["group"],
                permission=Permission(form.cleaned_data["permission"]),
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _may_now(added))
            return _shown(added)
    return _render(request, identity, found, group_form=form)


def _collaborator(package: Package, number: int) -> Collaborator:
    found = (
        Collaborator.objects.filter(package=package, pk=number)
        .select_related("user__account", "group__organization")
        .first()
    )
    if found is None:
        raise NotFound
    found.package = package
    return found


@act_of("registry:collaborators", "collaborator")
def collaborator_change(
    request: HttpRequest, account: str, package: str, collaborator: int
) -> HttpResponse:
    identity, found = _decided(request, account, package)
    held = _collaborator(found, collaborator)
    form = PermissionForm(request.POST)
    if not form.is_valid():
        messages.error(request, gettext("Choose one of the permissions."))
        return _back(found)
    changed, _ = collaboration.set_collaborator(
        by=identity,
        package=found,
        user=held.user,
        group=held.group,
        permission=Permission(form.cleaned_data["permission"]),
    )
    messages.success(request, _may_now(changed))
    return _shown(changed)


_WILL_NOT = {
    Permission.READ: gettext_lazy("%(who)s will no longer be able to see %(package)s in private."),
    Permission.WRITE: gettext_lazy("%(who)s will no longer be able to publish %(package)s."),
    Permission.ADMIN: gettext_lazy(
        "%(who)s will no longer be able to publish %(package)s, or to decide who may."
    ),
}


@form_page
def collaborator_remove(
    request: HttpRequest, account: str, package: str, collaborator: int
) -> HttpResponse:
    identity, found = _decided(request, account, package)
    held = _collaborator(found, collaborator)
    if request.method == "POST":
        undo = _undo_for(identity, held)
        collaboration.remove_collaborator(by=identity, collaborator=held)
        where = reverse("registry:collaborators", args=[found.account.name, found.name])
        return redirect(f"{where}?removed={undo}")
    words = {"who": _who(held), "package": found.name}
    context = {
        **package_settings_context(identity, found, "collaborators", gettext("Remove")),
        "collaborator": held,
        "who": _who(held),
        "will_not": str(_WILL_NOT[Permission(held.permission)]) % words,
        "tokens": Token.objects.filter(account__user=held.user).usable().count()
        if held.user is not None
        else 0,
    }
    return render(request, "registry/collaborator_remove.html", context)


# --- Undo --------------------------------------------------------------------------------------

# As long as somebody needs who reads the page with a reader, or by keyboard.
_UNDO_SECONDS = 60


@dataclass(frozen=True, slots=True)
class _Undo:
    """What takes a removal back; nothing is kept but what the browser was given."""

    key: str
    message: str
    url: str


def _undo_salt(identity: Identity, package: Package) -> str:
    return f"undo-removal:{package.pk}:{identity.user.pk if identity.user else ''}"


def _undo_for(identity: Identity, held: Collaborator) -> str:
    given = [held.user_id, held.group_id, held.permission, _who(held)]
    return signing.dumps(given, salt=_undo_salt(identity, held.package))


def _undo_of(request: HttpRequest, package: Package) -> _Undo | None:
    """The offer to take back what was removed a moment ago, also after a reload."""
    key = request.GET.get("removed", "")
    if not key:
        return None
    try:
        *_, who = signing.loads(
            key, salt=_undo_salt(viewer(request), package), max_age=_UNDO_SECONDS
        )
    except signing.BadSignature:
        return None
    return _Undo(
        key=key,
        message=gettext("%(who)s is no longer a collaborator of %(package)s.")
        % {"who": who, "package": package.name},
        url=reverse("registry:collaborator-undo", args=[package.account.name, package.name]),
    )


@act_of("registry:collaborators")
def collaborator_undo(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Give back what was removed, within a minute, to who removed it."""
    identity, found = _decided(request, account, package)
    try:
        user_id, group_id, permission, who = signing.loads(
            request.POST.get("removed", ""),
            salt=_undo_salt(identity, found),
            max_age=_UNDO_SECONDS,
        )
    except signing.BadSignature:
        messages.info(request, gettext("It is too late to undo. Add them again instead."))
        return _back(found)
    user = User.objects.select_related("account").filter(pk=user_id).first()
    group = _groups(found).select_related("organization").filter(pk=group_id).first()
    if user is None and group is None:
        messages.error(request, gettext("%(who)s is not there any more.") % {"who": who})
        return _back(found)
    given, _ = collaboration.set_collaborator(
        by=identity, package=found, user=user, group=group, permission=Permission(permission)
    )
    messages.success(request, _may_now(given))
    return _shown(given)


# --- Visibility --------------------------------------------------------------------------------


def _owned(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    """Who asks, and the package whose visibility is theirs to decide."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_whole_package(identity, found, Permission.ADMIN)
    return identity, found


def _visibility(
    request: HttpRequest, identity: Identity, package: Package, form: TypedNameForm
) -> HttpResponse:
    context = {
        **package_settings_context(identity, package, "visibility"),
        "totals": totals(access.visible_files(identity, package)),
        "form": form,
    }
    wrong = bool(form.errors)
    return render(request, "registry/visibility.html", context, status=422 if wrong else 200)


@page
def visibility(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _owned(request, account, package)
    return _visibility(request, identity, found, TypedNameForm(name=found.name))


@act_of("registry:visibility")
def package_hide(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _owned(request, account, package)
    collaboration.set_privacy(by=identity, package=found, is_private=True)
    messages.success(
        request,
        gettext("%(package)s is private now. Clients see it no more in seconds.")
        % {"package": found.name},
    )
    return to("visibility", found.account.name, found.name)


@act_of("registry:visibility")
def package_show(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Make it public; its name must be typed, since what was downloaded stays downloaded."""
    identity, found = _owned(request, account, package)
    form = TypedNameForm(request.POST, name=found.name)
    if not form.is_valid():
        return _visibility(request, identity, found, form)
    collaboration.set_privacy(by=identity, package=found, is_private=False)
    messages.success(request, gettext("%(package)s is public now.") % {"package": found.name})
    return to("visibility", found.account.name, found.name)


@page
def package_settings(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Lead to the first page of the package's settings."""
    _identity, found = _decided(request, account, package)
    return _back(found)
