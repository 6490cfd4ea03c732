"""The URL map. Order matters: what is the site's own comes before the names of accounts."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from portal import health, openapi, views

handler404 = "portal.views.page_not_found"
handler500 = "portal.views.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("-/django-admin/", admin.site.urls),
    path("-/theme", views.theme, name="theme"),
    path("-/language", views.language, name="language"),
    path("api/v1/openapi.json", openapi.Document.as_view(), name="openapi"),
    path("api/v1/docs", openapi.Browsable.as_view(), name="openapi-docs"),
    path("api/v1/", include("accounts.api.urls")),
    path("", include("accounts.urls")),
    path("account/", include("allauth.urls")),
    path("", include("registry.urls")),
]

if settings.DEBUG:
    urlpatterns.append(path("-/components", views.components))
