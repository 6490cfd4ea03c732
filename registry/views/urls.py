"""The pages about what. One act, one form, one URL.

They come last in the URL map: what is the site's own stands before the names of accounts. Names
of channels hold slashes, so they stand last in a path. Each page of a package has two forms, of
which its name decides (`registry.views.converters`).
"""

from __future__ import annotations

from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from accounts import converters as _accounts  # noqa: F401  # registers <account:…>
from registry.views import (
    account_admin,
    accounts,
    badges,
    bins,
    bulk,
    channel_acts,
    channel_settings,
    channels,
    charts,
    collaborators,
    comparing,
    comparing_channels,
    deletions,
    dependencies,
    descriptions,
    docs,
    feeds,
    file_pages,
    files,
    groups,
    home,
    jobs,
    package_admin,
    package_tokens,
    packages,
    patches,
    redirects,
    releases,
    replacing,
    retention,
    site,
    site_accounts,
    storage,
    undo,
    uploads,
    version_pages,
)
from registry.views import converters as _packages  # noqa: F401  # registers <package:…> and others

_settings = "<account:account>/settings/channels"


def _package_pages(package: str) -> list[URLPattern]:
    """The pages of a package, below one of the two forms of its URL."""
    file = f"{package}/files/<subdir:subdir>/<filename:filename>"
    settings = f"{package}/settings"
    collaborator = f"{settings}/collaborators/<int:collaborator>"
    pages: list[tuple[str, Callable[..., HttpResponseBase], str]] = [
        (package, packages.package, "package"),
        (f"{package}/versions", releases.versions, "versions"),
        (f"{package}/versions/<reserved_version:version>", version_pages.version, "version"),
        (f"{package}/files", files.files, "files"),
        (file, file_pages.file, "file"),
        (f"{file}/contents", file_pages.file_contents, "file-contents"),
        (f"{file}/metadata", file_pages.file_metadata, "file-metadata"),
        (f"{file}/put", files.file_put, "file-put"),
        (f"{file}/replace", replacing.file_replace, "file-replace"),
        (f"{file}/delete", deletions.file_delete, "file-delete"),
        (f"{file}/remove/<channel:channel>", files.file_remove, "file-remove"),
        (f"{file}/patch/<channel:channel>", patches.file_patch, "file-patch"),
        (f"{package}/compare", comparing.compare, "compare"),
        (f"{package}/delete", deletions.package_delete, "package-delete"),
        (
            f"{package}/versions/<reserved_version:version>/delete",
            deletions.version_delete,
            "version-delete",
        ),
        (f"{package}/<version:version>/delete", deletions.version_delete, "version-delete"),
        (f"{package}/channels", packages.package_channels, "package-channels"),
        (f"{package}/dependencies", dependencies.dependencies, "dependencies"),
        (f"{package}/dependents", dependencies.dependents_page, "dependents"),
        (f"{package}/downloads", charts.downloads, "downloads"),
        (f"{package}/feed.atom", feeds.package_feed, "package-feed"),
        (f"{package}/badges", badges.badges, "badges"),
        (f"{package}/badges/<slug:badge>.svg", badges.badge, "badge"),
        (settings, collaborators.package_settings, "package-settings"),
        (f"{settings}/collaborators", collaborators.collaborators, "collaborators"),
        (f"{settings}/collaborators/add-person", collaborators.person_add, "person-add"),
        (f"{settings}/collaborators/add-group", collaborators.group_add, "group-add"),
        (f"{settings}/collaborators/undo", collaborators.collaborator_undo, "collaborator-undo"),
        (f"{settings}/tokens", package_tokens.tokens, "package-tokens"),
        (f"{collaborator}/change", collaborators.collaborator_change, "collaborator-change"),
        (f"{collaborator}/remove", collaborators.collaborator_remove, "collaborator-remove"),
        (f"{settings}/visibility", collaborators.visibility, "visibility"),
        (f"{settings}/visibility/hide", collaborators.package_hide, "package-hide"),
        (f"{settings}/visibility/show", collaborators.package_show, "package-show"),
        (f"{settings}/admin", package_admin.package_admin, "package-admin"),
        (f"{settings}/admin/archive", package_admin.package_archive, "package-archive"),
        (f"{settings}/admin/unarchive", package_admin.package_unarchive, "package-unarchive"),
        (f"{settings}/description", descriptions.description, "description"),
        (
            f"{settings}/description/follow/<slug:field>",
            descriptions.description_follow,
            "description-follow",
        ),
        (f"{package}/<version:version>", version_pages.version, "version"),
        # Old and long forms.
        (f"{package}/labels", redirects.package_channels, "package-labels"),
        (f"{package}/versions/<version:version>", redirects.short_version, "version-long"),
        (
            f"{package}/<version:version>/download/<subdir:subdir>/<filename:filename>",
            redirects.old_download,
            "old-download",
        ),
    ]
    return [path(route, view, name=name) for route, view, name in pages]


urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("search", home.search, name="search"),
    path("upload", uploads.upload_start, name="upload-start"),
    path("docs", docs.docs, name="docs"),
    path("docs/<slug:page>", docs.docs_page, name="docs-page"),
    path("docs/<slug:page>.md", docs.docs_text, name="docs-text"),
    path(".well-known/security.txt", docs.security_txt, name="security-txt"),
    path("robots.txt", docs.robots_txt, name="robots-txt"),
    path("-/site/", site.overview, name="site"),
    path("-/site/accounts", site_accounts.site_accounts, name="site-accounts"),
    path("-/site/accounts/<account:account>", site_accounts.site_account, name="site-account"),
    path(
        "-/site/accounts/<account:account>/suspend",
        site_accounts.account_suspend,
        name="site-account-suspend",
    ),
    path(
        "-/site/accounts/<account:account>/unsuspend",
        site_accounts.account_unsuspend,
        name="site-account-unsuspend",
    ),
    path(
        "-/site/accounts/<account:account>/reset-second-factor",
        site_accounts.account_reset_factor,
        name="site-account-reset-factor",
    ),
    path(
        "-/site/accounts/<account:account>/quota",
        site_accounts.account_quota,
        name="site-account-quota",
    ),
    path("-/site/switches", site.site_switches, name="site-switches"),
    path("-/site/switches/<slug:name>/throw", site.switch_throw, name="site-switch-throw"),
    path("-/site/switches/<slug:name>/reset", site.switch_reset, name="site-switch-reset"),
    path("-/site/notices", site.notices, name="site-notices"),
    path("-/site/jobs", site.site_jobs, name="site-jobs"),
    path("-/site/jobs/<slug:key>", site.site_job, name="site-job"),
    path("-/site/jobs/<slug:key>/stop", site.site_job_stop, name="site-job-stop"),
    path("-/site/jobs/<slug:key>/retry", site.site_job_retry, name="site-job-retry"),
    path("-/site/index", site.site_index, name="site-index"),
    path("-/site/index/<int:channel>/rebuild", site.index_rebuild, name="site-index-rebuild"),
    path("-/site/index/<int:channel>/verify", site.index_verify, name="site-index-verify"),
    path("-/site/storage", site.site_storage, name="site-storage"),
    path("-/site/settings", site.site_settings, name="site-settings"),
    path("-/site/log", site.site_log, name="site-log"),
    path("-/jobs", jobs.job_list, name="jobs"),
    path("-/jobs/<slug:key>", jobs.job, name="job"),
    path("-/jobs/<slug:key>/stop", jobs.job_stop, name="job-stop"),
    path("-/jobs/<slug:key>/retry", jobs.job_retry, name="job-retry"),
    path("<account:account>", accounts.account, name="account"),
    path("<account:account>/members", accounts.members, name="account-members"),
    path("<account:account>/members/show", accounts.membership_show, name="membership-show"),
    path("<account:account>/members/hide", accounts.membership_hide, name="membership-hide"),
    path("<account:account>/activity", accounts.activity, name="activity"),
    path("<account:account>/activity/feed.atom", feeds.account_feed, name="account-feed"),
    path(
        "<account:account>/activity/feed.atom/<channel:channel>",
        feeds.channel_feed,
        name="channel-feed",
    ),
    path("<account:account>/upload", uploads.upload, name="upload"),
    path("<account:account>/compare", comparing_channels.compare_channels, name="compare-channels"),
    path("<account:account>/channels", channels.channels, name="channels"),
    path("<account:account>/channels/<channel:channel>", channels.channel, name="channel"),
    path(
        "<account:account>/groups/<group:group>/packages",
        groups.group_packages_choose,
        name="group-packages",
    ),
    path("<account:account>/settings/admin", account_admin.admin, name="account-admin"),
    path("<account:account>/settings/admin/rename", account_admin.rename, name="account-rename"),
    path("<account:account>/settings/admin/delete", account_admin.delete, name="account-delete"),
    path("<account:account>/settings/storage", storage.storage, name="storage"),
    path(
        "<account:account>/settings/storage/unlisted",
        storage.storage_unlisted,
        name="storage-unlisted",
    ),
    path("<account:account>/settings/bin", bins.bin_page, name="bin"),
    path("<account:account>/settings/bin/empty", bins.bin_empty, name="bin-empty"),
    path("<account:account>/settings/bin/delete/<int:file>", bins.bin_delete, name="bin-delete"),
    path("<account:account>/files/delete", deletions.files_delete, name="files-delete"),
    path("<account:account>/files/move", bulk.files_move, name="files-move"),
    path("<account:account>/files/copy", bulk.files_copy, name="files-copy"),
    path("<account:account>/files/remove", bulk.files_remove, name="files-remove"),
    path("<account:account>/files/restore", bins.files_restore, name="files-restore"),
    path("<account:account>/files/undo/<slug:key>", undo.files_undo, name="files-undo"),
    path(_settings, channel_settings.channel_list, name="channel-list"),
    path(f"{_settings}/new", channel_settings.channel_new, name="channel-new"),
    path(
        f"{_settings}/general/<channel:channel>",
        channel_settings.channel_change,
        name="channel-change",
    ),
    path(f"{_settings}/lock/<channel:channel>", channel_settings.channel_lock, name="channel-lock"),
    path(
        f"{_settings}/unlock/<channel:channel>",
        channel_settings.channel_unlock,
        name="channel-unlock",
    ),
    path(f"{_settings}/retention/<channel:channel>", retention.retention, name="retention"),
    path(
        f"{_settings}/retention-rule/<int:rule>/<channel:channel>",
        retention.rule,
        name="retention-rule",
    ),
    path(
        f"{_settings}/switch-rule-on/<int:rule>/<channel:channel>",
        retention.rule_switch_on,
        name="rule-switch-on",
    ),
    path(
        f"{_settings}/switch-rule-off/<int:rule>/<channel:channel>",
        retention.rule_switch_off,
        name="rule-switch-off",
    ),
    path(f"{_settings}/run-rule/<int:rule>/<channel:channel>", retention.rule_run, name="rule-run"),
    path(
        f"{_settings}/delete-rule/<int:rule>/<channel:channel>",
        retention.rule_delete,
        name="rule-delete",
    ),
    path(f"{_settings}/patches/<channel:channel>", patches.channel_patches, name="channel-patches"),
    path(
        f"{_settings}/apply-patches/<channel:channel>",
        patches.patches_apply,
        name="patches-apply",
    ),
    path(
        f"{_settings}/undo-patch/<int:patch>/<channel:channel>",
        patches.patch_undo,
        name="patch-undo",
    ),
    path(
        f"{_settings}/notices/add/<channel:channel>",
        channel_settings.notice_add,
        name="notice-add",
    ),
    path(
        f"{_settings}/notices/<int:notice>/publish/<channel:channel>",
        channel_settings.notice_publish,
        name="notice-publish",
    ),
    path(
        f"{_settings}/notices/<int:notice>/archive/<channel:channel>",
        channel_settings.notice_archive,
        name="notice-archive",
    ),
    path(
        f"{_settings}/notices/<int:notice>/withdraw/<channel:channel>",
        channel_settings.notice_withdraw,
        name="notice-withdraw",
    ),
    path(
        f"{_settings}/rebuild/<channel:channel>",
        channel_acts.channel_rebuild,
        name="channel-rebuild",
    ),
    path(f"{_settings}/copy/<channel:channel>", channel_acts.channel_copy, name="channel-copy"),
    path(
        f"{_settings}/delete/<channel:channel>",
        channel_settings.channel_delete,
        name="channel-delete",
    ),
    path("<account:account>/labels", redirects.account_channel, name="labels"),
    path("<account:account>/labels/<channel:channel>", redirects.account_channel, name="label"),
    path("<account:account>/repo", redirects.account, name="repo"),
    path("<account:account>/packages", redirects.account, name="packages"),
    *_package_pages("<account:account>/<package:package>"),
    *_package_pages("<account:account>/packages/<reserved_package:package>"),
    path("<account:account>/packages/<package:package>", redirects.short_package, name="long"),
    path(
        "<account:account>/packages/<package:package>/<rest:rest>",
        redirects.short_package,
        name="long-page",
    ),
    path("<account:account>/", redirects.without_slash, name="account-slash"),
    path("<account:account>/<rest:rest>/", redirects.without_slash, name="slash"),
]
