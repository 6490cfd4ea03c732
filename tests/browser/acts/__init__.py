"""Every act that pages offer, done by hand, and who may do it: for ``test_every_role``."""

from __future__ import annotations

# Each enters its acts.
from tests.browser.acts import (
    channels,  # noqa: F401
    files,  # noqa: F401
    oneself,  # noqa: F401
    organizations,  # noqa: F401
    packages,  # noqa: F401
    site,  # noqa: F401
)
from tests.browser.acts.frame import ACTS

__all__ = ["ACTS"]
