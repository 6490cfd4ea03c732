"""What the pages say of a line of the audit log: a sentence in place of a slug, with links."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import Event
from portal.sentences import shown
from portal.templatetags.ui import thousands

# What was done to {0}; who did it stands before the sentence.
_SENTENCES: dict[str, str | Promise] = {
    "account.administer": _("changed the account {0} as the operator"),
    "account.change": _("changed the profile of {0}"),
    "account.delete": _("deleted the account {0}"),
    "account.rename": _("gave the account the name {0}"),
    "account.suspend": _("suspended the account {0}"),
    "account.unsuspend": _("ended the suspension of {0}"),
    "blob.damage": _("found the stored bytes of {0} damaged"),
    "blob.mend": _("found the stored bytes of {0} whole again"),
    "channel.change": _("changed the channel {0}"),
    "channel.create": _("made the channel {0}"),
    "channel.delete": _("deleted the channel {0}"),
    "collaborator.add": _("added a collaborator: {0}"),
    "collaborator.change": _("changed a collaborator: {0}"),
    "collaborator.remove": _("removed a collaborator: {0}"),
    "file.add": _("put {0} into a channel"),
    "file.attest": _("attached an attestation to {0}"),
    "file.copy": _("copied {0}"),
    "file.delete": _("deleted {0}"),
    "file.import": _("imported files into {0}"),
    "file.move": _("moved {0}"),
    "file.publish": _("published {0}"),
    "file.purge": _("deleted {0} from the bin"),
    "file.remove": _("removed {0} from a channel"),
    "file.replace": _("replaced {0}"),
    "file.restore": _("restored {0}"),
    "group.add-member": _("added to a group: {0}"),
    "group.change": _("changed the group {0}"),
    "group.create": _("made the group {0}"),
    "group.delete": _("deleted the group {0}"),
    "group.remove-member": _("removed from a group: {0}"),
    "invitation.accept": _("accepted an invitation: {0}"),
    "invitation.decline": _("declined an invitation: {0}"),
    "invitation.resend": _("sent the invitation to {0} again"),
    "invitation.send": _("invited {0}"),
    "invitation.withdraw": _("withdrew the invitation to {0}"),
    "job.retry": _("began a job again: {0}"),
    "job.start": _("started a job: {0}"),
    "job.stop": _("stopped a job: {0}"),
    "member.add": _("added the member {0}"),
    "member.change-role": _("changed the role of {0}"),
    "member.hide": _("hid from others that {0} is a member"),
    "member.leave": _("left: {0}"),
    "member.remove": _("removed the member {0}"),
    "member.show": _("showed everybody that {0} is a member"),
    "notice.add": _("added a notice to {0}"),
    "notice.archive": _("archived a notice of {0}"),
    "notice.change": _("changed a notice of {0}"),
    "notice.publish": _("published a notice of {0}"),
    "notice.withdraw": _("withdrew a notice of {0}"),
    "organization.create": _("founded {0}"),
    "organization.policy": _("changed the policy of {0}"),
    "collaborator.decline-invitation": _("declined the invitation to {0}"),
    "collaborator.invite": _("invited to {0}"),
    "collaborator.withdraw-invitation": _("withdrew the invitation to {0}"),
    "package.archive": _("archived the package {0}"),
    "package.lock": _("locked the package {0}"),
    "package.unlock": _("unlocked the package {0}"),
    "package.change": _("changed the package {0}"),
    "package.create": _("made the package {0}"),
    "package.delete": _("deleted the package {0}"),
    "package.hide": _("made the package {0} private"),
    "package.unarchive": _("unarchived the package {0}"),
    "package.show": _("made the package {0} public"),
    "patch.apply": _("applied a set of patches to {0}"),
    "patch.edit": _("changed what an index says of {0}"),
    "patch.undo": _("undid a patch of {0}"),
    "quota.set": _("set the limits of storage of {0}"),
    "release.change": _("changed the version {0}"),
    "release.delete": _("deleted the version {0}"),
    "retention.add": _("added a retention rule to {0}"),
    "retention.change": _("changed a retention rule of {0}"),
    "retention.delete": _("deleted a retention rule of {0}"),
    "retention.run": _("ran a retention rule of {0}"),
    "security.code-used": _("used a recovery code"),
    "security.codes-new": _("made new recovery codes"),
    "security.codes-saved": _("said that the recovery codes are saved"),
    "security.email-add": _("added the address {0}"),
    "security.email-confirm": _("confirmed the address {0}"),
    "security.email-primary": _("chose the address {0} for mail"),
    "security.email-remove": _("removed the address {0}"),
    "security.factor-add": _("added to the second factor: {0}"),
    "security.factor-remove": _("removed from the second factor: {0}"),
    "security.password-change": _("changed the password"),
    "security.password-reset": _("set a new password by mail"),
    "security.sign-out": _("signed out: {0}"),
    "switch.reset": _("put back the switch {0}"),
    "switch.throw": _("threw the switch {0}"),
    "token.create": _("made the token {0}"),
    "token.revoke": _("revoked the token {0}"),
    "token.rotate": _("rotated the token {0}"),
    "transfer.accept": _("took the transfer of {0}"),
    "transfer.decline": _("declined the transfer of {0}"),
    "transfer.offer": _("offered {0} to another account"),
    "transfer.withdraw": _("withdrew the offer of {0}"),
    "user.create": _("signed up as {0}"),
    "user.locale": _("changed language or time zone of {0}"),
    "user.reset_second_factor": _("took the second factor from {0}"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log as pages show it."""

    event: Event
    sentence: SafeString
    # The fields that were kept of it, each in words.
    facts: list[tuple[str, str]]


