from django.contrib.admin.apps import AdminConfig


class Config(AdminConfig):
    """Django's admin with our own site; its module needs models, which are there later."""

    default_site = "accounts.django_admin.Site"
