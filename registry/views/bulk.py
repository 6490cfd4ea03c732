"""Moving, copying and taking out many files at once: first what it would change, then the act."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import ngettext

from accounts.identity import Identity
from accounts.views.frame import form_page
from portal.errors import Forbidden, NotFound, Refusal
from portal.sentences import Number
from portal.sentences import gettext as _
from portal.templatetags.ui import thousands
from registry import access
from registry.file_work import start_bulk
from registry.forms import BulkForm
from registry.models import Channel, ChannelFile
from registry.planning import Act, Plan, carry_out, plan
from registry.views import undo
from registry.views.frame import account_context, package_context, viewer
from registry.views.picking import AT_ONCE, Picked, nothing_picked, picked_files

_CHANNELS_OFFERED = 200
_ACCOUNTS_OFFERED = 200


@form_page
def files_move(request: HttpRequest, account: str) -> HttpResponse:
    return _bulk(request, account, Act.MOVE)


@form_page
def files_copy(request: HttpRequest, account: str) -> HttpResponse:
    return _bulk(request, account, Act.COPY)


@form_page
def files_remove(request: HttpRequest, account: str) -> HttpResponse:
    return _bulk(request, account, Act.REMOVE)


def _bulk(request: HttpRequest, account: str, act: Act) -> HttpResponse:
    identity = viewer(request)
    picked = picked_files(request, identity, account)
    if not picked.files:
        return nothing_picked(request, picked)
    _require_writing_any(identity, picked)
    form = _form(request, identity, picked, act)
    planned = _planned(identity, picked, act, form)
    if request.method == "POST" and planned is not None and planned.good:
        try:
            if len(planned.good) > AT_ONCE:
                return _start(identity, picked, planned)
            done = carry_out(by=identity, planned=planned)
        except Refusal as refusal:
            form.add_error(None, refusal.detail)
        else:
            words = _done_words(planned, len(done.came | done.left))
            is_own = planned.target is None or planned.target.account_id == picked.account.pk
            query = undo.offer(
                request,
                picked.account,
                words=words,
                act=act.value,
                files=sorted(done.left),
                added=sorted(done.came) if is_own else [],
                removed_from=planned.source.name if planned.source else "",
                added_to=planned.target.name if planned.target else "",
            )
            joint = "&" if "?" in picked.list_url else "?"
            return redirect(f"{picked.list_url}{joint}{query}")
    return _render(request, identity, picked, act, form, planned)


def _start(identity: Identity, picked: Picked, planned: Plan) -> HttpResponse:
    job = start_bulk(
        by=identity,
        account=picked.account,
        act=planned.act,
        files=planned.good,
        source=planned.source,
        target=planned.target,
        title=_title(planned),
    )
    return redirect(reverse("registry:job", args=[job.key]))


def _title(planned: Plan) -> str:
    said = {
        "count": Number(len(planned.good)),
        "source": str(planned.source or ""),
        "target": str(planned.target or ""),
    }
    match planned.act:
        case Act.MOVE:
            return _("Move %(count)s files from %(source)s to %(target)s") % said
        case Act.COPY:
            return _("Copy %(count)s files to %(target)s") % said
        case Act.REMOVE:
            return _("Remove %(count)s files from %(source)s") % said


def _require_writing_any(identity: Identity, picked: Picked) -> None:
    names = {file.name for file in picked.files}
    if not access.publishable_names(identity, picked.account, names):
        raise Forbidden(
            _(
                "You may not change where these files stand. Admins of %(account)s can give you "
                "the permission to write."
            )
            % {"account": picked.account.name}
        )


def _form(request: HttpRequest, identity: Identity, picked: Picked, act: Act) -> BulkForm:
    standing = set(
        ChannelFile.objects.filter(file__in=picked.rows.order_by().values("pk"))
        .order_by()
        .values_list("channel__name", flat=True)
        .distinct()
    )
    channels = access.visible_channels(identity, picked.account).order_by("name")
    names = list(channels.values_list("name", flat=True)[:_CHANNELS_OFFERED])
    sources = [name for name in names if name in standing]
    accounts: list[str] = []
    if act is Act.COPY:
        publishable = access.publishable_accounts(identity).order_by("name")
        accounts = list(publishable.values_list("name", flat=True)[:_ACCOUNTS_OFFERED])
    # The list was filtered to the channel where they stand: most likely they are to leave it.
    initial = {"from": picked.channel if picked.channel in sources else ""}
    if len(sources) == 1:
        initial["from"] = sources[0]
    asked = {
        name: request.GET[name] for name in ("from", "to", "to_account") if name in request.GET
    }
    return BulkForm(
        {"to_account": picked.account.name, **asked} if asked else None,
        sources=sources if act is not Act.COPY else None,
        targets=names if act is not Act.REMOVE else None,
        accounts=accounts,
        own=picked.account.name,
        initial=initial | {"to_account": picked.account.name},
    )


def _planned(identity: Identity, picked: Picked, act: Act, form: BulkForm) -> Plan | None:
    if not form.is_bound or not form.is_valid():
        return None
    try:
        source = _channel(identity, picked, form.cleaned_data.get("from"))
        target = _target(identity, picked, form)
        return plan(by=identity, act=act, files=picked.files, source=source, target=target)
    except NotFound:
        form.add_error("to", _("There is no such channel that you may write to."))
    except Refusal as refusal:
        form.add_error(None, refusal.detail)
    return None


def _channel(identity: Identity, picked: Picked, name: str | None) -> Channel | None:
    return access.find_channel(identity, picked.account.name, name) if name else None


def _target(identity: Identity, picked: Picked, form: BulkForm) -> Channel | None:
    name = form.cleaned_data.get("to")
    if not name:
        return None
    account = form.cleaned_data.get("to_account") or picked.account.name
    return access.find_channel(identity, account, name)


def _done_words(planned: Plan, count: int) -> str:
    said = {"count": thousands(count)}
    if planned.source:
        said["source"] = planned.source.name
    if planned.target:
        said["target"] = planned.target.name
    match planned.act:
        case Act.MOVE:
            words = ngettext(
                "%(count)s file moved from %(source)s to %(target)s.",
                "%(count)s files moved from %(source)s to %(target)s.",
                count,
            )
        case Act.REMOVE:
            words = ngettext(
                "%(count)s file is out of %(source)s. It is kept, and can be put back.",
                "%(count)s files are out of %(source)s. They are kept, and can be put back.",
                count,
            )
        case Act.COPY:
            if planned.target:
                said["target"] = str(planned.target)
            words = ngettext(
                "%(count)s file also stands in %(target)s now.",
                "%(count)s files also stand in %(target)s now.",
                count,
            )
    return words % said


def _render(
    request: HttpRequest,
    identity: Identity,
    picked: Picked,
    act: Act,
    form: BulkForm,
    planned: Plan | None,
) -> HttpResponse:
    titles = {
        Act.MOVE: _("Move files"),
        Act.COPY: _("Copy files"),
        Act.REMOVE: _("Remove files from a channel"),
    }
    frame: dict[str, Any]
    if picked.package is not None:
        frame = package_context(identity, picked.package, "files", _("Files"), titles[act])
        frame["crumbs"][2]["url"] = picked.list_url
    else:
        frame = account_context(identity, picked.account, "packages")
    context = {
        **frame,
        "base_template": f"registry/{'package' if picked.package else 'account'}_base.html",
        "title": titles[act],
        "act": act.value,
        "form": form,
        "picked": picked,
        "chosen": parse_qsl(picked.query),
        "plan": planned,
        "refused": sorted(planned.refused.items()) if planned else [],
        "refused_count": planned.refused.total() if planned else 0,
        "is_job": planned is not None and len(planned.good) > AT_ONCE,
        "act_url": request.get_full_path(),
    }
    wrong = bool(form.errors)
    return render(request, "registry/bulk.html", context, status=422 if wrong else 200)
