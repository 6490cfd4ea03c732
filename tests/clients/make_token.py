"""Make a token by clicking, in Chromium, as an admin does: prints what the page shows once.

``python make_token.py URL ACCOUNT NAME CHROMIUM``; the password comes on standard input.
"""

from __future__ import annotations

import sys

from playwright.sync_api import sync_playwright


def main(url: str, account: str, name: str, executable: str, password: str) -> str:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(base_url=url)
        page.set_default_timeout(45_000)
        page.goto(f"/account/login/?next=/{account}/settings/access")
        page.get_by_label("Login").or_(page.get_by_label("Username")).first.fill("ada")
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"**/{account}/settings/access")
        page.get_by_role("link", name="New token").click()
        page.get_by_role("link", name="Upload from CI").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Create token").click()
        secret: str = page.locator(".secret pre").inner_text().strip()
        browser.close()
        return secret


if __name__ == "__main__":
    url, account, name, executable = sys.argv[1:5]
    print(main(url, account, name, executable, sys.stdin.read()))  # noqa: T201 - read by the test
