"""What pages say of a token: where to start from, what it may, and the commands that use it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from accounts.models import Account, Token
from accounts.scopes import Ability, Scope, abilities

VARIABLE = "CONDARIUM_TOKEN"


@dataclass(frozen=True, slots=True)
class Start:
    """A common purpose, and the token that fits it."""

    key: str
    label: str
    scopes: tuple[str, ...]
    days: int


STARTS = (
    Start("upload", "Upload from CI", (Scope.API_READ, Scope.API_WRITE), 90),
    Start("install", "Install private packages", (Scope.CONDA_DOWNLOAD,), 365),
    Start("read", "Read-only for scripts", (Scope.API_READ,), 90),
    Start("move", "Move in from elsewhere", (Scope.API_READ, Scope.API_WRITE), 7),
)


@dataclass(frozen=True, slots=True)
class ScopeWords:
    scope: str
    sentence: str


def scopes_in_words(token: Token) -> list[ScopeWords]:
    """The scopes of a token; ones that are no longer known stand for themselves."""
    known = dict(Scope.choices)
    return [ScopeWords(scope, str(known.get(scope, scope))) for scope in token.scopes]


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


@dataclass(frozen=True, slots=True)
class Use:
    """One way to use a token, as components/install_box.html takes it."""

    label: str
    command: str
    caption: str
    note: str = ""


def _channel_url(token: Token, root: str) -> str:
    channel = f"/label/{token.channels[0]}" if token.channels else ""
    return f"{root}/{token.account.name}{channel}"


def _uploads(token: Token) -> list[Use]:
    account, channel = token.account.name, next(iter(token.channels), "main")
    curl = (
        f'curl --fail-with-body --header "Authorization: Bearer ${VARIABLE}" \\\n'
        f"  --form file=@xz-5.6.3-h1_0.conda \\\n"
        f"  {settings.BASE_URL}/api/v1/upload/{account}/{channel}"
    )
    indented = curl.replace("\n", "\n      ")
    return [
        Use(
            "GitHub Actions",
            f"- name: Publish\n  env:\n    {VARIABLE}: ${{{{ secrets.{VARIABLE} }}}}\n"
            f"  run: |\n      {indented}",
            "A step of the workflow",
            f"Store the token first: gh secret set {VARIABLE} asks for it.",
        ),
        Use(
            "rattler-build",
            f'PREFIX_API_KEY="${VARIABLE}" rattler-build upload prefix \\\n'
            f"  --url {settings.BASE_URL} --channel {account}/{channel} xz-5.6.3-h1_0.conda",
            "With rattler-build; pixi upload takes the same words",
        ),
        Use("curl", curl, "Upload one file"),
    ]


def _downloads(token: Token) -> list[Use]:
    host = settings.BASE_URL.partition("://")[2]
    channel = _channel_url(token, f"{settings.BASE_URL}/conda")
    with_token = _channel_url(token, f"{settings.BASE_URL}/conda/t/${{{VARIABLE}}}")
    return [
        Use(
            "conda",
            f"conda install -c {with_token} xz",
            "conda and mamba take the token from the address",
            "In .condarc the variable may stay as it is written here.",
        ),
        Use(
            "pixi",
            f'pixi auth login {host} --token "${VARIABLE}"\npixi project channel add {channel}',
            "pixi keeps the token in the keyring",
        ),
    ]


def uses(token: Token) -> list[Use]:
    """Commands for what the token may, with a variable where the secret goes."""
    may = abilities(token.scopes)
    found: list[Use] = []
    if Ability.WRITE in may:
        found += _uploads(token)
    if Ability.DOWNLOAD in may:
        found += _downloads(token)
    if Ability.READ in may:
        command = (
            f'curl --header "Authorization: Bearer ${VARIABLE}" \\\n'
            f"  {settings.BASE_URL}/api/v1/accounts/{token.account.name}"
        )
        found.append(Use("API", command, "Read over the API"))
    return found
