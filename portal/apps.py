from django.apps import AppConfig
from django.conf import settings


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        from portal import checks  # noqa: F401, PLC0415 - for its effect

        if settings.CELERY_BROKER_URL:
            # Without our app at hand, tasks would ring at Celery's default broker.
            from portal import celery  # noqa: F401, PLC0415 - for its effect
