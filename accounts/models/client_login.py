from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from accounts.models.user import User


class ClientLogin(models.Model):
    """A sign-in of a program by its user's browser, between consent and the making of a token.

    First there is a code, then the access token it was exchanged for; of both only the hash. The
    row goes when the token is made.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="client_logins")
    code_digest = models.CharField(max_length=64, unique=True)
    code_challenge = models.CharField(max_length=43)
    # Empty until the code was exchanged.
    access_digest = models.CharField(max_length=64, blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    if TYPE_CHECKING:
        user_id: int
