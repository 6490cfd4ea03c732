from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RegistryConfig(AppConfig):
    name = "registry"
    verbose_name = "Registry"

    def ready(self) -> None:
        # Rooms that need models, which are there only now.
        from accounts import expiry, suspension, switches  # noqa: PLC0415
        from registry import (  # noqa: PLC0415
            channel_transfers,  # noqa: F401  # registers what jobs do
            channel_work,  # noqa: F401  # as above
            checking,
            endings,
            faults,
            fetches,
            file_work,  # noqa: F401  # as above
            housekeeping,
            jobs,
            package_invitations,
            package_tree,
            refused_uploads,
            replacing,
            retention,
            search_index,
        )
        from registry.bin import sweep  # noqa: PLC0415

        post_migrate.connect(search_index.set_up, sender=self)

        switches.also_tell(package_tree.obey)
        housekeeping.also_sweep("suspensions that ended", suspension.sweep)
        housekeeping.also_sweep("invitations to packages", package_invitations.sweep)
        housekeeping.also_sweep("refused uploads", refused_uploads.sweep)
        housekeeping.also_sweep("counted errors", faults.sweep)
        housekeeping.also_sweep("old jobs", jobs.sweep)
        housekeeping.also_sweep("stored packages", checking.check_some)
        housekeeping.also_sweep("figures of packages", fetches.note_fetches, every_seconds=3600)
        housekeeping.also_sweep("tokens that end soon", expiry.warn_of_ends)
        housekeeping.also_sweep("of deleted accounts", endings.sweep)
        housekeeping.also_sweep("files that left", replacing.sweep)
        housekeeping.also_sweep("files that no rule keeps", retention.run_due)
        housekeeping.also_sweep("files in bins", sweep)
