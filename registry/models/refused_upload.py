from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models

from accounts.models import Account, Token
from portal.fields import BY_BYTES, SentenceField


class RefusedUpload(models.Model):
    """An upload that was refused, for those whose credential it was (`registry.refused_uploads`).

    The same refusal again is the same row. They are few, and swept.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    token = models.ForeignKey(Token, null=True, on_delete=models.CASCADE, related_name="+")
    # Where it should have gone, if who sent it belongs there.
    target = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    place = models.CharField(max_length=200)
    filename = models.CharField(db_collation=BY_BYTES, max_length=255, blank=True)
    slug = models.CharField(max_length=40)
    sentence = SentenceField(most=500)
    count = models.PositiveIntegerField(default=1)
    refused_at = models.DateTimeField()

    objects: ClassVar[models.Manager[RefusedUpload]] = models.Manager()

    if TYPE_CHECKING:
        account_id: int
        token_id: int | None
        target_id: int | None

    class Meta:
        indexes = [models.Index(fields=["account", "-refused_at"], name="refused_of_an_account")]

    def __str__(self) -> str:
        return f"{self.place}: {self.slug}"
