from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # They stand between us and allauth's models, which are there only now.
        from accounts import readable_factors, security_log  # noqa: PLC0415

        readable_factors.install()
        security_log.listen()
