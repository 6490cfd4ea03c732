from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NotRequired, TypedDict

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Token
from portal.fields import SentenceField
from portal.sentences import Kept


def new_key() -> str:
    return secrets.token_urlsafe(12)


class Failure(TypedDict):
    """What of a job was not done, and why."""

    item: Kept
    reason: Kept
    count: NotRequired[int]
    """How many things, where it is several."""


class Job(models.Model):
    """Work that takes longer than a request may (`registry.jobs`).

    Its key stands in its address. ``position`` is how far the work says it came: where there is
    one, what was counted stays counted when another worker goes on.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        STOPPED = "stopped", _("Stopped")

    key = models.CharField(max_length=24, unique=True, default=new_key, editable=False)
    kind = models.CharField(max_length=48)
    title = SentenceField(most=300)
    params: models.JSONField[dict[str, object], dict[str, object]] = models.JSONField(default=dict)
    account = models.ForeignKey(
        Account, on_delete=models.CASCADE, related_name="jobs", db_index=False
    )
    # Who started it and for whom it is done; the name stays when they have gone.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    token = models.ForeignKey(Token, null=True, on_delete=models.SET_NULL, related_name="+")
    is_operators = models.BooleanField(default=False)
    # Done by the process of a command, and by no worker.
    is_commands = models.BooleanField(default=False)
    by_name = models.CharField(max_length=64, blank=True)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    total = models.PositiveIntegerField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    # The first of what failed; and the last lines: ``{"at", "line"}``. All words are as
    # `portal.sentences` keeps them.
    failures: models.JSONField[list[Failure], list[Failure]] = models.JSONField(default=list)
    lines: models.JSONField[list[dict[str, Kept]], list[dict[str, Kept]]] = models.JSONField(
        default=list
    )
    position: models.JSONField[int | str | None, int | str | None] = models.JSONField(
        null=True, blank=True
    )
    error = SentenceField(most=1000, blank=True, default=str)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stopped_by = models.CharField(max_length=64, blank=True)

    # How often it was begun since it last came further.
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    lease_holder = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    if TYPE_CHECKING:
        account_id: int
        user_id: int | None
        token_id: int | None

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(state__in=["waiting", "running"]),
                name="jobs_to_do",
            ),
            models.Index(fields=["account", "-id"], name="jobs_of_an_account"),
            models.Index(fields=["user", "-id"], name="jobs_of_a_user"),
            models.Index(fields=["state", "-id"], name="jobs_by_state"),
            models.Index(
                fields=["ended_at"], condition=Q(ended_at__isnull=False), name="jobs_that_ended"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_over(self) -> bool:
        return self.state not in {self.State.WAITING, self.State.RUNNING}

    @property
    def is_stopping(self) -> bool:
        return not self.is_over and self.stop_requested_at is not None

    @property
    def handled(self) -> int:
        return self.done + self.failed

    @property
    def unlisted_failures(self) -> int:
        """How many things failed besides those that ``failures`` tells of."""
        return self.failed - sum(one.get("count", 1) for one in self.failures)
