from __future__ import annotations

from django.db import models


class ChoreRun(models.Model):
    """When something was done last that is done by the clock (`registry.chores`), and how it went.

    One row for each chore, whoever does it. One that began after it ended runs, or was cut.
    """

    name = models.CharField(max_length=64, unique=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    # Of the last that failed: when, and what kind of error; the log has the rest.
    failed_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return self.name

    @property
    def is_failing(self) -> bool:
        """Whether it failed when it was done last: a failure before a success is no news."""
        if self.failed_at is None:
            return False
        return self.ended_at is None or self.ended_at < self.failed_at
