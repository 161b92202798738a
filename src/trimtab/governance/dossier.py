"""Everything that is known of one version as of a position of the ledger, each record in the bytes that it vouches for.

A record whose digest the ledger knows is kept in exactly the canonical bytes of that digest, so that nothing but
SHA-256 is needed to hold the one to the other.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from trimtab.data import get_snapshot
from trimtab.declare import FeatureViewSpec
from trimtab.evaluation import EvaluationSaved
from trimtab.features import FeatureViewRegistered, digest_of_view, get_view
from trimtab.governance.history import RUN_FINISHED, SNAPSHOT_TAKEN, events_of, number_at, status_in
from trimtab.governance.policy import canonical_model
from trimtab.governance.turns import turn_as_told
from trimtab.kernel import Invalid, TrimtabError, canonical, digest_of_bytes
from trimtab.loop import (
    DeclarationApplied,
    PolicyApproved,
    PolicyProposed,
    PolicyRejected,
    PolicyWithdrawn,
    get_proposal,
    get_turn,
)
from trimtab.pipelines import PipelineSpec, PipelineSubmitted, get_pipeline_run
from trimtab.registry import (
    ReleaseKeys,
    Version,
    VersionRef,
    VersionRegistered,
    get_version,
    list_approvals,
    list_releases,
)
from trimtab.store import Recorded, Store
from trimtab.tracking import find_artifact, get_run, list_artifacts, list_models, read_artifact

EVENTS = "ledger/events.jsonl"
COVERED, REPORT, VERSION, POLICY = "covered.json", "evaluation/report.json", "version.json", "policy.json"
PIPELINE, FEATURES, ENVIRONMENT, CAPTURED = "pipeline.json", "features.json", "environment.json", "environment/run.json"


class Member(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One record: its bytes, what and whose it is, where the API shows it, and the event that vouches for it."""

    name: str
    data: bytes
    kind: str
    id: str
    href: str = ""
    position: int | None = None

    @property
    def digest(self) -> str:
        return digest_of_bytes(self.data)

    @cached_property
    def value(self) -> Any:
        return msgspec.json.decode(self.data)


