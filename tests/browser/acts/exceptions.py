"""What takes a post and is no act of anybody's in a page, and where it is shown instead."""

from __future__ import annotations

from typing import Final

_BEFORE = "whoever has no session, which a role of the cast begins with"

NO_ACTS: Final[dict[str, str]] = {
    "theme": "everybody's, kept in a cookie: test_ways_around.py",
    "language": "likewise: tests/portal/test_languages.py",
    "accounts:token-preview": "says what a form would make: test_people.py",
    "accounts:first-account": f"{_BEFORE}: tests/accounts/test_first_account.py",
    "accounts:client-login": "a program has to wait for the answer: test_client_login.py",
    "accounts:client-login-token": "likewise: tests/accounts/views/test_client_login.py",
    "account_login": f"{_BEFORE}: test_token_walk.py",
    "account_signup": f"{_BEFORE}: test_token_walk.py",
    "account_reset_password": f"{_BEFORE}: tests/accounts/test_signing_up.py",
    "account_reset_password_from_key": f"{_BEFORE}: tests/accounts/test_signing_up.py",
    "account_confirm_login_code": f"{_BEFORE}: no login by code is offered",
    "mfa_authenticate": f"{_BEFORE}: test_security_walk.py",
    "mfa_login_webauthn": f"{_BEFORE}: test_security_walk.py",
    "account_logout": "ends the session of the cast: test_security_walk.py",
    "account_reauthenticate": "asked for within other acts: test_security_walk.py",
    "mfa_reauthenticate": "likewise",
    "mfa_reauthenticate_webauthn": "likewise",
    "account_email_verification_sent": "within add_an_address_and_prove_it",
    "account_set_password": "for who has none: tests/accounts/views/test_security.py",
    "usersessions_list": "leads to our own page: accounts.views.security.own_page",
}
