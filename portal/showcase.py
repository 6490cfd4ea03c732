"""What the debug page of components shows: each of them in each state."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.utils import timezone

from portal.charts import Calendar, Chart, Point, Series, Tile, Treemap
from portal.context import THEMES


class _Form(forms.Form):
    name = forms.CharField(max_length=64, help_text="Letters, digits, dots and dashes.")
    email = forms.EmailField(required=False, label="E-mail")
    quota = forms.IntegerField(min_value=1, max_value=100, initial=3)
    permission = forms.ChoiceField(
        choices=[("read", "Read"), ("write", "Write"), ("admin", "Admin")], initial="write"
    )
    expires = forms.ChoiceField(
        choices=[("90", "In 90 days"), ("365", "In a year"), ("never", "Never")],
        widget=forms.RadioSelect,
        initial="90",
    )
    scopes = forms.MultipleChoiceField(
        choices=[
            ("api:read", "Read what you can read: packages, files, members, settings"),
            ("api:write", "Upload, move, remove and delete files; edit packages and channels"),
            ("conda:download", "Download private packages (conda, mamba, pixi)"),
        ],
        widget=forms.CheckboxSelectMultiple,
        initial=["api:read"],
        required=False,
    )
    description = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    archive = forms.FileField(required=False, help_text="One .conda or .tar.bz2 file.")
    public = forms.BooleanField(
        required=False, help_text="Everyone may see and download the packages in it."
    )


class _FilterForm(forms.Form):
    q = forms.CharField(label="Name", required=False)
    platform = forms.ChoiceField(
        choices=[("", "Any"), ("linux-64", "linux-64 (412)"), ("noarch", "noarch (88)")],
        required=False,
    )


def _lists() -> dict[str, Any]:
    return {
        "crumbs": [{"label": "acme", "url": "/"}, {"label": "xz", "url": "/"}, {"label": "5.6.3"}],
        "tabs": [
            {"label": "Overview", "url": "#", "current": True},
            {"label": "Versions", "url": "#", "count": 41},
            {"label": "Files", "url": "#", "count": 1612},
            {"label": "Channels", "url": "#"},
            {"label": "Dependencies", "url": "#"},
            {"label": "Settings", "url": "#"},
        ],
        "menu": [
            {
                "title": "acme",
                "entries": [
                    {"label": "Profile", "url": "#", "icon": "building-2"},
                    {"label": "Access tokens", "url": "#", "icon": "key-round", "current": True},
                    {"label": "Members", "url": "#", "icon": "users", "count": 4},
                ],
            },
            {"title": "Danger", "entries": [{"label": "Delete", "url": "#", "icon": "trash-2"}]},
        ],
        "variants": [
            {"label": "conda", "command": "conda install -c https://host/conda/acme xz"},
            {"label": "mamba", "command": "mamba install -c https://host/conda/acme xz"},
            {"label": "pixi", "command": "pixi add xz", "note": "The channel stands in pixi.toml."},
            {
                "label": "environment.yml",
                "caption": "In environment.yml",
                "command": "channels:\n  - https://host/conda/acme\ndependencies:\n  - xz=5.6.3",
            },
        ],
        "files": [
            {"name": "xz-5.6.3-hb9d3cd8_1.conda", "size": 589_000},
            {"name": "xz-5.6.2-hb9d3cd8_0.tar.bz2", "size": 1_234_567},
            {"name": "a-name-of-many-characters-" * 4 + "1.0-py313h8060acc_0.conda", "size": 12},
        ],
    }


def _chart(now: datetime) -> Chart:
    names = ["linux-64", "noarch", "osx-arm64", "win-64", "linux-aarch64", "others"]
    return Chart(
        sentence="12,431 downloads in 30 days, 62 % linux-64",
        span="30 days",
        corner="Day",
        points=[Point.of_day((now - timedelta(days=day)).date()) for day in range(29, -1, -1)],
        series=[
            Series(name, [(day * place * 7) % 23 * (8 - place) for day in range(30)])
            for place, name in enumerate(names, start=1)
        ],
        csv_url="#",
    )


def context() -> dict[str, Any]:
    now = timezone.now()
    return {
        **_lists(),
        "chart": _chart(now),
        "calendar": Calendar(
            sentence="1,204 files uploaded in 52 weeks",
            first=(now - timedelta(days=363)).date(),
            numbers=[day * 37 % 11 * (day % 3) for day in range(364)],
        ),
        "treemap": Treemap(
            sentence="1.2 GB in all, 48 % of it numpy",
            corner="Package",
            unit="Size",
            tiles=[
                *(Tile(f"package-{size}", size * 10**6, "#") for size in (600, 300, 90, 40, 8)),
                Tile("others", 12_000_000),
            ],
        ),
        "form": _Form(),
        "filter_form": _FilterForm({"platform": "linux-64"}, auto_id="filter_%s"),
        "gate": _Form(auto_id="gate_%s"),
        "page": Paginator(range(612), 50).page(2),
        "themes": THEMES,
        "wrong_form": _Form(
            {"name": "", "email": "ada", "quota": "0", "permission": "owner"}, auto_id="wrong_%s"
        ),
        "now": now,
        "times": [
            now,
            now - timedelta(minutes=4),
            now - timedelta(days=3),
            now - timedelta(days=400),
            now + timedelta(days=9),
        ],
        "badges": [
            "private",
            "public",
            "locked",
            "immutable",
            "broken",
            "verified",
            "archived",
            "new",
            "latest",
            "prerelease",
            "removed",
            "expired",
            "expiring",
            "pending",
            "owner",
        ],
    }
