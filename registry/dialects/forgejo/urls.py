"""Forgejo's routes, from the root of the site.

``/api/packages/<account>/conda/…`` also is where anaconda.org's API has the collaborators of a
package that is called conda: those paths are left to it. Slashes may be doubled and stand at the
end, as Forgejo has it.
"""

from __future__ import annotations

from django.urls import re_path

from registry.dialects.forgejo import rest, views

_PACKAGES = r"^/*api/+packages/+(?P<account>[^/]+)/+conda/+"
_COLLABORATORS = r"collaborators(?:/++[^/]*+)?/*+\Z"
_ARCHIVE = r".*[^/](?:\.conda|\.tar\.bz2)/*+\Z"
_REST = r"^api/v1/packages/(?P<account>[^/]+)"
_VERSION = r"/(?P<kind>[^/]+)/(?P<name>.+)/(?P<version>[^/]+)"

urlpatterns = [
    re_path(
        rf"{_PACKAGES}(?=(?!{_COLLABORATORS})|{_ARCHIVE})(?P<rest>[^/](?s:.*))\Z",
        views.registry,
        name="forgejo-registry",
    ),
    re_path(rf"{_REST}/?\Z", rest.packages, name="forgejo-packages"),
    re_path(rf"{_REST}{_VERSION}/files/?\Z", rest.files, name="forgejo-files"),
    re_path(rf"{_REST}{_VERSION}/?\Z", rest.package, name="forgejo-package"),
]
