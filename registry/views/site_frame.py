"""What the pages for those who run the site have in common."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_PAGES = (
    ("site", gettext_lazy("Overview"), "activity"),
    ("site-accounts", gettext_lazy("Accounts"), "users"),
    ("site-switches", gettext_lazy("Switches"), "ban"),
    ("site-notices", gettext_lazy("Notices"), "bell"),
    ("site-jobs", gettext_lazy("Jobs"), "clock"),
    ("site-index", gettext_lazy("Index"), "layers"),
    ("site-storage", gettext_lazy("Storage"), "hard-drive"),
    ("site-settings", gettext_lazy("Settings"), "settings"),
    ("site-log", gettext_lazy("Log"), "scroll-text"),
)


def frame(current: str, title: str, lead: str = "", *further: str) -> dict[str, Any]:
    """What all of these pages have: the menu, the path and the heading."""
    menu = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(f"registry:{key}"),
            "current": key == current,
        }
        for key, label, icon in _PAGES
    ]
    labels = {key: label for key, label, _icon in _PAGES}
    crumbs: list[dict[str, Any]] = [{"label": _("Site"), "url": reverse("registry:site")}]
    if current != "site":
        crumbs.append({"label": labels[current], "url": reverse(f"registry:{current}")})
    crumbs += [{"label": label} for label in further]
    crumbs[-1].pop("url", None)
    return {
        "menu_sections": [{"title": "", "entries": menu}],
        "crumbs": crumbs,
        "title": title,
        "lead": lead,
    }
