from accounts.models.account import Account
from accounts.models.client_login import ClientLogin
from accounts.models.event import Event
from accounts.models.former_name import FormerName
from accounts.models.group import Group, GroupMember
from accounts.models.organization import Invitation, Membership, Organization
from accounts.models.switch import Switch
from accounts.models.token import Token
from accounts.models.user import User

__all__ = [
    "Account",
    "ClientLogin",
    "Event",
    "FormerName",
    "Group",
    "GroupMember",
    "Invitation",
    "Membership",
    "Organization",
    "Switch",
    "Token",
    "User",
]
