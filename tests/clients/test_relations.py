"""A client that knows relations of channels looks into those that a channel names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import build_conda
from tests.clients.conftest import Deployment, run_client

STABLE = build_conda("neutron-core", "1.0", files={"share/core.txt": "1.0\n"})
SIDE = build_conda("neutron-side", "1.0", files={"share/side.txt": "1.0\n"})
NEXT = build_conda(
    "neutron-next",
    "1.1",
    files={"share/next.txt": "1.1\n"},
    depends=["neutron-core", "neutron-side"],
)


@pytest.fixture(scope="module")
def published(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """``rc`` holds one package; those that it needs stand in main and in ``side``."""
    header = ["-H", f"Authorization: Bearer {deployment.token('all')}"]
    folder = tmp_path_factory.mktemp("packages")
    for channel, built in (("main", STABLE), ("side", SIDE), ("rc", NEXT)):
        file = folder / built.filename
        file.write_bytes(built.data)
        place = f"/conda/neutrons/{channel}/noarch"
        status, said = deployment.curl(
            *header, "--upload-file", str(file), f"{deployment.url}{place}/{file.name}"
        )
        assert status == 201, said
        deployment.wait_until_listed(place, file.name)
    status, said = deployment.curl(
        "-X", "PATCH", *header, "-H", "Content-Type: application/json",
        "-d", '{"overrides_relation": "../main", "base_relation": "../side"}',
        f"{deployment.url}/api/v1/accounts/neutrons/channels/rc",
    )  # fmt: skip
    assert status == 200, said
    deployment.wait_until_listed("/conda/neutrons/rc/noarch", "channel_relations")
    return deployment


@pytest.mark.parametrize("env", [{}, {"WITHOUT_SHARDS": "1"}], ids=["shards", "repodata"])
@pytest.mark.parametrize("address", ["/conda/neutrons/label/rc", "/conda/neutrons/rc"])
def test_what_a_channel_lacks_comes_from_those_it_names(
    address: str, env: dict[str, str], published: Deployment, tmp_path: Path
) -> None:
    printed = run_client(
        "rattler_install.py",
        f"{published.url}{address}",
        "neutron-next",
        str(tmp_path / "prefix"),
        str(tmp_path / "cache"),
        home=tmp_path,
        env=env,
    )

    assert {line.partition("/")[2] for line in printed.split()} == {
        package.filename for package in (STABLE, SIDE, NEXT)
    }
