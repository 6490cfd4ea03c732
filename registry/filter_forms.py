"""What lists are filtered by: forms that are sent by GET."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from accounts.names import MAX_LENGTH
from registry.conda.subdirs import KNOWN_SUBDIRS
from registry.models import Job
from registry.neighbours import MAX_DEPTH
from registry.searching import Sort, Wanted, words_of
from registry.statistics import Grouping

PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_ANY = ("", gettext_lazy("Any"))
DOWNLOADS_DAYS = (30, 90, 365)
PACKAGE_SORTS = ("name", "updated", "downloads")


class FilterForm(forms.Form):
    """A GET form: what can't be used is as if it had not been sent."""

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **{"auto_id": "filter_%s", **kwargs})
        self.prepare()
        self.full_clean()
        # The page shows what was found, not what was wrong with the address.
        for name in list(self.errors):
            del self.errors[name]

    def prepare(self) -> None:
        """Fill in what can be chosen, before anything is read."""

    def value(self, name: str) -> str:
        return str(self.cleaned_data.get(name) or "")

    @property
    def count(self) -> int:
        """How many filters are set, other than hidden ones."""
        return sum(bool(self.cleaned_data.get(field.name)) for field in self if not field.is_hidden)


def _position() -> forms.CharField:
    return forms.CharField(required=False, max_length=300, widget=forms.HiddenInput)


class PackagesForm(FilterForm):
    q = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={**PLAIN, "type": "search"}),
    )
    sort = forms.ChoiceField(
        required=False,
        choices=[(sort, sort) for name in PACKAGE_SORTS for sort in (name, f"-{name}")],
        widget=forms.HiddenInput,
    )
    after = _position()
    before = _position()

    def clean_q(self) -> str:
        return str(self.cleaned_data["q"]).lower()


class DependentsForm(FilterForm):
    q = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={**PLAIN, "type": "search"}),
    )
    sort = forms.ChoiceField(
        label=gettext_lazy("Sort by"),
        required=False,
        choices=[("", gettext_lazy("Name")), ("downloads", gettext_lazy("Downloads"))],
    )
    after = _position()
    before = _position()

    def clean_q(self) -> str:
        return str(self.cleaned_data["q"]).lower()

    def place(self, field: str) -> tuple[str, int] | None:
        """A position in the list: a name, and the key of the package that has it."""
        name, _, key = self.value(field).partition(" ")
        return (name, int(key)) if key.isdecimal() and len(key) < 19 else None


class WalkForm(FilterForm):
    """Where a walk along dependencies stands, and how far it looks."""

    at = forms.CharField(label=gettext_lazy("At"), required=False, max_length=64)
    depth = forms.TypedChoiceField(
        label=gettext_lazy("Depth"),
        required=False,
        choices=[(number, number) for number in range(1, MAX_DEPTH + 1)],
        coerce=int,
    )

    def clean_at(self) -> str:
        return str(self.cleaned_data["at"]).lower()


class ExportForm(FilterForm):
    format = forms.ChoiceField(
        label=gettext_lazy("Format"), required=False, choices=[("csv", "CSV")]
    )


class DownloadsForm(ExportForm):
    by = forms.ChoiceField(
        label=pgettext_lazy("grouped", "By"), required=False, choices=Grouping.choices
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Days"),
        required=False,
        choices=[(number, number) for number in DOWNLOADS_DAYS],
        coerce=int,
    )


class ActivityForm(FilterForm):
    before = forms.IntegerField(
        label=gettext_lazy("Before"), required=False, min_value=1, max_value=2**62
    )


class PositionForm(FilterForm):
    after = _position()
    before = _position()


class ContentsForm(FilterForm):
    """Where one looks in a package file."""

    path = forms.CharField(required=False, max_length=1100, strip=False, widget=forms.HiddenInput)
    q = forms.CharField(
        label=gettext_lazy("Path"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={**PLAIN, "type": "search"}),
    )
    after = forms.CharField(required=False, max_length=1100, strip=False, widget=forms.HiddenInput)


class VersionsForm(FilterForm):
    channel = forms.ChoiceField(label=gettext_lazy("Channel"), required=False)
    order = forms.ChoiceField(label=gettext_lazy("Order"), required=False)
    stable = forms.BooleanField(label=gettext_lazy("Stable"), required=False)
    after = _position()
    before = _position()

    def __init__(self, data: Any, *, channels: Iterable[str]) -> None:
        self._channels = [_ANY, *((name, name) for name in channels)]
        super().__init__(data)

    def prepare(self) -> None:
        self.fields["channel"] = forms.ChoiceField(
            label=_("Channel"), required=False, choices=self._channels
        )
        self.fields["order"] = forms.ChoiceField(
            label=_("Order"),
            required=False,
            choices=[("", _("By version")), ("date", _("By date"))],
        )
        self.fields["stable"].label = _("Without pre-releases")


