# Condarium with everything it runs on. Without arguments it is the embedded host: SQLite and a
# folder under /var/lib/condarium. compose.yaml starts it as web, worker and beat.

FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement requirements.lock
COPY pyproject.toml requirements.in README.md manage.py ./
COPY static static
COPY templates templates
COPY locale locale
COPY docs docs
COPY portal portal
COPY accounts accounts
COPY registry registry
# setuptools came with the lock, so nothing is fetched for this.
RUN /venv/bin/pip install --disable-pip-version-check \
    --no-index --no-deps --no-build-isolation --editable .
RUN DJANGO_SETTINGS_MODULE=portal.settings /venv/bin/python -c "import django; django.setup(); \
from portal.management.commands.serve import prepare_static_files; prepare_static_files()"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/condarium condarium
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CONDARIUM_DATA=/var/lib/condarium \
    CONDARIUM_HOST=0.0.0.0 \
    CONDARIUM_PORT=8080
USER condarium
EXPOSE 8080
CMD ["condarium", "serve"]
