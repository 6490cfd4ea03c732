"""What is done about the people, groups and tokens of an organization, and to itself."""

from __future__ import annotations

import csv
import io

from accounts.models import Group, Token
from tests.accounts.views.pages import days_from_now
from tests.browser.acts.frame import Doing, act
from tests.browser.acts.rights import OWNERS, by_api, by_page
from tests.factories import add_member, make_group, make_invitation, make_token, make_user
from tests.registry.api.test_who_may import GROUP, GUEST, LONG_AGO, MEMBER, ROLE, TEXT, TOKEN
from tests.registry.api.world import by_token

_MEMBERS = "/{account}/settings/members"
_GROUP = "/{account}/groups/{group}"
_POLICY = {"channel_creators": "members", "token_max_days": "1"}
_ACCESS = "/{account}/settings/access"


def _new_member(do: Doing) -> str:
    user = make_user(do.name)
    add_member(do.realm.acme, user)
    return user.username


def _roles(do: Doing) -> dict[str, str]:
    return {row["user"]: row["role"] for row in do.api("/accounts/acme/members")["results"]}


def _group(do: Doing, *members: str) -> Group:
    users = [make_user(name) for name in members]
    for user in users:
        add_member(do.realm.acme, user)
    return make_group(do.realm.acme, do.name, members=users)


def _opens(secret: str) -> bool:
    status: int = by_token(secret).get("/user").status_code
    return status == 200


# --- Members -----------------------------------------------------------------------------------


@act("accounts:member-add", at=_MEMBERS, may=by_api("POST", "/members", MEMBER))
def add_a_member(do: Doing) -> None:
    name = make_user(do.name).username
    do.start()
    do.press("acme", user=name, role="admin")
    assert _roles(do)[name] == "admin"


@act("accounts:member-role", at=_MEMBERS, may=by_api("PATCH", "/members/rita", ROLE))
def change_a_role(do: Doing) -> None:
    name = _new_member(do)
    do.start()
    do.press("acme", name, role="admin")
    assert _roles(do)[name] == "admin"


# A member may leave by the API; who may remove others is who may add them.
@act("accounts:member-remove", at=_MEMBERS, may=by_api("POST", "/members", MEMBER))
def remove_a_member(do: Doing) -> None:
    name = _new_member(do)
    do.start()
    do.press("acme", name)
    assert name not in _roles(do)


@act("accounts:members-csv", at=_MEMBERS, may=by_page("/acme/settings/members"))
def take_the_list_of_members_along(do: Doing) -> None:
    do.start()
    rows = csv.DictReader(io.StringIO(do.download('[href$="members.csv"]')))
    assert {"rita", "olga"} <= {row["name"] for row in rows}


@act("accounts:member-invite", at=_MEMBERS, may=by_api("POST", "/invitations", GUEST))
def invite_by_mail(do: Doing) -> None:
    address = f"{do.name}@example.org"
    do.start()
    do.press("acme", email_or_name=address, role="member")
    assert do.mail_to(address)
    assert address in str(do.api("/accounts/acme/invitations"))


@act("accounts:invitation-resend", at=_MEMBERS, may=by_api("POST", "/invitations", GUEST))
def invite_once_more(do: Doing) -> None:
    address = f"{do.name}@example.org"
    made = make_invitation(
        do.realm.acme, address, key=do.name, expires_at=days_from_now(1),
        invited_by=do.realm.olga.user,
    )  # fmt: skip
    do.start()
    do.press("acme", made.pk)
    assert do.mail_to(address)


@act(
    "accounts:invitation-withdraw",
    at=_MEMBERS,
    may=by_api("DELETE", "/invitations/{invitation}"),
)
def withdraw_an_invitation(do: Doing) -> None:
    address = f"{do.name}@example.org"
    made = make_invitation(do.realm.acme, address, key=do.name, expires_at=days_from_now(1))
    do.start()
    do.press("acme", made.pk)
    assert address not in str(do.api("/accounts/acme/invitations"))


# --- Groups ------------------------------------------------------------------------------------


@act("accounts:group-new", at="/{account}/groups", may=by_api("POST", "/groups", GROUP))
def make_a_group(do: Doing) -> None:
    do.start()
    do.press("acme", name=do.name, permission="write", reach="chosen")
    assert do.api(f"/accounts/acme/groups/{do.name}")["permission"] == "write"


@act("accounts:group-change", at=_GROUP, may=by_api("PATCH", "/groups/helpers", TEXT))
def change_a_group(do: Doing) -> None:
    group = _group(do)
    do.start(group=group.name)
    do.press("acme", group.name, permission="admin", description="They build")
    changed = do.api(f"/accounts/acme/groups/{group.name}")
    assert (changed["permission"], changed["description"]) == ("admin", "They build")


@act("accounts:group-delete", at=_GROUP, may=by_api("DELETE", "/groups/helpers"))
def delete_a_group(do: Doing) -> None:
    group = _group(do)
    do.start(group=group.name)
    do.press("acme", group.name, typed=group.name)
    assert do.status(f"/acme/groups/{group.name}") == 404