def told(event: Event) -> Line:
    detail = {key: value for key, value in event.detail.items() if not _is_title(event, key)}
    return Line(event, _sentence(event), [(key, _plain(v)) for key, v in detail.items()])


def _sentence(event: Event) -> SafeString:
    known = _SENTENCES.get(event.action)
    target = _linked(event)
    if known is None:
        return format_html("{}: {}", event.action, target)
    return format_html(str(known), target)


def _is_title(event: Event, key: str) -> bool:
    """Whether that is the target once more, as a sentence that was kept."""
    return key == "title" and event.action.startswith("job.")


def _linked(event: Event) -> SafeString:
    target = _target(event)
    address = _address(event)
    if not address:
        return format_html("<strong>{}</strong>", target)
    return format_html('<a href="{}"><strong>{}</strong></a>', address, target)


def _target(event: Event) -> str:
    if _is_title(event, "title") and "title" in event.detail:
        return shown(event.detail["title"])
    count = event.detail.get("files")
    if isinstance(count, int) and event.target == f"{count} files":
        return ngettext("%(count)s file", "%(count)s files", count) % {"count": thousands(count)}
    return event.target


def _address(event: Event) -> str:
    """Where the target stands, if it is still there; the pages of other apps as plain paths."""
    if event.account is None or event.account.deleted_at is not None:
        return ""
    if not event.target or event.action.endswith(".delete"):
        return ""
    account, target = event.account.name, quote(event.target, safe="/:")
    thing = event.action.partition(".")[0]
    if thing in {"channel", "notice", "retention"} or event.action == "file.import":
        return f"/{account}/channels/{target}"
    if thing == "package":
        return f"/{account}/{target}"
    if thing == "group" and ":" not in event.target:
        return f"/{account}/groups/{target}"
    if thing in {"member", "user", "account", "organization"}:
        return f"/{target}"
    if thing in {"file", "patch"}:  # of a set of patches the target is a subdir, which has no page
        return _file_address(account, event.target)
    return ""


def _file_address(account: str, target: str) -> str:
    # subdir/name-version-build.conda; only the last two dashes separate.
    subdir, slash, filename = target.partition("/")
    name = filename.rsplit("-", 2)[0]
    if not slash or not name or "/" in filename or name == filename:
        return ""
    return f"/{account}/packages/{quote(name)}/files/{quote(subdir)}/{quote(filename)}"


def _plain(value: object) -> str:
    """A kept value without brackets and quotes where it has none of its own."""
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(each)}" for key, each in value.items()) or "–"
    return "–" if value is None or value == "" else str(value)
