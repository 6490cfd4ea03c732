"""What pages say of a token: where to start from, what it may, and the commands that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Token
from accounts.scopes import Ability, Scope, abilities
from portal.templatetags.ui import short_date

# What anaconda's client reads; the other commands take it from there too.
VARIABLE = "ANACONDA_API_TOKEN"


@dataclass(frozen=True, slots=True)
class Start:
    """A common purpose, and the token that fits it."""

    key: str
    label: str | Promise
    scopes: tuple[str, ...]
    days: int


STARTS = (
    Start("upload", _("Upload from CI"), (Scope.API_READ, Scope.API_WRITE), 90),
    Start("install", _("Install private packages"), (Scope.CONDA_DOWNLOAD,), 365),
    Start("read", _("Read-only for scripts"), (Scope.API_READ,), 90),
    Start("move", _("Move in from elsewhere"), (Scope.API_READ, Scope.API_WRITE), 7),
)


@dataclass(frozen=True, slots=True)
class ScopeWords:
    scope: str
    sentence: str


def scopes_in_words(token: Token) -> list[ScopeWords]:
    """The scopes of a token; ones that are no longer known stand for themselves."""
    known = dict(Scope.choices)
    return [ScopeWords(scope, str(known.get(scope, scope))) for scope in token.scopes]


def may_everything(token: Token) -> bool:
    """Whether nothing limits the token but its owner."""
    wide = Ability.MANAGE_TOKENS in abilities(token.scopes)
    return wide and not token.channels and not token.packages


def access_url(account: Account) -> str:
    return f"{settings.BASE_URL}/{account.name}/settings/access"


def expiry_warning(token: Token) -> str:
    """What to say when the end of ``token`` is near, in ASCII, as headers want it; else empty."""
    if token.expires_at is None:
        return ""
    if token.expires_at - timezone.now() > settings.TOKEN_WARNING:
        return ""
    days = (token.expires_at.date() - timezone.now().date()).days
    when = f"in {days} days" if days > 1 else "tomorrow" if days else "today"
    name = token.name.encode("ascii", "replace").decode()
    return (
        f'The token "{name}" of {token.account.name} expires {when}, at '
        f"{token.expires_at:%Y-%m-%d %H:%M} UTC. Make a new one: {access_url(token.account)}"
    )


# --- What it may, in one sentence --------------------------------------------------------------


def _listed(names: Sequence[str], each_as: str = "<strong>{}</strong>") -> SafeString:
    """``dev, main and nightly``, each set off."""
    strong = [format_html(each_as, name) for name in names]
    if len(strong) < 2:
        return strong[0] if strong else mark_safe("")
    return format_html(
        gettext("{} and {}"),
        format_html_join(", ", "{}", ((each,) for each in strong[:-1])),
        strong[-1],
    )


def _acts(may: frozenset[Ability]) -> list[str]:
    acts = []
    if Ability.READ in may:
        acts.append(gettext("read"))
    if Ability.WRITE in may:
        acts += [gettext("upload"), gettext("move"), gettext("delete")]
    elif Ability.CHANNEL_UPLOAD in may:
        acts.append(gettext("upload"))
    if Ability.DOWNLOAD in may and Ability.READ not in may:
        acts.insert(0, gettext("download"))
    return acts


def summary(
    *,
    account: Account,
    scopes: Sequence[str],
    channels: Sequence[str],
    packages: Sequence[str],
    expires_at: datetime | None,
) -> SafeString:
    """What a token with these may, and until when; empty for one that may nothing."""
    may = abilities(scopes)
    if not may:
        return mark_safe("")
    if not _acts(may):
        sentence = gettext("May touch no files of {account} until {date}.")
    elif channels and packages:
        sentence = gettext("May {acts} {packages} in {channels} of {account} until {date}.")
    elif packages:
        sentence = gettext("May {acts} {packages} in all channels of {account} until {date}.")
    elif channels:
        sentence = gettext("May {acts} all packages in {channels} of {account} until {date}.")
    else:
        sentence = gettext("May {acts} everything of {account} until {date}.")
    date = short_date(expires_at) if expires_at else gettext("revoked")
    parts = [
        format_html(
            sentence,
            acts=_listed(_acts(may), "{}"),
            packages=_listed(packages),
            channels=_listed(channels),
            account=_listed([account.name]),
            date=_listed([date]),
        )
    ]
    if Ability.ADMINISTER in may:
        parts.append(
            format_html(
                "{}", gettext("And everything else that its owner may, also delete and transfer.")
            )
        )
    elif Ability.MANAGE_TOKENS in may:
        parts.append(format_html("{}", gettext("And change groups and members, and make tokens.")))
    elif Ability.MODIFY_GROUPS in may:
        parts.append(format_html("{}", gettext("And change groups, members and collaborators.")))
    return format_html_join(" ", "{}", ((part,) for part in parts))


def summary_of(token: Token) -> SafeString:
    return summary(
        account=token.account,
        scopes=token.scopes,
        channels=token.channels,
        packages=token.packages,
        expires_at=token.expires_at,
    )


# --- How to use it -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """One way to use a token, as components/install_box.html takes it."""

    label: str
    command: str
    caption: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class UseBox:
    """What can be done with a token, in all the ways to do it."""

    key: str
    title: str
    uses: list[Use]


def _anaconda(token: Token) -> list[str]:
    """anaconda's own client, from nothing to a published file."""
    label = f" --label {token.channels[0]}" if token.channels else ""
    return [
        "pip install anaconda-client",
        f"anaconda config --set url {settings.BASE_URL}/api",
        f"anaconda upload --user {token.account.name}{label} built/*/*.conda",
    ]


