"""What watching a version could find, before it serves: for the person who approves it."""

import msgspec

from trimtab.monitoring.dry_run import DryRun, dry_run
from trimtab.monitoring.kept import get_reference
from trimtab.monitoring.level_power import LevelPower
from trimtab.monitoring.levels import level_power
from trimtab.registry import Version, VersionRef, get_version
from trimtab.store import Store


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """False pages, and the smallest shifts that would be found; null when the version has no reference.

    ``level`` is how large a rise of the loss above its level at approval is found.
    """

    dry_run: DryRun | None
    level: LevelPower


def foreseen(store: Store, ref: VersionRef | Version | str, *, endpoint: str = "") -> Foreseen:
    """Say what a monitor would have done on a version's own reference, and what it can find at an endpoint.

    The endpoint is that of the version's model unless it is named.
    """
    version = get_version(store, ref)
    reference = get_reference(store, version.model, version.number)
    level = level_power(
        store, endpoint or version.model, version=version.number, at=store.clock.now(), model=version.model
    )
    return Foreseen(dry_run=None if reference is None else dry_run(reference), level=level)
