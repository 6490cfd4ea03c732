"""The token walk: what there is, making one, seeing its secret once, rotating, revoking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.views.decorators.debug import sensitive_variables

from accounts import policies, tokens
from accounts.api.finding import find_token
from accounts.forms import (
    RevokeBeforeForm,
    RotateForm,
    TokenForm,
    nearest_lifetime,
    show_refusal,
)
from accounts.identity import Identity
from accounts.log_words import told
from accounts.models import Account, Event, Token
from accounts.parts import part
from accounts.scopes import Ability
from accounts.token_words import (
    STARTS,
    may_everything,
    scopes_in_words,
    summary,
    summary_of,
    use_boxes,
)
from accounts.tokens import NewToken
from accounts.views.frame import (
    act_of,
    administered,
    form_page,
    page,
    page_of,
    require_fresh_proof,
    settings_frame,
)
from portal.errors import Conflict, InvalidInput

_MAX_SPENT_SHOWN = 50
_EVENTS_SHOWN = 20


def _rows(found: Iterable[Token]) -> list[dict[str, object]]:
    """The tokens as ``accounts/token_rows.html`` takes them."""
    soon = timezone.now() + settings.TOKEN_WARNING
    return [
        {
            "token": token,
            "scopes": scopes_in_words(token),
            "may_everything": may_everything(token),
            "expires_soon": token.expires_at is not None and token.expires_at <= soon,
        }
        for token in found
    ]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@page
def access(request: HttpRequest, account: str) -> HttpResponse:
    """The tokens of the account: the usable ones by age, then those that open nothing more."""
    _, found = administered(request, account, Ability.MANAGE_TOKENS)
    all_tokens = (
        Token.objects.filter(account=found)
        .select_related("created_by")
        .annotate(is_replaced=Exists(Token.objects.filter(replaces=OuterRef("pk"))))
    )
    spent = Q(expires_at__lte=timezone.now()) | Q(revoked_at__isnull=False)
    live = page_of(request, all_tokens.exclude(spent).order_by("-created_at", "-id"))
    spent_tokens = all_tokens.filter(spent).order_by("-created_at", "-id")[:_MAX_SPENT_SHOWN]
    context = {
        **settings_frame(request, found, "access"),
        "page": live,
        "rows": _rows(live),
        "spent_rows": _rows(spent_tokens),
        "new_token": _number(request.GET.get("new", "")),
    }
    return render(request, "accounts/access.html", context)


@page
def token(request: HttpRequest, account: str, token: int) -> HttpResponse:
    """One token: what it may, who made it, and what was done with it last."""
    _, found = administered(request, account, Ability.MANAGE_TOKENS)
    shown = find_token(found, token)
    events = (
        Event.objects.filter(token=shown).select_related("account").order_by("-id")[:_EVENTS_SHOWN]
    )
    context = {
        **settings_frame(request, found, "access", shown.name),
        "token": shown,
        "row": _rows([shown])[0],
        "summary": summary_of(shown),
        "is_live": shown.revoked_at is None and not shown.is_expired,
        "replaces": shown.replaces,
        "replaced_by": Token.objects.filter(account=found, replaces=shown).first(),
        "lines": [told(event) for event in events],
        "boxes": use_boxes(shown),
    }
    return render(request, "accounts/token.html", context)


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
            gettext(
                "This form was not given to you for this account. Look it over and send it again."
            )
        ) from None
    return datetime.fromisoformat(given)


def _made_before(
    identity: Identity, account: Account, given_at: datetime, **like: Any
) -> Token | None:
    """The token that this very form made when it was sent before.

    No record of forms is needed: one of that name, by the same person, since the form was
    given to them can only be from it. Also when it was revoked since, or expired.
    """
    return (
        Token.objects.filter(
            account=account, created_by=identity.user, created_at__gte=given_at, **like
        )
        .order_by("-created_at")
        .first()
    )


def _initial(request: HttpRequest, account: Account) -> dict[str, object]:
    """What the form starts from: a purpose, or another token of the account."""
    like = _number(request.GET.get("like", ""))
    if like is not None:
        token = find_token(account, like)
        return {
            "name": f"{token.name[:98]}-2",
            "scopes": token.scopes,
            "ticked_channels": token.channels,
            "ticked_packages": [name for name in token.packages if "*" not in name],
            "packages": ", ".join(name for name in token.packages if "*" in name),
        }
    start = next((s for s in STARTS if s.key == request.GET.get("template")), None)
    if start is None:
        return {}
    return {"scopes": list(start.scopes), "lifetime": str(start.days)}


@sensitive_variables("made", "new")
@form_page
def token_new(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    require_fresh_proof(request)
    longest = policies.longest_token_life(found)
    if request.method != "POST":
        initial = {**_initial(request, found), "form_key": _form_key(identity, found)}
        return _render_form(request, found, TokenForm(initial=initial, longest=longest))
    form = TokenForm(request.POST, longest=longest)
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


@act_of("accounts:token-new")
def token_preview(request: HttpRequest, account: str) -> HttpResponse:
    """The form as it was filled in, with what the token would be; nothing is made or refused."""
    _, found = administered(request, account, Ability.MANAGE_TOKENS)
    longest = policies.longest_token_life(found)
    sent = TokenForm(request.POST, longest=longest)
    sent.is_valid()
    lists = {"scopes", "ticked_channels", "ticked_packages"}
    initial = {
        name: request.POST.getlist(name) if name in lists else request.POST.get(name, "")
        for name in sent.fields
    }
    return _render_form(
        request, found, TokenForm(initial=initial, longest=longest), said=_said(found, sent)
    )


def _make(identity: Identity, account: Account, form: TokenForm) -> NewToken | Token:
    """The token with its secret; without it if the form was sent before."""
    given = form.cleaned_data
    given_at = _given_at(identity, account, given["form_key"])
    before = _made_before(identity, account, given_at, name=given["name"].strip())
    if before is not None:
        return before
    try:
        return tokens.create_token(
            by=identity,
            account=account,
            name=given["name"],
            scopes=given["scopes"],
            expires_at=form.expiry(),
            channels=form.limits("channels"),
            packages=form.limits("packages"),
        )
    except Conflict:
        # Of two presses at once the other was faster.
        before = _made_before(identity, account, given_at, name=given["name"].strip())
        if before is None:
            raise
        return before


def _said(account: Account, form: TokenForm) -> SafeString:
    """What the token would be, as far as the form that was sent says so."""
    return summary(
        account=account,
        scopes=form.cleaned_data.get("scopes", []),
        channels=form.limits("channels"),
        packages=form.limits("packages"),
        expires_at=form.expiry(),
    )


def _first_said(account: Account, form: TokenForm) -> SafeString:
    """The same of a form as it is given out."""
    first = {n: form.get_initial_for_field(field, n) for n, field in form.fields.items()}
    filled = TokenForm(first, longest=settings.TOKEN_MAX_LIFETIME)
    filled.is_valid()
    return _said(account, filled)


def _render_form(
    request: HttpRequest, account: Account, form: TokenForm, *, said: SafeString | None = None
) -> HttpResponse:
    if said is None:
        said = _said(account, form) if form.is_bound else _first_said(account, form)
    ticked = {name: form[f"ticked_{name}"].value() or [] for name in ("channels", "packages")}
    context = {
        **settings_frame(request, account, "access", gettext("New token")),
        "form": form,
        "starts": STARTS,
        "start": request.GET.get("template", ""),
        "summary": said,
        "limits": part(
            "token-limits",
            account=account,
            ticked_channels=ticked["channels"],
            ticked_packages=ticked["packages"],
            package_filter=form["package_filter"].value() or "",
        ),
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/token_new.html", context, status=status)


@sensitive_variables("made", "context")
def _render_made(
    request: HttpRequest, account: Account, made: NewToken | Token, *, old: Token | None = None
) -> HttpResponse:
    """Shows the secret, in this one answer: a redirect would have to keep it somewhere."""
    token = made.token if isinstance(made, NewToken) else made
    token.account = account
    context = {
        **settings_frame(request, account, "access", token.name),
        "secret": made.secret if isinstance(made, NewToken) else "",
        "token": token,
        "old": old,
        "rows": _rows([token, *([old] if old and old.revoked_at is None else [])]),
        "summary": summary_of(token),
        "boxes": use_boxes(token),
        "new_token": token.pk,
    }
    return render(request, "accounts/token_made.html", context)


# --- Rotating ----------------------------------------------------------------------------------


@sensitive_variables("made")
@form_page
def token_rotate(request: HttpRequest, account: str, token: int) -> HttpResponse:
    """A new secret for the same rights; the page that shows it once is the answer."""
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    old = find_token(found, token)
    require_fresh_proof(request)
    longest = policies.longest_token_life(found)
    form = RotateForm(request.POST if request.method == "POST" else None, longest=longest)
    if form.is_valid():
        try:
            made = _rotate(identity, old, form)
        except (InvalidInput, Conflict) as refusal:
            show_refusal(form, refusal)
        else:
            old.refresh_from_db(fields=["name", "expires_at", "revoked_at"])
            return _render_made(request, found, made, old=old)
    lived = (old.expires_at or old.created_at + settings.TOKEN_DEFAULT_LIFETIME) - old.created_at
    key = _form_key(identity, found)
    if form.is_bound:
        again = request.POST.copy()
        again["form_key"] = key
        form.data = again
    else:
        form = RotateForm(
            initial={"lifetime": nearest_lifetime(lived, longest), "form_key": key}, longest=longest
        )
    context = {
        **settings_frame(request, found, "access", gettext("Rotate %(name)s") % {"name": old.name}),
        "token": old,
        "summary": summary_of(old),
        "is_live": old.revoked_at is None and not old.is_expired,
        "replaced_by": Token.objects.filter(account=found, replaces=old).first(),
        "like_url": f"{reverse('accounts:token-new', args=[found.name])}?like={old.pk}",
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/token_rotate.html", context, status=status)


def _rotate(identity: Identity, old: Token, form: RotateForm) -> NewToken | Token:
    given = form.cleaned_data
    given_at = _given_at(identity, old.account, given["form_key"])
    try:
        return tokens.rotate_token(
            by=identity,
            token=old,
            keep_old=timedelta(days=int(given["keep_old"])),
            expires_at=timezone.now() + timedelta(days=int(given["lifetime"])),
        )
    except Conflict:
        before = _made_before(identity, old.account, given_at, replaces=old)
        if before is None:
            raise
        return before


# --- Revoking ----------------------------------------------------------------------------------


@form_page
def token_revoke(request: HttpRequest, account: str, token: int) -> HttpResponse:
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    revoked = find_token(found, token)
    if request.method == "POST":
        names = {"name": revoked.name}
        if tokens.revoke_token(by=identity, token=revoked):
            messages.success(
                request,
                gettext("The token %(name)s is revoked: it opens nothing from now on.") % names,
            )
        else:
            messages.info(request, gettext("The token %(name)s was revoked already.") % names)
        return redirect("accounts:access", found.name)
    context = {
        **settings_frame(
            request, found, "access", gettext("Revoke %(name)s") % {"name": revoked.name}
        ),
        "token": revoked,
    }
    return render(request, "accounts/token_revoke.html", context)


@form_page
def revoke_before(request: HttpRequest, account: str) -> HttpResponse:
    """All tokens made before a day: first their names, then, posted, their end."""
    identity, found = administered(request, account, Ability.MANAGE_TOKENS)
    asked = request.POST if request.method == "POST" else request.GET
    form = RevokeBeforeForm(asked if "before" in asked or request.method == "POST" else None)
    if form.is_valid() and request.method == "POST":
        revoked = tokens.revoke_made_before(by=identity, account=found, border=form.border())
        messages.success(
            request,
            ngettext(
                "%(n)d token is revoked: it opens nothing from now on.",
                "%(n)d tokens are revoked: they open nothing from now on.",
                len(revoked),
            )
            % {"n": len(revoked)},
        )
        return redirect("accounts:access", found.name)
    chosen = None
    if form.is_bound and form.is_valid():
        rows = tokens.made_before(found, form.border()).select_related("created_by")
        chosen = _rows(rows.order_by("-created_at", "-id"))
    context = {
        **settings_frame(request, found, "access", gettext("Revoke all made before a day")),
        "form": form,
        "rows": chosen,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/token_revoke_before.html", context, status=status)
