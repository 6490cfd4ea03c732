"""Who is asking, as the rest of the house knows them."""

from __future__ import annotations

from dataclasses import dataclass, field

from accounts.models import Account, Token, User
from accounts.scopes import Ability, abilities
from accounts.standing import Standing


@dataclass(frozen=True, slots=True)
class Identity:
    """The one who asks: nobody, a user (with or without a token), or an organization's token.

    What they may do is asked of `registry.access` and `accounts.rights`, at each request.
    """

    user: User | None = None
    token: Token | None = None
    ip_address: str | None = None
    user_agent: str = ""
    # Of who only looks at a page.
    standing: Standing | None = field(default=None, compare=False, repr=False)
    _abilities: frozenset[Ability] = field(init=False, repr=False, default=frozenset())

    def __post_init__(self) -> None:
        given = abilities(self.token.scopes) if self.token else frozenset(Ability)
        object.__setattr__(self, "_abilities", given)

    @property
    def is_anonymous(self) -> bool:
        return self.user is None and self.token is None

    @property
    def account(self) -> Account | None:
        """The account that acts: the token's, or the user's own."""
        if self.token is not None:
            return self.token.account
        return self.user.account if self.user is not None else None

    @property
    def name(self) -> str:
        account = self.account
        return account.name if account is not None else "anonymous"

    def can(self, ability: Ability) -> bool:
        """Whether the credential allows this kind of act at all; a session allows every kind."""
        return not self.is_anonymous and ability in self._abilities


ANONYMOUS = Identity()
# Acts of the operator's commands, which need no right.
OPERATOR = Identity(user_agent="condarium command")
