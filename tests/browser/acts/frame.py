"""An act as a person does it: which page it stands on, who may, and how it is done by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core import mail
from django.test import Client
from django.urls import Resolver404, resolve, reverse
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.accounts.views.pages import words
from tests.browser.acts.realm import Realm
from tests.browser.acts.rights import Names
from tests.browser.routes import parts_of, route, takes_posts
from tests.builders import build_conda
from tests.cast import Person
from tests.conda_client import ChannelAddress
from tests.registry.api.world import Caller

Value = str | bool | FilePayload
Offer = tuple[str, str]
"""The name of a URL that a page leads or posts to, and the account that it belongs to."""

# What a page leads and posts to, as paths.
_OFFERED = """() => [
  [...[...document.querySelectorAll("main a[href]")].map((one) => one.getAttribute("href")),
   ...[...document.querySelectorAll("main form:not([method=post])")].map((one) => one.action),
  ].map((url) => new URL(url, location.href).pathname),
  [...[...document.querySelectorAll("main form[method=post]")].map((one) => one.action),
   ...[...document.querySelectorAll("main [formaction]")].map((one) => one.formAction),
  ].map((url) => new URL(url).pathname),
]"""


@dataclass
class Doing:
    """Somebody at a page: what their hands do, and what others see of it."""

    realm: Realm
    person: Person
    page: Page
    act: Act
    look: Callable[[Page], None]

    @property
    def me(self) -> str:
        return self.person.name

    @property
    def name(self) -> str:
        """A name that nothing else of this act's has yet."""
        return self.act.name.replace("_", "-")[:60]

    def start(self, **parts: object) -> None:
        """Open the page that the control stands on."""
        known = self.act.parts(self.realm, me=self.me)
        self.open(self.act.at.format(**known | parts))

    def open(self, path: str) -> None:
        answer = self.page.goto(path, wait_until="domcontentloaded")
        assert answer is not None
        assert answer.status == 200, f"{path} is answered {answer.status}"
        self.look(self.page)

    def press(self, *args: object, view: str = "", **values: Value) -> None:
        """Fill in and send the form that does the act, on this page or where its link leads."""
        url = reverse(view or self.act.view, args=args)
        form = self.page.locator(f'form[method=post]:is([action="{url}"], [action^="{url}?"])')
        if not form.count():
            self.follow(f':is([href="{url}"], [href^="{url}?"])')
        self.fill(form, **values)
        self.send(form)

    def follow(self, what: str) -> None:
        """Click a link of the page's main part."""
        self.settled(self.page.locator(f"main a{what}").locator("visible=true").first)

    def fill(self, form: Locator, **values: Value) -> None:
        for name, value in values.items():
            _fill(form.locator(f'[name="{name.rstrip("_")}"]:not([type=hidden])'), value)

    def send(self, form: Locator) -> None:
        self.settled(
            form.locator("button[type=submit]:not([formaction])").locator("visible=true").first
        )

    def settled(self, control: Locator) -> None:
        """Click what leads to another page, and wait until that one can be read."""
        with self.page.expect_navigation(wait_until="domcontentloaded"):
            control.click()

    def download(self, what: str) -> str:
        """What is in the file that a link of the page gives."""
        with self.page.expect_download() as coming:
            self.page.locator(f"main a{what}").locator("visible=true").first.click()
        return coming.value.path().read_text(encoding="utf-8")

    def mail_to(self, address: str) -> str:
        """What was last sent there, or nothing."""
        sent = [message for message in mail.outbox if address in message.to]
        return str(sent[-1].body) if sent else ""

    def count_of_mail(self) -> int:
        return len(mail.outbox)

    def publish(self, name: str, version: str, *, channel: str = "main") -> int:
        """What olga's CI is answered when it uploads."""
        built = build_conda(name, version)
        answer = self.realm.olga.upload(built, to=ChannelAddress("acme", channel))
        return int(answer.status_code)

    def led(self, path: str) -> str:
        """Where a browser that nobody is signed in with is led to from there."""
        return str(Client(HTTP_ACCEPT="text/html").get(path).headers.get("Location", ""))

    def words(self, path: str, *, by: Person | None = None) -> str:
        """What that page says to olga, or to somebody else."""
        answer = (by or self.realm.olga).client.get(path)
        assert answer.status_code == 200, f"{path} is answered {answer.status_code}"
        return words(answer)

    def text(self, path: str) -> str:
        """What clients that nobody is signed in with get there."""
        answer = Client().get(path)
        assert answer.status_code == 200, f"{path} is answered {answer.status_code}"
        return b"".join(answer).decode()

    def address(self, channel: str) -> ChannelAddress:
        return ChannelAddress("acme", channel)

    def told(self, words: str) -> None:
        expect(self.page.get_by_text(words).first).to_be_visible()

    def api(self, path: str, *, by: Person | None = None) -> Any:
        """What the REST API says of it to olga, or to somebody else."""
        browser = (by or self.realm.olga).client
        answer = Caller(browser, {"Accept": "application/json"}).get(path)
        assert answer.status_code == 200, f"{path} is answered {answer.status_code}"
        return answer.json()

    def status(self, path: str, *, by: Person | None = None) -> int:
        """What their browser is answered there."""
        return int((by or self.realm.olga).client.get(path).status_code)


