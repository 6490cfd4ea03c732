"""One package file: what it says of itself, where it stands, and what lies in it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.identity import Identity
from accounts.rights import may_administer
from portal.errors import NotFound
from registry import access, contents, patched, statistics
from registry.conda.contents import MAX_TEXT_BYTES, Document
from registry.conda.provenance import package_url, provenance_of
from registry.filter_forms import ContentsForm
from registry.forms import PutForm
from registry.models import ChannelFile, PackageFile
from registry.views import folders
from registry.views.attested import signatures_of
from registry.views.diffs import shown_changes
from registry.views.frame import package_context, preference, viewer, visible_entries
from registry.views.highlighting import highlighted, json_tree
from registry.views.index_words import index_words
from registry.views.install import channel_url, download_url, install_variants

_FILES_OFFERED = 50


def find_file(
    identity: Identity, account: str, package: str, subdir: str, filename: str
) -> PackageFile:
    found = access.find_package(identity, account, package)
    file = (
        access.visible_files(identity, found)
        .select_related("uploaded_by", "uploaded_with", "account")
        .filter(subdir=subdir, filename=filename)
        .first()
    )
    if file is None:
        raise NotFound
    file.package = found
    return file


def url_of(file: PackageFile, page: str = "file") -> str:
    where = [file.account.name, file.name, file.subdir, file.filename]
    return reverse(f"registry:{page}", args=where)


def _version_url(file: PackageFile) -> str:
    return reverse("registry:version", args=[file.account.name, file.name, file.version])


def _context(identity: Identity, file: PackageFile, current: str) -> dict[str, Any]:
    """What all pages of a file share: heading, tabs, and where its bytes are fetched."""
    context = package_context(identity, file.package, "files", file.version, file.filename)
    context["crumbs"][2]["url"] = _version_url(file)
    entries = sorted(
        visible_entries(identity, file.account).filter(file=file).select_related("patched"),
        key=lambda entry: preference(entry.channel),
    )
    channel = entries[0].channel if entries else None
    tabs = [
        ("info", _("Info"), "file"),
        ("contents", _("Contents"), "file-contents"),
        ("metadata", _("Metadata"), "file-metadata"),
    ]
    return context | {
        "file": file,
        "entries": entries,
        "channel": channel,
        "download_url": (
            download_url(channel, file.subdir, file.filename) if channel is not None else ""
        ),
        "needs_token": file.package.is_private or (channel is not None and channel.is_private),
        "version_url": _version_url(file),
        "file_tabs": [
            {"label": label, "url": url_of(file, page), "current": key == current}
            for key, label, page in tabs
        ],
    }


# --- Info --------------------------------------------------------------------------------------


@require_safe
def file(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    identity = viewer(request)
    return file_info(request, identity, find_file(identity, account, package, subdir, filename))


def file_info(
    request: HttpRequest,
    identity: Identity,
    file: PackageFile,
    put_form: PutForm | None = None,
) -> HttpResponse:
    """The first page of a file, also with a form on it that was filled in wrong."""
    account = file.account
    context = _context(identity, file, "info")
    standing = {entry.channel.name for entry in context["entries"]}
    others: list[str] = []
    if context["may_write"]:
        others = [
            channel.name
            for channel in access.visible_channels(identity, account).order_by("name")
            if channel.name not in standing and not channel.is_locked
        ]
    channel = context["channel"]
    context |= {
        "may_patch": context["may_administer"] and may_administer(identity, account),
        "entries": [_entry(identity, entry, file) for entry in context["entries"]],
        "others": others,
        "put_form": put_form or PutForm(channels=others),
        "comparable": _comparable(identity, file),
        "info": index_words(file),
        "provenance": provenance_of(file.about),
        "signatures": signatures_of(file),
        "sidecar_url": f"{context['download_url']}.sigs" if context["download_url"] else "",
        "downloads": statistics.downloads_of(PackageFile.objects.filter(pk=file.pk)),
        "purl": package_url(
            name=file.name,
            version=file.version,
            build=file.build,
            subdir=file.subdir,
            filename=file.filename,
            channel_url=channel_url(channel) if channel is not None else "",
        ),
        "checksum_command": f"echo '{file.sha256}  {file.filename}' | sha256sum -c",
    }
    wrong = put_form is not None and put_form.errors
    return render(request, "registry/file.html", context, status=422 if wrong else 200)


def _comparable(identity: Identity, file: PackageFile) -> list[str]:
    """Other files of the package for that platform, the newest first, as ``subdir/filename``."""
    others = (
        access.visible_files(identity, file.package)
        .filter(subdir=file.subdir)
        .exclude(pk=file.pk)
        .order_by("-version_key", "-build_number", "filename")
    )
    names = others.values_list("filename", flat=True)[:_FILES_OFFERED]
    return [f"{file.subdir}/{name}" for name in names]


def _entry(identity: Identity, entry: ChannelFile, file: PackageFile) -> dict[str, Any]:
    variants = install_variants(
        identity,
        entry.channel,
        file.name,
        file.version,
        file.build,
        is_private=file.package.is_private,
    )
    entry.file = file
    return {
        "entry": entry,
        "channel": entry.channel,
        "command": variants[0]["command"],
        "changes": shown_changes(patched.differences(entry)),
    }


# --- What lies in it ---------------------------------------------------------------------------


def unreadable_words(reason: contents.Unreadable) -> str:
    if isinstance(reason, contents.Busy):
        return _("Too many archives are being read at this moment. Try again in some seconds.")
    if isinstance(reason, contents.TakesTooLong):
        return _(
            "What is looked for lies so far back in this archive that reading it would take too"
            " long for a page. Download the file to look into it."
        )
    return _("The stored archive cannot be read. Ask whoever runs this host to look at it.")


def _unreadable(
    request: HttpRequest, template: str, context: dict[str, Any], reason: contents.Unreadable
) -> HttpResponse:
    busy = isinstance(reason, contents.Busy)
    context["unreadable"] = unreadable_words(reason)
    response = render(request, template, context, status=503 if busy else 200)
    if busy:
        response["Retry-After"] = "5"
    return response


@require_safe
def file_contents(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    """The paths it lays down, folder by folder, and the texts among them."""
    identity = viewer(request)
    found = find_file(identity, account, package, subdir, filename)
    form = ContentsForm(request.GET)
    context = _context(identity, found, "contents")
    path = form.value("path").strip("/")
    context |= {
        "form": form,
        "here": url_of(found, "file-contents"),
        "steps": folders.steps(path),
    }
    template = "registry/file_contents.html"
    try:
        listing = contents.listing_of(found)
        context["listing"] = listing
        context["missing_count"] = listing.path_count - len(listing.paths)
        entry = folders.entry_at(listing.paths, path)
        if entry is None:
            shown = folders.folder_at(
                listing.paths, path, words=form.value("q"), after=form.value("after")
            )
            if path and shown.is_empty and not form.value("q"):
                raise NotFound
            context["folder"] = shown
        else:
            context |= {"leaf": entry, "q_hidden": True, **_text_of(found, path)}
    except contents.Unreadable as reason:
        return _unreadable(request, template, context, reason)
    return render(request, template, context)


def _text_of(file: PackageFile, path: str) -> dict[str, Any]:
    """The file at that path as highlighted text, or in a sentence why it isn't shown."""
    member = contents.member_of(file, path)
    if member is None:
        return {"not_shown": _("The archive lists this path, but holds no such file.")}
    if member.target:
        return {"target": member.target}
    if member.data is None:
        return {
            "not_shown": _("It is too large to be shown: only texts of up to 256 kB are.")
            if member.size_bytes > MAX_TEXT_BYTES
            else ""
        }
    text = _as_text(member.data)
    if text is None:
        return {"not_shown": _("It is no text.")}
    return {"text": highlighted(text, path), "is_blank": not text.strip()}


