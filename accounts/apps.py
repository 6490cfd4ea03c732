from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # It listens to what allauth's models tell, which are there only now.
        from accounts import security_log  # noqa: PLC0415

        security_log.listen()
