"""Taking tokens out of paths before anything else of ours sees them, and noting who is there."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import unquote

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    JsonResponse,
)
from django.utils import timezone, translation
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.encoding import iri_to_uri

from accounts import switches
from accounts.authentication import PATH_TOKEN, USED_TOKEN
from accounts.locales import is_time_zone
from accounts.models import FormerName, Token
from accounts.token_words import expiry_warning
from portal.errors import Conflict
from portal.middleware import refused
from portal.problems import CONTENT_TYPE, problem, problem_response, wants_problem

# conda writes the token after the channel root, pixi and mamba before everything.
_FORMS = (
    re.compile(r"(?P<root>/conda)/t/(?P<token>[^/]*)(?P<rest>/.*)\Z", re.DOTALL),
    re.compile(r"(?P<root>)/t/(?P<token>[^/]*)(?P<rest>/(?:conda|api)/.*)\Z", re.DOTALL),
)


class TokenInPath:
    """Rewrites ``/conda/t/<token>/…`` and ``/t/<token>/conda/…`` to ``/conda/…``.

    The resolver, the logs and error reports then see the path without the secret.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        for form in _FORMS:
            match = form.match(request.path_info)
            if match:
                path = match["root"] + match["rest"]
                request.META[PATH_TOKEN] = match["token"]
                request.path_info = request.path = path
                request.META["PATH_INFO"] = path
                for raw in ("REQUEST_URI", "RAW_URI"):
                    request.META.pop(raw, None)
                break
        return self.get_response(request)


class TokenWarning:
    """Tells whoever comes with a token that its end is near; anaconda's client repeats it.

    What a shared cache may keep is answered as to everybody: it could be given to others.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        token = request.META.get(USED_TOKEN)
        if isinstance(token, Token) and "public" not in response.headers.get("Cache-Control", ""):
            warning = expiry_warning(token)
            if warning:
                response.headers.setdefault("Conda-Token-Warning", warning)
        return response


_LOOKED_AT_SECONDS = 60
_MOST_LOOKED_AT = 10_000
# When this process last asked the database about a session, by its key.
_looked_at: dict[str, float] = {}


def forget_sessions() -> None:
    """Ask about every session again at its next view."""
    _looked_at.clear()


class SessionActivity:
    """Keeps when and from where each session was seen last, for the page that lists them.

    At most every few minutes: allauth's own would write at every page view, and a read must not
    wait for the database's write lock.
    """

    grain = timedelta(minutes=5)

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.session.session_key
        if key and request.user.is_authenticated and not self._was_looked_at(key):
            since = timezone.now() - self.grain
            known = UserSession.objects.filter(session_key=key, last_seen_at__gt=since)
            if not known.exists():
                UserSession.objects.create_from_request(request)
        return self.get_response(request)

    def _was_looked_at(self, key: str) -> bool:
        """Whether this process did so less than a minute ago."""
        now = time.monotonic()
        if now - _looked_at.get(key, -math.inf) < _LOOKED_AT_SECONDS:
            return True
        if len(_looked_at) >= _MOST_LOOKED_AT:
            _looked_at.clear()
        _looked_at[key] = now
        return False


class FormerNames:
    """Answers for accounts under the names that they had.

    Pages lead to the new address; programs that read are given what is there, since a token in
    their address would be lost on the way; whoever changes something is told the name.
    Nobody else pays for it: only what was not found is looked at.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        asked = request.path_info
        response = self.get_response(request)
        if response.status_code != HTTPStatus.NOT_FOUND:
            return response
        before = _account_in_path(request)
        former = (
            FormerName.objects.select_related("account")
            .filter(name=before.lower(), account__isnull=False)
            .first()
            if before
            else None
        )
        if former is None or former.account is None:
            return response
        path = asked.replace(f"/{before}", f"/{former.account.name}", 1)
        if request.method not in {"GET", "HEAD"}:
            return problem_response(
                Conflict(f"{former.name} is now called {former.account.name}. Send this to {path}.")
            )
        if not wants_problem(request) and not asked.startswith("/conda/"):
            query = request.META.get("QUERY_STRING", "")
            goal = iri_to_uri(path) + (f"?{query}" if query else "")
            return HttpResponsePermanentRedirect(goal, preserve_request=True)
        request.path_info = request.path = path
        request.META["PATH_INFO"] = path
        return self.get_response(request)


def _account_in_path(request: HttpRequest) -> str:
    """What stands in the path where an account's name belongs."""
    match = request.resolver_match
    if match is None:
        return ""
    name = match.kwargs.get("account")
    if name is None:
        name = str(match.kwargs.get("rest", "")).strip("/").partition("/")[0]
    if "\0" in str(name):
        return ""  # nothing was ever called so, and PostgreSQL takes no such text
    # A path that is read twice is read as it was sent: names are compared without their case.
    found = re.search(rf"/({re.escape(str(name))})(?=/|\Z)", request.path_info, re.IGNORECASE)
    return found[1] if name and found else ""


class Locality:
    """Shows pages in the reader's time zone and language: their profile's, else what their browser
    says. What programs are answered stays in UTC and English.

    Scripts of our pages say that they are, in a header: what they are answered is shown."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_script_of_ours = request.headers.get("X-Requested-With") == "XMLHttpRequest"
        if wants_problem(request) and not is_script_of_ours:
            return self.get_response(request)
        # Without a session nobody is signed in, and asking would make each page vary by cookie.
        zone = language = ""
        if request.session.session_key and request.user.is_authenticated:
            zone, language = request.user.time_zone, request.user.language
        zone = zone or unquote(request.COOKIES.get("timezone", ""))
        language = language or translation.get_language_from_request(request)
        with (
            timezone.override(zone if is_time_zone(zone) else settings.TIME_ZONE),
            translation.override(language),
        ):
            response = self.get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
            response.headers.setdefault("Content-Language", language)
        return response


class KeptNowhere:
    """Has no browser keep a page on which somebody signs in: some show secrets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith("/account/"):
            add_never_cache_headers(response)
        return response


class ReadOnly:
    """Refuses what changes something while the site is read-only, whatever client asks.

    Signing in stays possible, and the pages from which it is ended.
    """

    _safe = frozenset({"GET", "HEAD", "OPTIONS"})
    _open = (
        "/-/site/", "/-/theme", "/-/language", "/account/login", "/account/logout",
        "/account/reauthenticate", "/account/2fa/",
    )  # fmt: skip

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in self._safe and not request.path.startswith(self._open):
            try:
                switches.require(switches.Name.READ_ONLY)
            except switches.SwitchedOff as refusal:
                return self._refused(request, refusal)
        return self.get_response(request)

    def _refused(self, request: HttpRequest, refusal: switches.SwitchedOff) -> HttpResponse:
        if not wants_problem(request):
            return refused(request, refusal)
        # Each client reads the sentence under a key of its own.
        body = {**problem(refusal), "error": refusal.detail, "message": refusal.detail}
        return JsonResponse(
            body,
            status=refusal.status,
            content_type=CONTENT_TYPE,
            headers={"Cache-Control": "no-store", **refusal.headers},
        )
