from django.urls import re_path

from registry.dialects.prefix import views

urlpatterns = [
    re_path(r"^api/v1/upload/(?P<rest>[\s\S]+)\Z", views.upload, name="prefix-upload"),
]
