from __future__ import annotations

from allauth.account.auth_backends import AuthenticationBackend

from accounts.models import User


class Backend(AuthenticationBackend):  # type: ignore[misc]  # allauth is untyped
    def get_user(self, user_id: int) -> User | None:
        """The user of a session with their account, which every page asks for."""
        user = User.objects.select_related("account").filter(pk=user_id).first()
        if user is None or user.account.suspended_at is not None:
            return None
        return user if self.user_can_authenticate(user) else None
