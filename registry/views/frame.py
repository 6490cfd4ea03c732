"""What the pages about accounts, channels and packages share: headings, tabs, menus."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext

from accounts.authentication import identify_session
from accounts.identity import Identity
from accounts.models import Account
from accounts.rights import may_administer
from accounts.roles import Permission, permission_covers
from registry import access
from registry.models import Channel, ChannelFile, Package, PackageFile

Tab = dict[str, Any]


def viewer(request: HttpRequest) -> Identity:
    """Who looks at a page: who is signed in, or nobody."""
    return identify_session(request)


def home_of(package: Package) -> str:
    return reverse("registry:package", args=[package.account.name, package.name])


def account_context(identity: Identity, account: Account, current: str) -> dict[str, Any]:
    """The context of a page of an account; ``current`` is the key of its tab."""
    name = account.name
    tabs: list[Tab] = [
        {
            "key": "packages",
            "label": gettext("Packages"),
            "url": reverse("registry:account", args=[name]),
        },
        {
            "key": "channels",
            "label": gettext("Channels"),
            "url": reverse("registry:channels", args=[name]),
        },
        *(
            [
                {
                    "key": "members",
                    "label": gettext("Members"),
                    "url": reverse("registry:account-members", args=[name]),
                }
            ]
            if account.is_organization
            else []
        ),
        {
            "key": "activity",
            "label": gettext("Activity"),
            "url": reverse("registry:activity", args=[name]),
        },
    ]
    may_upload, administers = _rights(identity, account)
    if administers:
        settings_url = reverse("accounts:settings", args=[name])
        tabs.append({"key": "settings", "label": gettext("Settings"), "url": settings_url})
    for tab in tabs:
        tab["current"] = tab["key"] == current
    return {
        "account": account,
        "tabs": tabs,
        "may_administer": administers,
        "may_upload": may_upload,
        "crumbs": [{"label": name}],
    }


def _rights(identity: Identity, account: Account) -> tuple[bool, bool]:
    """Whether they may publish anything there, and whether they administer it."""
    if identity.is_anonymous:
        return False, False
    administers = may_administer(identity, account)
    return administers or access.writes_anything(identity, account), administers


def package_context(
    identity: Identity, package: Package, current: str, *further: str, held: str | None = None
) -> dict[str, Any]:
    """The context of a page of a package: ``package``, ``tabs``, ``crumbs`` and what they may.

    ``further`` are the names of the steps below the package, for the breadcrumb; ``held`` what
    they hold on it, where that is known already.
    """
    held = held or access.package_permission(identity, package)
    may_write = held is not None and permission_covers(held, Permission.WRITE)
    may_administer_it = held == Permission.ADMIN
    where = [package.account.name, package.name]
    pages = [
        ("overview", gettext("Overview"), "package"),
        ("versions", gettext("Versions"), "versions"),
        ("files", gettext("Files"), "files"),
        ("channels", gettext("Channels"), "package-channels"),
        ("dependencies", gettext("Dependencies"), "dependencies"),
        ("downloads", gettext("Downloads"), "downloads"),
    ]
    if may_write:
        first = "package-settings" if may_administer_it else "description"
        pages.append(("settings", gettext("Settings"), first))
    crumbs: list[dict[str, str]] = [
        {"label": package.account.name, "url": reverse("registry:account", args=where[:1])},
        {"label": package.name, "url": home_of(package)},
        *({"label": label} for label in further),
    ]
    crumbs[-1].pop("url", None)
    return {
        "package": package,
        "account": package.account,
        "permission": held,
        # What a token is called is for those who work here.
        "shows_token": held is not None,
        "may_write": may_write,
        "may_change_files": may_write and package.locked_at is None,
        "may_administer": may_administer_it,
        "tabs": [
            {
                "label": label,
                "url": reverse(f"registry:{page}", args=where),
                "current": key == current,
            }
            for key, label, page in pages
        ],
        "crumbs": crumbs,
    }


def package_settings_context(
    identity: Identity, package: Package, current: str, *further: str, held: str | None = None
) -> dict[str, Any]:
    """The context of a page of a package's settings, for ``registry/package_settings.html``."""
    where = [package.account.name, package.name]
    entries = [
        ("collaborators", gettext("Collaborators"), "users"),
        ("package-tokens", gettext("Tokens"), "key-round"),
        ("visibility", gettext("Visibility"), "eye"),
        ("package-lock", gettext("Lock"), "lock"),
        ("package-admin", gettext("Archive, transfer, delete"), "triangle-alert"),
        ("description", gettext("Description"), "pencil"),
    ]
    labels = {key: label for key, label, _ in entries}
    context = package_context(identity, package, "settings", labels[current], *further, held=held)
    if not context["may_administer"]:
        entries = entries[-1:]
    menu = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(f"registry:{key}", args=where),
            "current": key == current,
        }
        for key, label, icon in entries
    ]
    context["crumbs"][2]["url"] = reverse(f"registry:{current}", args=where)
    if not further:
        context["crumbs"][2].pop("url")
    return {**context, "menu_sections": [{"title": "", "entries": menu}]}


def visible_entries(identity: Identity, account: Account) -> QuerySet[ChannelFile]:
    """Where files stand, as far as the viewer may know of the channels."""
    channels = access.visible_channels(identity, account)
    return ChannelFile.objects.filter(channel__in=channels.values("pk")).select_related(
        "channel__account", "added_by"
    )


def channels_of(identity: Identity, file: PackageFile) -> list[Channel]:
    """The channels that a file stands in, the one to install from first: main, public, private."""
    entries = visible_entries(identity, file.account).filter(file=file)
    return sorted((entry.channel for entry in entries), key=preference)


def preference(channel: Channel) -> tuple[bool, bool, str]:
    return (channel.is_private, channel.name != "main", channel.name)


def to(page: str, *args: str) -> HttpResponse:
    return redirect(reverse(f"registry:{page}", args=args))
