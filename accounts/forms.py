from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.locales import languages, time_zones
from accounts.log import Wanted
from accounts.models import Account, Group, Organization
from accounts.names import MAX_LENGTH, username_validators
from accounts.profiles import MAX_LENGTHS
from accounts.roles import Permission, Role
from accounts.scopes import Scope
from portal.errors import InvalidInput, Refusal
from portal.templatetags.ui import day

_NAME_ATTRIBUTES = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_MONO_ATTRIBUTES = {**_NAME_ATTRIBUTES, "class": "mono"}


def show_refusal(form: forms.Form, refusal: Refusal) -> None:
    """Put an act's refusal where it belongs: beside the fields it names, or on top."""
    errors = refusal.errors if isinstance(refusal, InvalidInput) else {}
    if not errors:
        form.add_error(None, refusal.detail)
    for field, sentences in errors.items():
        for sentence in sentences:
            form.add_error(field if field in form.fields else None, sentence)


class FirstAccountForm(forms.Form):
    username = forms.CharField(
        max_length=MAX_LENGTH,
        label=_("Name"),
        help_text=_("Small letters, digits, dots, dashes and underscores. It stands in your URLs."),
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    email = forms.EmailField(
        max_length=254,
        label=_("E-mail"),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1024,
        strip=False,
        help_text=_("At least 10 characters. A sentence is easier to remember than a word."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class ProfileForm(forms.Form):
    display_name = forms.CharField(
        label=_("Display name"),
        max_length=MAX_LENGTHS["display_name"],
        required=False,
        help_text=_("Shown beside the name."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=MAX_LENGTHS["description"],
        required=False,
        help_text=_("A few sentences on who this is and what is published here."),
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    website = forms.CharField(
        label=_("Website"),
        max_length=MAX_LENGTHS["website"],
        required=False,
        help_text=_("Begins with https:// or http://."),
        widget=forms.URLInput(attrs={"autocomplete": "url"}),
    )
    links = forms.CharField(
        label=_("Further links"),
        max_length=2000,
        required=False,
        help_text=_("One in a line, at most five."),
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono"}),
    )
    public_email = forms.CharField(
        label=_("E-mail that everyone sees"), max_length=254, required=False
    )

    def __init__(self, *args: Any, addresses: Sequence[str] | None = None, **kwargs: Any) -> None:
        """``addresses`` are those that a person may show; an organization shows any."""
        super().__init__(*args, **kwargs)
        if addresses is not None:
            choices = [("", _("None")), *((address, address) for address in addresses)]
            self.fields["public_email"] = forms.ChoiceField(
                label=_("E-mail that everyone sees"), choices=choices, required=False
            )

    def clean_links(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["links"].splitlines() if line.strip()]


class PolicyForm(forms.Form):
    """`accounts.policies.Policy`, field by field."""

    requires_second_factor = forms.BooleanField(
        label=_("Ask members for a second factor"),
        required=False,
        help_text=_(
            "Who has none keeps the membership, and has no rights by it until they add one. "
            "Tokens of theirs neither."
        ),
    )
    token_max_days = forms.IntegerField(
        label=_("Longest life of a new token, in days"),
        required=False,
        min_value=1,
        help_text=_("Empty: as long as this host allows. Tokens that are there stay as they are."),
    )
    channel_creators = forms.ChoiceField(
        label=_("Who may create channels"),
        choices=Organization.ChannelCreators.choices,
        widget=forms.RadioSelect,
    )
    starts_private = forms.BooleanField(
        label=_("New channels and packages are private"),
        required=False,
        help_text=_("Until somebody makes them public."),
    )


class LocaleForm(forms.Form):
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=time_zones, required=False)
    language = forms.ChoiceField(label=_("Language"), choices=languages, required=False)


class RenameForm(forms.Form):
    name = forms.CharField(
        label=_("New name"),
        validators=username_validators,  # how long it may be they say, too
        help_text=_("Small letters, digits, dots, dashes and underscores."),
        widget=forms.TextInput(attrs={**_MONO_ATTRIBUTES, "maxlength": MAX_LENGTH}),
    )
    understood = forms.BooleanField(
        label=_("I change the address in programs that upload"),
        error_messages={"required": _("Uploads to the old name are refused: say that you know.")},
    )


class OrganizationForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_LENGTH,
        help_text=_(
            "Small letters, digits, dots, dashes and underscores. It stands in the URLs of "
            "its packages and channels."
        ),
        widget=forms.TextInput(attrs=_NAME_ATTRIBUTES),
    )
    display_name = forms.CharField(
        label=_("Display name"),
        max_length=MAX_LENGTHS["display_name"],
        required=False,
        help_text=_("The name in full, shown beside the short one."),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


# --- Tokens ------------------------------------------------------------------------------------

ON_A_DATE = "date"
_LIFETIMES = {7: _("7 days"), 30: _("30 days"), 90: _("90 days"), 365: _("1 year")}


def _lifetimes(longest: int) -> list[tuple[str, str]]:
    """How long a token may live, at most so many days, each with the day it ends."""
    today = timezone.localdate()
    offered = {days: str(label) for days, label in _LIFETIMES.items() if days <= longest}
    if not offered:
        words = ngettext("%(n)d day", "%(n)d days", longest) % {"n": longest}
        offered = {longest: words}
    choices = [
        (
            str(days),
            gettext("%(time)s, until %(date)s")
            % {"time": label, "date": day(today + timedelta(days=days))},
        )
        for days, label in offered.items()
    ]
    return [*choices, (ON_A_DATE, gettext("Until a date"))]


def _scope_choices() -> list[tuple[str, str]]:
    return [
        (
            scope.value,
            format_html('<span>{} <code class="nowrap">{}</code></span>', scope.label, scope.value),
        )
        for scope in Scope
    ]


def split_names(text: str) -> list[str]:
    return [name for name in re.split(r"[\s,]+", text) if name]


def _offer_lifetimes(form: forms.Form, choices: list[tuple[str, str]]) -> None:
    """Let the form's lifetime be one of these, and no longer to begin with than the longest."""
    field = form.fields["lifetime"]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type alone
    field.choices = choices
    days = [value for value, _label in choices if value != ON_A_DATE]
    if field.initial not in days:
        field.initial = days[-1]


class NamesField(forms.MultipleChoiceField):
    """Names that were ticked in a list; the list may have changed since, so any name is taken."""

    def valid_value(self, value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        help_text=_("Say what it is for, so that whoever finds it later dares to revoke it."),
        widget=forms.TextInput(attrs={**_NAME_ATTRIBUTES, "placeholder": "ci-xz"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        help_text=_("Choose no more than it needs."),
        choices=_scope_choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one.")},
    )
    lifetime = forms.ChoiceField(
        label=_("Expires"), choices=(), widget=forms.RadioSelect, initial="90"
    )
    expires_at = forms.DateField(
        label=_("Last day"),
        required=False,
        help_text=_("Only for “Until a date”. The token works until the end of that day, in UTC."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    # Drawn as a list to tick in by accounts/token_limits.html.
    ticked_channels = NamesField(required=False)
    ticked_packages = NamesField(required=False)
    package_filter = forms.CharField(
        label=_("Filter the list"),
        required=False,
        max_length=128,
        widget=forms.TextInput(attrs={**_MONO_ATTRIBUTES, "placeholder": "xz"}),
    )
    channels = forms.CharField(
        label=_("Only these channels"),
        required=False,
        max_length=20_000,
        help_text=_(
            "Names with commas or spaces between them, besides those that are ticked. Nothing "
            "ticked and nothing written: all channels."
        ),
        widget=forms.TextInput(attrs=_MONO_ATTRIBUTES),
    )
    packages = forms.CharField(
        label=_("Only these packages"),
        required=False,
        max_length=20_000,
        help_text=_(
            "Names besides those that are ticked, <code>*</code> stands for anything: "
            "<code>xz, xz-*</code>. Nothing ticked and nothing written: all packages."
        ),
        widget=forms.TextInput(attrs=_MONO_ATTRIBUTES),
    )
    # Tells a form that is sent again from one for another token.
    form_key = forms.CharField(widget=forms.HiddenInput, max_length=500)

    def __init__(self, *args: Any, longest: timedelta, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_lifetimes(self, _lifetimes(longest.days))

    def clean_channels(self) -> list[str]:
        return split_names(self.cleaned_data["channels"])

    def clean_packages(self) -> list[str]:
        return split_names(self.cleaned_data["packages"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        lifetime, last_day = data.get("lifetime"), data.get("expires_at")
        if lifetime == ON_A_DATE:
            if last_day is None and "expires_at" not in self.errors:
                self.add_error("expires_at", _("Say until which day."))
        elif lifetime is not None and last_day is not None:
            self.add_error(
                "lifetime", _("A last day is given below: choose “Until a date”, or empty it.")
            )
        return data

    def limits(self, field: str) -> list[str]:
        """What was ticked, then what was written; for a form that was sent."""
        ticked = self.cleaned_data.get(f"ticked_{field}", [])
        return list(dict.fromkeys([*ticked, *self.cleaned_data.get(field, [])]))

    def expiry(self) -> datetime | None:
        """When the token expires; None where the form doesn't say so properly."""
        lifetime, last_day = self.cleaned_data.get("lifetime"), self.cleaned_data.get("expires_at")
        if lifetime == ON_A_DATE:
            return last_day and datetime.combine(last_day, time(23, 59, 59), tzinfo=UTC)
        return timezone.now() + timedelta(days=int(lifetime)) if lifetime else None


_OVERLAPS = {7: _("7 days"), 1: _("1 day"), 30: _("30 days"), 0: _("Not at all: revoke it now")}


def _overlaps() -> list[tuple[str, str]]:
    """How long a token that is rotated works on, each with the day it ends."""
    today = timezone.localdate()
    return [
        (
            str(days),
            gettext("%(time)s, until %(date)s")
            % {"time": label, "date": day(today + timedelta(days=days))}
            if days
            else str(label),
        )
        for days, label in _OVERLAPS.items()
    ]


class RotateForm(forms.Form):
    lifetime = forms.ChoiceField(
        label=_("The new one expires"), choices=(), widget=forms.RadioSelect
    )
    keep_old = forms.ChoiceField(
        label=_("The old one works on"), choices=_overlaps, widget=forms.RadioSelect, initial="7"
    )
    form_key = forms.CharField(widget=forms.HiddenInput, max_length=500)

    def __init__(self, *args: Any, longest: timedelta, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer_lifetimes(self, _lifetimes(longest.days)[:-1])


def nearest_lifetime(lifetime: timedelta, longest: timedelta) -> str:
    """The choice of `RotateForm` that is next to how long a token was made for."""
    offered = [int(days) for days, _label in _lifetimes(longest.days)[:-1]]
    return str(min(offered, key=lambda days: abs(days - lifetime.days)))


class RevokeBeforeForm(forms.Form):
    before = forms.DateField(
        label=_("Made before"),
        help_text=_("Tokens made on that day or later stay. The day begins at 0:00 UTC."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def border(self) -> datetime:
        """The moment that the day begins; call it when the form is valid."""
        return datetime.combine(self.cleaned_data["before"], time(), tzinfo=UTC)


# --- People ------------------------------------------------------------------------------------


class RoleForm(forms.Form):
    """A role, of those that the one who asks may give."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.MEMBER)

    def __init__(self, *args: Any, may_make_owners: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_make_owners:
            roles = [choice for choice in Role.choices if choice[0] != Role.OWNER]
            self.fields["role"] = forms.ChoiceField(
                label=_("Role"), choices=roles, initial=Role.MEMBER
            )


class AddMemberForm(RoleForm):
    user = forms.CharField(
        max_length=MAX_LENGTH,
        label=_("Name"),
        help_text=_("Of someone with an account here."),
        widget=forms.TextInput(attrs=_NAME_ATTRIBUTES),
    )
    field_order = ["user", "role"]


class InviteForm(RoleForm):
    email_or_name = forms.CharField(
        max_length=254,
        label=_("E-mail or name"),
        help_text=_("They get a link and decide themselves."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "inputmode": "email"}
        ),
    )
    field_order = ["email_or_name", "role"]


# --- Groups ------------------------------------------------------------------------------------

_PERMISSIONS = {
    Permission.READ: _("sees and downloads."),
    Permission.WRITE: _("also uploads, moves, removes, edits the description."),
    Permission.ADMIN: _("also decides who may, visibility, deletion."),
}
_REACHES = [
    ("all", _("All packages of the organization, also those to come")),
    ("chosen", _("Chosen packages: those that name the group as a collaborator")),
]


class GroupForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        help_text=_("Letters, digits, spaces, dots, dashes and underscores."),
        widget=forms.TextInput(attrs=_NAME_ATTRIBUTES),
    )
    description = forms.CharField(label=_("Description"), max_length=255, required=False)
    permission = forms.ChoiceField(
        label=_("Permission"),
        choices=lambda: [
            (p.value, format_html("<span><strong>{}</strong> {}</span>", p.label, words))
            for p, words in _PERMISSIONS.items()
        ],
        widget=forms.RadioSelect,
        initial=Permission.READ,
    )
    reach = forms.ChoiceField(
        label=_("Packages"),
        choices=_REACHES,
        widget=forms.RadioSelect,
        initial="chosen",
    )

    @classmethod
    def of(cls, group: Group) -> GroupForm:
        return cls(
            initial={
                "name": group.name,
                "description": group.description,
                "permission": group.permission,
                "reach": "all" if group.all_packages else "chosen",
            }
        )

    def values(self) -> dict[str, Any]:
        """What the acts on groups take; call it when the form is valid."""
        values = dict(self.cleaned_data)
        values["all_packages"] = values.pop("reach") == "all"
        return values


class GroupMemberForm(forms.Form):
    user = forms.CharField(
        max_length=MAX_LENGTH,
        label=_("Name of a member"),
        widget=forms.TextInput(attrs={**_NAME_ATTRIBUTES, "list": "candidates"}),
    )


class TypedNameForm(forms.Form):
    """The gate before what can't be undone."""

    what_failed = _("nothing was done.")
    typed = forms.CharField(
        # The longest is a filename.
        label=_("Name"),
        max_length=255,
        widget=forms.TextInput(attrs=_MONO_ATTRIBUTES),
    )

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name = name

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed != self._name:
            raise forms.ValidationError(
                gettext("That is %(typed)r; type %(name)s.") % {"typed": typed, "name": self._name}
            )
        return typed


class DeletionForm(TypedNameForm):
    """`TypedNameForm`, with a word to those who wonder later."""

    reason = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=500,
        help_text=_("For the audit log, and for who looks into the bin."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    field_order = ["reason", "typed"]


# --- The audit log -----------------------------------------------------------------------------

# What an action is about, the first word of its name.
_THINGS = {
    "account": _("The account itself"),
    "organization": _("The organization itself"),
    "user": _("The user"),
    "security": _("Sign-in and security"),
    "transfer": _("Transfers"),
    "member": _("Members"),
    "invitation": _("Invitations"),
    "group": _("Groups"),
    "token": _("Tokens"),
    "channel": _("Channels"),
    "package": _("Packages"),
    "release": _("Versions"),
    "collaborator": _("Collaborators"),
    "file": _("Files"),
    "notice": _("Notices"),
    "patch": _("Patches"),
    "retention": _("Retention rules"),
    "quota": _("Limits of storage"),
}


def _things(account: Account) -> Iterable[tuple[str, str | Promise]]:
    only_organizations = {"organization", "member", "invitation", "group"}
    for thing, label in _THINGS.items():
        left_out = {"user", "security"} if account.is_organization else only_organizations
        if thing not in left_out:
            yield thing, label


class LogForm(forms.Form):
    """Which lines of the log; every field may be missing."""

    thing = forms.ChoiceField(label=_("About"), required=False)
    who = forms.CharField(
        label=_("Who"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={**_NAME_ATTRIBUTES, "placeholder": _("person or token")}),
    )
    token = forms.CharField(
        label=_("Token"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs=_NAME_ATTRIBUTES),
    )
    target = forms.CharField(
        label=_("To what"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={**_NAME_ATTRIBUTES, "placeholder": _("part of a name")}),
    )
    since = forms.DateField(
        label=_("From day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_("To day"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    before = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput
    )
    after = forms.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, widget=forms.HiddenInput
    )

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["thing"] = forms.ChoiceField(
            label=_("About"), required=False, choices=[("", _("Everything")), *_things(account)]
        )

    def wanted(self) -> Wanted:
        """The filters; none where the form is not valid."""
        if not self.is_valid():
            return Wanted()
        given = self.cleaned_data
        return Wanted(**{field.name: given[field.name] for field in dataclasses.fields(Wanted)})
