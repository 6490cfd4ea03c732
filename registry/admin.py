"""The site admin's view of the registry: how much each account may keep. All else is an act
elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from accounts.authentication import identify_session
from registry import quotas
from registry.models import AccountQuota

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AccountQuota]
    _ModelForm = ModelForm[AccountQuota]
else:
    _ModelAdmin, _ModelForm = admin.ModelAdmin, ModelForm  # no generics at run time


_MOST_DIGITS = 18  # of what 64 bits hold, whatever the digits


class QuotaForm(_ModelForm):
    """Numbers that are no limits are named by the form; the act refuses them, too."""

    class Meta:
        model = AccountQuota
        fields = ["account", "max_bytes", "max_files"]
        help_texts = {
            "max_bytes": "Bytes, such as 3000000000; empty for no limit.",
            "max_files": "How many package files; empty for no limit.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in ("max_bytes", "max_files"):
            limit = cleaned.get(name)
            if limit is not None and limit > quotas.MAX_LIMIT:
                self.add_error(
                    name, forms.ValidationError(f"The largest limit is {quotas.MAX_LIMIT}.")
                )
        return cleaned


@admin.register(AccountQuota)
class AccountQuotaAdmin(_ModelAdmin):
    """Accounts without a row may keep what the settings say for all; deleting a row brings that
    back."""

    form = QuotaForm
    autocomplete_fields = ("account",)
    list_display = ("account", "max_bytes", "max_files", "updated_at")
    list_select_related = ("account",)
    search_fields = ("account__name",)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> AccountQuota | None:
        # Of a key that is another table's Django doesn't see that no column holds the number.
        if len(object_id) > _MOST_DIGITS:
            return None
        return super().get_object(request, object_id, from_field)

    def get_readonly_fields(
        self, _request: HttpRequest, obj: AccountQuota | None = None
    ) -> list[str]:
        return ["account"] if obj is not None else []

    def save_model(
        self, request: HttpRequest, obj: AccountQuota, form: ModelForm[Any], change: bool
    ) -> None:
        quotas.set_quota(
            by=identify_session(request),
            account=obj.account,
            max_bytes=obj.max_bytes,
            max_files=obj.max_files,
        )

    def delete_model(self, request: HttpRequest, obj: AccountQuota) -> None:
        quotas.reset_quota(by=identify_session(request), account=obj.account)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AccountQuota]) -> None:
        for row in queryset.select_related("account"):
            quotas.reset_quota(by=identify_session(request), account=row.account)
