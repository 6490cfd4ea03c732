from django.urls import path

from accounts.api import views

app_name = "accounts-api"

_account = "accounts/<str:account>"

urlpatterns = [
    path("user", views.WhoAmI.as_view(), name="user"),
    path("organizations", views.Organizations.as_view(), name="organizations"),
    path("accounts", views.Accounts.as_view(), name="accounts"),
    path(_account, views.OneAccount.as_view(), name="account"),
    path(f"{_account}/members", views.Members.as_view(), name="members"),
    path(f"{_account}/members/<str:user>", views.OneMember.as_view(), name="member"),
    path(f"{_account}/invitations", views.Invitations.as_view(), name="invitations"),
    path(
        f"{_account}/invitations/<int:invitation>", views.OneInvitation.as_view(), name="invitation"
    ),
    path(f"{_account}/groups", views.Groups.as_view(), name="groups"),
    path(f"{_account}/groups/<str:group>", views.OneGroup.as_view(), name="group"),
    path(
        f"{_account}/groups/<str:group>/members", views.GroupMembers.as_view(), name="group-members"
    ),
    path(
        f"{_account}/groups/<str:group>/members/<str:user>",
        views.OneGroupMember.as_view(),
        name="group-member",
    ),
    path(f"{_account}/tokens", views.Tokens.as_view(), name="tokens"),
    path(
        f"{_account}/tokens/revoke-made-before",
        views.TokensMadeBefore.as_view(),
        name="tokens-made-before",
    ),
    path(f"{_account}/tokens/<int:token>", views.OneToken.as_view(), name="token"),
    path(
        f"{_account}/tokens/<int:token>/rotate", views.TokenRotation.as_view(), name="token-rotate"
    ),
    path(f"{_account}/events", views.Events.as_view(), name="events"),
]
