from django.urls import re_path

from registry.dialects.quetz import views

# All of /quetz, so that no part of it is redirected or answered with a page.
urlpatterns = [
    re_path(r"^quetz(?P<rest>(?:/[\s\S]*)?)\Z", views.place, name="quetz-place"),
]
