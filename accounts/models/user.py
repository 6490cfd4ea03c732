from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models, transaction

from accounts.models.account import Account
from portal.fields import BY_BYTES


class People(UserManager["User"]):
    """Makes a user together with the account of the same name."""

    def _create_user_object(
        self, username: str, email: str | None, password: str | None, **fields: Any
    ) -> User:
        user: User = super()._create_user_object(username, email, password, **fields)  # type: ignore[misc]  # the stubs leave it out
        user.username = user.username.lower()
        user.account = Account(name=user.username, kind=Account.Kind.USER)
        return user

    def _create_user(
        self, username: str, email: str | None, password: str | None, **fields: Any
    ) -> User:
        user = self._create_user_object(username, email, password, **fields)
        with transaction.atomic(using=self._db):
            user.account.save(using=self._db)
            user.account_id = user.account.pk
            user.save(using=self._db)
        return user


class User(AbstractUser):
    """A person who signs in. What they own belongs to `account`, of the same name."""

    first_name = None  # type: ignore[assignment]  # Django's way to drop a field
    last_name = None  # type: ignore[assignment]  # as above
    # As Django has it, but for how it sorts.
    username = models.CharField(
        db_collation=BY_BYTES,
        max_length=150,
        unique=True,
        validators=[AbstractUser.username_validator],
    )
    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="user")
    # Empty: what the browser says.
    time_zone = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=8, blank=True)

    objects: ClassVar[People] = People()

    class Meta:
        ordering = ["username"]

    def get_full_name(self) -> str:
        return self.account.title

    def get_short_name(self) -> str:
        return self.username
