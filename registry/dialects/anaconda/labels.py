"""Labels, which are channels here, and copying files between them.

``anaconda move`` puts files into one label and takes them out of another, by two requests, of
which the second follows when the first was refused, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice

import msgspec
from django.core.cache import cache
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, re_path

from accounts.identity import Identity
from accounts.models import Account
from accounts.scopes import Ability
from portal.errors import Conflict, CredentialNeeded, InvalidInput, NotFound, Refusal
from registry import access, widening
from registry.access import Destination
from registry.channels import change_channel, delete_channel
from registry.dialects.anaconda.endpoint import endpoint, read_json, reply
from registry.dialects.anaconda.finding import Missing, find_account
from registry.models import Channel, Package, PackageFile
from registry.models.channel import MAIN
from registry.placement import CopyMode, copy_files
from registry.publishing import Outcome, open_destination

_AT_ONCE = 500
_LOCK = "/lock"
_COPY = "/copy/"
_REFUSED_FOR_SECONDS = 20
_encode = msgspec.json.encode


# --- Finding labels and files ------------------------------------------------------------------


def _known_label(by: Identity, account: Account, name: str) -> Channel | None:
    """The label of that name; also one that differs in capital letters only, for the client
    writes some names small."""
    rows = list(Channel.objects.filter(account=account, name__iexact=name))
    rows = [row for row in rows if row.name == name] or rows
    if len(rows) != 1:
        return None
    [label] = rows
    label.account = account
    writes = by.can(Ability.WRITE) and access.may_read_channel_by_role(by, label)
    return label if writes or access.may_read_channel(by, label) else None


def _find_label(by: Identity, account: Account, name: str) -> Channel:
    label = _known_label(by, account, name)
    if label is None:
        raise _no_label(account, name)
    return label


def _no_label(account: Account, name: str) -> Missing:
    return Missing(f'The label "{name}" of {account.name}')


def _open_label(by: Identity, account: Account, name: str) -> Destination:
    """The label to put files into; it may come into being with them."""
    known = _known_label(by, account, name)
    try:
        return open_destination(by, account.name, known.name if known else name)
    except NotFound:
        raise _no_label(account, name) from None


class _Which(msgspec.Struct):
    """Files by what is said of them; what is null is not said."""

    package: str | msgspec.UnsetType | None = msgspec.UNSET
    version: str | msgspec.UnsetType | None = msgspec.UNSET
    basename: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def was_sent(self) -> bool:
        return any(part is not msgspec.UNSET for part in self._parts)

    @property
    def is_everything(self) -> bool:
        return not any(self._parts)

    @property
    def _parts(self) -> tuple[str | msgspec.UnsetType | None, ...]:
        return (self.package, self.version, self.basename)

    def spec(self, account: Account) -> str:
        return "/".join([account.name, *(str(part) for part in self._parts if part)])

    def of(self, by: Identity, account: Account) -> QuerySet[PackageFile]:
        """The account's files that are meant, as far as ``by`` may see them: one at least."""
        wanted: dict[str, object] = {"account": account}
        if self.package:
            wanted["package__in"] = Package.objects.filter(account=account, name=self.package)
        if self.version:
            if not self.package:
                raise InvalidInput("A version is named without its package. Name the package, too.")
            wanted["version"] = self.version
        if self.basename:
            subdir, _, filename = self.basename.rpartition("/")
            wanted["filename"] = filename
            if subdir:
                wanted["subdir"] = subdir
        files = access.visible_files_of_account(by, account, Q(**wanted))
        if not files.exists():
            raise Missing(f'"{self.spec(account)}"')
        return files


# --- Labels ------------------------------------------------------------------------------------


def list_labels(request: HttpRequest, by: Identity, account: str) -> HttpResponse:
    found = find_account(account)
    rows = access.visible_channels(by, found).order_by("name").values_list("name", "is_locked")
    return reply({name: {"is_locked": is_locked} for name, is_locked in rows})


