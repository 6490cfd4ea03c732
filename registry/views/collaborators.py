"""Who may do what with a package, and who sees it: pages for those who decide it."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.api.finding import user_named
from accounts.forms import TypedNameForm, show_refusal
from accounts.identity import Identity
from accounts.models import Group, Membership
from accounts.roles import Permission, Role
from accounts.views.frame import act_of, form_page, page
from portal.errors import Conflict, InvalidInput, NotFound
from registry import access, collaboration
from registry.forms import AddGroupForm, AddPersonForm, PermissionForm
from registry.models import Collaborator, Package
from registry.views.frame import package_settings_context, to, viewer
from registry.views.listing import totals

_ROWS_SHOWN = 500
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Inherited:
    """A right that comes from elsewhere, and so is changed elsewhere."""

    who: str
    permission: str
    why: str
    url: str = ""


def _decided(request: HttpRequest, account: str, package: str) -> tuple[Identity, Package]:
    """Who asks, and the package whose collaborators are theirs to decide."""
    identity = viewer(request)
    found = access.find_package(identity, account, package)
    access.require_collaborators(identity, found)
    return identity, found


def _groups(package: Package) -> QuerySet[Group]:
    return Group.objects.filter(organization__account=package.account)


def _inherited(package: Package) -> list[_Inherited]:
    account = package.account
    if not account.is_organization:
        return [_Inherited(account.name, Permission.ADMIN.label, "it is theirs")]
    admins = list(
        Membership.objects.filter(
            organization__account=account, role__in=[Role.OWNER, Role.ADMIN]
        ).values_list("user__username", flat=True)[: _NAMES_SHOWN + 1]
    )
    names = ", ".join(admins[:_NAMES_SHOWN]) + (", …" if len(admins) > _NAMES_SHOWN else "")
    rows = [
        _Inherited(
            names,
            Permission.ADMIN.label,
            f"owners and admins of {account.name}",
            reverse("accounts:members", args=[account.name]),
        )
    ]
    over_all = _groups(package).filter(all_packages=True).annotate(people=Count("members"))
    for group in over_all.order_by("name")[:_ROWS_SHOWN]:
        count = f"{group.people} {'person' if group.people == 1 else 'people'}"
        rows.append(
            _Inherited(
                group.name,
                Permission(group.permission).label,
                f"group for all packages, {count}",
                reverse("accounts:group", args=[account.name, group.name]),
            )
        )
    rows.append(
        _Inherited(
            f"Members of {account.name}",
            Permission.READ.label,
            "membership",
            reverse("accounts:members", args=[account.name]),
        )
    )
    return rows


def _named(package: Package) -> QuerySet[Collaborator]:
    return (
        Collaborator.objects.filter(package=package)
        .select_related("user__account", "group", "added_by")
        .annotate(
            people=Count("group__members"),
            has_second_factor=Exists(Authenticator.objects.filter(user=OuterRef("user_id"))),
        )
        .order_by("group__name", "user__username")
    )


def _offered_groups(package: Package) -> QuerySet[Group]:
    named = Collaborator.objects.filter(package=package, group=OuterRef("pk"))
    return _groups(package).filter(~Exists(named)).order_by("name")


def _render(
    request: HttpRequest,
    identity: Identity,
    package: Package,
    *,
    person_form: AddPersonForm | None = None,
    group_form: AddGroupForm | None = None,
) -> HttpResponse:
    """The page of collaborators; with a form that was wrong, as the answer to it."""
    groups = _offered_groups(package)
    wrong = any(form is not None and form.errors for form in (person_form, group_form))
    context = {
        **package_settings_context(identity, package, "collaborators"),
        "inherited": _inherited(package),
        "collaborators": list(_named(package)[:_ROWS_SHOWN]),
        "permissions": Permission.choices,
        "person_form": person_form or AddPersonForm(auto_id="person_%s"),
        "group_form": group_form or AddGroupForm(groups=groups, auto_id="group_%s"),
    }
    return render(request, "registry/collaborators.html", context, status=422 if wrong else 200)


@page
def collaborators(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _decided(request, account, package)
    return _render(request, identity, found)


def _back(package: Package) -> HttpResponse:
    return to("collaborators", package.account.name, package.name)


def _may_now(collaborator: Collaborator) -> str:
    held = Permission(collaborator.permission).label.lower()
    return f"{_who(collaborator)} may now {held} {collaborator.package.name}."


def _who(collaborator: Collaborator) -> str:
    if collaborator.group is not None:
        return f"The group {collaborator.group.name}"
    return collaborator.user.username if collaborator.user is not None else "Nobody"


@act_of("registry:collaborators")
def person_add(request: HttpRequest, account: str, package: str) -> HttpResponse:
    identity, found = _decided(request, account, package)
    form = AddPersonForm(request.POST, auto_id="person_%s")
    if form.is_valid():
        try:
            added, _ = collaboration.set_collaborator(
                by=identity,
                package=found,
                user=user_named(form.cleaned_data["user"]),
                permission=Permission(form.cleaned_data["permission"]),
            )
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _may_now(added))
            return _back(found)
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
            return _back(found)
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
        messages.error(request, "Choose one of the permissions.")
        return _back(found)
    changed, _ = collaboration.set_collaborator(
        by=identity,
        package=found,
        user=held.user,
        group=held.group,
        permission=Permission(form.cleaned_data["permission"]),
    )
    messages.success(request, _may_now(changed))
    return _back(found)


@form_page
def collaborator_remove(
    request: HttpRequest, account: str, package: str, collaborator: int
) -> HttpResponse:
    identity, found = _decided(request, account, package)
    held = _collaborator(found, collaborator)
    if request.method == "POST":
        collaboration.remove_collaborator(by=identity, collaborator=held)
        messages.success(request, f"{_who(held)} is no longer a collaborator of {found.name}.")
        return _back(found)
    context = {
        **package_settings_context(identity, found, "collaborators", "Remove"),
        "collaborator": held,
        "who": _who(held),
    }
    return render(request, "registry/collaborator_remove.html", context)


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
    messages.success(request, f"{found.name} is private now. Clients see it no more in seconds.")
    return to("visibility", found.account.name, found.name)


@act_of("registry:visibility")
def package_show(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Make it public; its name must be typed, since what was downloaded stays downloaded."""
    identity, found = _owned(request, account, package)
    form = TypedNameForm(request.POST, name=found.name)
    if not form.is_valid():
        return _visibility(request, identity, found, form)
    collaboration.set_privacy(by=identity, package=found, is_private=False)
    messages.success(request, f"{found.name} is public now.")
    return to("visibility", found.account.name, found.name)


@page
def package_settings(request: HttpRequest, account: str, package: str) -> HttpResponse:
    """Lead to the first page of the package's settings."""
    _identity, found = _decided(request, account, package)
    return _back(found)
