"""allauth's forms in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from allauth.account import forms as account
from allauth.mfa.base import forms as mfa
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.readable_factors import has_unreadable

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MAX_NAME = 60
_LABELS = {
    "code": _("Code"),
    "email": _("E-mail"),
    "login": _("Login name or e-mail"),
    "oldpassword": _("Current password"),
}
_OF_A_NEW_PASSWORD = {
    "password1": _("New password"),
    "password2": _("New password, once more"),
}


class _InOurWords:
    """A field has one name, on its label and in the list of what is wrong.

    No placeholders: allauth says with them what the label says, in other words.
    """

    fields: dict[str, forms.Field]
    labels: Mapping[str, StrOrPromise]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            field.label = self.labels.get(name, field.label)


def _in_our_words(form: type, labels: Mapping[str, StrOrPromise] = _LABELS) -> type:
    return type(form.__name__, (_InOurWords, form), {"labels": labels})


LoginForm = _in_our_words(account.LoginForm)
SignupForm = _in_our_words(account.SignupForm)
AddEmailForm = _in_our_words(account.AddEmailForm)
ChangeEmailForm = _in_our_words(account.ChangeEmailForm)
ConfirmEmailForm = _in_our_words(account.ConfirmEmailVerificationCodeForm)
ReauthenticateForm = _in_our_words(account.ReauthenticateForm)
ResetPasswordForm = _in_our_words(account.ResetPasswordForm)
ResetPasswordKeyForm = _in_our_words(account.ResetPasswordKeyForm, _OF_A_NEW_PASSWORD)
ChangePasswordForm = _in_our_words(account.ChangePasswordForm, _LABELS | _OF_A_NEW_PASSWORD)
SetPasswordForm = _in_our_words(account.SetPasswordForm, _OF_A_NEW_PASSWORD)


class _SaysWhatCannotBeRead:
    user: User

    @cached_property
    def has_unreadable(self) -> bool:
        return has_unreadable(self.user)


class SecondFactorForm(_SaysWhatCannotBeRead, _InOurWords, mfa.AuthenticateForm):  # type: ignore[misc]
    labels = _LABELS


class ReauthenticateByCodeForm(_SaysWhatCannotBeRead, _InOurWords, mfa.ReauthenticateForm):  # type: ignore[misc]
    labels = _LABELS


ActivateAppForm = _in_our_words(ActivateTOTPForm)


def _name_field(*, required: bool) -> forms.CharField:
    return forms.CharField(
        label=_("Name"),
        max_length=MAX_NAME,
        required=required,
        help_text=_("What you know it by: “laptop”, “blue key”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    field_order = ("name", "passwordless", "credential")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = _name_field(required=False)
        self.fields["passwordless"] = forms.BooleanField(
            label=_("Sign in with it alone, without the password"),
            required=False,
            initial=True,
            help_text=_("The device then asks for your finger, face or PIN."),
        )
        self.fields["credential"].label = _("Passkey")
        self.fields["credential"].error_messages["required"] = _(
            "Your browser made none. Try again, or with another browser or device."
        )
        self.order_fields(self.field_order)

    def clean_name(self) -> str:
        return str(self.cleaned_data["name"]).strip() or str(_("Passkey"))


class EditPasskeyForm(EditWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = _name_field(required=True)


class CodesSavedForm(forms.Form):
    saved = forms.BooleanField(
        label=_("I keep these codes where I find them without this device"),
        error_messages={"required": _("Save the codes first, then say so here.")},
    )
