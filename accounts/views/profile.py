from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.forms import ProfileForm, show_refusal
from accounts.profiles import change_profile
from accounts.views.frame import administered, form_page, settings_frame
from portal.errors import InvalidInput


@form_page
def profile(request: HttpRequest, account: str) -> HttpResponse:
    identity, found = administered(request, account)
    form = ProfileForm(
        request.POST if request.method == "POST" else None,
        initial={
            "display_name": found.display_name,
            "description": found.description,
            "website": found.website,
        },
    )
    if form.is_valid():
        try:
            change_profile(by=identity, account=found, **form.cleaned_data)
        except InvalidInput as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"The profile of {found.name} is saved.")
            return redirect("accounts:profile", found.name)
    context = {**settings_frame(request, found, "profile"), "form": form}
    return render(request, "accounts/profile.html", context, status=422 if form.errors else 200)
