"""Check 55: some hundred ways of making a page run something, in every field that people fill."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import BrowserContext, Dialog, Page, Request

from accounts import audit
from accounts.models import Account, Event, Organization
from registry import indexing
from registry.models import Channel, Package, PackageFile
from registry.notices import add_notice
from tests.browser.crawling import inline_parts
from tests.cast import Person
from tests.factories import make_organization, make_token, make_user
from tests.registry.api.world import publish
from tests.registry.views.test_lists import make_files

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

_WAYS = [
    "<script>alert(1)</script>",
    "<script src=//elsewhere.example.org/x.js></script>",
    "<img src=x onerror=alert(1)>",
    "<img src=//elsewhere.example.org/x.png>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#10;script:alert(1))",
    "![x](//elsewhere.example.org/x.png)",
    "![x](https://elsewhere.example.org/x.png)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "[x](data:text/html,<script>1)",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=//elsewhere.example.org/x.mp3 onerror=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)>",
    "<textarea autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<meta http-equiv=refresh content='0;url=//elsewhere.example.org'>",
    "<base href=//elsewhere.example.org/>",
    "<link rel=stylesheet href=//elsewhere.example.org/x.css>",
    "<style>@import '//elsewhere.example.org/x.css';</style>",
    "<form action=//elsewhere.example.org>",
    "<p style='background:url(//elsewhere.example.org/x.png)'>x</p>",
    "<isindex onfocus=alert(1)>",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<template><script>alert(1)</script>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "{{ request.user }}{% debug %}",
    "${alert(1)}",
    "<x onmouseover=alert(1) style=position:fixed;inset:0>",
    "\u202e<script>alert(1)",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "<<script>alert(1)//<</script>",
]
# What could close that in which the words stand.
_ENDS = ("", '">', "'>", "--></script>", "</title></textarea>", "`</code></pre>", "]]>")
PAYLOADS = [end + way for end in _ENDS for way in _WAYS]


def _some(length: int, *, start: int = 0) -> str:
    """As many of them as there is room for."""
    return " ".join(PAYLOADS[start:]).replace("\n", " ")[:length]


@pytest.fixture
def hostile(transactional_db: None) -> Person:
    """olga, whose acme says all of it wherever it has words."""
    olga = Person(make_user("olga"))
    acme = make_organization("acme", owner=olga.user)
    about = {
        key: _some(400)
        for key in ("summary", "license", "home", "dev_url", "doc_url", "doc_source_url")
    }
    extra = {"remote_url": PAYLOADS[12], "sha": PAYLOADS[0], "flow_run_id": PAYLOADS[2]}
    files = {
        "share/all.txt": "\n".join(PAYLOADS),
        "info/recipe/meta.yaml": "\n".join(PAYLOADS),
        "info/licenses/COPYING": "\n".join(PAYLOADS),
        **{f"share/{way.replace('/', '|')}": "x" for way in _WAYS[:20] if "\n" not in way},
    }
    publish(
        olga,
        "acme",
        "main",
        "hostile",
        about={**about, "description": "\n\n".join(PAYLOADS), "extra": extra},
        files=files,
        depends=["needed"],
    )
    file = PackageFile.objects.get()
    PackageFile.objects.update(index=file.index | {"depends": PAYLOADS, "constrains": PAYLOADS})
    Package.objects.bulk_create(
        Package(
            account=acme.account, name=f"p-{number:03}", summary=way, license=way[:255],
            description=way, home_url="https://example.org/?" + way, updated_at=timezone.now(),
        )
        for number, way in enumerate(PAYLOADS)
    )  # fmt: skip
    _say_it_about_people(olga, acme)
    main = Channel.objects.get(name="main")
    for package in Package.objects.filter(name__startswith="p-")[:60]:
        make_files(acme.account, package, ["1.0"], main)
    indexing.run_overdue()
    return olga


def _say_it_about_people(olga: Person, acme: Organization) -> None:
    Account.objects.update(display_name=_some(128), description="\n".join(PAYLOADS)[:2000])
    main = Channel.objects.select_related("account").get(name="main")
    soon = timezone.now() + timedelta(days=2)
    for start in range(0, len(PAYLOADS), 70):
        add_notice(
            by=olga.identity, channel=main, expires_at=soon,
            message=_some(900, start=start).replace("\u202e", ""),
        )  # fmt: skip
    Channel.objects.update(
        description=_some(1000, start=50), is_locked=True, lock_note=_some(200, start=9)
    )
    for way in PAYLOADS:
        make_token(acme.account, name=way[:100], created_by=olga.user, packages=[way])
        audit.record(
            by=olga.identity, account=acme.account, action="file.publish", target=way[:400],
            detail={way[:40]: way, "channels": [way]},
        )  # fmt: skip
    Event.objects.update(user_agent=_some(200), token_name=_some(100), actor_name=_some(64))
    UserSession.objects.get_or_create(
        user=olga.user, session_key=olga.client.session.session_key,
        defaults={"ip": "192.0.2.1", "user_agent": _some(200)},
    )  # fmt: skip


_FILE = "/acme/hostile/files/noarch/hostile-1.0-0.conda"
_PAGES = [
    "/",
    "/search?q=p",
    "/acme",
    "/acme/hostile",
    "/acme/hostile/versions",
    "/acme/hostile/1.0",
    "/acme/hostile/files",
    _FILE,
    f"{_FILE}/contents",
    f"{_FILE}/contents?path=share/all.txt",
    f"{_FILE}/metadata",
    f"{_FILE}/metadata?path=info/about.json",
    f"{_FILE}/metadata?path=info/recipe/meta.yaml",
    "/acme/hostile/dependencies",
    "/acme/channels",
    "/acme/channels/main",
    "/acme/activity",
    "/acme/settings/access",
    "/acme/settings/log",
    "/acme/settings/channels/general/main",
    "/acme/settings/profile",
    "/dashboard",
    "/acme/settings/access/new",
    "/olga/settings/security",
    "/acme/hostile/settings/description",
    "/acme/hostile/settings/collaborators",
    "/acme/hostile/settings/tokens",
    "/acme/hostile/badges",
]


def test_hundreds_of_payloads_in_every_field_run_nothing(
    hostile: Person, page: Page, context: BrowserContext
) -> None:
    assert len(PAYLOADS) >= 300
    ran: list[str] = []

    def note_dialog(dialog: Dialog) -> None:
        ran.append(f"a dialog on {page.url}")
        dialog.dismiss()

    def note_request(request: Request) -> None:
        if _is_far(request.url):
            ran.append(request.url)

    page.on("dialog", note_dialog)
    page.on("request", note_request)
    page.goto("/docs")
    host = page.url
    key: Any = hostile.client.session.session_key
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": host}])

    saying: list[str] = []
    for path in _PAGES:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        assert inline_parts(answer.text()) == [], path
        if "alert(1)" in page.inner_text("main"):
            saying.append(path)
        for _ in range(6):
            after = page.evaluate("document.querySelector('a[rel=next]')?.href")
            if after is None:
                break
            page.goto(after)
    # What visitors type comes back to them in fields, titles and links.
    for number in range(0, len(PAYLOADS), 12):
        page.goto("/docs")
        page.locator("#site-search").fill(_some(200, start=number))
        page.locator("#site-search").press("Enter")
        page.wait_for_url("**/search?**")
    assert ran == []
    # Words that nobody is shown would show nothing.
    assert len(saying) >= 12, saying


def _is_far(url: str) -> bool:
    return not url.startswith(("http://localhost:", "http://127.0.0.1:", "data:"))
