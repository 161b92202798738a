"""The model card: what the records say of a version, each value with the place that it was read from.

A value enters a card only by ``_Card.fact``, which looks it up in a record. So a card cannot say what no record says.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from trimtab.declare import FeatureViewSpec, show
from trimtab.features import compile_view
from trimtab.governance.dossier import (
    CAPTURED,
    COVERED,
    ENVIRONMENT,
    EVENTS,
    FEATURES,
    POLICY,
    REPORT,
    VERSION,
    Dossier,
    Member,
    dossier_of,
)
from trimtab.governance.history import size_at
from trimtab.governance.records import Card, CardRecord, CardTable, Fact, Row, Section
from trimtab.registry import ReleaseIssued, ReleaseRevoked, VersionRef
from trimtab.serving import DecisionsSealed, RoutingChanged
from trimtab.store import Store

MOST_SLICES = 40
"""Slices of one column that a card shows; the report holds all of them."""
_INTERVAL = ("value", "low", "high", "n")
_ENDS = ("lowest group", "highest group")
_ISSUERS = "token issued by"
_CHANCE = "chance alone, 19 of 20 cases"


def model_card(store: Store, ref: VersionRef | str, *, position: int | None = None) -> Card:
    """Return the card of a version as of a position of the ledger (default: now).

    Raises ``VersionMissing`` for a version that was not there yet.
    """
    return card_of(dossier_of(store, ref, size=size_at(store, position)), origin=store.origin)


def card_of(dossier: Dossier, *, origin: str) -> Card:
    """Return the card that a dossier fills."""
    card = _Card(dossier)
    sections = (
        card.details(), card.use(), card.data(), card.features(), card.evaluation(), card.gate(), card.approvals(),
        card.turn(), card.service(), card.environment(), card.limits(),
    )  # fmt: skip
    quoted = {source.partition("#")[0] for source in card.sources}
    records = [
        CardRecord(
            member=member.name, kind=member.kind, id=member.id, digest=member.digest, position=member.position,
            href=member.href,
        )
        for name, member in dossier.members.items() if name in quoted
    ]  # fmt: skip
    return Card(
        ref=dossier.ref, origin=origin, position=dossier.size - 1, sections=sections, records=tuple(records),
        missing=dossier.missing,
    )  # fmt: skip


class _Card:
    """Reads values out of a dossier, and remembers where from."""

    def __init__(self, dossier: Dossier) -> None:
        self.dossier = dossier
        self.sources: list[str] = []

    def fact(self, name: str, source: str, *, state: Literal["auto", "declared"] = "auto") -> Fact:
        """Return the value at ``source``; what is not there, or is empty, is missing."""
        try:
            value = self.dossier.look(source)
        except LookupError:
            return Fact(name=name)
        if value == "":
            return Fact(name=name)
        if isinstance(value, list) and len(value) == 1:
            return self.fact(name, f"{source}/0", state=state)
        if isinstance(value, list | dict):
            value = ", ".join(map(str, value))
            return Fact(name=name, value=value, state=state)
        self.sources.append(source)
        return Fact(name=name, value=value, state=state, source=source)

    def facts(self, lead: str, *names: str) -> tuple[Fact, ...]:
        """Return the values of several fields of one record, each named as it is there."""
        return tuple(self.fact(name.rpartition("/")[2].replace("_", " "), f"{lead}/{name}") for name in names)

    def issuers(self, actor: str) -> Fact:
        """Return who issued the token with which an actor acted, the nearest first; none where it was without one."""
        found = self.fact(_ISSUERS, f"{actor}/issued_by")
        return found if found.state != "missing" else Fact(name=found.name, state="auto")

    def has(self, member: str) -> bool:
        return member in self.dossier.members

    def details(self) -> Section:
        version = self.facts(
            f"{VERSION}#", "model", "number", "status", "task", "registered_at", "registered_by/id", "artifacts/format",
            "artifacts/model", "covered",
        )  # fmt: skip
        names = dict(
            enumerate(("registered by", "format", "digest of the model's bytes", "digest of all it covers"), 5)
        )
        version = tuple(msgspec.structs.replace(f, name=names.get(i, f.name)) for i, f in enumerate(version))
        token = self.issuers(f"{VERSION}#/registered_by")
        declared = (
            self.fact("description", f"{VERSION}#/description", state="declared"),
            self.fact("owner", f"{POLICY}#/owner", state="declared"),
        )
        params = self.dossier.members["params.json"].value
        rows = [Row(label=name, cells=(self.fact(name, f"params.json#/{_step(name)}"),)) for name in sorted(params)]
        return Section(
            title="Model", facts=(*version, token, *declared), tables=_tables("Parameters", ("name", "value"), rows)
        )

    def use(self) -> Section:
        """Intended use and its limits: nothing in the language asks for them yet, so nobody has provided them."""
        return Section(
            title="Intended use",
            facts=tuple(Fact(name=name) for name in ("intended use", "intended users", "uses that are out of scope")),
        )

    def data(self) -> Section:
        rows = [
            Row(
                label=f"{member.value['source']} ({member.id})",
                cells=self.facts(
                    f"{name}#", "rows", "set_aside_rows", "event_time_from", "event_time_to", "taken_at", "digest"
                ),
            )
            for name, member in self._folder("data/")
        ]
        breaks = [
            Row(label=one["example"], cells=self.facts(f"{name}#/breaks/{i}", "field", "reason", "rows"))
            for name, member in self._folder("data/")
            for i, one in enumerate(member.value["breaks"])
        ]
        learnt = [
            Row(label=one["role"], cells=self.facts(f"{POLICY}#", "train/text", "test/text"))
            for one in ({"role": "spans in time"},)
            if self.has(POLICY)
        ]
        return Section(
            title="Data",
            tables=(
                *_tables("Snapshots", ("snapshot", "rows", "set aside", "from", "to", "taken at", "digest"), rows),
                *_tables("Broken promises, set aside", ("first row", "field", "promise", "rows"), breaks),
                *_tables("Learnt from and judged on", ("", "train", "test"), learnt),
            ),
            facts=() if rows else (Fact(name="snapshots"),),
        )

    def features(self) -> Section:
        facts = (
            self.fact("view", f"{FEATURES}#/name"),
            self.fact("digest", f"{COVERED}#/features"),
            self.fact("decided at", f"{FEATURES}#/decided"),
            self.fact("seconds from there to the decision", f"{FEATURES}#/decided_offset_s"),
        )
        rows = []
        if self.has(FEATURES):
            view = msgspec.json.decode(self.dossier.members[FEATURES].data, type=FeatureViewSpec)
            rows = [
                Row(
                    label=f"{column.name} = {show(column.source)}",
                    cells=(Fact(name="kind", value=column.kind, state="auto"),),
                )
                for column in compile_view(view).columns
            ]
        return Section(title="Features", facts=facts, tables=_tables("Columns", ("column", "kind"), rows))

    def evaluation(self) -> Section:
        lead = f"{REPORT}#/evaluation"
        facts = self.facts(lead, "task", "n", "positives", "at", "confidence", "seed", "resamples", "rows")
        if not self.has(REPORT):
            return Section(title="Evaluation", facts=(Fact(name="evaluation"),))
        report = self.dossier.members[REPORT].value
        measured = report["evaluation"]
        names = {"at": "threshold", "n": "rows measured on", "rows": "digest of the rows"}
        facts = tuple(msgspec.structs.replace(fact, name=names.get(fact.name, fact.name)) for fact in facts)
        metrics = [
            Row(label=name, cells=self.facts(f"{lead}/metrics/{_step(name)}", *_INTERVAL))
            for name in sorted(measured["metrics"])
        ]
        tables = list(_tables("Metrics", ("metric", *_INTERVAL), metrics))
        for column in sorted(measured["slices"]):
            tables += self._slices(lead, column, measured["slices"][column], sorted(measured["metrics"]))
        for column in sorted(measured["fairness"]):
            tables += self._fairness(f"{lead}/fairness/{_step(column)}", column, measured["fairness"][column])
        if report["comparison"]:
            tables += self._comparison(sorted(report["comparison"]["metrics"]))
        return Section(title="Evaluation", facts=facts, tables=tuple(tables))

    def _slices(
        self, lead: str, column: str, slices: Sequence[dict[str, object]], metrics: Sequence[str]
    ) -> Iterable[CardTable]:
        shown = sorted(range(len(slices)), key=lambda i: (-int(str(slices[i]["n"])), i))[:MOST_SLICES]
        rows = [
            Row(
                label=str(slices[i]["value"]),
                cells=(
                    self.fact("n", f"{lead}/slices/{_step(column)}/{i}/n"),
                    *(
                        self.fact(name, f"{lead}/slices/{_step(column)}/{i}/metrics/{_step(name)}/value")
                        for name in metrics
                    ),
                ),
            )
            for i in shown
        ]
        left = f", the {MOST_SLICES} largest of {len(slices)}" if len(slices) > MOST_SLICES else ""
        return _tables(f"By {column}{left}", (column, "n", *metrics), rows)

    def _fairness(self, lead: str, column: str, gaps: dict[str, object]) -> Iterable[CardTable]:
        rows = []
        for name, gap in sorted(gaps.items()):
            if isinstance(gap, dict):
                groups = tuple(
                    self.fact(end, f"{lead}/{name}/slices/{i}") if gap["slices"] else Fact(name=end, state="auto")
                    for i, end in enumerate(_ENDS)
                )
                measured = self.facts(f"{lead}/{name}/value", *_INTERVAL)
                chance = self.fact(_CHANCE, f"{lead}/{name}/chance")
                rows.append(Row(label=name.replace("_", " "), cells=(*groups, *measured, chance)))
        return _tables(f"Gaps between groups by {column}", ("gap", *_ENDS, *_INTERVAL, _CHANCE), rows)

    def _comparison(self, metrics: Sequence[str]) -> Iterable[CardTable]:
        rows = [
            Row(
                label=name,
                cells=self.facts(
                    f"{REPORT}#/comparison/metrics/{_step(name)}", "champion", "challenger", "difference/value",
                    "difference/low", "difference/high", "better",
                ),
            )
            for name in metrics
        ]  # fmt: skip
        columns = ("metric", "champion", "this version", "difference", "low", "high", "better")
        return _tables("Against the champion, on the same rows", columns, rows)

    def gate(self) -> Section:
        if not self.has(REPORT) or not self.dossier.members[REPORT].value["verdict"]:
            return Section(title="Gate", facts=(Fact(name="verdict"),))
        lines = self.dossier.members[REPORT].value["verdict"]["lines"]
        rows = [
            Row(
                label=str(line["text"]),
                cells=self.facts(f"{REPORT}#/verdict/lines/{i}", "observed", "threshold", "passed"),
            )
            for i, line in enumerate(lines)
        ]
        facts = (self.fact("passed", f"{REPORT}#/verdict/passed"), self.fact("policy", f"{REPORT}#/verdict/policy"))
        return Section(
            title="Gate", facts=facts, tables=_tables("Conditions", ("line", "observed", "threshold", "passed"), rows)
        )

    def approvals(self) -> Section:
        rows = [
            Row(
                label=str(member.value["outcome"]),
                cells=(
                    *self.facts(
                        f"{name}#", "by/id", "at", "because", "role", "self_approved", "override", "limits/percent"
                    ),
                    self.issuers(f"{name}#/by"),
                ),
            )
            for name, member in self._folder("approvals/")
        ]
        columns = ("outcome", "by", "at", "because", "role", "self-approved", "override", "largest share", _ISSUERS)
        return Section(
            title="Approvals",
            facts=() if rows else (Fact(name="approval"),),
            tables=_tables("Decisions about this version", columns, rows),
        )

    def turn(self) -> Section:
        """The turn of the loop that brought it about, state by state, as its events tell."""
        rows = []
        for event in self.dossier.events:
            place = f"{EVENTS}#/{event.position}"
            if event.type == "loop.turn-opened":
                cells = self.facts(place, "at", "actor/id", "data/trigger/kind", "data/trigger/text")
                rows.append(Row(label="opened", cells=(*cells, self.issuers(f"{place}/actor"))))
            elif event.type == "loop.turn-moved":
                cells = self.facts(place, "at", "actor/id", "data/stage", "data/text")
                label = f"{event.data['was']} > {event.data['now']}"
                rows.append(Row(label=label, cells=(*cells, self.issuers(f"{place}/actor"))))
        columns = ("move", "at", "by", "trigger or stage", "why", _ISSUERS)
        facts = () if rows else (Fact(name="turn of the loop"),)
        return Section(title="Turn of the loop", facts=facts, tables=_tables("Moves", columns, rows))

    def service(self) -> Section:
        """Releases, routings and sealed decisions, as their events tell."""
        history = self.dossier.history
        released = [
            Row(
                label="released" if event.type == ReleaseIssued.type else "revoked",
                cells=self.facts(f"{EVENTS}#/{event.position}", "at", "data/release", "data/release_digest"),
            )
            for event in history
            if event.type in (ReleaseIssued.type, ReleaseRevoked.type)
        ]
        routed = [
            Row(
                label=f"{event.data['endpoint']}: {_place(event.data['now'], self.dossier.number)}",
                cells=(
                    *self.facts(f"{EVENTS}#/{event.position}", "at", "data/revision", "actor/id", "because"),
                    self.issuers(f"{EVENTS}#/{event.position}/actor"),
                ),
            )
            for event in history
            if event.type == RoutingChanged.type
        ]
        key = _step(self.dossier.ref)
        sealed = [
            f"{EVENTS}#/{event.position}/data/by_version/{key}"
            for event in history
            if event.type == DecisionsSealed.type and self.dossier.ref in event.data["by_version"]
        ]
        counted = Fact(name="decisions in sealed segments")
        if sealed:
            total = sum(self.dossier.look(source) for source in sealed)
            counted = Fact(name=counted.name, value=total, state="auto", sum_of=tuple(sealed))
        return Section(
            title="Release and service",
            facts=(counted,),
            tables=(
                *_tables("Releases", ("", "at", "release", "digest"), released),
                *_tables("Places at endpoints", ("place", "at", "revision", "by", "because", _ISSUERS), routed),
            ),
        )

    def environment(self) -> Section:
        facts = (
            self.fact("digest", f"{COVERED}#/environment"),
            self.fact("python", f"{ENVIRONMENT}#/python"),
            self.fact("system", f"{ENVIRONMENT}#/system"),
            self.fact("machine", f"{ENVIRONMENT}#/machine"),
            self.fact("digest of the train function", f"{COVERED}#/code"),
            self.fact("commit", f"{CAPTURED}#/code/commit"),
            self.fact("changed since the commit", f"{CAPTURED}#/code/dirty"),
        )
        models = self.dossier.members.get("run/models.json")
        rows = [
            Row(label=name, cells=(self.fact(name, f"run/models.json#/{i}/packages/{_step(name)}"),))
            for i, model in enumerate(models.value if models else ())
            for name in sorted(model["packages"])
        ]
        return Section(
            title="Environment",
            facts=facts,
            tables=_tables("Packages that made the model", ("package", "version"), rows),
        )

    def limits(self) -> Section:
        """What a reader looks for in a card, and nobody has provided."""
        names = ("known limitations", "ethical considerations", "caveats and recommendations")
        return Section(title="Limits and considerations", facts=tuple(Fact(name=name) for name in names))

    def _folder(self, lead: str) -> list[tuple[str, Member]]:
        return [(name, member) for name, member in self.dossier.members.items() if name.startswith(lead)]


def _tables(title: str, columns: tuple[str, ...], rows: Sequence[Row]) -> tuple[CardTable, ...]:
    return (CardTable(title=title, columns=columns, rows=tuple(rows)),) if rows else ()


def _step(name: str) -> str:
    """Write a name as one step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _place(now: dict[str, object] | None, number: int) -> str:
    """Return the place that a routing gives a version, in a word."""
    match now:
        case None:
            return "removed"
        case {"champion": champion} if champion == number:
            return "champion"
        case {"shadow": list(shadow)} if number in shadow:
            return "shadow"
        case {"canary": list(canary)}:
            shares = [one["percent"] for one in canary if one["version"] == number]
            return f"canary, {shares[0]:g} %" if shares else "left"
        case _:
            return "left"
