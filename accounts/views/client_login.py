"""``anaconda login`` by the browser: where programs are told of it, asked for consent, answered.

The acts are in `accounts.client_login`. What the authorization server says of itself follows
RFC 8414, at the place where OpenID Connect has it: there the client looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from accounts import client_login
from accounts.authentication import identify_session
from accounts.client_login import CLIENT_ID, REDIRECT_ORIGIN, REDIRECT_URI, InvalidGrant
from accounts.proofs import has_fresh_proof
from accounts.views.frame import require_fresh_proof
from portal.body import open_body
from portal.errors import InvalidInput, Refusal

_MAX_STATE = 1000
_MAX_FORM_BYTES = 16 * 1024
_FORM = "application/x-www-form-urlencoded"
# What the client asks for; none of it is more than a token of ours gives.
_SCOPES = frozenset({"openid", "email", "profile", "offline_access"})
_GIVEN_SCOPE = "authentications"
_ONCE = (
    "response_type", "scope", "state", "code_challenge", "code_challenge_method", "prompt"
)  # fmt: skip


@require_safe
def configuration(_request: HttpRequest) -> HttpResponse:
    """``/.well-known/openid-configuration``."""
    return JsonResponse(
        {
            "issuer": settings.BASE_URL,
            "authorization_endpoint": settings.BASE_URL + reverse("accounts:client-login"),
            "token_endpoint": settings.BASE_URL + reverse("accounts:client-login-token"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


# --- Consent -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What the program is told that asked for something else (RFC 6749 section 4.1.2.1)."""

    error: str
    description: str


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
# The form leads on to the program, and browsers hold that against the policy of its page.
@csp_update({"form-action": [REDIRECT_ORIGIN]})
def authorize(request: HttpRequest) -> HttpResponse:
    """Ask who is signed in whether the program may sign in as them; POST is their yes."""
    query = request.GET
    _require_known_client(query)
    state = query.get("state", "")
    if len(state) > _MAX_STATE or not (state.isascii() and (state.isprintable() or not state)):
        return _lead_back(error="invalid_request", error_description="The state is not usable.")
    wrong = _wrong_with(query)
    if wrong is not None:
        return _lead_back(error=wrong.error, error_description=wrong.description, state=state)
    return _consent(request, state, query.get("code_challenge", ""))


def _require_known_client(query: QueryDict) -> None:
    """Lead nobody anywhere but to the one program there is (RFC 6749 section 4.1.2.1)."""
    if query.getlist("client_id") != [CLIENT_ID]:
        raise InvalidInput(
            "No program with this client_id signs in here; anaconda-client has "
            f"{CLIENT_ID}. Run anaconda login again."
        )
    if query.getlist("redirect_uri") != [REDIRECT_URI]:
        raise InvalidInput(
            f"The program wants to be led back to an address that is not its own, {REDIRECT_URI}. "
            "Close this page; if you didn't run anaconda login, someone wants to sign in as you."
        )


def _wrong_with(query: QueryDict) -> _Wrong | None:
    repeated = next((name for name in _ONCE if len(query.getlist(name)) > 1), None)
    if repeated is not None:
        return _Wrong("invalid_request", f"{repeated} is given twice.")
    if query.get("response_type") != "code":
        return _Wrong("unsupported_response_type", "response_type must be code.")
    if query.get("code_challenge_method") != "S256" or not client_login.is_challenge(
        query.get("code_challenge", "")
    ):
        return _Wrong("invalid_request", "A code_challenge of the method S256 is wanted.")
    if not set(query.get("scope", "").split()) <= _SCOPES:
        return _Wrong("invalid_scope", f"There are only {', '.join(sorted(_SCOPES))}.")
    if "none" in query.get("prompt", "").split():
        return _Wrong("interaction_required", "The user is always asked.")
    return None


def _lead_back(**answer: str) -> HttpResponse:
    given = {name: value for name, value in answer.items() if value}
    return HttpResponseRedirect(f"{REDIRECT_URI}?{urlencode(given)}")


@login_required
@sensitive_variables("code")
def _consent(request: HttpRequest, state: str, code_challenge: str) -> HttpResponse:
    by = identify_session(request)
    if request.method == "POST":
        if not has_fresh_proof(request):
            return redirect(request.get_full_path())
        code = client_login.allow(by=by, code_challenge=code_challenge)
        return _lead_back(code=code, state=state)
    # As for making a token on its page: this leads to one that may do everything.
    require_fresh_proof(request)
    refused = {"error": "access_denied", "error_description": "You said no in the browser."}
    context = {
        "allow_url": request.get_full_path(),
        "refuse_url": _lead_back(**refused, state=state).headers["Location"],
        "host": settings.BASE_URL.partition("://")[2],
    }
    return render(request, "accounts/client_login.html", context)


@require_safe
def succeeded(request: HttpRequest) -> HttpResponse:
    """Where the program sends the browser when it has the code."""
    return render(request, "accounts/client_login_succeeded.html")


@require_safe
def failed(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/client_login_failed.html")


# --- The access token --------------------------------------------------------------------------


@csrf_exempt
@sensitive_variables("form", "access")
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a code for an access token (RFC 6749 section 4.1.3); the client is public."""
    if request.method != "POST":
        answer = _no("invalid_request", "Send a POST.", HTTPStatus.METHOD_NOT_ALLOWED)
        answer.headers["Allow"] = "POST"
        return answer
    try:
        form = _form_of(request)
    except Refusal as refusal:
        return _no("invalid_request", refusal.detail, refusal.status)
    if form.get("client_id") != CLIENT_ID:
        return _no("invalid_client", "No program with this client_id signs in here.")
    if form.get("grant_type") != "authorization_code":
        return _no("unsupported_grant_type", "grant_type must be authorization_code.")
    if form.get("redirect_uri") != REDIRECT_URI:
        return _no("invalid_grant", "redirect_uri is not the one the code was sent to.")
    try:
        access = client_login.exchange(
            code=form.get("code", ""), verifier=form.get("code_verifier", "")
        )
    except InvalidGrant:
        return _no(
            "invalid_grant",
            "The code is not known, was used already or is too old, or code_verifier does not fit "
            "to it. Run anaconda login again.",
        )
    return _plain(
        {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(client_login.ACCESS_LIFETIME.total_seconds()),
            "scope": _GIVEN_SCOPE,
        },
        HTTPStatus.OK,
    )


def _form_of(request: HttpRequest) -> dict[str, str]:
    if request.content_type != _FORM:
        raise InvalidInput(f"Send the form as {_FORM}.")
    body = open_body(request.META, limit_bytes=_MAX_FORM_BYTES)
    data = bytearray()
    buffer = bytearray(_MAX_FORM_BYTES)
    while count := body.readinto(buffer):
        data += memoryview(buffer)[:count]
    text = data.decode("ascii", "replace")
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise InvalidInput("The form has more than 20 fields.") from error
    form = dict(fields)
    if len(form) < len(fields):
        raise InvalidInput("A field of the form is given twice.")
    return form


def _no(error: str, description: str, status: int = HTTPStatus.BAD_REQUEST) -> HttpResponse:
    return _plain({"error": error, "error_description": description}, status)


def _plain(body: Mapping[str, object], status: int) -> HttpResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
