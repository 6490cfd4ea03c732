from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from accounts.models import Account


class AccountQuota(models.Model):
    """How much an account may keep, where that is not what the settings say for all.

    What it keeps is counted from its files and written down nowhere.
    """

    account = models.OneToOneField(
        Account, primary_key=True, on_delete=models.CASCADE, related_name="quota"
    )
    max_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # none: without a limit
    max_files = models.PositiveBigIntegerField(null=True, blank=True)  # as above
    updated_at = models.DateTimeField(auto_now=True)

    if TYPE_CHECKING:
        account_id: int

    def __str__(self) -> str:
        return self.account.name
