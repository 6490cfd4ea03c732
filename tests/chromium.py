"""Debian's Chromium: best the one without windows, which takes a quarter less over a page."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PLACES = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))


def chromium() -> Path:
    """Where it is; without it the test is skipped, or fails where it is asked for."""
    for place in _PLACES:
        if place.exists():
            return place
    missing = "Chromium is missing: install Debian's package chromium-headless-shell"
    if os.environ.get("CONDARIUM_REQUIRE_CHROMIUM") == "1":
        pytest.fail(f"{missing}, which CONDARIUM_REQUIRE_CHROMIUM=1 asks for.")
    pytest.skip(f"{missing}, or chromium.")
