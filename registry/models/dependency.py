from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from portal.fields import BY_BYTES
from registry.models.channel import Channel
from registry.models.package import Package


class Dependency(models.Model):
    """A name that the newest version of a package needs, as a channel's index says it.

    Noted by channel, since who may read it may know this; the package may be private beside it.
    Written when the channel's summaries are (`registry.edges`), so an upload doesn't wait for it.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+", db_index=False)
    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="dependencies")
    # The package's own, so that one index yields who needs a name, in order.
    package_name = models.CharField(db_collation=BY_BYTES, max_length=64)
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    # What is asked of the name, one line for each way in which the files of the version say it.
    constraints = models.TextField(blank=True)

    if TYPE_CHECKING:
        channel_id: int
        package_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "package_name", "name"], name="needed_once_in_a_channel"
            )
        ]
        indexes = [
            models.Index(fields=["name", "package_name", "package"], name="dependents_of_a_name")
        ]

    def __str__(self) -> str:
        return f"{self.package_name} needs {self.name}"
