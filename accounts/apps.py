from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # It listens to what allauth's models tell, which are there only now.
        from accounts import security_log  # noqa: PLC0415

        security_log.listen()
        _read_factors_by_ours()


def _read_factors_by_ours() -> None:
    """Have allauth read by us; it has no setting for that, and asks ``wrap`` in a dozen places."""
    from allauth.mfa.models import Authenticator  # noqa: PLC0415 - the models are there only now

    def wrap(row: Authenticator) -> object:
        # Not before: what reads passkeys is a tenth of the memory of each process, of the worker
        # and of commands, too.
        from accounts import readable_factors  # noqa: PLC0415 - as said

        return readable_factors.wrap(row)

    Authenticator.wrap = wrap
