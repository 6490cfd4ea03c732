from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Switch(models.Model):
    """What the operator closed for everybody, or says to everybody (`accounts.switches`).

    Without a row, or where it isn't thrown, all is as usual.
    """

    class Name(models.TextChoices):
        SIGN_UP = "sign-up", _("Sign-up")
        NEW_ORGANIZATIONS = "new-organizations", _("New organizations")
        UPLOADS = "uploads", _("Uploads")
        DOWNLOADS = "downloads", _("Downloads")
        READ_ONLY = "read-only", _("Read-only")
        NOTICE = "notice", _("Notice on all pages")

    name = models.CharField(max_length=24, primary_key=True, choices=Name.choices)
    is_thrown = models.BooleanField(default=False)
    message = models.CharField(max_length=600, blank=True)
    is_warning = models.BooleanField(default=False)  # of a notice
    ends_at = models.DateTimeField(null=True, blank=True)
    set_by_name = models.CharField(max_length=64, blank=True)
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
