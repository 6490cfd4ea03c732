"""What clients say of a package or a release, taken from what they send."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from portal.errors import InvalidInput
from registry.dialects.anaconda.shapes import CONDA

# about.json has lists where there are several addresses; null says nothing.
Text: TypeAlias = str | list[str] | UnsetType | None


class License(msgspec.Struct):
    name: str | None = None
    url: str | None = None


class Attributes(msgspec.Struct, kw_only=True):
    summary: Text = UNSET
    description: Text = UNSET
    license: str | list[str] | License | UnsetType | None = UNSET
    license_url: Text = UNSET
    home: Text = UNSET
    home_page: Text = UNSET
    dev_url: Text = UNSET
    doc_url: Text = UNSET
    source_git_url: Text = UNSET
    source_url: Text = UNSET
    package_types: list[str] = msgspec.field(default_factory=list)

    def fields(self) -> dict[str, str]:
        """What is said, by the names that our packages have for it."""
        if isinstance(self.license, License):
            license_name: Text = self.license.name
            license_url = _said(self.license_url, self.license.url)
        else:
            license_name, license_url = self.license, self.license_url
        lines = {"summary": self.summary, "description": self.description, "license": license_name}
        addresses = {
            "license_url": license_url,
            "home_url": _said(self.home, self.home_page),
            "dev_url": self.dev_url,
            "doc_url": self.doc_url,
            "source_url": _said(self.source_git_url, self.source_url),
        }
        fields = {name: _line(value) for name, value in lines.items()}
        fields |= {name: _address(value) for name, value in addresses.items()}
        return {name: text for name, text in fields.items() if text is not None}

    def refuse_other_types(self) -> None:
        """Say so before anything is uploaded that can't be kept here."""
        for kind in self.package_types:
            if kind != CONDA:
                raise InvalidInput(
                    f"This is a package of the type {kind[:40]!r}, and only conda packages are "
                    "hosted here."
                )


def _said(*texts: Text) -> Text:
    """The first that says anything."""
    return next((text for text in texts if isinstance(text, str | list)), None)


def _line(text: Text) -> str | None:
    if isinstance(text, list):
        return ", ".join(text)
    return text if isinstance(text, str) else None


def _address(text: Text) -> str | None:
    if isinstance(text, list):
        return text[0] if text else None
    return text if isinstance(text, str) else None