def _fill(control: Locator, value: Value) -> None:
    first = control.first
    kind = first.evaluate("(one) => one.type")
    if isinstance(value, bool):
        first.set_checked(value)
    elif isinstance(value, dict):
        first.set_input_files(value)
    elif kind == "select-one":
        first.select_option(value)
    elif kind in {"radio", "checkbox"}:
        control.and_(control.page.locator(f'[value="{value}"]')).check()
    else:
        first.fill(value)


@dataclass(frozen=True, eq=False)
class Act:
    """``view`` is the name of the URL that it posts to, ``at`` the page that its control stands
    on: a pattern, to be filled in from what the realm has of each."""

    view: str
    at: str
    may: Names
    elsewhere: Names
    """Who has a control for it on another page, and none on this one."""
    do: Callable[[Doing], None]
    given: Mapping[str, object]
    """Parts of its URL, where not what the realm has of each is meant."""
    sent: Mapping[str, str]
    """What somebody would post who has no form for it."""
    is_own: bool
    """Whether each does it to what is their own; what the realm has of it is gus's."""
    is_last: bool
    """Whether it takes from who does it what other acts of theirs need."""
    is_shown: bool
    """Whether who may not do it may read the page of its form, which then has none."""

    asked: str
    """The query of what they would post to."""
    refused_with: int
    """What is answered to whoever posts it in vain, if not that there is nothing of the kind."""

    @property
    def name(self) -> str:
        return self.do.__name__

    @property
    def is_a_look(self) -> bool:
        """Whether it only shows something, and posts nothing."""
        return not takes_posts(route(self.view))

    def parts(self, realm: Realm, **more: object) -> dict[str, object]:
        known = realm.parts | more
        given = {
            name: value.format(**known) if isinstance(value, str) else value
            for name, value in self.given.items()
        }
        return known | given

    def page_for(self, realm: Realm) -> str:
        return self.at.format(**self.parts(realm))

    def url(self, realm: Realm) -> str:
        parts = self.parts(realm)
        return reverse(self.view, kwargs={name: parts[name] for name in parts_of(self.view)})

    def try_by(self, client: Client, realm: Realm) -> int:
        """What somebody is answered who posts it without having been offered it."""
        url = f"{self.url(realm)}?{self.asked}".rstrip("?")
        sent = {name: text.format(**self.parts(realm)) for name, text in self.sent.items()}
        answer = client.get(url) if self.is_a_look else client.post(url, sent)
        if "/account/login/" in answer.headers.get("Location", ""):
            return 401
        return answer.status_code


ACTS: list[Act] = []


def act(
    view: str,
    *,
    at: str,
    may: Names,
    elsewhere: Names = frozenset(),
    sent: Mapping[str, str] | None = None,
    own: bool = False,
    last: bool = False,
    shown: bool = False,
    asked: str = "",
    refused_with: int = 403,
    **given: object,
) -> Callable[[Callable[[Doing], None]], Callable[[Doing], None]]:
    """Enter an act: the function does it from the page ``at`` on, and asserts what came of it."""

    def enter(do: Callable[[Doing], None]) -> Callable[[Doing], None]:
        made = Act(
            view=view,
            at=at,
            may=may,
            elsewhere=elsewhere,
            do=do,
            given=given,
            sent=sent or {},
            is_own=own,
            is_last=last,
            is_shown=shown,
            asked=asked,
            refused_with=refused_with,
        )
        ACTS.append(made)
        return do

    return enter


def offers(page: Page) -> tuple[set[str], set[str]]:
    """The paths that the page's main part leads to, and those that it posts to."""
    links, posts = page.evaluate(_OFFERED)
    return set(links), set(posts)


@cache
def name_of(path: str) -> Offer | None:
    """What a path is; many pages lead to the same."""
    try:
        found = resolve(path)
    except Resolver404:
        return None
    return found.view_name, str(found.kwargs.get("account", ""))
