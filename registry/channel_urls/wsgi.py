import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

# Django has to be set up before what it is wrapped into can be imported.
django_application = get_wsgi_application()

from registry.channel_urls.recall import Recall  # noqa: E402 - see above

application = Recall(django_application)
