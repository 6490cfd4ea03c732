"""What the registry answers; each dialect brings its own part of the map."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

app_name = "registry"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("registry.api.urls")),
    path("", include("registry.channel_urls.urls")),
    path("", include("registry.dialects.forgejo.urls")),
    path("", include("registry.dialects.prefix.urls")),
    path("", include("registry.dialects.quetz.urls")),
    path("", include("registry.dialects.anaconda.urls")),
    # Last: whatever else stands in the map is not the name of an account.
    path("", include("registry.views.urls")),
]