class Dossier(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The records of one version by name, and its events, as the ledger's first ``size`` events tell of it.

    ``missing`` names in words what could not be found, or is no longer what the ledger vouches for.
    """

    model: str
    number: int
    size: int
    members: dict[str, Member]
    events: tuple[Recorded, ...]
    missing: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.number}"

    @property
    def history(self) -> tuple[Recorded, ...]:
        """The events about the version itself."""
        return tuple(e for e in self.events if any((s.kind, s.id) == ("version", self.ref) for s in e.subjects))

    @cached_property
    def _told(self) -> dict[int, Any]:
        return {event.position: msgspec.to_builtins(event) for event in self.events}

    def look(self, source: str) -> Any:
        """Return the value that ``member#/json/pointer`` names. Raises ``LookupError`` when there is none."""
        member, _, pointer = source.partition("#")
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        if member == EVENTS:
            value, steps = self._told[int(steps[0])], steps[1:]
        else:
            value = self.members[member].value
        for step in steps:
            if not isinstance(value, list | dict):
                raise KeyError(source)
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value


def dossier_of(store: Store, ref: VersionRef | str, *, size: int) -> Dossier:
    """Gather what is known of a version from the first ``size`` events and the records that they vouch for.

    Raises ``VersionMissing`` when the ledger did not know it yet.
    """
    return _Gathering(store, number_at(store, ref, size=size), size=size).done()


class _Gathering:
    """Collects records; what is not there, or is not what the ledger says, is named and left out."""

    def __init__(self, store: Store, ref: VersionRef, *, size: int) -> None:
        self.store, self.size = store, size
        self.history = list(events_of(store, ("version", str(ref)), size=size))
        self.version = msgspec.structs.replace(get_version(store, ref), status=status_in(self.history))
        self.members: dict[str, Member] = {}
        self.events = {event.position: event for event in self.history}
        self.missing: list[str] = []

    def done(self) -> Dossier:
        version = self.version
        self._version()
        self._try("the evaluation", self._evaluation)
        for id_ in version.lineage.snapshots:
            self._try(f"snapshot {id_}", lambda id_=id_: self._snapshot(id_))  # type: ignore[misc]
        if not version.lineage.snapshots:
            self.missing.append(f"data: {version.ref} names no snapshot that it was trained on")
        self._try("the training run", self._run)
        self._try("the pipeline run", self._pipeline)
        self._try("the features", self._features)
        self._declarations()
        for id_ in sorted({str(event.data["turn"]) for event in self.history if event.type.startswith("loop.turn-")}):
            self._try(f"turn {id_}", lambda id_=id_: self._turn(id_))  # type: ignore[misc]
        for approval in list_approvals(self.store, version):
            if event := self._event("approval", approval.id, id=approval.event_id):
                self._put(
                    f"approvals/{approval.id}.json",
                    canonical(approval),
                    "approval",
                    approval.id,
                    position=event.position,
                )
        self._releases()
        return Dossier(
            model=version.model, number=version.number, size=self.size, missing=tuple(self.missing),
            members=dict(sorted(self.members.items())), events=tuple(self.events[p] for p in sorted(self.events)),
        )  # fmt: skip

    def _put(self, name: str, data: bytes, kind: str, id_: str, *, href: str = "", position: int | None = None) -> None:
        self.members[name] = Member(name=name, data=data, kind=kind, id=id_, href=href, position=position)

    def _try(self, what: str, find: Callable[[], None]) -> None:
        try:
            find()
        except TrimtabError as error:
            self.missing.append(f"{what}: {error.what}. {error.why}")

    def _about(self, kind: str, id_: str, *, type: str | None = None) -> list[Recorded]:
        """Return the events about something, and keep them."""
        found = list(events_of(self.store, (kind, id_), size=self.size, type=type))
        self.events |= {event.position: event for event in found}
        return found

    def _event(self, kind: str, subject: str, *, id: str) -> Recorded | None:
        return next((event for event in self._about(kind, subject) if event.id == id), None)

    def _unlike(self, what: str) -> None:
        self.missing.append(f"{what}: the record is no longer the one that the ledger vouches for")

    def _version(self) -> None:
        version = self.version
        entered = next((event for event in self.history if event.type == VersionRegistered.type), None)
        covered = canonical(version.covers())
        if entered is None or entered.data["covered"] != digest_of_bytes(covered):
            raise Invalid(
                f"the record of {version.ref} is not the one that was registered",
                where=f"version {version.ref}",
                why="The ledger vouches for another digest of what it is bound to.",
                next="trimtab verify",
            )
        here, position = f"/api/v1/models/{version.model}/versions/{version.number}", entered.position
        self._put(COVERED, covered, "covered", version.ref, href=f"{here}/approval", position=position)
        self._put(VERSION, canonical(version), "version", version.ref, href=here, position=position)
        self._put("params.json", canonical(version.params), "params", version.ref, href=here, position=position)

    def _evaluation(self) -> None:
        version = self.version
        if version.evaluation_id is None or version.evaluation is None:
            self.missing.append(f"evaluation: {version.ref} was registered without one")
            return
        saved = next(iter(self._about("evaluation", version.evaluation_id, type=EvaluationSaved.type)), None)
        data = self.store.blobs.get(version.evaluation)
        href = f"/api/v1/evaluations/{version.evaluation_id}"
        if saved is None:
            self._unlike("evaluation")
        else:
            self._put(REPORT, data, "evaluation", version.evaluation_id, href=href, position=saved.position)

    def _snapshot(self, id_: str) -> None:
        snapshot = get_snapshot(self.store, id_)
        taken = next(iter(self._about("snapshot", id_, type=SNAPSHOT_TAKEN)), None)
        said = taken.data if taken else {}
        if taken is None or any(said[name] != getattr(snapshot, name) for name in ("digest", "content_digest", "rows")):
            self._unlike(f"snapshot {id_}")
        else:
            href = f"/api/v1/snapshots/{id_}"
            self._put(f"data/{id_}.json", canonical(snapshot), "snapshot", id_, href=href, position=taken.position)

    def _features(self) -> None:
        name, digest = self.version.lineage.view, self.version.lineage.features
        if name is None or digest is None:
            self.missing.append(f"features: {self.version.ref} was not trained from a feature view")
            return
        registered = list(self._about("view", name, type=FeatureViewRegistered.type))
        found = next((event for event in registered if event.data["digest"] == digest), None)
        spec = self._view(name, found.data["view_version"] if found else None)
        if found is None or digest_of_view(spec) != digest:
            self._unlike(f"features {name}")
        else:
            self._put(
                FEATURES, canonical(spec), "features", name, href=f"/api/v1/features/{name}", position=found.position
            )

    def _view(self, name: str, version: int | None) -> FeatureViewSpec:
        """Return the declaration of the features: that of the policy, which is sealed, or else the registered one.

        What may be described anew at any time (owner, description) is left out of the latter.
        """
        if POLICY in self.members:
            return msgspec.convert(self.members[POLICY].value["view"], FeatureViewSpec)
        spec = get_view(self.store, name, version=version).spec
        return msgspec.structs.replace(spec, owner="", description="", where="")

    def _run(self) -> None:
        id_ = self.version.lineage.run_id
        if id_ is None:
            self.missing.append(f"run: {self.version.ref} names no training run")
            return
        ended = [event for event in self._about("run", id_) if event.type == RUN_FINISHED]
        if not ended:
            self.missing.append(f"run {id_}: it had not ended")
            return
        run, position = get_run(self.store, id_), ended[-1].position
        artifacts = list_artifacts(self.store, id_)
        parts: Mapping[str, Any] = {
            "params": run.params,
            "artifacts": sorted((one.name, one.digest, one.size_bytes) for one in artifacts),
            "datasets": sorted((one.role, one.digest, one.name, one.rows) for one in run.datasets),
            "models": list_models(self.store, id_),
        }
        for part, value in parts.items():
            data = canonical(value)
            if digest_of_bytes(data) != ended[-1].data["seal"][part]:
                self._unlike(f"{part} of run {id_}")
            else:
                self._put(f"run/{part}.json", data, f"run's {part}", id_, href=f"/api/v1/runs/{id_}", position=position)
        self._environment(id_, position)

    def _environment(self, run_id: str, position: int) -> None:
        captured = find_artifact(self.store, run_id, "environment/environment.json")
        data = read_artifact(self.store, captured)
        href = f"/api/v1/artifacts/{captured.id}"
        self._put(CAPTURED, data, "environment", run_id, href=href, position=position)
        said = msgspec.json.decode(data)
        decides = {name: said[name] for name in ("python", "implementation", "machine", "packages")}
        bound = canonical(decides | {"system": said["platform"].partition(" ")[0]})
        if digest_of_bytes(bound) != self.version.lineage.environment:
            self._unlike("environment")
        else:
            self._put(ENVIRONMENT, bound, "environment", self.version.lineage.environment, href=href, position=position)

    def _pipeline(self) -> None:
        id_ = self.version.lineage.pipeline_run_id
        if id_ is None:
            self.missing.append(f"pipeline: {self.version.ref} was not made by a pipeline run")
            return
        submitted = next((e for e in self._about("pipeline-run", id_) if e.type == PipelineSubmitted.type), None)
        spec = get_pipeline_run(self.store, id_).spec
        data = canonical(spec)
        if submitted is None or digest_of_bytes(data) != submitted.data["spec"]:
            self._unlike(f"pipeline run {id_}")
            return
        self._put(PIPELINE, data, "pipeline", id_, href=f"/api/v1/pipeline-runs/{id_}", position=submitted.position)
        self._policy(spec, submitted.position)

    def _policy(self, spec: PipelineSpec, position: int) -> None:
        """Keep the declaration that was in force: it lies in the pipeline that was submitted with it."""
        policy = self.version.lineage.policy
        declared = (canonical_model(step.params["model"]) for step in spec.steps if "model" in step.params)
        data = next((data for data in declared if digest_of_bytes(data) == policy), None)
        if data is None:
            self.missing.append(f"policy: the pipeline run of {self.version.ref} holds no declaration with its digest")
        else:
            self._put(POLICY, data, "policy", self.version.model, position=position)

    def _declarations(self) -> None:
        for kind in ("model", "endpoint", "policy"):
            self._about(kind, self.version.model, type=DeclarationApplied.type)
        for decided in (PolicyApproved, PolicyRejected, PolicyWithdrawn):
            self._about("policy", self.version.model, type=decided.type)
        for event in self._about("policy", self.version.model, type=PolicyProposed.type):
            told = f"proposed policy {event.data['proposal']}"
            self._try(told, lambda event=event: self._proposal(event))  # type: ignore[misc]

    def _proposal(self, event: Recorded) -> None:
        """Keep a policy that was proposed for the model, in the bytes that its approval is bound to."""
        id_ = str(event.data["proposal"])
        data = canonical(get_proposal(self.store, id_).policy)
        if digest_of_bytes(data) != event.data["digest"]:
            self._unlike(f"proposed policy {id_}")
        else:
            href = f"/api/v1/proposals/{id_}"
            self._put(f"policies/{id_}.json", data, "proposed policy", id_, href=href, position=event.position)

    def _turn(self, id_: str) -> None:
        told = self._about("turn", id_)
        data = turn_as_told(get_turn(self.store, id_), told)
        if data is None:
            self._unlike(f"turn {id_}")
        else:
            href = f"/api/v1/turns/{id_}"
            self._put(f"turns/{id_}.json", data, "turn", id_, href=href, position=told[-1].position)

    def _releases(self) -> None:
        keys = ReleaseKeys.of(self.store).trusted()
        for release in list_releases(self.store, self.version):
            id_ = release.statement.id
            issued = next((e for e in self.history if e.data.get("release_digest") == release.digest), None)
            if issued is None:
                continue
            if release.key not in keys:
                self.missing.append(f"release {id_}: the key {release.key}, which signed it, is not known here")
                continue
            signed = {
                "key": release.key, "public_key": keys[release.key].public_bytes_raw().hex(),
                "signature": release.signature,
            }  # fmt: skip
            place = f"releases/{id_}"
            statement = canonical(release.statement)
            self._put(f"{place}/statement.json", statement, "release", id_, position=issued.position)
            self._put(f"{place}/signature.json", canonical(signed), "signature", id_, position=issued.position)


def version_in(dossier: Dossier) -> Version:
    """Return the version as of the dossier's position."""
    return msgspec.json.decode(dossier.members[VERSION].data, type=Version)
