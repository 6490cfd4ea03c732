"""The token walk: what there is, making one, seeing its secret once, revoking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.views.decorators.debug import sensitive_variables

from accounts import tokens
from accounts.api.finding import find_token
from accounts.forms import TokenForm, show_refusal
from accounts.identity import Identity
from accounts.models import Account, Token
from accounts.scopes import Ability
from accounts.token_words import STARTS, scopes_in_words, uses
from accounts.tokens import NewToken
from accounts.views.frame import (
    administered,
    form_page,
    page,
    page_of,
    require_fresh_proof,
    settings_frame,
)
from portal.errors import Conflict, InvalidInput

_MAX_SPENT_SHOWN = 50


def _rows(account: Account, found: Iterable[Token]) -> list[dict[str, object]]:
    """The tokens as ``accounts/token_rows.html`` takes them."""
    soon = timezone.now() + settings.TOKEN_WARNING
    new_url = reverse("accounts:token-new", args=[account.name])
    return [
        {
            "token": token,
            "scopes": scopes_in_words(token),
            "expires_soon": token.expires_at is not None and token.expires_at <= soon,
            "replace_url": f"{new_url}?like={token.pk}",
        }
        for token in found
    ]


@page
def access(request: HttpRequest, account: str) -> HttpResponse:
    """The tokens of the account: the usable ones by age, then those that open nothing more."""
    _, found = administered(request, account, Ability.MANAGE_TOKENS)
    all_tokens = Token.objects.filter(account=found).select_related("created_by")
    spent = Q(expires_at__lte=timezone.now()) | Q(revoked_at__isnull=False)
    live = page_of(request, all_tokens.exclude(spent).order_by("-created_at", "-id"))
    spent_tokens = all_tokens.filter(spent).order_by("-created_at", "-id")[:_MAX_SPENT_SHOWN]
    context = {
        **settings_frame(request, found, "access"),
        "page": live,
        "rows": _rows(found, live),
        "spent_rows": _rows(found, spent_tokens),
        "starts": STARTS,
    }
    return render(request, "accounts/access.html", context)


# --- Making one --------------------------------------------------------------------------------


def _form_salt(identity: Identity, account: Account) -> str:
    return f"new-token:{account.pk}:{identity.user.pk if identity.user else ''}"


def _form_key(identity: Identity, account: Account) -> str:
    """What makes this form differ from every other: when it was given, to whom, for what."""
    given = [timezone.now().isoformat(), get_random_string(12)]
    return signing.dumps(given, salt=_form_salt(identity, account))


def _given_at(identity: Identity, account: Account, form_key: str) -> datetime:
    try:
        given, _ = signing.loads(form_key, salt=_form_salt(identity, account))
    except signing.BadSignature:
        raise InvalidInput(
            "This form was not given to you for this account. Look it over and send it again."
        ) from None
    return datetime.fromisoformat(given)


def _made_before(
    identity: Identity, account: Account, name: str, given_at: datetime
) -> Token | None:
    """The token that this very form made when it was sent before.

    No record of forms is needed: one of that name, by the same person, since the form was
    given to them can only be from it. Also when it was revoked since, or expired.
    """
    return (
        Token.objects.filter(
            account=account,
            name=name.strip(),
            created_by=identity.user,
            created_at__gte=given_at,
        )
        .order_by("-created_at")
        .first()
    )


def _initial(request: HttpRequest, account: Account) -> dict[str, object]:
    """What the form starts from: a purpose, or another token of the account."""
    like = request.GET.get("like", "")
    if like.isascii() and like.isdigit() and len(like) < 19:
        token = find_token(account, int(like))
        return {
            "name": f"{token.name[:98]}-2",
            "scopes": token.scopes,
            "channels": ", ".join(token.channels),
            "packages": ", ".join(token.packages),
        }
    start = next((s for s in STARTS if s.key == request.GET.get("start")), None)
    if start is None:
        return {}
    return {"scopes": list(start.scopes), "lifetime": str(start.days)}


@sensitive_variables("made", "new")
@form_page
def token_new(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    require_fresh_proof(request)
    if request.method != "POST":
        form = TokenForm(
            initial={**_initial(request, found), "form_key": _form_key(identity, found)}
        )
        return _render_form(request, found, form)
    form = TokenForm(request.POST)
    if form.is_valid():
        try:
            made = _make(identity, found, form)
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            return _render_made(request, found, made)
    # A form that was wrong is a new one: what it made before is not what it asks for now.
    again = request.POST.copy()
    again["form_key"] = _form_key(identity, found)
    form.data = again
    return _render_form(request, found, form)


def _make(identity: Identity, account: Account, form: TokenForm) -> NewToken | Token:
    """The token with its secret; without it if the form was sent before."""
    given = form.cleaned_data
    given_at = _given_at(identity, account, given["form_key"])
    before = _made_before(identity, account, given["name"], given_at)
    if before is not None:
        return before
    try:
        return tokens.create_token(
            by=identity,
            account=account,
            name=given["name"],
            scopes=given["scopes"],
            expires_at=form.expiry(),
            channels=given["channels"],
            packages=given["packages"],
        )
    except Conflict:
        # Of two presses at once the other was faster.
        before = _made_before(identity, account, given["name"], given_at)
        if before is None:
            raise
        return before


def _render_form(request: HttpRequest, account: Account, form: TokenForm) -> HttpResponse:
    context = {
        **settings_frame(request, account, "access", "New token"),
        "form": form,
        "starts": STARTS,
        "start": request.GET.get("start", ""),
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/token_new.html", context, status=status)


@sensitive_variables("made", "context")
def _render_made(request: HttpRequest, account: Account, made: NewToken | Token) -> HttpResponse:
    """Shows the secret, in this one answer: a redirect would have to keep it somewhere."""
    token = made.token if isinstance(made, NewToken) else made
    token.account = account
    context = {
        **settings_frame(request, account, "access", token.name),
        "secret": made.secret if isinstance(made, NewToken) else "",
        "token": token,
        "rows": _rows(account, [token]),
        "uses": uses(token),
    }
    return render(request, "accounts/token_made.html", context)


# --- Revoking ----------------------------------------------------------------------------------


@form_page
def token_revoke(request: HttpRequest, account: str, token: int) -> HttpResponse:
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    revoked = find_token(found, token)
    if request.method == "POST":
        if tokens.revoke_token(by=identity, token=revoked):
            messages.success(
                request, f"The token {revoked.name} is revoked: it opens nothing from now on."
            )
        else:
            messages.info(request, f"The token {revoked.name} was revoked already.")
        return redirect("accounts:access", found.name)
    context = {
        **settings_frame(request, found, "access", f"Revoke {revoked.name}"),
        "token": revoked,
    }
    return render(request, "accounts/token_revoke.html", context)
