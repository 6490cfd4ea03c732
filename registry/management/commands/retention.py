"""``condarium retention [ACCOUNT[/CHANNEL]]``: what retention rules would take out; doing it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from accounts.identity import OPERATOR
from accounts.management.acting import ActingCommand, find_account
from portal.counts import counted
from portal.templatetags.ui import filesize, thousands
from registry import retention
from registry.models import Channel, RetentionRule
from registry.retention import Run, Terms


class Command(ActingCommand):
    help = "Show what retention rules would take out of channels now, or take it out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", default="", metavar="ACCOUNT[/CHANNEL]")
        parser.add_argument(
            "--run",
            action="store_true",
            help="do what the rules say that are switched on, instead of waiting for the night",
        )

    def act(self, *, what: str, run: bool, **_options: Any) -> None:
        rules = _rules(what)
        if run:
            rules = rules.filter(is_enabled=True)
        for rule in rules:
            where = f"{rule.channel.account.name}/{rule.channel.name}, rule {rule.pk}"
            self.stdout.write(f"{where}: {_ran(rule) if run else _looked(rule)}")
        if not rules:
            self.stdout.write("No rule is switched on." if run else "There are no rules.")


def _rules(what: str) -> QuerySet[RetentionRule]:
    rules = RetentionRule.objects.select_related("channel__account").order_by("pk")
    account_name, _, channel_name = what.partition("/")
    if account_name:
        account = find_account(account_name)
        rules = rules.filter(channel__account=account)
        if channel_name:
            if not Channel.objects.filter(account=account, name=channel_name).exists():
                raise CommandError(f"There is no channel {channel_name!r} of {account.name}.")
            rules = rules.filter(channel__name=channel_name)
    return rules


def _looked(rule: RetentionRule) -> str:
    found = retention.preview(rule, limit=0)
    totals = found.totals
    return (
        f"{_says(rule)}; {'on' if rule.is_enabled else 'off'}; {counted(totals.files, 'file')} "
        f"would go, {thousands(totals.deleted_files)} of them for good, which frees "
        f"{filesize(totals.freed_bytes)}"
        + (f". But {found.left_alone}" if found.left_alone else "")
    )


def _says(rule: RetentionRule) -> str:
    terms = Terms.of(rule)
    said = [
        f"{name} {getattr(terms, name)}"
        for name in ("keep_newest", "younger_than_days", "keep_pattern", "remove_pattern")
        if getattr(terms, name)
    ]
    return ", ".join(said)


def _ran(rule: RetentionRule) -> str:
    """Run it to the end, some thousand files at a time, as the workers do."""
    total = Run()
    while True:
        done = retention.run_rule(by=OPERATOR, rule=rule)
        total.removed += done.removed
        total.deleted += done.deleted
        total.freed_bytes += done.freed_bytes
        if done.is_complete or done.note or not done.removed + done.deleted:
            break
    if done.note:
        return done.note
    return (
        f"{counted(total.removed, 'file')} taken out, {thousands(total.deleted)} deleted, "
        f"{filesize(total.freed_bytes)} freed"
    )
