from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from portal.fields import BY_BYTES
from registry.models.channel import Channel
from registry.models.job import new_key
from registry.models.package import Package

LIFE = timedelta(days=14)


def end_of_offer() -> datetime:
    return timezone.now() + LIFE


class Offer(models.Model):
    """Something that one account offers to another, whose admins accept it or don't.

    Its key stands in its address; names and counts are asked when it is shown.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        EXPIRED = "expired", _("Expired")

    PATH: ClassVar[str]
    """What its address begins with."""
    LOGGED: ClassVar[Mapping[str, object]] = {}
    """What the log says of each act on it."""

    key = models.CharField(max_length=24, unique=True, default=new_key, editable=False)
    source = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    # None where an organization's own token offered it; an offer goes with who made it.
    offered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    offered_by_name = models.CharField(max_length=64)
    offered_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(default=end_of_offer)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_name = models.CharField(max_length=64, blank=True)

    if TYPE_CHECKING:
        source_id: int
        target_id: int
        offered_by_id: int | None

        @property
        def thing(self) -> Package | Channel: ...

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """Whether it can still be accepted."""
        waits = self.state == self.State.WAITING and self.expires_at > timezone.now()
        return waits and self.thing.account_id == self.source_id

    def end(self, state: Offer.State, by_name: str) -> None:
        self.state, self.ended_at, self.ended_by_name = state, timezone.now(), by_name
        self.save(update_fields=["state", "ended_at", "ended_by_name"])


class TransferQuerySet(models.QuerySet["Transfer"]):
    def waiting(self, now: datetime | None = None) -> Self:
        """Those that can still be accepted."""
        return self.filter(
            state=Offer.State.WAITING,
            expires_at__gt=now or timezone.now(),
            package__deleted_at=None,
        )


class Transfer(Offer):
    """A package that one account offers to another (`registry.transfers`)."""

    PATH = "/-/transfers/"

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="transfers")
    keeps_collaborators = models.BooleanField(default=False)

    objects: ClassVar[models.Manager[Transfer]] = TransferQuerySet.as_manager()

    if TYPE_CHECKING:
        package_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["package"],
                condition=models.Q(state="waiting"),
                name="one_waiting_transfer_of_a_package",
            )
        ]

    def __str__(self) -> str:
        return f"{self.package.name}: {self.source.name} to {self.target.name}"

    @property
    def thing(self) -> Package:
        return self.package

    @property
    def is_open(self) -> bool:
        return super().is_open and self.package.deleted_at is None


class ChannelTransfer(Offer):
    """A channel that one account offers to another (`registry.channel_transfers`)."""

    PATH = "/-/channel-transfers/"
    LOGGED = {"thing": "channel"}

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="transfers")

    objects: ClassVar[models.Manager[ChannelTransfer]] = models.Manager()

    if TYPE_CHECKING:
        channel_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel"],
                condition=models.Q(state="waiting"),
                name="one_waiting_transfer_of_a_channel",
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel.name}: {self.source.name} to {self.target.name}"

    @property
    def thing(self) -> Channel:
        return self.channel


class MovedChannel(models.Model):
    """Where a channel stood before it was given to another account: clients go on reading it
    there."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(db_collation=BY_BYTES, max_length=128)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="former_places")

    if TYPE_CHECKING:
        account_id: int
        channel_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"], name="channel_moved_once_from_a_name"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account.name}/{self.name}"


class MovedPackage(models.Model):
    """Where a package stood before it was given to another account: its old pages lead on."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="former_places")

    if TYPE_CHECKING:
        account_id: int
        package_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="moved_once_from_a_name")
        ]

    def __str__(self) -> str:
        return f"{self.account.name}/{self.name}"
