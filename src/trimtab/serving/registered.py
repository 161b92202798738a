"""The registry's releases, as serving asks for them: each checked in full, with everything that loading needs."""

import msgspec

from trimtab.declare import FeatureViewSpec
from trimtab.features import digest_of_view, get_view
from trimtab.registry import Release, VersionRef, check_release, get_version, list_releases
from trimtab.serving.errors import LoadRefused, NotServable
from trimtab.serving.records import Input, Released
from trimtab.store import Store
from trimtab.tracking import Signature


class RegisteredReleases:
    """Checked releases out of the registry of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def checked(self, model: str, version: int) -> Released:
        """Return what the version's release covers, after every covered byte was verified; raise ``Refused``."""
        return self._released(VersionRef(model, version, ""))

    def champion(self, model: str) -> Released:
        """Return the champion's release; raise ``NotFound`` when there is no champion, ``Refused`` as ``checked``."""
        return self._released(VersionRef(model))

    def _released(self, ref: VersionRef) -> Released:
        # Never issued here: this is also asked within a change, which cannot contain another.
        version = get_version(self._store, ref)
        here, known = self._store.settings.environment, list_releases(self._store, version)
        held = (one for one in known if one.statement.holds_in(here))
        release = next(held, next(iter(known), None))  # that of another environment is refused with its name
        if release is None:
            raise NotServable(f"{version.ref} has no release", where=f"version {version.ref}", version=version.ref)
        check_release(self._store, release)
        said = release.statement
        if (said.model, said.version) != (version.model, ref.version or version.number):
            raise _refused(release, f"Its row is that of {version.model}@{ref.version or version.number}.")
        signature = self._signature(release)
        return Released(
            model=said.model, version=said.version, release=release.digest, format=said.format, digest=said.artifact,
            inputs=inputs_of(signature), classes=signature.classes, task=said.task, sample=said.sample,
            view=self._view(release), stages=said.limits.stages, percent=said.limits.percent,
            endpoint=said.endpoint or None, expires_at=said.expires_at or None,
        )  # fmt: skip

    def _signature(self, release: Release) -> Signature:
        try:
            return msgspec.json.decode(self._store.blobs.get(release.statement.signature), type=Signature)
        except msgspec.DecodeError as error:
            raise _refused(release, f"Its signature cannot be read ({error}).") from None

    def _view(self, release: Release) -> FeatureViewSpec | None:
        """Return the released definition of the features: whatever was declared since plays no part."""
        name, digest = release.statement.view, release.statement.features
        if name is None or digest is None:
            return None
        found = get_view(self._store, name)
        while found.digest != digest and found.version > 1:
            found = get_view(self._store, name, version=found.version - 1)
        if digest_of_view(found.spec) != digest:
            raise _refused(release, f"Its features {name} ({digest[:19]}…) are not registered as they were released.")
        return found.spec


def inputs_of(signature: Signature) -> tuple[Input, ...]:
    """Return a signature's inputs as serving knows them."""
    return tuple(
        Input(
            name=column.name,
            kind=column.kind,
            categories=column.categories,
            nullable=column.nullable,
            missing=None if column.missing is msgspec.UNSET else column.missing,
        )
        for column in signature.inputs
    )


def _refused(release: Release, why: str) -> LoadRefused:
    return LoadRefused(
        f"{release.ref} is not served", where=f"release {release.statement.id}", why=why, version=release.ref
    )