def show_label(
    request: HttpRequest, by: Identity, account: str, label: str
) -> StreamingHttpResponse:
    """The label and its files, which are sent as they are read: there may be very many."""
    found = find_account(account)
    channel = _find_label(by, found, label)
    if not access.may_read_channel(by, channel):
        raise _no_label(found, label)
    rows = (
        access.visible_files_of_account(by, found)
        .filter(entries__channel=channel)
        .order_by("name", "version_key", "subdir", "filename")
        .values_list("name", "version", "subdir", "filename")
    )
    return StreamingHttpResponse(
        _shown(channel, rows),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _shown(
    channel: Channel, rows: QuerySet[PackageFile, tuple[str, str, str, str]]
) -> Iterator[bytes]:
    head = {"name": channel.name, "owner": channel.account.name, "is_locked": channel.is_locked}
    yield _encode(head)[:-1] + b',"files":['
    separator = b""
    found = rows.iterator(chunk_size=_AT_ONCE)
    while some := [_shape(channel.account.name, *row) for row in islice(found, _AT_ONCE)]:
        yield separator + _encode(some)[1:-1]
        separator = b","
    yield b"]}"


def _shape(account: str, name: str, version: str, subdir: str, filename: str) -> dict[str, str]:
    basename = f"{subdir}/{filename}"
    return {
        "full_name": f"{account}/{name}/{version}/{basename}",
        "basename": basename,
        "version": version,
    }


def post_label(request: HttpRequest, by: Identity, account: str, label: str) -> HttpResponse:
    """Put files into it; without a word on files, what the end of the path says.

    A label may be called ``x/lock``, too: whoever means it says which files.
    """
    found = find_account(account)
    if by.is_anonymous:
        raise CredentialNeeded
    which = read_json(request, _Which)
    if not which.was_sent and label.endswith(_LOCK):
        return _lock(by, found, label.removesuffix(_LOCK), is_locked=True)
    if not which.was_sent and _COPY in label:
        return _copy_label(by, found, label)
    key = _refused_key(by, found, which)
    try:
        widening.add_all(
            by=by, files=which.of(by, found), destination=_open_label(by, found, label)
        )
    except Refusal:
        cache.set(key, label, _REFUSED_FOR_SECONDS)
        raise
    cache.delete(key)
    return reply(None, HTTPStatus.CREATED)


def delete_label(request: HttpRequest, by: Identity, account: str, label: str) -> HttpResponse:
    """Take files out of it; the label itself goes when nothing is said of files."""
    found = find_account(account)
    if by.is_anonymous:
        raise CredentialNeeded
    which = read_json(request, _Which)
    if not which.was_sent and label.endswith(_LOCK):
        return _lock(by, found, label.removesuffix(_LOCK), is_locked=False)
    channel = _find_label(by, found, label)
    if which.is_everything:
        delete_channel(by=by, channel=channel)
        return reply(None, HTTPStatus.CREATED)
    files = which.of(by, found)
    _refuse_half_a_move(by, channel, which)
    widening.remove_all(by=by, files=files, channel=channel)
    return reply(None, HTTPStatus.CREATED)


def _refuse_half_a_move(by: Identity, channel: Channel, which: _Which) -> None:
    """Let files that could not be put into another label stay in this one: the client that moves
    them goes on after a refusal, and they would stand nowhere."""
    key = _refused_key(by, channel.account, which)
    target = cache.get(key)
    if target is None or target == channel.name:
        return
    cache.delete(key)
    raise Conflict(
        f'"{which.spec(channel.account)}" could not be put into {target} a moment ago, so it stays '
        f"in {channel.name}. To take it out all the same, ask again."
    )


def _refused_key(by: Identity, account: Account, which: _Which) -> str:
    credential = f"token {by.token.pk}" if by.token else by.name
    spelled = _encode([credential, account.pk, which.spec(account)])
    return f"label-refused-{hashlib.sha256(spelled).hexdigest()[:32]}"


def _lock(by: Identity, account: Account, label: str, *, is_locked: bool) -> HttpResponse:
    channel = _find_label(by, account, label)
    note = channel.lock_note if is_locked else ""
    change_channel(by=by, channel=channel, is_locked=is_locked, lock_note=note)
    return reply(None, HTTPStatus.CREATED)


def _copy_label(by: Identity, account: Account, path: str) -> HttpResponse:
    """Have all files of one label stand in another, too."""
    source, target = _two_labels(by, account, path)
    destination = _open_label(by, account, target)
    if destination.channel == source:
        raise Conflict(f"{source.name} can't be copied to itself: name two labels.")
    files = access.visible_files_of_account(by, account).filter(entries__channel=source)
    widening.add_all(by=by, files=files, destination=destination)
    return reply(None, HTTPStatus.CREATED)


def _two_labels(by: Identity, account: Account, path: str) -> tuple[Channel, str]:
    """The label to copy and the name of the other; both names may hold slashes."""
    parts = path.split(_COPY)
    splits = [(_COPY.join(parts[:at]), _COPY.join(parts[at:])) for at in range(1, len(parts))]
    for name, target in splits[:5]:
        source = _known_label(by, account, name)
        if source is not None and access.may_read_channel(by, source):
            return source, target
    raise _no_label(account, parts[0])


# --- Copying between labels and accounts -------------------------------------------------------


class _Places(msgspec.Struct):
    to_owner: str | None = None
    from_channel: str = MAIN
    to_channel: str = MAIN


_MODES = {"POST": CopyMode.PLAIN, "PUT": CopyMode.REPLACE, "PATCH": CopyMode.UPDATE}


def copy(
    request: HttpRequest,
    by: Identity,
    account: str,
    package: str,
    version: str,
    basename: str = "",
) -> HttpResponse:
    """Copy the files of a version that stand in a label, or one of them; which were copied."""
    if by.account is None:
        raise CredentialNeeded
    found = find_account(account)
    places = read_json(request, _Places)
    source = _find_label(by, found, places.from_channel)
    if not access.may_read_channel(by, source):
        raise _no_label(found, places.from_channel)
    target = find_account(places.to_owner) if places.to_owner else by.account
    label = _known_label(by, target, places.to_channel)
    which = _Which(package, version, basename)
    files = which.of(by, found).filter(entries__channel=source).order_by("subdir", "filename")
    mode = _MODES[request.method or ""]
    chosen = list(files)
    if not chosen:
        raise Missing(f'"{which.spec(found)}", in the label {source.name},')
    copied = copy_files(
        by=by,
        files=chosen,
        account_name=target.name,
        channel_name=label.name if label else places.to_channel,
        mode=mode,
    )
    return reply(
        [
            {"basename": f"{each.file.subdir}/{each.file.filename}", "owner": target.name}
            for each in copied
            if mode is not CopyMode.UPDATE or each.outcome is not Outcome.UNCHANGED
        ]
    )


def _endpoints() -> Iterator[URLPattern]:
    account = r"(?P<account>[^/]+)"
    yield re_path(rf"^api/channels/{account}\Z", endpoint(GET=list_labels))
    yield re_path(
        rf"^api/channels/{account}/(?P<label>[^/].*)\Z",
        endpoint(GET=show_label, POST=post_label, DELETE=delete_label),
    )
    # The client's path ends in a slash when it names no file.
    yield re_path(
        rf"^api/copy/package/{account}/(?P<package>[^/]+)/(?P<version>[^/]+)"
        r"(?:/(?P<basename>.*))?\Z",
        endpoint(POST=copy, PUT=copy, PATCH=copy),
    )


urlpatterns: list[URLPattern] = list(_endpoints())
