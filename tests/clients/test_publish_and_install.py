"""The main job, end to end: CI publishes with a token, real clients install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import PASSWORD, Deployment, run_client

INSTALLED = "share/neutron-tools/detector.txt"
CLIENT = "rattler_install.py"
SPEC = "neutron-tools"


@pytest.fixture(scope="module")
def published(deployment: Deployment, built: dict[str, Path]) -> Deployment:
    """The deployment with the package in the public ``main`` and in the private ``vault``."""
    upload = deployment.token("api:read", "api:write")
    status, body = deployment.curl(
        "-X", "POST", "-H", f"Authorization: Bearer {upload}", "-H",
        "Content-Type: application/json", "-d", '{"name": "vault", "visibility": "private"}',
        f"{deployment.url}/api/v1/accounts/neutrons/channels",
    )  # fmt: skip
    assert status == 201, body
    for channel, path in (("main", "/conda/neutrons"), ("vault", "/conda/neutrons/vault")):
        file = built["conda"]
        status, body = deployment.curl(
            "-H", f"Authorization: Bearer {upload}", "--upload-file", str(file),
            f"{deployment.url}{path}/noarch/{file.name}",
        )  # fmt: skip
        assert status == 201, f"{channel}: {body}"
        deployment.wait_until_listed(f"{path}/noarch", file.name, upload)
    return deployment


def install(
    channel: str, folder: Path, *, auth: dict[str, object] | None = None, ok: bool = True
) -> str:
    """Install with a fresh cache; what the client printed."""
    credentials = folder / "auth.json"
    credentials.write_text(json.dumps(auth or {}), encoding="utf-8")
    printed = run_client(
        CLIENT,
        channel,
        SPEC,
        str(folder / "prefix"),
        str(folder / "cache"),
        home=folder,
        env={"RATTLER_AUTH_FILE": str(credentials)},
        ok=ok,
    )
    assert (folder / "prefix" / INSTALLED).is_file() is ok
    return printed


def test_a_client_installs_from_a_public_channel(
    published: Deployment, built: dict[str, Path], tmp_path: Path
) -> None:
    printed = install(f"{published.url}/conda/neutrons", tmp_path)

    assert printed.strip() == f"noarch/{built['conda'].name}"
    assert (tmp_path / "prefix" / INSTALLED).read_text() == "counted\n"


@pytest.mark.parametrize(
    "form", ["/conda/t/{token}/neutrons/vault", "/t/{token}/conda/neutrons/vault"]
)
def test_a_client_installs_from_a_private_channel_with_the_token_in_the_url(
    form: str, published: Deployment, tmp_path: Path
) -> None:
    token = published.token("conda:download")

    install(published.url + form.format(token=token), tmp_path)


@pytest.mark.parametrize("how", ["BearerToken", "BasicHTTP", "CondaToken"])
def test_a_client_installs_from_a_private_channel_with_stored_credentials(
    how: str, published: Deployment, tmp_path: Path
) -> None:
    token = published.token("conda:download")
    stored: object = {"username": "ada", "password": token} if how == "BasicHTTP" else token

    install(f"{published.url}/conda/neutrons/vault", tmp_path, auth={"127.0.0.1": {how: stored}})


def test_a_client_without_a_credential_is_refused(published: Deployment, tmp_path: Path) -> None:
    said = install(f"{published.url}/conda/neutrons/vault", tmp_path, ok=False)

    # py-rattler's words for a channel whose noarch is answered with 404.
    assert "could not find subdir 'noarch'" in said


def test_a_client_with_a_token_that_may_not_download_is_refused(
    published: Deployment, tmp_path: Path
) -> None:
    token = published.token("api:modify-group")

    install(
        f"{published.url}/conda/neutrons/vault",
        tmp_path,
        auth={"127.0.0.1": {"BearerToken": token}},
        ok=False,
    )


def test_the_walk_from_a_click_to_an_installed_package(
    deployment: Deployment, clicked_token: str, built: dict[str, Path], tmp_path: Path
) -> None:
    file = built["conda"]

    status, body = deployment.curl(
        "-H", f"Authorization: Bearer {clicked_token}", "--upload-file", str(file),
        f"{deployment.url}/conda/neutrons/nightly/noarch/{file.name}",
    )  # fmt: skip

    assert status == 201, body
    deployment.wait_until_listed("/conda/neutrons/nightly/noarch", file.name)
    install(f"{deployment.url}/conda/neutrons/nightly", tmp_path)
    assert clicked_token not in deployment.server.log()


def test_the_commands_of_the_forgejo_document_work(
    published: Deployment, built: dict[str, Path], tmp_path: Path
) -> None:
    file = built["tar-bz2"]
    registry = f"{published.url}/api/packages/neutrons/conda"

    status, body = published.curl(
        "--user", f"ada:{published.token('all')}", "--upload-file", str(file),
        f"{registry}/stable/{file.name}",
    )  # fmt: skip
    assert (status, body) == (201, "")
    again, _ = published.curl(
        "--user", f"ada:{PASSWORD}", "--upload-file", str(file), f"{registry}/stable/{file.name}"
    )
    assert again == 409

    # What channel_alias and a channel name come to on the client's side.
    published.wait_until_listed("/api/packages/neutrons/conda/stable/noarch", file.name)
    install(f"{registry}/stable", tmp_path)


def test_what_a_client_of_quetz_uploads_is_installed_without_a_pause_in_between(
    published: Deployment, built: dict[str, Path], tmp_path: Path
) -> None:
    token = published.token("api:read", "api:write")

    for channel in ("neutrons/fast", "neutrons%2Fslow"):
        arguments = (str(built["conda"]), f"{published.url}/quetz", channel)
        run_client("quetz_upload.py", *arguments, token, home=tmp_path)

        folder = tmp_path / channel.replace("/", "-")
        folder.mkdir()
        install(f"{published.url}/conda/{channel.replace('%2F', '/')}", folder)

    assert token not in published.server.log()


def test_both_formats_of_a_build_stand_side_by_side(
    published: Deployment, built: dict[str, Path]
) -> None:
    upload = published.token("api:read", "api:write")
    file = built["tar-bz2"]

    status, body = published.curl(
        "-H", f"Authorization: Bearer {upload}", "--upload-file", str(file),
        f"{published.url}/conda/neutrons/twins/noarch/{file.name}",
    )  # fmt: skip
    assert status == 201, body
    published.wait_until_listed("/conda/neutrons/twins/noarch", file.name)


def test_rattler_build_uploads_to_the_prefix_way_unchanged(
    published: Deployment, built: dict[str, Path], tmp_path: Path
) -> None:
    upload = published.token("api:read", "api:write")
    file = built["conda"]

    run_client(
        "prefix_upload.py", str(file), published.url, "neutrons/from-prefix", upload, home=tmp_path
    )

    published.wait_until_listed("/conda/neutrons/from-prefix/noarch", file.name)
    again = run_client(
        "prefix_upload.py", str(file), published.url, "neutrons/from-prefix", upload,
        home=tmp_path, ok=False,
    )  # fmt: skip
    assert "409" in again or "exists" in again.lower()


def test_no_log_of_the_server_holds_a_token(published: Deployment) -> None:
    log = published.server.log()

    for scopes in (("conda:download",), ("api:read", "api:write")):
        token = published.token(*scopes)
        assert token not in log
        assert token[4:20] not in log
