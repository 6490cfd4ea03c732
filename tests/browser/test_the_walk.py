"""The whole walk, against a whole host: from who may publish to an installed file, and the end.

An admin looks at a package's collaborators and makes a token by clicking; a CI runs the commands
that the page shows, which are those of anaconda's own client; a user installs from the channel
that the package's page names; the token is revoked, and nothing more is published with it.

With CONDARIUM_PICTURES=<folder> each step leaves a picture; those of ``docs/pictures`` are theirs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from registry.management.demo_packages import DemoPackage
from tests.browser import pictures
from tests.browser.conftest import PATIENCE_MS, REPORT_VIOLATIONS, Faults
from tests.browser.going import arrived_at, follow, sign_in
from tests.browser.walk_world import ORGANIZATION, PACKAGE, PLATFORMS, diffraction
from tests.clients.conftest import run_client
from tests.servers import PROJECT, LiveServer, PreparedData, run_commands

pytestmark = [pytest.mark.browser, pytest.mark.long]

_CLIENTS = PROJECT / ".venv-clients" / "bin"
MAKE_WORLD = "from tests.browser.walk_world import make_world; make_world()"


@pytest.fixture
def host(tmp_path: Path, prepared_data: PreparedData) -> Iterator[LiveServer]:
    # In pictures the address is the one that the documents begin with.
    port = 8080 if pictures.WANTED else None
    server = LiveServer(tmp_path / "host", data=prepared_data, port=port)
    run_commands(["shell", "--no-imports", "-c", MAKE_WORLD], env=server.env)
    with server:
        yield server


@pytest.fixture
def admin(browser: Browser, host: LiveServer, faults: Faults) -> Iterator[Page]:
    context = browser.new_context(
        base_url=host.url, viewport={"width": 1280, "height": 860}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.add_init_script(REPORT_VIOLATIONS)
    faults.watch(page)
    yield page
    context.close()


def build(folder: Path, *packages: DemoPackage) -> None:
    """What a CI has built when it comes to publishing."""
    for package in packages:
        path = folder / "built" / package.subdir / package.filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(package.data())


def run_ci(folder: Path, commands: str, secret: str) -> tuple[int, str]:
    """Run a job with the secret that its settings keep, where anaconda's client is installed."""
    done = subprocess.run(
        ["sh", "-ec", commands],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": f"{_CLIENTS}:{os.environ['PATH']}",
            "NO_PROXY": "*",
            "COLUMNS": "200",
            "OTEL_SDK_DISABLED": "true",
            "ANACONDA_API_TOKEN": secret,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,  # else it would ask at the terminal of whoever runs the tests
    )
    return done.returncode, done.stdout + done.stderr


def test_from_the_collaborators_page_to_the_installed_package(
    browser: Browser, host: LiveServer, admin: Page, tmp_path: Path
) -> None:
    page, ci = admin, tmp_path / "ci"

    def picture(name: str) -> None:
        pictures.take_picture(browser, page, name)

    # Who may publish?
    sign_in(page, "rita")
    page.goto(f"/{ORGANIZATION}/{PACKAGE}/settings/collaborators")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="diffraction-admins"))
    expect(row.get_by_role("combobox")).to_have_value("admin")
    expect(row).to_contain_text("group, 1 person")
    picture("collaborators")

    # A token that may publish this package, and nothing else.
    page.get_by_role("navigation", name="Where you are").get_by_role(
        "link", name=ORGANIZATION
    ).click()
    page.get_by_role("main").get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Access tokens").click()
    arrived_at(page, "Access tokens")
    picture("tokens")
    page.get_by_role("link", name="New token").click()
    page.get_by_role("link", name="Upload from CI").click()
    page.wait_for_url("**?template=upload")
    page.get_by_label("Name", exact=True).fill("Releases")
    page.get_by_label("Until a date").check()
    expect(page.get_by_label("Last day")).to_be_visible()
    page.get_by_label("1 year").check()
    expect(page.get_by_label("Last day")).to_be_hidden()
    page.get_by_label("main", exact=True).check()
    page.get_by_label(PACKAGE, exact=True).check()
    expect(page.locator("#token-summary")).to_contain_text(
        f"{PACKAGE} in main of {ORGANIZATION} until"
    )
    page.get_by_role("button", name="Create token").scroll_into_view_if_needed()
    picture("token-new")
    page.get_by_role("button", name="Create token").click()
    arrived_at(page, "Token “Releases” made")
    secret = page.locator(".secret pre").inner_text().strip()
    page.get_by_label("Shell", exact=True).first.check()
    shown = page.locator(".install-panel:visible pre").first.inner_text()
    picture("token-made")
    page.get_by_role("link", name="I have copied it").click()
    arrived_at(page, "Access tokens")
    assert secret not in page.content()

    # The CI does what the page showed; it has the client already, and the secret in a variable.
    commands = "\n".join(line for line in shown.splitlines() if line.startswith("anaconda "))
    assert commands.count("\n") == 1, shown
    build(ci, *(diffraction("3.2.0", subdir=subdir, build="h77c2_0") for subdir in PLATFORMS))
    code, printed = run_ci(ci, commands, secret)
    assert (code, printed.count("Upload complete")) == (0, 3), printed

    # What was published, by whom and with which token?
    page.goto(f"/{ORGANIZATION}/{PACKAGE}")
    expect(page.locator(".page-head")).to_contain_text("3.2.0")
    picture("package")
    command = page.locator(".install-panel:visible pre").inner_text()
    page.get_by_role("navigation", name=PACKAGE).get_by_role("link", name="Files").click()
    arrived_at(page, PACKAGE)
    row = page.get_by_role("row").filter(has_text="diffraction-3.2.0-").first
    expect(row).to_contain_text("just now with the token “Releases”")
    picture("files")
    follow(row.get_by_role("link", name="diffraction-3.2.0-"))
    picture("file")
    page.get_by_role("link", name="Downloads", exact=True).click()
    expect(page.locator("figure.chart").first).to_be_visible()
    picture("downloads")

    # A user installs it from the channel that the page names.
    asked = re.fullmatch(r"conda install -c (\S+) (\S+)", command.strip())
    assert asked is not None, command
    prefix = tmp_path / "env"
    installed = run_client(
        "rattler_install.py", *asked.groups(), str(prefix), str(tmp_path / "cache"), home=tmp_path
    )
    assert "linux-64/diffraction-3.2.0-h77c2_0.conda" in installed
    readme = prefix / "share" / PACKAGE / "README.md"
    assert readme.read_text(encoding="utf-8").startswith("# diffraction 3.2.0\n")

    # The token ends, and with it what it could do.
    page.goto(f"/{ORGANIZATION}/settings/access")
    page.get_by_role("link", name="Revoke Releases").click()
    arrived_at(page, "Revoke “Releases”?")
    page.get_by_role("button", name="Revoke token").click()
    expect(page.get_by_text("The token Releases is revoked")).to_be_visible()
    picture("token-revoked")
    build(ci, diffraction("3.2.1", subdir="linux-64", build="h77c2_0"))
    code, printed = run_ci(ci, commands, secret)
    assert code != 0, printed
    assert "This token was revoked." in printed
    page.goto(f"/{ORGANIZATION}/{PACKAGE}/files")
    expect(page.get_by_text("diffraction-3.2.0-").first).to_be_visible()
    expect(page.get_by_text("diffraction-3.2.1-")).to_have_count(0)
