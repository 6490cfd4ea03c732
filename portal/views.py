"""Pages of no app: switches of theme and language, answers of last resort, the components."""

from collections.abc import Collection

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import defaults
from django.views.decorators.http import require_GET, require_POST

from portal import showcase
from portal.context import THEMES
from portal.errors import NotFound, ServerFault
from portal.problems import problem_response, wants_problem

_COOKIE_SECONDS = 366 * 24 * 3600


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the chosen theme in a cookie, so that the first paint already has it."""
    return _keep(request, "theme", THEMES)


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Keep the language of somebody who isn't signed in; a profile's comes before it."""
    return _keep(request, settings.LANGUAGE_COOKIE_NAME, dict(settings.LANGUAGES))


def _keep(request: HttpRequest, name: str, choices: Collection[str]) -> HttpResponse:
    """Lead back to where the form was, with a cookie that holds what was chosen in it."""
    goal = request.POST.get("next", "/")
    # Of a goal without a slash, redirecting takes the name of a view.
    if not goal.startswith("/") or not url_has_allowed_host_and_scheme(
        goal, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        goal = "/"
    response = redirect(goal)
    chosen = request.POST.get(name, "")
    if chosen in choices:
        response.set_cookie(
            name,
            chosen,
            max_age=_COOKIE_SECONDS,
            secure=settings.SECURE,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(name, samesite="Lax")
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403_csrf.html", {"reason": reason}, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if wants_problem(request):
        return problem_response(NotFound())
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Without request context: what it would ask the database may be what has failed."""
    request_id = request.META.get("condarium.request_id", "")
    if wants_problem(request):
        return problem_response(ServerFault(request_id))
    theme = request.COOKIES.get("theme", "")
    context = {"request_id": request_id, "theme": theme if theme in THEMES else ""}
    with translation.override(translation.get_language_from_request(request)):
        return render(None, "500.html", context, status=500)


@require_GET
def components(request: HttpRequest) -> HttpResponse:
    """Every component in every state; routed in debug mode only."""
    messages.info(request, "4 files are waiting for the index.")
    messages.success(request, "Moved 12 files to main.")
    messages.warning(request, "main is locked since 3 May by ada.")
    messages.error(request, "linux-64/xz-5.6.3-h1_1.conda is there with other content.")
    return render(request, "portal/components.html", showcase.context())
