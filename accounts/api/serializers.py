"""What the API shows of people, organizations and tokens, and what may be sent of them.

Each field is listed by name: a new column is shown to nobody until it stands here.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.endpoint import Input
from accounts.models import (
    Account,
    Event,
    Group,
    GroupMember,
    Invitation,
    Membership,
    Token,
)
from accounts.profiles import MAX_LENGTHS
from accounts.roles import Permission, Role
from accounts.scopes import Scope

# --- Shown -------------------------------------------------------------------------------------


class AccountSerializer(serializers.ModelSerializer[Account]):
    website = serializers.CharField(read_only=True, help_text="An address, or empty.")

    class Meta:
        model = Account
        fields = ["name", "kind", "display_name", "description", "website", "created_at"]
        read_only_fields = fields


class WhoSerializer(serializers.Serializer[Any]):
    """The one who asks, and with what."""

    account = AccountSerializer()
    token = serializers.CharField(
        allow_null=True, help_text="The name of the token; null for a password or a session."
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices),
        allow_null=True,
        help_text="What the token is limited to; null when nothing limits it.",
    )
    channels = serializers.ListField(
        child=serializers.CharField(), help_text="The only channels it reaches; empty: all."
    )
    packages = serializers.ListField(
        child=serializers.CharField(), help_text="The only packages it reaches; empty: all."
    )
    expires_at = serializers.DateTimeField(allow_null=True)


class OwnOrganizationSerializer(serializers.Serializer[Any]):
    """An organization, with the role in it of the one who asks."""

    account = AccountSerializer(source="organization.account")
    role = serializers.ChoiceField(choices=Role.choices)


class MemberSerializer(serializers.Serializer[Membership]):
    user = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(choices=Role.choices)
    added_by = serializers.CharField(source="added_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class InvitationSerializer(serializers.Serializer[Invitation]):
    id = serializers.IntegerField()
    addressee = serializers.CharField(help_text="The name or the address that was invited.")
    role = serializers.ChoiceField(choices=Role.choices)
    invited_by = serializers.CharField(source="invited_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class GroupSerializer(serializers.ModelSerializer[Group]):
    class Meta:
        model = Group
        fields = ["name", "description", "permission", "all_packages", "created_at"]
        read_only_fields = fields


class GroupMemberSerializer(serializers.Serializer[GroupMember]):
    user = serializers.CharField(source="user.username")
    added_by = serializers.CharField(source="added_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class TokenSerializer(serializers.Serializer[Token]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="Its last characters, to tell tokens apart.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    channels = serializers.ListField(child=serializers.CharField())
    packages = serializers.ListField(child=serializers.CharField())
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    replaces = serializers.IntegerField(
        source="replaces_id", allow_null=True, help_text="The id of the token it was rotated from."
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewTokenSerializer(TokenSerializer):
    """A token just made. The secret is in this answer only; it is kept nowhere."""

    secret = serializers.CharField()


class EventSerializer(serializers.Serializer[Event]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    action = serializers.CharField(help_text="What was done, as thing.act: file.publish.")
    target = serializers.CharField()
    detail = serializers.SerializerMethodField()
    actor = serializers.CharField(source="actor_name")
    token = serializers.CharField(source="token_name")
    ip_address = serializers.CharField(allow_null=True)
    user_agent = serializers.CharField()

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_detail(self, event: Event) -> dict[str, object]:
        return event.detail


# --- Sent --------------------------------------------------------------------------------------


class OrganizationInput(Input):
    name = serializers.CharField(max_length=64)
    display_name = serializers.CharField(
        max_length=MAX_LENGTHS["display_name"], required=False, allow_blank=True
    )


class ProfileInput(Input):
    display_name = serializers.CharField(
        max_length=MAX_LENGTHS["display_name"], required=False, allow_blank=True
    )
    description = serializers.CharField(
        max_length=MAX_LENGTHS["description"], required=False, allow_blank=True
    )
    website = serializers.CharField(
        max_length=MAX_LENGTHS["website"], required=False, allow_blank=True
    )


class MemberInput(Input):
    user = serializers.CharField(max_length=64)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)


class RoleInput(Input):
    role = serializers.ChoiceField(choices=Role.choices)


class InvitationInput(Input):
    email_or_name = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.MEMBER)


class GroupInput(Input):
    name = serializers.CharField(max_length=64)
    description = serializers.CharField(max_length=255, required=False, allow_blank=True)
    permission = serializers.ChoiceField(choices=Permission.choices, default=Permission.READ)
    all_packages = serializers.BooleanField(
        default=False, help_text="Over all packages, not only those that name the group."
    )


class GroupChangeInput(Input):
    name = serializers.CharField(max_length=64, required=False)
    description = serializers.CharField(max_length=255, required=False, allow_blank=True)
    permission = serializers.ChoiceField(choices=Permission.choices, required=False)
    all_packages = serializers.BooleanField(required=False)


class GroupMemberInput(Input):
    user = serializers.CharField(max_length=64)


class TokenInput(Input):
    name = serializers.CharField(max_length=100, help_text="What the token is for.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), allow_empty=False, max_length=20
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="In 90 days when left out."
    )
    channels = serializers.ListField(
        child=serializers.CharField(max_length=128),
        required=False,
        max_length=100,
        help_text="The only channels that it reaches; empty: all.",
    )
    packages = serializers.ListField(
        child=serializers.CharField(max_length=128),
        required=False,
        max_length=100,
        help_text="The only packages that it reaches, * matches anything; empty: all.",
    )


class RotationInput(Input):
    keep_old_days = serializers.IntegerField(
        default=7, min_value=0, max_value=90, help_text="How long the old token works on."
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Left out: it lives as long as the old one did."
    )


class MadeBeforeInput(Input):
    made_before = serializers.DateTimeField(help_text="With the offset from UTC.")


class AccountQuery(Input):
    kind = serializers.ChoiceField(choices=Account.Kind.choices, required=False)
    q = serializers.CharField(
        max_length=64, required=False, help_text="Names that begin like this."
    )


class EventQuery(Input):
    action = serializers.CharField(
        max_length=48, required=False, help_text="Only of this kind, such as file.publish."
    )
