"""The forms of the registry's pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from accounts.forms import TypedNameForm
from accounts.models import Group
from accounts.names import MAX_LENGTH
from accounts.roles import Permission
from registry.conda.description import MAX_DESCRIPTION_LENGTH, MAX_URL_LENGTH
from registry.conda.names import MAX_CHANNEL_NAME_LENGTH
from registry.conda.relations import MAX_RELATION_LENGTH
from registry.conda.subdirs import MAX_SUBDIR_LENGTH, NOARCH
from registry.filter_forms import PLAIN
from registry.models import Channel, Notice
from registry.notices import MAX_MESSAGE_LENGTH
from registry.retention import MAX_DAYS, MAX_NEWEST, MAX_PATTERN_LENGTH, Terms

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

_MONO = {**PLAIN, "class": "mono"}


# --- Collaborators -----------------------------------------------------------------------------


class PermissionForm(forms.Form):
    permission = forms.ChoiceField(
        label=gettext_lazy("Permission"), choices=Permission.choices, initial=Permission.WRITE
    )


class AddPersonForm(PermissionForm):
    user = forms.CharField(
        max_length=254,
        label=gettext_lazy("Name or e-mail"),
        help_text=gettext_lazy("To an address, an invitation is sent."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    field_order = ["user", "permission"]


class AddGroupForm(PermissionForm):
    group = forms.ModelChoiceField(
        label=gettext_lazy("Group"),
        queryset=Group.objects.none(),
        to_field_name="name",
        empty_label=gettext_lazy("Choose one"),
    )
    field_order = ["group", "permission"]

    def __init__(
        self, *args: Any, groups: Any, offered: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        # A queryset is set on the field, which the type of fields in general does not know.
        field: Any = self.fields["group"]
        field.queryset = groups
        if offered is not None:  # at hand, so it isn't asked for again
            field.choices = [("", field.empty_label), *((name, name) for name in offered)]


def _address(label: _StrOrPromise) -> forms.URLField:
    return forms.URLField(
        label=label,
        required=False,
        max_length=MAX_URL_LENGTH,
        assume_scheme="https",
        widget=forms.URLInput(attrs=PLAIN),
    )


class DescriptionForm(forms.Form):
    """What describes a package; what is changed in it is pinned."""

    summary = forms.CharField(
        label=gettext_lazy("Summary"),
        required=False,
        max_length=1000,
        help_text=gettext_lazy("In a sentence."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    description = forms.CharField(
        label=gettext_lazy("Description"),
        required=False,
        max_length=MAX_DESCRIPTION_LENGTH,
        help_text=gettext_lazy("Markdown."),
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    license = forms.CharField(
        label=gettext_lazy("License"),
        required=False,
        max_length=255,
        help_text=gettext_lazy("An SPDX expression, such as BSD-3-Clause."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    license_url = _address(gettext_lazy("License text"))
    home_url = _address(gettext_lazy("Home"))
    dev_url = _address(gettext_lazy("Development"))
    doc_url = _address(gettext_lazy("Documentation"))
    source_url = _address(gettext_lazy("Source"))


# --- Channels ----------------------------------------------------------------------------------

_VISIBILITY_WORDS = {
    Channel.Visibility.PUBLIC: gettext_lazy("everyone sees and installs what is in it."),
    Channel.Visibility.PRIVATE: gettext_lazy("only members do, with a token."),
}


def _visibilities() -> list[tuple[str, str]]:
    """Worded when they are asked for: each reads them in their language."""
    return [
        (
            visibility.value,
            format_html("<span><strong>{}</strong> {}</span>", visibility.label, words),
        )
        for visibility, words in _VISIBILITY_WORDS.items()
    ]


class ChannelForm(forms.Form):
    """What a channel says of itself, and who sees it."""

    description = forms.CharField(
        label=gettext_lazy("Description"),
        required=False,
        max_length=1000,
        help_text=gettext_lazy("What it is for, in a sentence."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    visibility = forms.ChoiceField(
        label=gettext_lazy("Visibility"),
        choices=_visibilities,
        widget=forms.RadioSelect,
        initial=Channel.Visibility.PUBLIC,
    )


class ChannelSettingsForm(ChannelForm):
    """All that an admin can set of a channel that is there."""

    is_immutable = forms.BooleanField(
        label=gettext_lazy("Immutable"),
        required=False,
        help_text=gettext_lazy(
            "No file in it is ever replaced, and a name that stood in it stays that file's "
            "for good, deleted or not."
        ),
    )
    allows_v3 = forms.BooleanField(
        label=gettext_lazy("Take packages for newer clients only"),
        required=False,
        help_text=gettext_lazy(
            "Those with extras, flags or conditions (repodata v3). pixi and conda with the "
            "rattler solver install them; for older conda and mamba they don't exist."
        ),
    )
    base_relation = forms.CharField(
        label=gettext_lazy("Channel before this one"),
        required=False,
        max_length=MAX_RELATION_LENGTH,
        help_text=gettext_lazy(
            "Clients that know relations look there first, and here only for what it lacks. "
            "<code>../main</code> is a channel of this account."
        ),
        widget=forms.TextInput(attrs=_MONO),
    )
    overrides_relation = forms.CharField(
        label=gettext_lazy("Channel after this one"),
        required=False,
        max_length=MAX_RELATION_LENGTH,
        help_text=gettext_lazy(
            "Clients that know relations look there for what this one lacks. For a label "
            "that is mostly <code>../main</code>."
        ),
        widget=forms.TextInput(attrs=_MONO),
    )


class NewChannelForm(ChannelForm):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=MAX_CHANNEL_NAME_LENGTH,
        help_text=gettext_lazy(
            "A letter first, then letters, digits, “_”, “-”, “.”, “/” and “:”. It stands in "
            "the address that clients use, and can't be changed."
        ),
        widget=forms.TextInput(attrs=_MONO),
    )
    field_order = ["name", "description", "visibility"]


class LockForm(forms.Form):
    lock_note = forms.CharField(
        label=gettext_lazy("Why"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Shown to those it stops."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class NoticeForm(forms.Form):
    """What conda shows to those who use a channel."""

    message = forms.CharField(
        label=gettext_lazy("Message"),
        max_length=MAX_MESSAGE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("conda shows it with its next command, once to everybody."),
    )
    level = forms.ChoiceField(
        label=gettext_lazy("Level"), choices=Notice.Level.choices, initial=Notice.Level.INFO
    )
    expires_at = forms.DateField(
        label=gettext_lazy("Last day"),
        help_text=gettext_lazy(
            "It is shown until the end of that day, in UTC. At most a year ahead."
        ),
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    is_draft = forms.BooleanField(
        label=gettext_lazy("Keep it as a draft"),
        required=False,
        help_text=gettext_lazy("Nobody is shown it until you publish it."),
    )

    def status(self) -> str:
        return Notice.Status.DRAFT if self.cleaned_data["is_draft"] else Notice.Status.PUBLISHED

    def expiry(self) -> datetime:
        """When the notice expires; call it when the form is valid."""
        return datetime.combine(self.cleaned_data["expires_at"], time(23, 59, 59), tzinfo=UTC)


class RuleForm(forms.Form):
    """What a retention rule takes out of a channel, and what it leaves."""

    keep_newest = forms.IntegerField(
        label=gettext_lazy("Keep the newest versions"),
        required=False,
        min_value=1,
        max_value=MAX_NEWEST,
        help_text=gettext_lazy(
            "So many of the highest versions of each name, on each platform, with all their builds."
        ),
    )
    younger_than_days = forms.IntegerField(
        label=gettext_lazy("Keep what is younger"),
        required=False,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=gettext_lazy("In days, since it came into this channel."),
    )
    keep_pattern = forms.CharField(
        label=gettext_lazy("Keep what matches"),
        required=False,
        max_length=MAX_PATTERN_LENGTH,
        help_text=gettext_lazy(
            "<code>name/version/build</code>, of which the end may be left out; "
            "<code>*</code> stands for anything. Several with spaces between them: "
            "<code>numpy scipy/1.* */*/cuda*</code>."
        ),
        widget=forms.TextInput(attrs=_MONO),
    )
    remove_pattern = forms.CharField(
        label=gettext_lazy("Remove only what matches"),
        required=False,
        max_length=MAX_PATTERN_LENGTH,
        help_text=gettext_lazy(
            "The same way, such as <code>*/*.dev*</code>. Empty: all that nothing above keeps."
        ),
        widget=forms.TextInput(attrs=_MONO),
    )

    def terms(self) -> Terms:
        """What the rule is to say; call it when the form is valid."""
        return Terms(**self.cleaned_data)


class PutForm(forms.Form):
    """Into which channel a file is put."""

    channel = forms.ChoiceField(label=gettext_lazy("Into another channel"))

    def __init__(self, *args: Any, channels: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"] = forms.ChoiceField(
            label=gettext_lazy("Into another channel"),
            choices=[(name, name) for name in channels],
            error_messages={
                "invalid_choice": gettext_lazy("There is no channel %(value)s to put it into.")
            },
        )


class BulkForm(forms.Form):
    """From which channel files go, and into which; it leads to what that would change."""

    def __init__(
        self,
        data: Any,
        *,
        sources: Sequence[str] | None,
        targets: Sequence[str] | None,
        accounts: Sequence[str],
        own: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(data, **kwargs)
        self._own = own
        if sources is not None:
            self.fields["from"] = forms.ChoiceField(
                label=gettext_lazy("From"), choices=[(name, name) for name in sources]
            )
        if len(accounts) > 1:
            self.fields["to_account"] = forms.ChoiceField(
                label=gettext_lazy("To the account"), choices=[(name, name) for name in accounts]
            )
        if targets is not None and len(accounts) > 1:
            # Another account has other channels.
            self.fields["to"] = forms.CharField(
                label=gettext_lazy("To the channel"),
                max_length=MAX_CHANNEL_NAME_LENGTH,
                widget=forms.TextInput(attrs={**_MONO, "list": "channels"}),
            )
        elif targets is not None:
            self.fields["to"] = forms.ChoiceField(
                label=gettext_lazy("To"), choices=[("", "–"), *((name, name) for name in targets)]
            )
        self.targets = targets or ()

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if found.get("to") and found.get("from") == found["to"]:
            self.add_error("to", gettext_lazy("They stand there already. Choose another channel."))
        return found


# --- Uploading ---------------------------------------------------------------------------------


class DestinationForm(forms.Form):
    """Where files are uploaded to; it leads to the page that takes them."""

    account = forms.ChoiceField(label=gettext_lazy("Account"))
    channel = forms.CharField(
        label=gettext_lazy("Channel"),
        max_length=MAX_CHANNEL_NAME_LENGTH,
        initial="main",
        widget=forms.TextInput(attrs=_MONO),
    )

    def __init__(self, *args: Any, accounts: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"] = forms.ChoiceField(
            label=gettext_lazy("Account"), choices=[(name, name) for name in accounts]
        )
        self.order_fields(["account", "channel"])


class CopyForm(DestinationForm):
    """Where all files of a channel are put as well."""

    what_failed = gettext_lazy("nothing was done.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].label = gettext_lazy("To the account")
        self.fields["channel"].label = gettext_lazy("Into the channel")


class ReplaceForm(TypedNameForm):
    """Other bytes for a name, which has to be typed."""

    file = forms.FileField(
        label=gettext_lazy("The new file"),
        widget=forms.FileInput(attrs={"accept": ".conda,.bz2"}),
    )
    sha256 = forms.RegexField(
        r"^\s*[0-9a-fA-F]{64}\s*$",
        label=gettext_lazy("Its sha256"),
        required=False,
        help_text=gettext_lazy("If you say it, no other bytes are taken."),
        error_messages={"invalid": gettext_lazy("64 hexadecimal digits are wanted.")},
        widget=forms.TextInput(attrs=_MONO),
    )
    field_order = ["file", "sha256", "typed"]

    def clean_sha256(self) -> str:
        return str(self.cleaned_data["sha256"]).strip().lower()


# --- Patches -----------------------------------------------------------------------------------


def _note() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Why"),
        required=False,
        max_length=500,
        help_text=gettext_lazy("For those who look at it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class InstructionsForm(forms.Form):
    """A set of patch instructions for one platform of a channel."""

    subdir = forms.CharField(
        label=gettext_lazy("Platform"),
        max_length=MAX_SUBDIR_LENGTH,
        initial=NOARCH,
        widget=forms.TextInput(attrs={**_MONO, "list": "platforms"}),
    )
    document = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("patch_instructions.json, as conda-index and conda-forge have it."),
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
        allow_empty_file=True,
    )
    note = _note()
    dry_run = forms.BooleanField(
        label=gettext_lazy("Only show what it would change"), required=False, initial=True
    )


class RecordForm(forms.Form):
    """What a channel says that a file depends on and constrains, a line for each."""

    depends = forms.CharField(
        label=gettext_lazy("Depends on"),
        required=False,
        help_text=gettext_lazy("One to a line, such as: python >=3.10"),
        widget=forms.Textarea(attrs={**_MONO, "rows": 10}),
    )
    constrains = forms.CharField(
        label=gettext_lazy("Constrains"),
        required=False,
        help_text=gettext_lazy("What must not be installed in other versions beside it."),
        widget=forms.Textarea(attrs={**_MONO, "rows": 4}),
    )
    note = _note()

    def clean_depends(self) -> list[str]:
        return self._lines("depends")

    def clean_constrains(self) -> list[str]:
        return self._lines("constrains")

    def _lines(self, field: str) -> list[str]:
        lines = str(self.cleaned_data[field]).splitlines()
        return [line.strip() for line in lines if line.strip()]


# --- Archiving and transferring ------------------------------------------------------------------


class ArchiveForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("Why, and what to use instead. Uploaders and visitors read it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class RecipientForm(forms.Form):
    target = forms.CharField(
        label=gettext_lazy("To account"),
        max_length=MAX_LENGTH,
        help_text=gettext_lazy("The name of a person or an organization."),
        widget=forms.TextInput(attrs=_MONO),
    )


class TransferForm(RecipientForm):
    keeps_collaborators = forms.BooleanField(
        label=gettext_lazy("People who collaborate keep their rights"),
        required=False,
        help_text=gettext_lazy("Groups lose theirs in any case: they are of this account."),
    )
