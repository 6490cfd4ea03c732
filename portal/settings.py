"""All settings; every variable of the environment is read here, and nowhere else.

Without any variable set this is the embedded host: SQLite and a folder, on loopback. Importing
it changes nothing on disk.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONCE, NONE, SELF

from portal import env

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where we are ------------------------------------------------------------------------------

PRODUCTION = env.choice("CONDARIUM_MODE", "embedded", ("embedded", "production")) == "production"
DEBUG = env.flag("CONDARIUM_DEBUG", default=False)
DATA_FOLDER = Path(env.text("CONDARIUM_DATA", str(BASE_DIR / "data"))).expanduser().absolute()
LISTEN_HOST = env.text("CONDARIUM_HOST", "127.0.0.1")
LISTEN_PORT = env.number("CONDARIUM_PORT", 8080)
BASE_URL = env.base_url(
    "CONDARIUM_URL",
    f"http://{'127.0.0.1' if LISTEN_HOST in {'0.0.0.0', '::'} else LISTEN_HOST}:{LISTEN_PORT}",  # noqa: S104 - compared, not bound
)
_BASE_HOST = urlsplit(BASE_URL).hostname or ""
SECURE = BASE_URL.startswith("https://")
_GIVEN_SECRET_KEY = env.secret("CONDARIUM_SECRET_KEY")
SECRET_KEY_GIVEN = bool(_GIVEN_SECRET_KEY)
SECRET_KEY = _GIVEN_SECRET_KEY or env.stored_secret_key(DATA_FOLDER)
ALLOWED_HOSTS = env.words("CONDARIUM_ALLOWED_HOSTS") or (
    [_BASE_HOST] if PRODUCTION else [_BASE_HOST, "127.0.0.1", "localhost", "[::1]", LISTEN_HOST]
)

# --- How it runs -------------------------------------------------------------------------------

# A second core is of use to those who upload at the same time; a third process would rather wait
# for the database, and each takes memory.
WEB_PROCESSES = env.number(
    "CONDARIUM_WEB_PROCESSES", min(2, len(os.sched_getaffinity(0))), at_least=1
)
WEB_THREADS = env.number("CONDARIUM_WEB_THREADS", 32, at_least=2)
# Slow uploads, and those that wait until they are visible, must not take the last thread from
# those who read.
UPLOAD_SLOTS = env.number("CONDARIUM_UPLOAD_SLOTS", max(1, WEB_THREADS * 5 // 8), at_least=1)
UPLOAD_WAITERS = env.number("CONDARIUM_UPLOAD_WAITERS", WEB_THREADS // 4)
MAX_UPLOAD_BYTES = env.number("CONDARIUM_MAX_UPLOAD_BYTES", 5 * 2**30, at_least=2**20)
TRUSTED_PROXIES = env.number("CONDARIUM_TRUSTED_PROXIES", 0)
# The front server answers with the bytes itself: the prefix of its internal location.
ACCEL_PREFIX = env.text("CONDARIUM_ACCEL_PREFIX")
LOG_LEVEL = env.choice("CONDARIUM_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
# For the tests of durability: the file that says where a process ends (`portal.failpoints`).
FAILPOINT = env.text("CONDARIUM_FAILPOINT")

# --- Rules of the house ------------------------------------------------------------------------

SIGNUP_OPEN = env.flag("CONDARIUM_SIGNUP", default=True)
TOKEN_DEFAULT_LIFETIME = timedelta(days=90)
TOKEN_MAX_LIFETIME = timedelta(days=env.number("CONDARIUM_TOKEN_MAX_DAYS", 366, at_least=1))
# How long before a token's end its users are told of it.
TOKEN_WARNING = timedelta(days=env.number("CONDARIUM_TOKEN_WARNING_DAYS", 14))
INVITATION_LIFETIME = timedelta(days=7)
# What an account may keep, if nobody decided otherwise for it; 0: without a limit.
QUOTA_BYTES = env.number("CONDARIUM_QUOTA_BYTES", 0)
QUOTA_FILES = env.number("CONDARIUM_QUOTA_FILES", 0)
# How long what was deleted can be restored; 0: not at all.
BIN_KEPT = timedelta(days=env.number("CONDARIUM_BIN_DAYS", 30))
RETENTION_EVERY = timedelta(days=1)
# How often each stored package is read again (0: never), and how much at most in ten minutes.
CHECK_EVERY = timedelta(days=env.number("CONDARIUM_CHECK_DAYS", 30))
CHECK_RUN_BYTES = env.number("CONDARIUM_CHECK_RUN_BYTES", 8 * 2**30, at_least=1)
# An upload in steps: how long it waits for its commit, and how long the form is good in between.
STAGE_LIFETIME = timedelta(hours=env.number("CONDARIUM_STAGE_HOURS", 24, at_least=1))
STAGE_FORM_SECONDS = 900
# One frame put together from chunks; else one of a single encoder, written anew each time.
SPLICED_INDEXES = env.flag("CONDARIUM_SPLICED_INDEXES", default=True)
INDEX_SWEEP_SECONDS = 5
INDEX_LEASE_SECONDS = 20
COUNTS_FLUSH_SECONDS = 5  # 0: counted, and only written when asked to
OLD_GENERATIONS_KEPT = timedelta(hours=1)
OLD_SHARDS_KEPT = timedelta(days=8)  # CEP 16 asks for a week
UNREFERENCED_BYTES_KEPT = timedelta(days=7)
SIGNED_URL_SECONDS = 120
JOB_LANES = 2
JOB_LEASE_SECONDS = 60
JOBS_KEPT = timedelta(days=30)

# What waits for somebody's answer, counted for the bell of each page (`accounts.standing`).
WAITING = "registry.attention.waiting"
# What says to the dashboard that it needs somebody, or is worth a look (`accounts.attention`).
ATTENTION_SOURCES = [
    "registry.attention.needs",
    "registry.quotas.needs",
    "accounts.security.needs",
]
# Where packages name people and groups (`accounts.standing`).
COLLABORATIONS = "registry.models.Collaborator"
# What the registry puts on pages about people, by the name of the part.
PAGE_PARTS = {
    "token-limits": "registry.views.parts.token_limits",
    "group-packages": "registry.views.groups.group_packages",
    "dashboard": "registry.views.parts.dashboard",
}

# --- Django ------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "accounts",
    "registry",
    "portal",
    "accounts.admin_config.Config",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
]

MIDDLEWARE = [
    "portal.middleware.RequestLog",
    "registry.faults.CountFaults",
    "portal.middleware.HeadersAlone",
    "portal.upload_check.UploadCheck",
    "registry.channel_urls.recall.Remembering",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "accounts.middleware.TokenInPath",
    "accounts.middleware.TokenWarning",
    "accounts.middleware.FormerNames",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SessionActivity",
    "accounts.middleware.Locality",
    "accounts.middleware.KeptNowhere",
    "accounts.middleware.ReadOnly",
    "registry.views.moved.MovedPackages",
    "portal.middleware.Refusals",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "registry.channel_urls.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_NAME = "language"
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.site",
                "accounts.attention.header",
                "accounts.switches.banners",
                "registry.views.undo.offered",
            ],
        },
    },
]

# --- Database, cache, jobs ---------------------------------------------------------------------

_DATABASE_URL = env.secret("CONDARIUM_DATABASE_URL")
if _DATABASE_URL:
    DATABASES: dict[str, dict[str, Any]] = {
        "default": {
            "ENGINE": "portal.postgresql",
            **env.postgres_options("CONDARIUM_DATABASE_URL", _DATABASE_URL),
            "CONN_MAX_AGE": 0,  # the pool keeps the connections
            "OPTIONS": {
                "pool": {
                    "min_size": 1,
                    "max_size": env.number("CONDARIUM_DATABASE_POOL", WEB_THREADS + 2, at_least=2),
                    "timeout": 10,
                },
                # What a page asks is over before PostgreSQL had compiled it, which takes seconds
                # where an estimate is high; and estimates of who may see what often are.
                "options": "-c lock_timeout=10s -c statement_timeout=600s -c jit=off",
            },
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "portal.sqlite",
            "NAME": DATA_FOLDER / "condarium.sqlite3",
            "CONN_MAX_AGE": None,  # opening it anew costs a third of a small answer
            "OPTIONS": {
                # A deferred transaction that read first can't wait for the write lock.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                # FULL: an answered upload survives the loss of power, not only of the process.
                "init_command": (
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;"
                ),
            },
        }
    }

REDIS_URL = env.secret("CONDARIUM_REDIS_URL")
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "portal.cache.PatientRedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
    if REDIS_URL
    # Attempts are counted here, so it must be one for all processes.
    else {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "portal_cache",
    }
}

# Without a broker, `condarium worker` polls the marks in the database.
CELERY_BROKER_URL = env.secret("CONDARIUM_BROKER_URL")
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# The message is only the doorbell: when the broker is away, an upload must not wait for it.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
    "max_retries": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = {
    "ring-for-overdue-marks": {
        "task": "registry.tasks.ring_for_overdue_marks",
        "schedule": INDEX_SWEEP_SECONDS,
    },
    "housekeeping": {"task": "registry.tasks.keep_house", "schedule": 600},
}

# --- Files -------------------------------------------------------------------------------------

S3_BUCKET = env.text("CONDARIUM_S3_BUCKET")
FILES_FOLDER = DATA_FOLDER / "files"
# Whether index files of public channels are laid out for a front server to send by itself.
INDEX_TREE = not S3_BUCKET and env.flag("CONDARIUM_INDEX_TREE", default=bool(ACCEL_PREFIX))
# With a folder as store, uploads are received in its own file system, so that a rename stores them.
INCOMING_FOLDER = (
    Path(env.text("CONDARIUM_INCOMING", str(Path(tempfile.gettempdir()) / "condarium-incoming")))
    if S3_BUCKET
    else FILES_FOLDER / "incoming"
)
# Whether buckets are named by the host (bucket.s3.example.org) rather than by the path.
S3_VIRTUAL_HOSTS = env.flag("CONDARIUM_S3_VIRTUAL_HOSTS", default=False)
S3_OPTIONS: dict[str, Any] = {}
if S3_BUCKET:
    from botocore.config import Config

    S3_OPTIONS = {
        "bucket_name": S3_BUCKET,
        "endpoint_url": env.text("CONDARIUM_S3_ENDPOINT") or None,
        "region_name": env.text("CONDARIUM_S3_REGION", "us-east-1"),
        "access_key": env.secret("CONDARIUM_S3_ACCESS_KEY") or None,
        "secret_key": env.secret("CONDARIUM_S3_SECRET_KEY") or None,
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if S3_VIRTUAL_HOSTS else "path"},
            # Other S3s refuse the checksums that newer clients add by themselves.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=WEB_THREADS + 8,
            retries={"max_attempts": 4, "mode": "standard"},
        ),
    }
# The address of the same bucket as clients see it, when it is another one.
S3_PUBLIC_ENDPOINT = env.text("CONDARIUM_S3_PUBLIC_ENDPOINT")

# What attestations are verified against, when it is not what came with the library.
SIGSTORE_TRUSTED_ROOT = env.existing_file("CONDARIUM_SIGSTORE_TRUSTED_ROOT")

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("CONDARIUM_STATIC", str(BASE_DIR / "build" / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
_HASHED_STATIC = not DEBUG and (STATIC_ROOT / "staticfiles.json").exists()
STORAGES: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": S3_OPTIONS}
        if S3_BUCKET
        else {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": FILES_FOLDER},
        }
    ),
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _HASHED_STATIC
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not _HASHED_STATIC
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["map", "txt", "png", "svgz", "woff2", "gz", "br"]

# --- Who ---------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backend.Backend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/dashboard"
LOGOUT_REDIRECT_URL = "/"

ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_PRESERVE_USERNAME_CASING = False
ACCOUNT_USERNAME_VALIDATORS = "accounts.names.username_validators"
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.security_forms.LoginForm",
    "signup": "accounts.security_forms.SignupForm",
    "add_email": "accounts.security_forms.AddEmailForm",
    "change_email": "accounts.security_forms.ChangeEmailForm",
    "confirm_email_verification_code": "accounts.security_forms.ConfirmEmailForm",
    "reauthenticate": "accounts.security_forms.ReauthenticateForm",
    "reset_password": "accounts.security_forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.security_forms.ResetPasswordKeyForm",
    "change_password": "accounts.security_forms.ChangePasswordForm",
    "set_password": "accounts.security_forms.SetPasswordForm",
}
MFA_FORMS = {
    "authenticate": "accounts.security_forms.SecondFactorForm",
    "reauthenticate": "accounts.security_forms.ReauthenticateByCodeForm",
    "activate_totp": "accounts.security_forms.ActivateAppForm",
    "add_webauthn": "accounts.security_forms.AddPasskeyForm",
    "edit_webauthn": "accounts.security_forms.EditPasskeyForm",
}
MFA_TOTP_TOLERANCE = 1  # a code before or after: clocks differ
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SECURE
MFA_TOTP_ISSUER = "Condarium"
USERSESSIONS_TRACK_ACTIVITY = True  # by accounts.middleware.SessionActivity
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES

# --- Mail --------------------------------------------------------------------------------------

EMAIL_HOST = env.text("CONDARIUM_EMAIL_HOST")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.filebased.EmailBackend"
    if env.text("CONDARIUM_EMAIL_FOLDER")
    else "django.core.mail.backends.console.EmailBackend"
)
EMAIL_FILE_PATH = env.text("CONDARIUM_EMAIL_FOLDER") or None
EMAIL_PORT = env.number("CONDARIUM_EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("CONDARIUM_EMAIL_USER")
EMAIL_HOST_PASSWORD = env.secret("CONDARIUM_EMAIL_PASSWORD")
EMAIL_USE_TLS = bool(EMAIL_HOST) and EMAIL_PORT == 587
EMAIL_USE_SSL = bool(EMAIL_HOST) and EMAIL_PORT == 465
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("CONDARIUM_EMAIL_FROM", f"Condarium <condarium@{_BASE_HOST}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Safety of pages ---------------------------------------------------------------------------

SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "condarium-session"
CSRF_COOKIE_SECURE = SECURE
CSRF_COOKIE_NAME = "__Host-csrf" if SECURE else "condarium-csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
CSRF_TRUSTED_ORIGINS = [BASE_URL]
SECURE_SSL_REDIRECT = SECURE and env.flag("CONDARIUM_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    "urls.W002",  # Forgejo's clients may double the first slash, so one pattern begins with it
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- REST API ----------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.CredentialAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "portal.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "portal.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Condarium",
    "DESCRIPTION": "Accounts, channels, packages, package files, tokens: what the pages can do.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SCHEMA_PATH_PREFIX_TRIM": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.openapi.add_upload",
        "portal.openapi.add_problems",
        "portal.openapi.refuse_unknown_fields",
    ],
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Words of JavaScript: ApiBrowser is of static/js/api-browser.js.
    "SWAGGER_UI_SETTINGS": '{plugins: [ApiBrowser], layout: "ApiBrowserLayout"}',
}

# --- Logs --------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {
            "()": "portal.logs.Formatter",
            "as_json": PRODUCTION,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "botocore": {"level": "WARNING"},
        "boto3": {"level": "WARNING"},
        "s3transfer": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
    },
}
