"""Packages, who collaborates on them, and search, over the REST API."""

from __future__ import annotations

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoint import Endpoint
from accounts.api.finding import find_user
from accounts.models import Group, User
from accounts.roles import Permission
from accounts.scopes import Ability
from portal.errors import NotFound
from registry import access, statistics
from registry.api import serializers as shapes
from registry.collaboration import remove_collaborator, set_collaborator, set_privacy
from registry.models import Collaborator, Package
from registry.packages import change_package, delete_package, unpin
from registry.searching import Wanted, find, in_this_order, words_of


@extend_schema(tags=["packages"])
class Packages(Endpoint):
    ordering = "name"
    public_reads = True

    @extend_schema(
        operation_id="packages_list",
        parameters=[shapes.PackageQuery],
        responses=shapes.PackageSerializer(many=True),
    )
    def get(self, _request: Request, account: str) -> Response:
        rows = access.visible_packages(self.identity, access.find_account(account))
        wanted = self.sent(shapes.PackageQuery, query=True)
        if "q" in wanted:
            rows = rows.filter(name__contains=wanted["q"].lower())
        return self.page(rows, shapes.PackageSerializer)


@extend_schema(tags=["packages"])
class OnePackage(Endpoint):
    public_reads = True

    @extend_schema(operation_id="packages_get", responses=shapes.PackageSerializer)
    def get(self, _request: Request, account: str, package: str) -> Response:
        found = access.find_package(self.identity, account, package)
        return self.shown(found, shapes.PackageSerializer)

    @extend_schema(
        operation_id="packages_change",
        request=shapes.PackageChangeInput,
        responses=shapes.PackageSerializer,
    )
    def patch(self, _request: Request, account: str, package: str) -> Response:
        """Say what describes it, or hide it from all but members and collaborators, or show it.

        What is said here is pinned: uploads leave it as it is, until it is to follow them again.
        """
        found = access.find_package(self.identity, account, package)
        access.require_package(self.identity, found, Permission.WRITE)
        wanted = self.sent(shapes.PackageChangeInput)
        is_private, follow = wanted.pop("is_private", None), wanted.pop("follow", [])
        with transaction.atomic():
            if is_private is not None:
                set_privacy(by=self.identity, package=found, is_private=is_private)
            if wanted:
                change_package(by=self.identity, package=found, fields=wanted)
            if follow:
                unpin(by=self.identity, package=found, fields=follow)
        found.refresh_from_db()
        return self.shown(found, shapes.PackageSerializer)

    @extend_schema(operation_id="packages_delete", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, package: str) -> Response:
        """Delete it with all of its files. Where there are collaborators it takes an admin of it,
        for their rights go with it."""
        found = access.find_package(self.identity, account, package)
        delete_package(by=self.identity, package=found)
        return Response(status=204)


@extend_schema(tags=["packages"])
class LatestVersion(Endpoint):
    public_reads = True

    @extend_schema(operation_id="packages_latest_version", responses=shapes.LatestVersionSerializer)
    def get(self, _request: Request, account: str, package: str) -> Response:
        """The newest version by the order of versions, of the files that you may see."""
        found = access.find_package(self.identity, account, package)
        newest = statistics.latest(access.visible_files(self.identity, found))
        if newest is None:
            raise NotFound
        shown = {"latest_version": newest.version, "uploaded_at": newest.uploaded_at}
        return self.shown(shown, shapes.LatestVersionSerializer)


@extend_schema(tags=["packages"])
class TotalDownloads(Endpoint):
    public_reads = True

    @extend_schema(
        operation_id="packages_total_downloads", responses=shapes.TotalDownloadsSerializer
    )
    def get(self, _request: Request, account: str, package: str) -> Response:
        """How often the files that you may see were downloaded."""
        found = access.find_package(self.identity, account, package)
        files = access.visible_files(self.identity, found)
        shown = {"total_downloads": statistics.total_downloads(files)}
        return self.shown(shown, shapes.TotalDownloadsSerializer)