class CompareForm(FilterForm):
    """Which two versions are compared, or which two files. `from` is a word of Python's."""

    platform = forms.ChoiceField(label=gettext_lazy("Platform"), required=False)
    from_file = forms.CharField(required=False, max_length=300, widget=forms.HiddenInput)
    to_file = forms.CharField(required=False, max_length=300, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, names: Iterable[str], platforms: Iterable[str]) -> None:
        self._names = [(name, name) for name in names]
        self._platforms = [_ANY, *((name, name) for name in platforms)]
        super().__init__(data)

    def prepare(self) -> None:
        for name, label in (
            ("from", pgettext("a version", "From")),
            ("to", pgettext("a version", "To")),
        ):
            self.fields[name] = forms.ChoiceField(label=label, required=False, choices=self._names)
        self.fields["platform"] = forms.ChoiceField(
            label=_("Platform"), required=False, choices=self._platforms
        )
        self.order_fields(["from", "to", "platform"])


class CompareChannelsForm(FilterForm):
    """Which two channels are compared."""

    after = _position()

    def __init__(self, data: Any, *, channels: Iterable[str]) -> None:
        self._names = [("", _("Choose one")), *((name, name) for name in channels)]
        super().__init__(data)

    def prepare(self) -> None:
        for name, label in (
            ("from", pgettext("a channel", "From")),
            ("to", pgettext("a channel", "To")),
        ):
            self.fields[name] = forms.ChoiceField(label=label, required=False, choices=self._names)


def _number() -> forms.IntegerField:
    return forms.IntegerField(
        required=False, min_value=0, max_value=2**62, widget=forms.HiddenInput
    )


class JobsForm(FilterForm):
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[("", gettext_lazy("Any")), *Job.State.choices],
    )
    after = _number()
    before = _number()


class SearchForm(FilterForm):
    q = forms.CharField(
        label=gettext_lazy("Search packages"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={**PLAIN, "type": "search"}),
    )
    account = forms.CharField(
        label=gettext_lazy("Account"),
        required=False,
        max_length=MAX_LENGTH,
        widget=forms.TextInput(attrs=PLAIN),
    )
    platform = forms.ChoiceField(
        label=gettext_lazy("Platform"),
        required=False,
        choices=[_ANY, *((subdir, subdir) for subdir in KNOWN_SUBDIRS)],
    )
    license = forms.CharField(required=False, max_length=255, widget=forms.HiddenInput)
    updated = forms.TypedChoiceField(
        label=gettext_lazy("Updated"),
        required=False,
        coerce=int,
        choices=[
            _ANY,
            (7, gettext_lazy("In the last week")),
            (30, gettext_lazy("In the last month")),
            (365, gettext_lazy("In the last year")),
        ],
    )
    sort = forms.ChoiceField(label=gettext_lazy("Sort by"), required=False, choices=Sort.choices)

    def clean_account(self) -> str:
        return str(self.cleaned_data["account"]).lower()

    @property
    def wanted(self) -> Wanted:
        said = self.cleaned_data
        return Wanted(
            words=tuple(words_of(self.value("q"))),
            account=self.value("account"),
            platform=self.value("platform"),
            license=self.value("license"),
            updated_days=said.get("updated") or 0,
            sort=Sort(self.value("sort")),
        )

    @property
    def filters(self) -> int:
        """How many of them narrow down what was found."""
        narrowing = ("account", "platform", "license", "updated")
        return sum(bool(self.cleaned_data.get(name)) for name in narrowing)


IN_NO_CHANNEL = "-"
_SUBDIR = r"^[a-z0-9]+(-[a-z0-9]+)?$"
FILE_SORTS = ("file", "platform", "version", "build", "size", "uploaded", "downloads")


class FilesForm(FilterForm):
    q = forms.CharField(
        label=gettext_lazy("File name"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={**PLAIN, "type": "search"}),
    )
    platform = forms.RegexField(
        _SUBDIR, label=gettext_lazy("Platform"), required=False, widget=forms.Select
    )
    version = forms.CharField(
        label=gettext_lazy("Version"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs=PLAIN),
    )
    build = forms.CharField(
        label=gettext_lazy("Build"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs=PLAIN),
    )
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        required=False,
        choices=[_ANY, *((suffix, f".{suffix}") for suffix in ("conda", "tar.bz2"))],
    )
    channel = forms.ChoiceField(label=gettext_lazy("Channel"), required=False)
    since = forms.DateField(
        label=gettext_lazy("Uploaded since"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    sort = forms.ChoiceField(
        required=False,
        widget=forms.HiddenInput,
        choices=[(sort, sort) for name in FILE_SORTS for sort in (name, f"-{name}")],
    )
    after = _position()
    before = _position()

    def __init__(
        self,
        data: Any,
        *,
        channels: Iterable[str],
        with_none: bool,
    ) -> None:
        self._channels = [_ANY, *((name, name) for name in channels)]
        if with_none:
            self._channels.append((IN_NO_CHANNEL, gettext_lazy("In no channel")))
        super().__init__(data)

    def prepare(self) -> None:
        label = self.fields["channel"].label
        self.fields["channel"] = forms.ChoiceField(
            label=label, required=False, choices=self._channels
        )

    def offer_platforms(self, platforms: Iterable[str]) -> None:
        """Which there are to choose from; told when the filters were read."""
        widget = self.fields["platform"].widget
        cast(forms.Select, widget).choices = [_ANY, *((name, name) for name in platforms)]

    def filters(self) -> dict[str, str]:
        """What is filtered by, as it stands in an address."""
        return {
            field.name: self.value(field.name)
            for field in self
            if not field.is_hidden and self.value(field.name)
        }
