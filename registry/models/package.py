from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Func
from django.db.models.functions import Length

from accounts.models import Account
from portal.fields import BY_BYTES

DESCRIPTION_FIELDS = (
    "summary", "description", "license", "license_url", "home_url", "dev_url", "doc_url",
    "source_url",
)  # fmt: skip


def beginning_of_name(letters: int) -> Func:
    """The first letters, as an index says it. Not Django's ``Left``: that gives the number apart,
    and SQLite doesn't see that it is the index's."""
    template = f"SUBSTR(%(expressions)s, 1, {letters})"
    return Func("name", template=template, output_field=models.CharField())


class Described(models.Model):
    """What is said of a package as a whole, or of one of its versions: `DESCRIPTION_FIELDS`."""

    summary = models.CharField(max_length=1000, blank=True)
    description = models.TextField(blank=True)
    license = models.CharField(max_length=255, blank=True)
    license_url = models.CharField(max_length=500, blank=True)
    home_url = models.CharField(max_length=500, blank=True)
    dev_url = models.CharField(max_length=500, blank=True)
    doc_url = models.CharField(max_length=500, blank=True)
    source_url = models.CharField(max_length=500, blank=True)

    class Meta:
        abstract = True


class Package(Described):
    """A name under an account; comes into being with its first file, or before.

    What describes it follows the newest upload, but for what was pinned by hand. A deleted package
    stays as a row, which nobody is shown: what its files left behind in indexes stays as private
    as it was. It comes back with the next file of its name.
    """

    # Without an index of its own: the constraint's begins with it, and SQLite took this one where
    # that of the few private packages was meant.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="packages", db_index=False
    )
    name = models.CharField(db_collation=BY_BYTES, max_length=64)
    is_private = models.BooleanField(default=False)
    # Those of the fields that describe it which uploads leave alone.
    pinned: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    latest_version = models.CharField(db_collation=BY_BYTES, max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    # It takes no more files; those that are there can be read.
    archived_at = models.DateTimeField(null=True, blank=True)
    archive_note = models.CharField(max_length=300, blank=True)
    # Nothing of it changes until an admin of it unlocks it; an archived one only takes nothing new.
    locked_at = models.DateTimeField(null=True, blank=True)
    locked_by_name = models.CharField(max_length=64, blank=True)
    lock_note = models.CharField(max_length=200, blank=True)
    # How often its files were fetched in 30 days: those in public channels, and those in any. As of
    # the last count (`registry.fetches`): lists are sorted by it.
    fetched_publicly = models.PositiveBigIntegerField(default=0)
    fetched = models.PositiveBigIntegerField(default=0)

    if TYPE_CHECKING:
        account_id: int

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["account", "name"], name="package_names_differ")
        ]
        indexes = [
            # Few are private, and every index asks which. With the flag in it, it covers the
            # question: else SQLite took one of the others and read all packages of the account.
            models.Index(
                fields=["account", "is_private", "name"],
                condition=models.Q(is_private=True),
                name="private_packages",
            ),
            # Who needs a name asks which accounts have it.
            models.Index(fields=["name"], name="packages_by_name"),
            # Searching asks for the shortest names with a beginning, of which there may be a
            # quarter of all: for words of three letters and more, and for shorter ones.
            models.Index(
                beginning_of_name(3), Length("name"), "name", name="packages_by_beginning"
            ),
            models.Index(beginning_of_name(1), Length("name"), "name", name="packages_by_letter"),
            # The list of an account, by how much is fetched.
            models.Index(fields=["account", "-fetched", "name"], name="packages_by_fetches"),
            models.Index(
                fields=["account", "-fetched_publicly", "name"], name="packages_by_public_fetches"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account.name}/{self.name}"


class Release(Described):
    """What was said by hand of one version of a package, which need not have files yet."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="releases")
    version = models.CharField(db_collation=BY_BYTES, max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    if TYPE_CHECKING:
        package_id: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["package", "version"], name="one_release_of_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"
