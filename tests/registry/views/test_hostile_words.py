"""Whatever packages, channels and people call themselves, nothing of it runs in a page."""

from __future__ import annotations

import time

import pytest
from django.test import Client

from accounts.models import Account
from registry.models import Channel, Package, PackageFile
from registry.views.markdown import description_html, document
from tests.cast import Person
from tests.registry.api.world import World, publish
from tests.registry.views.browsers import HELLO, HELLO_FILE, active_parts

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    " java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](https://elsewhere.example.org/pixel.png)",
    "![x](javascript:alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '<https://example.org/"onmouseover="alert(1)>',
    '```"><script>alert(1)</script>\nx\n```',
    "<style>*{display:none}</style>",
    "<iframe src=//elsewhere.example.org></iframe>",
    "<base href=//elsewhere.example.org/>",
    "<form action=//elsewhere.example.org><button>x</button></form>",
    "{{ user.password }}{% load x %}",
    "</title></textarea></script><script>alert(1)</script>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
]  # fmt: skip


def _say_everywhere(account: Account, words: str) -> None:
    Package.objects.filter(account=account, name="hello").update(
        summary=words[:1000],
        description=f"# {words}\n\n{words}\n\n| {words} |\n|:-:|\n| {words} |",
        license=words[:255],
        home_url="https://example.org/?" + words.replace("\n", "")[:400],
    )
    Channel.objects.filter(account=account, name="main").update(
        description=words[:1000], is_locked=True, lock_note=words[:200]
    )
    Account.objects.filter(pk=account.pk).update(display_name=words[:128], description=words)
    file = PackageFile.objects.get(name="hello")
    PackageFile.objects.filter(pk=file.pk).update(
        index=file.index | {"depends": [words, 7, None], "license": words, "noarch": 1}
    )


def test_no_page_runs_what_packages_say(world: World, owner: Person, anonymous: Client) -> None:
    account = world.organization.account
    for payload in PAYLOADS:
        _say_everywhere(account, payload)
        for path in (HELLO, HELLO_FILE, f"{HELLO}/1.0"):
            answer = anonymous.get(path)
            assert answer.status_code == 200
            assert active_parts(answer) == [], (payload, path)
    for start in range(0, len(PAYLOADS), 5):
        _say_everywhere(account, " ".join(PAYLOADS[start : start + 5]))
        for path in ("/", "/search", "/acme", "/acme/channels", "/acme/channels/main"):
            assert active_parts(anonymous.get(path)) == [], (start, path)
        assert active_parts(owner.client.get("/acme/settings/channels/general/main")) == []


def test_no_page_runs_what_an_archive_says(world: World, owner: Person, anonymous: Client) -> None:
    for number, payload in enumerate(PAYLOADS):
        keys = ("summary", "description", "license", "home", "dev_url", "doc_url")
        about = dict.fromkeys(keys, payload)
        publish(owner, "acme", "main", "hello", f"2.{number}", about=about, depends=["a"])
        for path in (HELLO, "/acme"):
            assert active_parts(anonymous.get(path)) == [], (payload, path)


def test_no_page_runs_what_a_visitor_asks_for(world: World, anonymous: Client) -> None:
    for payload in PAYLOADS:
        query = {"q": payload, "account": payload, "version": payload, "after": payload}
        assert active_parts(anonymous.get("/search", query)) == [], payload
        assert active_parts(anonymous.get("/" + payload)) == [], payload
    for payload in PAYLOADS[:6]:
        for path in ("/acme", "/acme/channels/main", f"{HELLO}/files"):
            assert active_parts(anonymous.get(path, {"q": payload, "after": payload})) == []


def test_the_check_itself_finds_what_would_run() -> None:
    class Answer:
        content = (
            b"<script>x</script><a href=' javascript:1'>x</a><p style='color:red' onclick=x>"
            b"<img src=//elsewhere>"
        )

    assert len(active_parts(Answer())) == 5


# --- Markdown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("*a* `b`", "<p><em>a</em> <code>b</code></p>\n"),
        ("`/a_b//<c>`", "<p><code>/a_<wbr>b//<wbr>&lt;c&gt;</code></p>\n"),
        ("`/<a>/<b>`", "<p><code>/&lt;a&gt;/<wbr>&lt;b&gt;</code></p>\n"),
        (
            f"`/a?{'b' * 30}&<_c>`",
            f'<p><code class="long">/a<wbr>?{"b" * 30}<wbr>&amp;&lt;_c&gt;</code></p>\n',
        ),
        ("# Title", "<h3>Title</h3>\n"),
        (
            "[a](https://b.org)",
            '<p><a href="https://b.org" rel="nofollow noopener ugc">a</a></p>\n',
        ),
        ("[a](http://b.org)", '<p><a rel="nofollow noopener ugc">a</a></p>\n'),
        ("[a](/account/logout)", '<p><a rel="nofollow noopener ugc">a</a></p>\n'),
        (
            "[![badge](https://b.org/i.svg)](https://b.org)",
            '<p><a href="https://b.org" rel="nofollow noopener ugc">badge</a></p>\n',
        ),
        (
            "![a picture](https://b.org/i.png)",
            '<p><a href="https://b.org/i.png" rel="nofollow noopener ugc">a picture</a></p>\n',
        ),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
    ],
)
def test_a_description_becomes_plain_and_tame_html(source: str, html: str) -> None:
    assert description_html(source) == html


def test_columns_of_tables_are_aligned_by_class() -> None:
    html = description_html("|a|b|\n|-:|:-:|\n|1|2|")

    assert 'class="align-right"' in html
    assert 'class="align-center"' in html
    assert "style" not in html


@pytest.mark.parametrize("piece", ["[", "![[", "*a ", "_a__b", "`a``b", "<", "[a](", "> ", "- "])
def test_a_hostile_description_costs_no_more_than_a_long_one(piece: str) -> None:
    source = (piece * 40_000)[:65_536]
    started = time.process_time()

    description_html(source)

    assert time.process_time() - started < 5


def test_a_document_has_a_title_anchors_and_links_to_other_documents() -> None:
    page = document(
        "# Moving in\n\n## `file-exists`\n\n[t](tokens.md#scopes)\n\n## One\n\n## One\n"
    )

    assert page.title == "Moving in"
    assert [heading.slug for heading in page.headings] == ["file-exists", "one", "one-2"]
    assert '<h2 id="file-exists">' in page.html
    assert 'href="/docs/tokens#scopes"' in page.html
    assert "<h1" not in page.html
