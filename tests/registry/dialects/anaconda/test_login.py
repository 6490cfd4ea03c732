"""``anaconda login``, ``logout`` and ``auth``: the stock client against a live server."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.documents.blocks import commands_with, in_text
from tests.registry.dialects.anaconda.stock_client import StockClient, port_of_the_login
from tests.servers import LiveServer, free_port, run_commands, run_manage
from tests.tls import Certificate, make_certificate, tls_in_front

PASSWORD = "wandering neutrons 42"
BY_LEGACY_QUESTIONS = {"ANACONDA_CLIENT_LEGACY_INTERACTIVE_LOGIN": "1"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@dataclass(frozen=True)
class Host:
    """A host with the user ada, reached in both ways."""

    server: LiveServer
    plain: str
    secure: str


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Host]:
    port = free_port()
    env = {
        "CONDARIUM_URL": f"https://127.0.0.1:{port}",
        "CONDARIUM_TRUSTED_PROXIES": "1",
        "CONDARIUM_SSL_REDIRECT": "0",
    }
    with LiveServer(tmp_path_factory.mktemp("host"), env, options=["--web-only"]) as server:
        command = ["createuser", "ada", "--email", "ada@example.org", "--password-stdin"]
        run_commands(
            command,
            ["createorg", "neutrons", "--owner", "ada"],
            env=server.env,
            input=f"{PASSWORD}\n",
        )
        with tls_in_front(upstream_port=server.port, port=port, certificate=certificate) as url:
            yield Host(server, server.url, url)


def current(url: str, secret: str, verify: bool | str = True) -> requests.Response:
    header = {"Authorization": f"token {secret}"}
    return requests.get(f"{url}/api/authentication", headers=header, verify=verify, timeout=30)


def test_login_by_password_keeps_a_token_that_logout_revokes(host: Host, tmp_path: Path) -> None:
    ada = StockClient(tmp_path / "home", host.plain)
    login = ["login", "--at", "anaconda.org", "--username", "ada", "--password"]

    wrong = ada.run(*login, "a wrong one")
    assert wrong.returncode == 1
    assert "Invalid Username password combination" in wrong.stderr
    assert not ada.stored_tokens()

    # Another test may have logged in from this host before: yes, that one may be replaced, too.
    first = ada.run(*login, PASSWORD, typed="y\n")
    assert first.returncode == 0, first.stderr
    assert "login successful" in first.stderr
    [before] = ada.stored_tokens()

    # It asks whether the one before may be replaced.
    again = ada.run(*login, PASSWORD, typed="y\n")
    assert again.returncode == 0, again.stderr
    assert "already logged in" in again.stderr
    [secret] = ada.stored_tokens()
    assert secret != before
    assert current(host.plain, before).status_code == 401

    info = ada.run("org", "auth", "--info")
    assert info.returncode == 0, info.stderr
    assert current(host.plain, secret).json()["application"] in info.stderr

    out = ada.run(*shlex.split(in_text("anaconda logout --at anaconda.org"))[1:])
    assert out.returncode == 0, out.stderr
    assert not ada.stored_tokens()
    assert current(host.plain, secret).status_code == 401


def test_a_token_for_ci_is_made_listed_and_removed_by_the_client(
    host: Host, tmp_path: Path
) -> None:
    ada = StockClient(tmp_path / "home", host.plain, dict(BY_LEGACY_QUESTIONS))
    create = ["org", "auth", "--create", "--name", "ci", "--max-age", "86400"]
    create += ["--scopes", "api:read api:write pypi:upload"]

    made = ada.run(*create, typed=f"ada\n{PASSWORD}\n")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.rpartition(": ")[2].strip().splitlines()[-1]
    assert current(host.plain, secret).json()["scopes"] == ["api:read", "api:write"]
    assert "pypi:upload" in made.stderr
    twice = ada.run(*create, typed=f"ada\n{PASSWORD}\n")
    assert twice.returncode == 1
    assert "already has a token named ci" in twice.stdout + twice.stderr

    listed = ada.run("-t", secret, "org", "auth", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "api:write" in listed.stderr
    assert 'Token warning: The token "ci" of ada expires tomorrow' in listed.stderr

    too_little = ada.run("-t", secret, "org", "auth", "--remove", "ci")
    assert too_little.returncode == 1
    assert "expected: api" in too_little.stdout + too_little.stderr
    command = ["createtoken", "ada", "--name", "whole", "--scope", "all"]
    whole = run_manage(command, host.server.env).stdout.strip()
    removed = ada.run("-t", whole, "org", "auth", "--remove", "ci")
    assert removed.returncode == 0, removed.stderr
    assert current(host.plain, secret).status_code == 401


def test_login_by_the_browser_needs_no_password_in_the_terminal(
    host: Host, certificate: Certificate, tmp_path: Path
) -> None:
    trusting = {"REQUESTS_CA_BUNDLE": str(certificate.path)}
    ada = StockClient(tmp_path / "home", host.secure, trusting)
    browser = ada.with_browser("ada", PASSWORD)
    url, verify = host.secure, str(certificate.path)

    with port_of_the_login():
        words = shlex.split(in_text("anaconda login --at anaconda.org"))
        login = ada.run(*words[1:], environ=browser)
    assert login.returncode == 0, login.stderr
    assert "login successful" in login.stderr
    assert f"200 {url}/app/local-login-success" in login.stdout
    [secret] = ada.stored_tokens()
    assert current(url, secret, verify).json()["scopes"] == ["all"]

    for command, of_account in zip(
        commands_with("anaconda org auth --create"),
        ([], ["--organization", "neutrons"]),
        strict=True,
    ):
        with port_of_the_login():
            made = ada.run(*shlex.split(command)[1:], environ=browser)
        assert made.returncode == 0, made.stderr
        [of_ci] = [line for line in made.stdout.splitlines() if line.startswith("cph-")]
        assert current(url, of_ci, verify).json()["scopes"] == ["api:read", "api:write"]

        removed = ada.run("org", "auth", "--remove", "ci", *of_account)
        assert removed.returncode == 0, removed.stderr
        assert current(url, of_ci, verify).status_code == 401
    for line in host.server.log().splitlines():
        assert secret not in line
        assert "code=" not in line