@extend_schema(tags=["search"])
class Search(Endpoint):
    ordering = "place"
    public_reads = True

    @extend_schema(
        operation_id="search",
        parameters=[shapes.SearchQuery],
        responses=shapes.FoundSerializer(many=True),
    )
    def get(self, _request: Request) -> Response:
        """Packages that you may know of, by name and summary; the best matches first."""
        words = self.sent(shapes.SearchQuery, query=True)["q"]
        wanted = Wanted(words=tuple(words_of(words)))
        rows = in_this_order(find(self.identity, wanted).ids)
        return self.page(rows, shapes.FoundSerializer)


# --- Collaborators -----------------------------------------------------------------------------


@extend_schema(tags=["collaborators"])
class Collaborators(Endpoint):
    ordering = "id"

    @extend_schema(
        operation_id="collaborators_list", responses=shapes.CollaboratorSerializer(many=True)
    )
    def get(self, _request: Request, account: str, package: str) -> Response:
        """Users and groups that may do something with the package by name."""
        found = access.find_package(self.identity, account, package)
        access.require_package(self.identity, found, Permission.READ, Ability.READ)
        rows = Collaborator.objects.filter(package=found)
        return self.page(
            rows.select_related("user", "group", "added_by"), shapes.CollaboratorSerializer
        )


class _OneCollaborator(Endpoint):
    """A user or a group as the collaborator; which of them, the path says."""

    def found_package(self, account: str, package: str) -> Package:
        found = access.find_package(self.identity, account, package)
        # Asked before the name is looked up: who may not know the groups learns of none.
        access.require_collaborators(self.identity, found)
        return found

    def set_to(
        self, package: Package, *, user: User | None = None, group: Group | None = None
    ) -> Response:
        permission = Permission(self.sent(shapes.CollaboratorInput)["permission"])
        collaborator, created = set_collaborator(
            by=self.identity, package=package, permission=permission, user=user, group=group
        )
        status = 201 if created else 200
        return self.shown(collaborator, shapes.CollaboratorSerializer, status=status)

    def remove(
        self, package: Package, *, user: User | None = None, group: Group | None = None
    ) -> Response:
        collaborator = Collaborator.objects.filter(package=package, user=user, group=group).first()
        if collaborator is None:
            raise NotFound
        collaborator.package = package
        remove_collaborator(by=self.identity, collaborator=collaborator)
        return Response(status=204)


_SET = {200: shapes.CollaboratorSerializer, 201: shapes.CollaboratorSerializer}


@extend_schema(tags=["collaborators"])
class UserCollaborator(_OneCollaborator):
    @extend_schema(
        operation_id="collaborators_set_user", request=shapes.CollaboratorInput, responses=_SET
    )
    def put(self, _request: Request, account: str, package: str, user: str) -> Response:
        """Give a user a permission on the package, or change it."""
        return self.set_to(self.found_package(account, package), user=find_user(user))

    @extend_schema(operation_id="collaborators_remove_user", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, package: str, user: str) -> Response:
        return self.remove(self.found_package(account, package), user=find_user(user))


@extend_schema(tags=["collaborators"])
class GroupCollaborator(_OneCollaborator):
    @extend_schema(
        operation_id="collaborators_set_group", request=shapes.CollaboratorInput, responses=_SET
    )
    def put(self, _request: Request, account: str, package: str, group: str) -> Response:
        """Give a group a permission on the package, or change it."""
        found = self.found_package(account, package)
        return self.set_to(found, group=_group_of(found, group))

    @extend_schema(operation_id="collaborators_remove_group", request=None, responses={204: None})
    def delete(self, _request: Request, account: str, package: str, group: str) -> Response:
        found = self.found_package(account, package)
        return self.remove(found, group=_group_of(found, group))


def _group_of(package: Package, name: str) -> Group:
    group = (
        Group.objects.select_related("organization")
        .filter(organization__account=package.account, name__iexact=name)
        .first()
    )
    if group is None:
        raise NotFound
    return group