def _as_text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


# --- What it says of itself --------------------------------------------------------------------

_FIRST = ("info/index.json", "info/about.json")


@require_safe
def file_metadata(
    request: HttpRequest, account: str, package: str, subdir: str, filename: str
) -> HttpResponse:
    """Every file of ``info/``, JSON as a tree; ``raw`` gives it as it is."""
    identity = viewer(request)
    found = find_file(identity, account, package, subdir, filename)
    form = ContentsForm(request.GET)
    template = "registry/file_metadata.html"
    try:
        documents = contents.listing_of(found).documents
    except contents.Unreadable as reason:
        return _unreadable(request, template, _context(identity, found, "metadata"), reason)
    path = form.value("path") or next((name for name in _FIRST if name in documents), "")
    document = documents.get(path)
    if document is None and path:
        raise NotFound
    if "raw" in request.GET and document is not None and document.data is not None:
        return _raw(document)
    context = _context(identity, found, "metadata")
    here = url_of(found, "file-metadata")
    return render(
        request,
        template,
        context | {"here": here, "groups": _grouped(documents, path), **_shown(document)},
    )


def _raw(document: Document) -> HttpResponse:
    return HttpResponse(
        document.data or b"",
        content_type="text/plain; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"},
    )


def _shown(document: Document | None) -> dict[str, Any]:
    if document is None:
        return {}
    shown: dict[str, Any] = {"document": document}
    if document.data is None:
        return shown | {"not_shown": _("It is too large to be shown.")}
    text = _as_text(document.data)
    if text is None:
        return shown | {"not_shown": _("It is no text.")}
    tree = json_tree(document.data) if document.path.endswith(".json") else None
    if tree is not None:
        return shown | {"tree": tree, "has_raw": True}
    return shown | {
        "text": highlighted(text, document.path),
        "has_raw": True,
        "is_blank": not text.strip(),
    }


def _grouped(documents: dict[str, Document], current: str) -> list[dict[str, Any]]:
    """The documents as a menu: metadata first, then recipe, licenses, tests and the rest."""
    names = {
        "": _("Metadata"),
        "recipe": _("Recipe"),
        "licenses": _("Licenses"),
        "test": _("Tests"),
        "tests": _("Tests"),
    }
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in names.values()}
    for path, document in documents.items():
        below = path.removeprefix("info/")
        folder = below.partition("/")[0] if "/" in below else ""
        title = names.get(folder, _("Others"))
        groups.setdefault(title, []).append(
            {
                "label": below if folder == "" or folder not in names else below.partition("/")[2],
                "path": path,
                "size_bytes": document.size_bytes,
                "current": path == current,
            }
        )
    return [{"title": title, "entries": found} for title, found in groups.items() if found]
