from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext

from accounts.forms import LocaleForm, ProfileForm, show_refusal
from accounts.models import Account
from accounts.profiles import change_locale, change_profile
from accounts.views.frame import act_of, administered, form_page, own_account, settings_frame
from portal.errors import InvalidInput


def _form(request: HttpRequest, account: Account) -> ProfileForm:
    addresses = None
    if not account.is_organization:
        verified = EmailAddress.objects.filter(user=account.user, verified=True)
        addresses = list(verified.order_by("-primary", "email").values_list("email", flat=True))
    return ProfileForm(
        request.POST if request.method == "POST" else None,
        addresses=addresses,
        initial={
            "display_name": account.display_name,
            "description": account.description,
            "website": account.website,
            "links": "\n".join(account.links),
            "public_email": account.public_email,
        },
    )


def _said(form: ProfileForm, request: HttpRequest) -> dict[str, object]:
    """What was sent; a field that was not is left as it is."""
    return {name: value for name, value in form.cleaned_data.items() if name in request.POST}


@form_page
def profile(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = administered(request, account)
    form = _form(request, found)
    if form.is_valid():
        try:
            change_profile(by=identity, account=found, **_said(form, request))  # type: ignore[arg-type]  # the form names what the act takes
        except InvalidInput as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request, gettext("The profile of %(name)s is saved.") % {"name": found.name}
            )
            return redirect("accounts:profile", found.name)
    context = {**settings_frame(request, found, "profile"), "form": form}
    if identity.user is not None and identity.user.account_id == found.pk:
        context["locale_form"] = LocaleForm(
            initial={"time_zone": identity.user.time_zone, "language": identity.user.language}
        )
    return render(request, "accounts/profile.html", context, status=422 if form.errors else 200)


@act_of("accounts:profile")
def locale(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = own_account(request, account)
    form = LocaleForm(request.POST)
    if form.is_valid():
        change_locale(by=identity, **form.cleaned_data)
        with translation.override(form.cleaned_data["language"] or translation.get_language()):
            messages.success(request, gettext("Pages are shown to you like this from now on."))
    else:
        messages.error(request, " ".join(str(e) for errors in form.errors.values() for e in errors))
    return redirect("accounts:profile", found.name)