@act(
    "accounts:group-member-add",
    at=_GROUP,
    may=by_api("POST", "/groups/helpers/members", {"user": "rita"}),
)
def put_somebody_into_a_group(do: Doing) -> None:
    group, name = _group(do), make_user(do.name).username
    add_member(do.realm.acme, make_user(f"{name}-too"))
    do.start(group=group.name)
    do.press("acme", group.name, user=f"{name}-too")
    assert f"{name}-too" in str(do.api(f"/accounts/acme/groups/{group.name}/members"))


@act(
    "accounts:group-member-remove",
    at=_GROUP,
    may=by_api("DELETE", "/groups/maintainers/members/maria"),
)
def take_somebody_out_of_a_group(do: Doing) -> None:
    group = _group(do, do.name)
    do.start(group=group.name)
    do.press("acme", group.name, do.name)
    assert do.name not in str(do.api(f"/accounts/acme/groups/{group.name}/members"))


@act("registry:group-packages", at=_GROUP, may=by_api("PATCH", "/groups/helpers", TEXT))
def choose_the_packages_of_a_group(do: Doing) -> None:
    group = _group(do)
    do.start(group=group.name)
    do.press("acme", group.name, chosen="hello")
    assert group.name in str(do.api("/accounts/acme/packages/hello/collaborators"))


# --- Tokens ------------------------------------------------------------------------------------


@act("accounts:token-new", at=_ACCESS, may=by_api("POST", "/tokens", TOKEN))
def make_a_token(do: Doing) -> None:
    do.start()
    do.follow('[href$="/access/new"]')
    do.follow('[href$="?template=upload"]')
    do.press("acme", name=do.name, lifetime="365", ticked_channels="dev", ticked_packages="hello")
    made = Token.objects.get(name=do.name)
    assert (made.account.name, made.channels, made.packages) == ("acme", ["dev"], ["hello"])
    assert made.expires_at is not None
    assert days_from_now(360) < made.expires_at < days_from_now(367)
    assert _opens(do.page.locator(".secret pre").inner_text())


@act("accounts:token-rotate", at=_ACCESS, may=by_api("POST", "/tokens/{token}/rotate", {}))
def rotate_a_token(do: Doing) -> None:
    old = make_token(
        do.realm.account, "api", name=do.name, expires_at=days_from_now(9),
        created_by=do.realm.olga.user,
    )  # fmt: skip
    do.start()
    do.press("acme", old.token.pk, keep_old="0")
    assert _opens(do.page.locator(".secret pre").inner_text())
    assert not _opens(old.secret)


@act("accounts:token-revoke", at=_ACCESS, may=by_api("DELETE", "/tokens/{token}"))
def revoke_a_token(do: Doing) -> None:
    made = make_token(do.realm.account, "api", name=do.name)
    do.start()
    do.press("acme", made.token.pk)
    assert not _opens(made.secret)


@act(
    "accounts:revoke-before",
    at=_ACCESS,
    may=by_api("POST", "/tokens/revoke-made-before", LONG_AGO),
    sent={"before": "2020-01-01"},
)
def revoke_all_tokens_made_before_a_day(do: Doing) -> None:
    old, new = (make_token(do.realm.account, "api") for _ in range(2))
    Token.objects.filter(pk=old.token.pk).update(created_at=days_from_now(-900))
    do.start()
    do.follow('[href$="/revoke-before"]')
    asking = do.page.locator("main form:not([method=post])")
    do.fill(asking, before=f"{days_from_now(-800):%Y-%m-%d}")
    do.send(asking)
    do.press("acme")
    assert (_opens(old.secret), _opens(new.secret)) == (False, True)


# --- The organization itself -------------------------------------------------------------------


@act("accounts:profile", at="/{account}/settings/profile", may=by_api("PATCH", "", TEXT))
def change_what_everyone_sees(do: Doing) -> None:
    do.start()
    do.press("acme", description=do.me)
    assert do.api("/accounts/acme", by=do.realm.gus)["description"] == do.me


@act("accounts:policy", at="/{account}/settings/policy", may=OWNERS, shown=True, sent=_POLICY)
def change_the_policy(do: Doing) -> None:
    do.start()
    do.press("acme", token_max_days="300")
    do.start()
    assert do.page.locator("[name=token_max_days]").input_value() == "300"


@act("accounts:log", at="/{account}/settings/log", may=by_page("/acme/settings/log"))
def filter_the_log(do: Doing) -> None:
    do.start()
    asking = do.page.locator("form[role=search][action$='/settings/log']")
    do.fill(asking, thing="channel")
    do.send(asking)
    assert set(do.page.locator("main tbody th[scope=row]").all_inner_texts()) >= {
        "made the channel dev"
    }


@act("accounts:log-csv", at="/{account}/settings/log", may=by_page("/acme/settings/log.csv"))
def take_the_log_along(do: Doing) -> None:
    do.start()
    assert "channel.create" in do.download('[href*="log.csv"]')
