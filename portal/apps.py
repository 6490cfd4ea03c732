from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        # Without our app at hand, tasks would ring at Celery's default broker.
        from portal import celery, checks  # noqa: F401, PLC0415 - for their effect
