"""Who depends on whom, as the events of the ledger tell it, one after the other.

The projection is a fold: the same events give the same graph, and the first ``n`` of them the graph as it was then.
What an event names only by a digest (a version's data and features) is read from the record that the digest covers.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from trimtab.evaluation import EvaluationSaved
from trimtab.features import FeatureViewMaterialised, FeatureViewRegistered
from trimtab.governance.history import SNAPSHOT_TAKEN
from trimtab.governance.records import LineageEdge, LineageNode
from trimtab.registry import (
    ReleaseIssued,
    ReleaseRevoked,
    Version,
    VersionApproved,
    VersionRef,
    VersionRegistered,
    VersionRejected,
    VersionRetired,
)
from trimtab.serving import DecisionsSealed, Routing, RoutingChanged
from trimtab.store import Recorded

READ = (
    SNAPSHOT_TAKEN, FeatureViewRegistered.type, FeatureViewMaterialised.type, EvaluationSaved.type,
    VersionRegistered.type, VersionApproved.type, VersionRejected.type, VersionRetired.type, ReleaseIssued.type,
    ReleaseRevoked.type, RoutingChanged.type, DecisionsSealed.type, "loop.turn-opened", "loop.turn-moved",
)  # fmt: skip
"""The types of events that say who depends on whom."""


class Sealed(msgspec.Struct, frozen=True):
    """A sealed segment of the decision log: the digest of its blob, and how many decisions each version took in it."""

    position: int
    id: str
    endpoint: str
    digest: str
    first_id: str
    last_id: str
    by_version: dict[str, int]


class Projection:
    """The graph as the events so far leave it. ``version_of`` reads a version's record."""

    def __init__(self, version_of: Callable[[VersionRef], Version]) -> None:
        self._version_of = version_of
        self.nodes: dict[str, LineageNode] = {}
        self.edges: dict[tuple[str, str], LineageEdge] = {}
        self.sealed: list[Sealed] = []
        self.snapshots: dict[str, str] = {}
        """Ids of snapshots by the digest of their rows, and by that of their contents."""
        self.filled: list[tuple[datetime, str, dict[str, str]]] = []
        """When, digest of the view, and content digest by contract, of each filling of the online store."""
        self.missing: list[str] = []
        self._views: dict[str, str] = {}
        self._releases: dict[str, str] = {}
        self._places: dict[str, list[tuple[str, str]]] = {}
        self._counts: dict[str, tuple[int, int]] = {}
        self._tells: dict[str, Callable[[Recorded, dict[str, Any]], None]] = {
            SNAPSHOT_TAKEN: self._snapshot, FeatureViewRegistered.type: self._view,
            FeatureViewMaterialised.type: self._online, EvaluationSaved.type: self._evaluation,
            VersionRegistered.type: self._version, VersionApproved.type: self._status,
            VersionRejected.type: self._status, VersionRetired.type: self._status, ReleaseIssued.type: self._release,
            ReleaseRevoked.type: self._release, RoutingChanged.type: self._routing,
            DecisionsSealed.type: self._decisions, "loop.turn-opened": self._turn, "loop.turn-moved": self._turn,
        }  # fmt: skip

    def apply(self, events: Iterable[Recorded]) -> "Projection":
        """Take events in, in the order of the ledger; return itself."""
        for event in events:
            self._tells[event.type](event, event.data)
        return self

    def add(self, node: LineageNode, *edges: LineageEdge) -> None:
        """Add something that no event tells of: a decision, a row."""
        self.nodes[node.id] = node
        self.edges |= {(edge.source, edge.target): edge for edge in edges}

    def release_with(self, digest: str) -> str | None:
        """Return the id of the node of a release, by the digest of its statement."""
        return self._releases.get(digest)

    def _node(self, kind: str, name: str, event: Recorded, *, said: str = "", digest: str | None = None) -> str:
        id_ = f"{kind}:{name}"
        known = self.nodes.get(id_)
        position = event.position if known is None else known.position
        self.nodes[id_] = LineageNode(
            id=id_, kind=kind, name=name, said=said or (known.said if known else ""), position=position,
            digest=digest or (known.digest if known else None),
        )  # fmt: skip
        return id_

    def _edge(self, source: str, target: str, how: str, event: Recorded) -> None:
        known = self.edges.get((source, target))
        position = event.position if known is None or known.how != how else known.position
        self.edges[source, target] = LineageEdge(source=source, target=target, how=how, position=position)

    def _snapshot(self, event: Recorded, said: dict[str, Any]) -> None:
        source = self._node("source", said["source"], event)
        words = f"{said['rows']} rows, {said['set_aside_rows']} set aside"
        id_ = self._node("snapshot", said["snapshot_id"], event, said=words, digest=said["digest"])
        self._edge(source, id_, "read and held to its contract", event)
        self.snapshots |= {said["digest"]: said["snapshot_id"], said["content_digest"]: said["snapshot_id"]}

    def _view(self, event: Recorded, said: dict[str, Any]) -> None:
        words, name = f"{said['columns']} columns", f"{said['view']}@{said['view_version']}"
        self._views[said["digest"]] = self._node("features", name, event, said=words, digest=said["digest"])

    def _online(self, event: Recorded, said: dict[str, Any]) -> None:
        self.filled.append((event.at, said["digest"], said["tables"]))
        view = self._views.get(said["digest"])
        for content in said["tables"].values():
            if view and content in self.snapshots:
                self._edge(f"snapshot:{self.snapshots[content]}", view, "brought online from", event)

    def _evaluation(self, event: Recorded, said: dict[str, Any]) -> None:
        passed = {True: "passed its gate", False: "did not pass its gate", None: "no gate"}[said["passed"]]
        words = f"{said['n']} rows, {passed}"
        self._node("evaluation", said["evaluation"], event, said=words, digest=said["report_digest"])

    def _version(self, event: Recorded, said: dict[str, Any]) -> None:
        ref = f"{said['model']}@{said['number']}"
        id_ = self._node("version", ref, event, said="candidate", digest=said["covered"])
        for kind, name, how in (
            ("run", said["run_id"], "trained in"), ("pipeline-run", said["pipeline_run_id"], "made by"),
            ("evaluation", said["evaluation_id"], "judged by"),
        ):  # fmt: skip
            if name:
                self._edge(self._node(kind, name, event), id_, how, event)
        version = self._version_of(VersionRef(said["model"], said["number"], ""))
        if version.covers().digest != said["covered"]:
            self.missing.append(f"data and features of {ref}: its record is no longer the one that was registered")
            return
        for digest in version.lineage.data:
            if digest in self.snapshots:
                self._edge(f"snapshot:{self.snapshots[digest]}", id_, "trained on", event)
            else:
                self.missing.append(f"data of {ref}: no snapshot with the digest {digest[:19]}… was ever taken")
        if view := self._views.get(version.lineage.features or ""):
            self._edge(view, id_, "knows", event)

    def _status(self, event: Recorded, said: dict[str, Any]) -> None:
        ref, word = f"{said['model']}@{said['number']}", event.type.rpartition("-")[2]
        version = self._node("version", ref, event, said=word)
        if event.type == VersionApproved.type:
            approval = self._node("approval", said["approval"], event, said=f"by {event.actor.id}")
            self._edge(version, approval, "approved", event)

    def _release(self, event: Recorded, said: dict[str, Any]) -> None:
        release = self._node("release", said["release"], event, said="holds", digest=said["release_digest"])
        if event.type == ReleaseRevoked.type:
            self._node("release", said["release"], event, said="revoked")
            return
        self._releases[said["release_digest"]] = release
        self._edge(f"approval:{said['approval']}", release, "released", event)

    def _routing(self, event: Recorded, said: dict[str, Any]) -> None:
        """Let only the present places at an endpoint stand: a live endpoint is one that depends on something now."""
        endpoint = f"endpoint:{said['endpoint']}"
        for key in self._places.pop(endpoint, []):
            del self.edges[key]
        if said["now"] is None:
            self._node("endpoint", said["endpoint"], event, said="removed")
            return
        routing = msgspec.convert(said["now"], Routing)
        self._node("endpoint", said["endpoint"], event, said=f"live, revision {said['revision']}", digest=event.after)
        for number, stage, percent in routing.places:
            ref = f"{routing.model}@{number}"
            source = self._releases.get(said["releases"].get(ref, ""), f"version:{ref}")
            share = f"{stage}, {percent:g} %" if percent is not None else stage
            self._edge(source, endpoint, f"answers: {share}", event)
            self._places.setdefault(endpoint, []).append((source, endpoint))

    def _decisions(self, event: Recorded, said: dict[str, Any]) -> None:
        ids = said["first_id"], said["last_id"]
        segment = said["segment_id"], said["endpoint"], said["digest"]
        self.sealed.append(Sealed(event.position, *segment, *ids, said["by_version"]))
        for ref, count in said["by_version"].items():
            name = f"{ref} at {said['endpoint']}"
            total, segments = self._counts.get(name, (0, 0))
            self._counts[name] = total, segments = total + count, segments + 1
            words = f"{total} in {segments} sealed {'segment' if segments == 1 else 'segments'}"
            self._edge(f"version:{ref}", self._node("decisions", name, event, said=words), "decided", event)

    def _turn(self, event: Recorded, said: dict[str, Any]) -> None:
        turn = self._node("turn", said["turn"], event, said=str(said.get("now", said.get("state"))))
        if said.get("ref"):
            self._edge(turn, f"version:{said['ref']}", "turn of the loop", event)
