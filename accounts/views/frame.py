"""What the pages of settings share: who may see them, and the menu beside them.

Pages of other apps under ``/<account>/settings/`` use the same: `settings_frame` for their
context, ``accounts/settings.html`` for their template.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from allauth.account.decorators import reauthentication_required
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.api.finding import find_account, find_organization
from accounts.authentication import identify_session
from accounts.identity import Identity
from accounts.models import Account, Organization
from accounts.proofs import has_fresh_proof
from accounts.rights import require_admin, role_in
from accounts.roles import Role, role_covers
from accounts.scopes import Ability
from portal.errors import Forbidden, NotFound

P = ParamSpec("P")
Row = TypeVar("Row", bound=Model)
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    label: str | Promise
    icon: str
    path: str
    users: bool = True
    organizations: bool = True
    # Members see it too; everything else is for who administers the account.
    members: bool = False
    # Only for who may end the account.
    owners: bool = False


# The pages of other apps stand here as plain paths: this app knows nothing of them.
_ENTRIES = (
    _Entry("profile", gettext_lazy("Profile"), "user", "/{account}/settings/profile"),
    _Entry(
        "security",
        gettext_lazy("Sign-in and security"),
        "fingerprint",
        "/{account}/settings/security",
        organizations=False,
    ),
    _Entry("access", gettext_lazy("Access tokens"), "key-round", "/{account}/settings/access"),
    _Entry("members", gettext_lazy("Members"), "users", "/{account}/settings/members", users=False),
    _Entry(
        "groups", gettext_lazy("Groups"), "layers", "/{account}/groups", users=False, members=True
    ),
    _Entry("channels", gettext_lazy("Channels"), "tag", "/{account}/settings/channels"),
    _Entry("storage", gettext_lazy("Storage"), "hard-drive", "/{account}/settings/storage"),
    _Entry("bin", gettext_lazy("Bin"), "trash-2", "/{account}/settings/bin"),
    _Entry(
        "refused-uploads",
        gettext_lazy("Refused uploads"),
        "ban",
        "/{account}/settings/refused-uploads",
    ),
    _Entry(
        "organizations",
        gettext_lazy("Organizations"),
        "building-2",
        "/{account}/settings/organizations",
        organizations=False,
    ),
    _Entry(
        "policy", gettext_lazy("Policy"), "shield-check", "/{account}/settings/policy", users=False
    ),
    _Entry(
        "admin",
        gettext_lazy("Rename or delete"),
        "triangle-alert",
        "/{account}/settings/admin",
        owners=True,
    ),
    _Entry("log", gettext_lazy("Audit log"), "scroll-text", "/{account}/settings/log"),
)


def page(view: View[P]) -> View[P]:
    """A page for people who are signed in; others sign in first and come back to it."""
    return never_cache(login_required(require_safe(view)))


def form_page(view: View[P]) -> View[P]:
    """A page with a form that posts to the page's own URL."""
    return never_cache(login_required(require_http_methods(["GET", "HEAD", "POST"])(view)))


