"""Accounts, organizations, their people, tokens and log, over the REST API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import groups, membership, profiles, rights, tokens
from accounts.api import serializers as shapes
from accounts.api.endpoint import Endpoint
from accounts.api.finding import (
    find_account,
    find_group,
    find_invitation,
    find_organization,
    find_token,
    find_user,
    user_named,
)
from accounts.models import Account, Event, GroupMember, Invitation, Membership, Token
from accounts.scopes import Ability
from portal.errors import CredentialNeeded

NOTHING = {204: None}


@extend_schema(tags=["accounts"])
class WhoAmI(Endpoint):
    @extend_schema(operation_id="who_am_i", responses=shapes.WhoSerializer)
    def get(self, _request: Request) -> Response:
        """Who is asking: the account, and what the token is limited to."""
        account, token = self.identity.account, self.identity.token
        if account is None:
            raise CredentialNeeded
        who: dict[str, Any] = {
            "account": account,
            "token": token.name if token else None,
            "scopes": token.scopes if token else None,
            "channels": token.channels if token else [],
            "packages": token.packages if token else [],
            "expires_at": token.expires_at if token else None,
        }
        return self.shown(who, shapes.WhoSerializer)


@extend_schema(tags=["accounts"])
class Accounts(Endpoint):
    ordering = "name"
    public_reads = True

    @extend_schema(
        operation_id="accounts_list",
        parameters=[shapes.AccountQuery],
        responses=shapes.AccountSerializer(many=True),
    )
    def get(self, _request: Request) -> Response:
        """Users and organizations."""
        wanted = self.sent(shapes.AccountQuery, query=True)
        rows: QuerySet[Account] = Account.objects.filter(suspended_at=None)
        if "kind" in wanted:
            rows = rows.filter(kind=wanted["kind"])
        if "q" in wanted:
            rows = rows.filter(name__startswith=wanted["q"].lower())
        return self.page(rows, shapes.AccountSerializer)


@extend_schema(tags=["accounts"])
class OneAccount(Endpoint):
    public_reads = True

    @extend_schema(operation_id="accounts_get", responses=shapes.AccountSerializer)
    def get(self, _request: Request, account: str) -> Response:
        return self.shown(find_account(account), shapes.AccountSerializer)

    @extend_schema(
        operation_id="accounts_change",
        request=shapes.ProfileInput,
        responses=shapes.AccountSerializer,
    )
    def patch(self, _request: Request, account: str) -> Response:
        """Change what the account says of itself."""
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.MODIFY_GROUPS)
        changed = profiles.change_profile(
            by=self.identity, account=found, **self.sent(shapes.ProfileInput)
        )
        return self.shown(changed, shapes.AccountSerializer)


@extend_schema(tags=["organizations"])
class Organizations(Endpoint):
    ordering = "name"

    @extend_schema(
        operation_id="organizations_list",
        responses=shapes.OwnOrganizationSerializer(many=True),
    )
    def get(self, _request: Request) -> Response:
        """The organizations that you belong to."""
        rights.require_ability(self.identity, Ability.READ)
        rows = (
            Membership.objects.filter(user=self.identity.user)
            .exclude(user=None)
            .select_related("organization__account")
            .annotate(name=F("organization__account__name"))
        )
        return self.page(rows, shapes.OwnOrganizationSerializer)

    @extend_schema(
        operation_id="organizations_create",
        request=shapes.OrganizationInput,
        responses={201: shapes.AccountSerializer},
    )
    def post(self, _request: Request) -> Response:
        """Found an organization. Who founds it is its owner."""
        rights.require_ability(self.identity, Ability.MODIFY_GROUPS)
        organization = membership.create_organization(
            by=self.identity, **self.sent(shapes.OrganizationInput)
        )
        return self.shown(organization.account, shapes.AccountSerializer, status=201)


# --- Members and invitations -------------------------------------------------------------------


@extend_schema(tags=["members"])
class Members(Endpoint):
    ordering = "username"

    @extend_schema(operation_id="members_list", responses=shapes.MemberSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        organization = find_organization(account)
        rights.require_member(self.identity, organization.account)
        rows = (
            Membership.objects.filter(organization=organization)
            .select_related("user", "added_by")
            .annotate(username=F("user__username"))
        )
        return self.page(rows, shapes.MemberSerializer)

    @extend_schema(
        operation_id="members_add",
        request=shapes.MemberInput,
        responses={201: shapes.MemberSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Make a user a member at once, without an invitation."""
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        wanted = self.sent(shapes.MemberInput)
        member = membership.add_member(
            by=self.identity,
            organization=organization,
            user=user_named(wanted["user"]),
            role=wanted["role"],
        )
        return self.shown(member, shapes.MemberSerializer, status=201)


