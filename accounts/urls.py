"""The pages about who. One act, one form, one URL."""

from django.urls import path
from django.views.generic import RedirectView

from accounts import converters  # noqa: F401  # registers <account:…> and <group:…>
from accounts.views import (
    access,
    client_login,
    dashboard,
    frame,
    groups,
    invitations,
    log,
    members,
    organizations,
    policy,
    profile,
    security,
)
from accounts.views.first_account import first_account

app_name = "accounts"

_settings = "<account:account>/settings"
_access = f"{_settings}/access"
_members = f"{_settings}/members"
_organizations = f"{_settings}/organizations"
_groups = "<account:account>/groups"
_group = f"{_groups}/<group:group>"
_own_invitation = "-/invitations/own/<int:invitation>"
_invitation = "-/invitations/<str:key>"

_security = f"{_settings}/security"

urlpatterns = [
    # allauth's pages of lists: all of them stand on one page of ours.
    path("account/email/", security.emails),
    path("account/2fa/", security.own_page, {"part": "second-factor"}),
    path("account/2fa/webauthn/", security.own_page, {"part": "passkeys"}),
    path("account/sessions/", security.own_page, {"part": "sessions"}),
    path(_security, security.security, name="security"),
    path(f"{_security}/codes-saved", security.codes_saved, name="codes-saved"),
    path(f"{_security}/sessions/others/end", security.sessions_end, name="sessions-end"),
    path(f"{_security}/sessions/<int:session>/end", security.session_end, name="session-end"),
    path("-/first-account/<str:key>", first_account, name="first-account"),
    # Where anaconda's client looks, and where it sends people; its paths are fixed in it.
    path(".well-known/openid-configuration", client_login.configuration, name="configuration"),
    path("app/local-login-success", client_login.succeeded, name="client-login-succeeded"),
    path("app/local-login-error", client_login.failed, name="client-login-failed"),
    path("account/forgot_password", RedirectView.as_view(pattern_name="account_reset_password")),
    path("-/login/authorize", client_login.authorize, name="client-login"),
    path("-/login/token", client_login.token, name="client-login-token"),
    path("dashboard", dashboard.dashboard, name="dashboard"),
    path(
        f"{_own_invitation}/accept",
        invitations.own_invitation_accept,
        name="own-invitation-accept",
    ),
    path(
        f"{_own_invitation}/decline",
        invitations.own_invitation_decline,
        name="own-invitation-decline",
    ),
    path(_invitation, invitations.invitation, name="invitation"),
    path(f"{_invitation}/accept", invitations.invitation_accept, name="invitation-accept"),
    path(f"{_invitation}/decline", invitations.invitation_decline, name="invitation-decline"),
    path("-/organizations/new", organizations.organization_new, name="organization-new"),
    path(_settings, frame.settings_start, name="settings"),
    path(f"{_settings}/profile", profile.profile, name="profile"),
    path(_access, access.access, name="access"),
    path(f"{_access}/new", access.token_new, name="token-new"),
    path(f"{_access}/new/preview", access.token_preview, name="token-preview"),
    path(f"{_access}/revoke-before", access.revoke_before, name="revoke-before"),
    path(f"{_access}/<int:token>", access.token, name="token"),
    path(f"{_access}/<int:token>/rotate", access.token_rotate, name="token-rotate"),
    path(f"{_access}/<int:token>/revoke", access.token_revoke, name="token-revoke"),
    path(_members, members.members, name="members"),
    path(f"{_settings}/members.csv", members.members_csv, name="members-csv"),
    path(
        f"{_members}/invitations/<int:invitation>/resend",
        members.invitation_resend,
        name="invitation-resend",
    ),
    path(f"{_members}/add", members.member_add, name="member-add"),
    path(f"{_members}/invite", members.member_invite, name="member-invite"),
    path(f"{_members}/<account:user>/role", members.member_role, name="member-role"),
    path(f"{_members}/<account:user>/remove", members.member_remove, name="member-remove"),
    path(
        f"{_members}/invitations/<int:invitation>/withdraw",
        members.invitation_withdraw,
        name="invitation-withdraw",
    ),
    path(_organizations, organizations.organizations, name="organizations"),
    path(
        f"{_organizations}/<account:organization>/leave",
        organizations.organization_leave,
        name="organization-leave",
    ),
    path(f"{_settings}/policy", policy.policy, name="policy"),
    path(f"{_settings}/profile/locale", profile.locale, name="locale"),
    path(f"{_settings}/log", log.log, name="log"),
    path(f"{_settings}/log.csv", log.log_csv, name="log-csv"),
    path(f"{_settings}/log.jsonl", log.log_json_lines, name="log-jsonl"),
    path(f"{_settings}/log.atom", log.log_atom, name="log-atom"),
    path(_groups, groups.groups, name="groups"),
    path(f"{_groups}/new", groups.group_new, name="group-new"),
    path(f"{_groups}/owners", groups.owners, name="owners"),
    path(_group, groups.group, name="group"),
    path(f"{_group}/change", groups.group_change, name="group-change"),
    path(f"{_group}/delete", groups.group_delete, name="group-delete"),
    path(f"{_group}/members/add", groups.group_member_add, name="group-member-add"),
    path(
        f"{_group}/members/<account:user>/remove",
        groups.group_member_remove,
        name="group-member-remove",
    ),
]
