from django.urls import re_path

from registry.channel_urls import views

# All of /conda, so that no part of it is redirected or answered with a page.
urlpatterns = [
    re_path(r"^conda(?P<rest>(?:/[\s\S]*)?)\Z", views.place, name="channel-place"),
]
