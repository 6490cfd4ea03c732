from __future__ import annotations

from django.db import models


class FaultCount(models.Model):
    """How many answers of an hour had a status of 500 or more (`registry.faults`)."""

    hour = models.DateTimeField()
    status = models.PositiveSmallIntegerField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "status"], name="one_count_of_a_status_an_hour")
        ]

    def __str__(self) -> str:
        return f"{self.hour}: {self.status}"
