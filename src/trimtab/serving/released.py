"""What serving asks of the registry: the checked release of a version, or a refusal."""

from typing import Protocol

from trimtab.serving.records import Released


class Releases(Protocol):
    """Where checked releases come from. Asked before every load, so that nothing is served on an old promise."""

    def checked(self, model: str, version: int) -> Released:
        """Return what the version's release covers; raise ``Refused`` or ``NotFound`` when none holds now."""
        ...
