import pytest
from tests.accounts.views.pages import words
PAGES = ["/", "/search", "/search?q=hello", "/search?q=acme/hello&platform=noarch", "/acme", "/acme?q=zz", "/acme/channels", "/acme/channels/main", "/acme/channels/dev", "/acme/hello", "/acme/hello/versions","/acme/hello/1.0", "/acme/hello/files", "/acme/hello/files?platform=noarch&channel=main&q=hel&version=1.0", "/acme/hello/files/noarch/hello-1.0-0.conda", "/acme/hello/channels", "/docs", "/docs/moving-from-forgejo", "/robots.txt", "/.well-known/security.txt"]
SIGNED = ["/acme/channels/secret", "/acme/hidden", "/acme/buried", "/acme/hello/settings/collaborators", "/acme/hello/settings/visibility", "/acme/settings/channels", "/acme/settings/channels/new", "/acme/settings/channels/general/dev","/acme/settings/channels/delete/dev","/upload","/acme/upload","/acme/upload?channel=dev","/acme/hello/files/noarch/hello-1.0-0.conda/delete", "/acme/hello/settings"]
def test_x(world, anonymous, owner, maintainer, reader, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    for p in PAGES + SIGNED:
        out=[]
        for c in (anonymous, reader.client, maintainer.client, owner.client):
            with CaptureQueriesContext(connection) as q:
                r = c.get(p)
            out.append((r.status_code, len(q)))
        print(p, out)
    print(words(anonymous.get("/acme/hello")))
    print(words(owner.client.get("/acme/hello/settings/collaborators")))
    print(words(owner.client.get("/acme/channels/main")))
    with CaptureQueriesContext(connection) as q:
        maintainer.client.get("/acme/hello")
    for x in q: print(x["sql"][:180])