def act_of(page_name: str, *own: str) -> Callable[[View[P]], View[P]]:
    """An act whose form stands on the page ``page_name``.

    Who comes here by GET, after signing in again or by reloading, is sent to that page. ``own``
    are the parts of the URL that belong to the act and not to the page.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def posted(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method != "POST":
                parts = {name: part for name, part in kwargs.items() if name not in own}
                return redirect(reverse(page_name, kwargs=parts))
            return view(request, *args, **kwargs)

        return never_cache(login_required(posted))

    return decorate


def _nothing(_request: HttpRequest) -> None:
    """What a fresh proof is asked for where the page itself decides that it is needed."""


_confirm_first = reauthentication_required(_nothing)


def require_fresh_proof(request: HttpRequest) -> None:
    """Have them confirm that it is them, when they signed in or last did so too long ago.

    They return to where they were, with what they typed.
    """
    if not has_fresh_proof(request):
        _confirm_first(request)


def administered(
    request: HttpRequest, name: str, ability: Ability = Ability.READ
) -> tuple[Identity, Account]:
    """Who asks, and the account of that name, which they administer."""
    identity = identify_session(request)
    account = find_account(name)
    require_admin(identity, account, ability)
    return identity, account


def administered_organization(
    request: HttpRequest, name: str, ability: Ability = Ability.READ
) -> tuple[Identity, Organization]:
    identity = identify_session(request)
    organization = find_organization(name)
    require_admin(identity, organization.account, ability)
    return identity, organization


_ROLES = "condarium.roles"  # a key of request.META


def _role(request: HttpRequest, identity: Identity, account: Account) -> str | None:
    """Their role in the account, asked once a page; acts ask anew."""
    known: dict[int, str | None] = request.META.setdefault(_ROLES, {})
    if account.pk not in known:
        known[account.pk] = role_in(identity, account)
    return known[account.pk]


def members_organization(request: HttpRequest, name: str) -> tuple[Identity, Organization]:
    """Who asks, and the organization of that name, which they belong to."""
    identity = identify_session(request)
    organization = find_organization(name)
    if _role(request, identity, organization.account) is None:
        raise Forbidden(
            gettext("Only members of %(account)s may see its groups.")
            % {"account": organization.account.name}
        )
    return identity, organization


def own_account(request: HttpRequest, name: str) -> tuple[Identity, Account]:
    """Who asks, and the account of that name, which is theirs."""
    identity, account = administered(request, name)
    if account.is_organization:
        raise NotFound
    return identity, account


def _entries(role: str | None, account: Account) -> list[_Entry]:
    """The pages of settings that who has this role may see, in order."""
    fitting = [e for e in _ENTRIES if (e.organizations if account.is_organization else e.users)]
    if role is None or role_covers(role, Role.ADMIN):
        return [e for e in fitting if role == Role.OWNER or not e.owners] if role else []
    return [entry for entry in fitting if entry.members]


def settings_frame(
    request: HttpRequest, account: Account, current: str, *further: str
) -> dict[str, Any]:
    """The context of a page of settings: ``account``, ``menu_sections`` and ``crumbs``.

    ``current`` is the key of its entry in the menu; ``further`` the names of the steps below it,
    for the breadcrumb. It doesn't authorize.
    """
    identity = identify_session(request)
    role = _role(request, identity, account)
    entries = _entries(role, account)
    menu = [
        {
            "label": entry.label,
            "icon": entry.icon,
            "url": entry.path.format(account=account.name),
            "current": entry.key == current,
        }
        for entry in entries
    ]
    sections: list[dict[str, Any]] = [{"title": "", "entries": menu}]
    steps = [{"label": item["label"], "url": item["url"]} for item in menu if item["current"]]
    crumbs: list[dict[str, Any]] = [
        {"label": account.name, "url": f"/{account.name}"},
        {"label": gettext("Settings"), "url": reverse("accounts:settings", args=[account.name])},
        *steps,
        *({"label": label} for label in further),
    ]
    crumbs[-1].pop("url", None)
    return {
        "account": account,
        "menu_sections": sections,
        "crumbs": crumbs,
        "role": role,
        "may_administer": role is not None and role_covers(role, Role.ADMIN),
    }


@page
def settings_start(request: HttpRequest, account: str) -> HttpResponse:
    """Lead to the first page of settings that they may see."""
    identity = identify_session(request)
    found = find_account(account)
    entries = _entries(role_in(identity, found), found)
    if not entries:
        require_admin(identity, found, Ability.READ)
    return redirect(entries[0].path.format(account=found.name))


def to_row(row: str, page_name: str, *args: str) -> HttpResponse:
    """To a page, at one of its rows: its id, which takes the focus with a tabindex of -1."""
    return redirect(f"{reverse(page_name, args=args)}#{row}")


def page_of(request: HttpRequest, rows: QuerySet[Row], *, count: int | None = None) -> Page[Row]:
    """The page of ``rows`` that the query names; one that isn't there leads to the nearest.

    ``count`` is how many there are, where that is known already.
    """
    paginator = Paginator(rows, PAGE_SIZE)
    if count is not None:
        paginator.count = count
    return paginator.get_page(request.GET.get("page"))