@extend_schema(tags=["members"])
class OneMember(Endpoint):
    @extend_schema(
        operation_id="members_change_role",
        request=shapes.RoleInput,
        responses=shapes.MemberSerializer,
    )
    def patch(self, _request: Request, account: str, user: str) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        member = membership.change_role(
            by=self.identity,
            organization=organization,
            user=find_user(user),
            role=self.sent(shapes.RoleInput)["role"],
        )
        return self.shown(member, shapes.MemberSerializer)

    @extend_schema(operation_id="members_remove", request=None, responses=NOTHING)
    def delete(self, _request: Request, account: str, user: str) -> Response:
        """Take a member out; or leave, when it is you."""
        organization, person = find_organization(account), find_user(user)
        if person == self.identity.user:
            membership.leave(by=self.identity, organization=organization)
        else:
            membership.remove_member(by=self.identity, organization=organization, user=person)
        return Response(status=204)


@extend_schema(tags=["members"])
class Invitations(Endpoint):
    @extend_schema(
        operation_id="invitations_list", responses=shapes.InvitationSerializer(many=True)
    )
    def get(self, _request: Request, account: str) -> Response:
        """Invitations that are neither answered nor withdrawn nor expired."""
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.READ)
        rows = Invitation.objects.open().filter(organization=organization)
        return self.page(rows.select_related("user", "invited_by"), shapes.InvitationSerializer)

    @extend_schema(
        operation_id="invitations_create",
        request=shapes.InvitationInput,
        responses={201: shapes.InvitationSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Invite someone by name or by address; they get a mail."""
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        # The key is theirs alone, so it is in their mail and not in our answer.
        invitation, _key = membership.invite(
            by=self.identity, organization=organization, **self.sent(shapes.InvitationInput)
        )
        return self.shown(invitation, shapes.InvitationSerializer, status=201)


@extend_schema(tags=["members"])
class OneInvitation(Endpoint):
    @extend_schema(operation_id="invitations_withdraw", request=None, responses=NOTHING)
    def delete(self, _request: Request, account: str, invitation: int) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        membership.withdraw_invitation(
            by=self.identity, invitation=find_invitation(organization, invitation)
        )
        return Response(status=204)


# --- Groups ------------------------------------------------------------------------------------


@extend_schema(tags=["groups"])
class Groups(Endpoint):
    ordering = "name"

    @extend_schema(operation_id="groups_list", responses=shapes.GroupSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        organization = find_organization(account)
        rights.require_member(self.identity, organization.account)
        return self.page(organization.groups.all(), shapes.GroupSerializer)

    @extend_schema(
        operation_id="groups_create",
        request=shapes.GroupInput,
        responses={201: shapes.GroupSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        group = groups.create_group(
            by=self.identity, organization=organization, **self.sent(shapes.GroupInput)
        )
        return self.shown(group, shapes.GroupSerializer, status=201)


@extend_schema(tags=["groups"])
class OneGroup(Endpoint):
    @extend_schema(operation_id="groups_get", responses=shapes.GroupSerializer)
    def get(self, _request: Request, account: str, group: str) -> Response:
        organization = find_organization(account)
        rights.require_member(self.identity, organization.account)
        return self.shown(find_group(organization, group), shapes.GroupSerializer)

    @extend_schema(
        operation_id="groups_change",
        request=shapes.GroupChangeInput,
        responses=shapes.GroupSerializer,
    )
    def patch(self, _request: Request, account: str, group: str) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        changed = groups.change_group(
            by=self.identity,
            group=find_group(organization, group),
            **self.sent(shapes.GroupChangeInput),
        )
        return self.shown(changed, shapes.GroupSerializer)

    @extend_schema(operation_id="groups_delete", request=None, responses=NOTHING)
    def delete(self, _request: Request, account: str, group: str) -> Response:
        """Delete the group and what it gave. Its members stay members."""
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        groups.delete_group(by=self.identity, group=find_group(organization, group))
        return Response(status=204)


@extend_schema(tags=["groups"])
class GroupMembers(Endpoint):
    ordering = "username"

    @extend_schema(
        operation_id="group_members_list", responses=shapes.GroupMemberSerializer(many=True)
    )
    def get(self, _request: Request, account: str, group: str) -> Response:
        organization = find_organization(account)
        rights.require_member(self.identity, organization.account)
        rows = (
            GroupMember.objects.filter(group=find_group(organization, group))
            .select_related("user", "added_by")
            .annotate(username=F("user__username"))
        )
        return self.page(rows, shapes.GroupMemberSerializer)

    @extend_schema(
        operation_id="group_members_add",
        request=shapes.GroupMemberInput,
        responses={201: shapes.GroupMemberSerializer},
    )
    def post(self, _request: Request, account: str, group: str) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        member = groups.add_to_group(
            by=self.identity,
            group=find_group(organization, group),
            user=user_named(self.sent(shapes.GroupMemberInput)["user"]),
        )
        return self.shown(member, shapes.GroupMemberSerializer, status=201)


@extend_schema(tags=["groups"])
class OneGroupMember(Endpoint):
    @extend_schema(operation_id="group_members_remove", request=None, responses=NOTHING)
    def delete(self, _request: Request, account: str, group: str, user: str) -> Response:
        organization = find_organization(account)
        rights.require_admin(self.identity, organization.account, Ability.MODIFY_GROUPS)
        groups.remove_from_group(
            by=self.identity, group=find_group(organization, group), user=find_user(user)
        )
        return Response(status=204)


# --- Tokens and the log ------------------------------------------------------------------------


@extend_schema(tags=["tokens"])
class Tokens(Endpoint):
    @extend_schema(operation_id="tokens_list", responses=shapes.TokenSerializer(many=True))
    def get(self, _request: Request, account: str) -> Response:
        """All tokens, revoked and expired ones too; of none the secret."""
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.READ)
        rows = Token.objects.filter(account=found).select_related("created_by")
        return self.page(rows, shapes.TokenSerializer)

    @extend_schema(
        operation_id="tokens_create",
        request=shapes.TokenInput,
        responses={201: shapes.NewTokenSerializer},
    )
    def post(self, _request: Request, account: str) -> Response:
        """Make a token. Its secret stands in this answer, and nowhere after it.

        A token makes none that may do more, reaches further or lives longer than itself.
        """
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.MANAGE_TOKENS)
        made = tokens.create_token(by=self.identity, account=found, **self.sent(shapes.TokenInput))
        shown = shapes.TokenSerializer(made.token).data
        return Response(
            {**shown, "secret": made.secret}, status=201, headers={"Cache-Control": "no-store"}
        )


@extend_schema(tags=["tokens"])
class OneToken(Endpoint):
    @extend_schema(operation_id="tokens_revoke", request=None, responses=NOTHING)
    def delete(self, _request: Request, account: str, token: int) -> Response:
        """Make a token useless, from the next request on."""
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.MANAGE_TOKENS)
        tokens.revoke_token(by=self.identity, token=find_token(found, token))
        return Response(status=204)


@extend_schema(tags=["tokens"])
class TokensMadeBefore(Endpoint):
    @extend_schema(
        operation_id="tokens_revoke_made_before",
        request=shapes.MadeBeforeInput,
        responses=shapes.TokenSerializer(many=True),
    )
    def post(self, _request: Request, account: str) -> Response:
        """Revoke all tokens of the account that were made before, and say which ones they were.

        The token that asks for it goes, too, if it is one of them.
        """
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.MANAGE_TOKENS)
        border = self.sent(shapes.MadeBeforeInput)["made_before"]
        gone = tokens.revoke_made_before(by=self.identity, account=found, border=border)
        rows = Token.objects.filter(pk__in=[token.pk for token in gone])
        return self.page(rows.select_related("created_by"), shapes.TokenSerializer)


@extend_schema(tags=["tokens"])
class TokenRotation(Endpoint):
    @extend_schema(
        operation_id="tokens_rotate",
        request=shapes.RotationInput,
        responses={201: shapes.NewTokenSerializer},
    )
    def post(self, _request: Request, account: str, token: int) -> Response:
        """Make a token with the name and rights of this one, which works on for a while.

        The secret of the new one stands in this answer, and nowhere after it.
        """
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.MANAGE_TOKENS)
        wanted = self.sent(shapes.RotationInput)
        made = tokens.rotate_token(
            by=self.identity,
            token=find_token(found, token),
            keep_old=timedelta(days=wanted["keep_old_days"]),
            expires_at=wanted.get("expires_at"),
        )
        shown = shapes.TokenSerializer(made.token).data
        return Response(
            {**shown, "secret": made.secret}, status=201, headers={"Cache-Control": "no-store"}
        )


@extend_schema(tags=["events"])
class Events(Endpoint):
    @extend_schema(
        operation_id="events_list",
        parameters=[shapes.EventQuery],
        responses=shapes.EventSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        """The audit log, newest first."""
        found = find_account(account)
        rights.require_admin(self.identity, found, Ability.READ)
        rows: QuerySet[Event] = Event.objects.filter(account=found)
        wanted = self.sent(shapes.EventQuery, query=True)
        if "action" in wanted:
            rows = rows.filter(action=wanted["action"])
        return self.page(rows, shapes.EventSerializer)
