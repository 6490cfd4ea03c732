"""A client that reads repodata v3 installs what only such clients can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import BuiltPackage, build_conda
from tests.clients.conftest import Deployment, run_client

PACKAGES = [
    build_conda("neutron-plots", "2.0", files={"share/plots.txt": "drawn\n"}),
    build_conda("neutron-base", "1.4", files={"share/base.txt": "there\n"}),
    build_conda("neutron-wine", "1.0", files={"share/wine.txt": "never\n"}),
    # As build tools write it; the record has these specs in another form.
    build_conda(
        "neutron-nova",
        "1.0",
        files={"share/nova.txt": "bright\n"},
        depends=["neutron-base >=1.2,<2", 'neutron-wine[when="__win"]'],
        index={"schema_version": 3, "extra_depends": {"plots": ["neutron-plots=2"]}},
    ),
]
NOVA = PACKAGES[-1]


def upload(deployment: Deployment, channel: str, built: BuiltPackage, folder: Path) -> int:
    file = folder / built.filename
    file.write_bytes(built.data)
    status, _ = deployment.curl(
        "-H", f"Authorization: Bearer {deployment.token('all')}", "--upload-file", str(file),
        f"{deployment.url}/conda/neutrons/{channel}/noarch/{file.name}",
    )  # fmt: skip
    return status


@pytest.fixture(scope="module")
def published(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The deployment with the packages in the channel ``nova``, which takes all of them."""
    header = ["-H", f"Authorization: Bearer {deployment.token('all')}"]
    channels = f"{deployment.url}/api/v1/accounts/neutrons/channels"
    for method, url, body in (
        ("POST", channels, '{"name": "nova"}'),
        ("PATCH", f"{channels}/nova", '{"allows_v3": true}'),
    ):
        status, said = deployment.curl(
            "-X", method, *header, "-H", "Content-Type: application/json", "-d", body, url
        )
        assert status in {200, 201}, said
    folder = tmp_path_factory.mktemp("packages")
    for built in PACKAGES:
        assert upload(deployment, "nova", built, folder) == 201
        name = built.filename.removesuffix(".conda") if built is NOVA else built.filename
        deployment.wait_until_listed("/conda/neutrons/nova/noarch", name)
    return deployment


@pytest.mark.parametrize("env", [{}, {"WITHOUT_SHARDS": "1"}], ids=["shards", "repodata"])
@pytest.mark.parametrize(
    ("spec", "installed"),
    [
        ("neutron-nova", {"nova", "base"}),
        ("neutron-nova[extras=[plots]]", {"nova", "base", "plots"}),
    ],
)
def test_a_newer_client_solves_and_installs_it(
    spec: str, installed: set[str], env: dict[str, str], published: Deployment, tmp_path: Path
) -> None:
    run_client(
        "rattler_install.py",
        f"{published.url}/conda/neutrons/label/nova",
        spec,
        str(tmp_path / "prefix"),
        str(tmp_path / "cache"),
        home=tmp_path,
        env=env,
    )

    assert {file.stem for file in (tmp_path / "prefix" / "share").iterdir()} == installed


def test_a_channel_that_takes_none_stays_without(published: Deployment, tmp_path: Path) -> None:
    assert upload(published, "plain", PACKAGES[0], tmp_path) == 201
    assert upload(published, "plain", NOVA, tmp_path) == 403
    published.wait_until_listed("/conda/neutrons/plain/noarch", PACKAGES[0].filename)

    run_client(
        "rattler_install.py",
        f"{published.url}/conda/neutrons/plain",
        "neutron-nova",
        str(tmp_path / "prefix"),
        str(tmp_path / "cache"),
        home=tmp_path,
        ok=False,
    )