def _indented(lines: Sequence[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


def _in_actions(token: Token) -> str:
    """A step as GitHub's and Forgejo's workflows have it."""
    return (
        f"- name: Publish\n  env:\n    {VARIABLE}: ${{{{ secrets.{VARIABLE} }}}}\n"
        f"  run: |\n{_indented(_anaconda(token), 4)}"
    )


def _uploads(token: Token) -> list[Use]:
    account, channel = token.account.name, next(iter(token.channels), "main")
    lines = _anaconda(token)
    quoted = "\n".join(f"          {line}" for line in lines)
    return [
        Use(
            "GitHub",
            _in_actions(token),
            gettext("A step of the workflow"),
            gettext("Store the token first: gh secret set %(variable)s asks for it.")
            % {"variable": VARIABLE},
        ),
        Use(
            "GitLab",
            "publish:\n  image: python:3\n  script:\n"
            + "\n".join(f"    - {line}" for line in lines),
            gettext("A job in .gitlab-ci.yml"),
            gettext(
                "Store the token as the masked variable %(variable)s: Settings, CI/CD, Variables."
            )
            % {"variable": VARIABLE},
        ),
        Use(
            "Forgejo",
            _in_actions(token),
            gettext("A step of the workflow"),
            gettext("Store the token as the secret %(variable)s: Settings, Actions, Secrets.")
            % {"variable": VARIABLE},
        ),
        Use(
            "Jenkins",
            f"stage('Publish') {{\n"
            f"    environment {{ {VARIABLE} = credentials('condarium-token') }}\n"
            f"    steps {{\n        sh '''\n{quoted}\n        '''\n    }}\n}}",
            gettext("A stage of the Jenkinsfile"),
            gettext("Store the token as a credential of the kind Secret text: condarium-token."),
        ),
        Use(
            gettext("Shell"),
            "\n".join([*lines[:2], f"read -rs {VARIABLE} && export {VARIABLE}", *lines[2:]]),
            gettext("With anaconda's own client"),
            gettext("read takes the token without showing it or keeping it in the history."),
        ),
        Use(
            "rattler-build",
            f'PREFIX_API_KEY="${VARIABLE}" rattler-build upload prefix \\\n'
            f"  --url {settings.BASE_URL} --channel {account}/{channel} xz-5.6.3-h1_0.conda",
            gettext("With rattler-build; pixi upload takes the same words"),
        ),
        Use(
            "curl",
            f'curl --fail-with-body --header "Authorization: Bearer ${VARIABLE}" \\\n'
            f"  --form file=@xz-5.6.3-h1_0.conda \\\n"
            f"  {settings.BASE_URL}/api/v1/upload/{account}/{channel}",
            gettext("Upload one file"),
        ),
    ]


def _channel_url(token: Token, root: str) -> str:
    channel = f"/label/{token.channels[0]}" if token.channels else ""
    return f"{root}/{token.account.name}{channel}"


def _downloads(token: Token) -> list[Use]:
    host = settings.BASE_URL.partition("://")[2]
    channel = _channel_url(token, f"{settings.BASE_URL}/conda")
    with_token = _channel_url(token, f"{settings.BASE_URL}/conda/t/${{{VARIABLE}}}")
    return [
        Use(
            "conda",
            f"conda install -c {with_token} xz",
            gettext("conda and mamba take the token from the address"),
            gettext("In .condarc the variable may stay as it is written here."),
        ),
        Use(
            "pixi",
            f'pixi auth login {host} --token "${VARIABLE}"\npixi project channel add {channel}',
            gettext("pixi keeps the token in the keyring"),
        ),
    ]


def use_boxes(token: Token) -> list[UseBox]:
    """Commands for what the token may, with a variable where the secret goes."""
    may = abilities(token.scopes)
    boxes: list[UseBox] = []
    if Ability.WRITE in may:
        boxes.append(UseBox("publish", gettext("Publish with it"), _uploads(token)))
    reads = _downloads(token) if Ability.DOWNLOAD in may else []
    if Ability.READ in may:
        command = (
            f'curl --header "Authorization: Bearer ${VARIABLE}" \\\n'
            f"  {settings.BASE_URL}/api/v1/accounts/{token.account.name}"
        )
        reads.append(Use("API", command, gettext("Read over the API")))
    if reads:
        boxes.append(UseBox("install", gettext("Install and read with it"), reads))
    return boxes
