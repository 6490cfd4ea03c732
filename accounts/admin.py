"""The site admin's view of accounts: to look, and to let site admins in and out. All else is an
act elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest

from accounts import audit
from accounts.authentication import identify_session
from accounts.models import Account, Event, Organization, Token, User

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin  # no generic at run time


class ReadMostly(_ModelAdmin):
    """Everything is read-only but the fields named in ``changeable``."""

    changeable: tuple[str, ...] = ()

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(self.changeable) and super().has_change_permission(request, obj)

    def get_readonly_fields(self, _request: HttpRequest, _obj: Model | None = None) -> list[str]:
        shown = self.fields or [field.name for field in self.opts.concrete_fields]
        return [str(name) for name in shown if name not in self.changeable]


def _record(request: HttpRequest, account: Account, form: ModelForm[Any]) -> None:
    changed = {name: str(form.cleaned_data[name]) for name in form.changed_data}
    if changed:
        audit.record(
            by=identify_session(request),
            account=account,
            action="account.administer",
            target=account.name,
            detail=changed,
        )


@admin.register(Account)
class AccountAdmin(ReadMostly):
    list_display = ("name", "kind", "display_name", "created_at", "suspended_at")
    list_filter = ("kind", ("suspended_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "display_name")


@admin.register(User)
class UserAdmin(ReadMostly):
    changeable = ("is_active", "is_staff", "is_superuser")
    fields = (
        "username", "email", "date_joined", "last_login", "is_active", "is_staff", "is_superuser",
    )  # fmt: skip
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser")
    search_fields = ("username", "email")

    def save_model(
        self, request: HttpRequest, obj: User, form: ModelForm[Any], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        _record(request, obj.account, form)


@admin.register(Organization)
class OrganizationAdmin(ReadMostly):
    list_display = ("account",)
    list_select_related = ("account",)
    search_fields = ("account__name",)


@admin.register(Token)
class TokenAdmin(ReadMostly):
    fields = (
        "account", "name", "hint", "scopes", "channels", "packages", "created_by", "created_at",
        "expires_at", "revoked_at", "last_used_at", "last_used_ip",
    )  # fmt: skip
    list_display = ("name", "account", "hint", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("account",)
    search_fields = ("name", "account__name")


@admin.register(Event)
class EventAdmin(ReadMostly):
    list_display = ("at", "account", "action", "target", "actor_name", "token_name", "ip_address")
    list_select_related = ("account",)
    search_fields = ("account__name", "action", "target", "actor_name")
    show_full_result_count = False
