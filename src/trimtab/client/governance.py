"""Why, cards, evidence, differences, maturity and lineage, asked of a server."""

import io
import zipfile
from datetime import datetime
from urllib.parse import unquote

import msgspec

from trimtab.client.project import answers
from trimtab.governance import (
    Card,
    Diff,
    Evidence,
    Graph,
    LedgerPosition,
    LineageNode,
    Maturities,
    Maturity,
    Subjects,
    Why,
    diff,
    evidence_pack,
    level,
    levels,
    lineage,
    lineage_subjects,
    model_card,
    position_at,
    why,
)
from trimtab.kernel import Remote
from trimtab.registry import VersionRef


class _Missing(msgspec.Struct):
    missing: tuple[str, ...]


@answers(why)
def _why(server: Remote, decision_id: str) -> Why:
    return server.get(Why, "decisions", decision_id, "why")


@answers(model_card)
def _card(server: Remote, ref: VersionRef | str, *, position: int | None = None) -> Card:
    return server.get(Card, *_path(ref), "card", position=position)


@answers(evidence_pack)
def _evidence(server: Remote, ref: VersionRef | str, *, position: int | None = None) -> Evidence:
    data, headers = server.fetch(*_path(ref), "evidence", position=position)
    with zipfile.ZipFile(io.BytesIO(data)) as pack:
        members = tuple(sorted(pack.namelist()))
        missing = msgspec.json.decode(pack.read("card.json"), type=_Missing).missing
    return Evidence(
        ref=headers["trimtab-ref"], position=int(headers["trimtab-position"]), data=data, members=members,
        missing=missing, key=unquote(headers["trimtab-key"]),
    )  # fmt: skip


@answers(diff)
def _diff(server: Remote, was: VersionRef | str, now: VersionRef | str, *, position: int | None = None) -> Diff:
    return server.get(Diff, *_path(now), "diff", was=str(VersionRef.of(was)), position=position)


@answers(level)
def _level(server: Remote, model: str, *, position: int | None = None) -> Maturity:
    return server.get(Maturities, "level", model=model, position=position).items[0]


@answers(levels)
def _levels(server: Remote, *, position: int | None = None) -> tuple[Maturity, ...]:
    return server.get(Maturities, "level", position=position).items


@answers(lineage)
def _lineage(server: Remote, subject: str, *, position: int | None = None) -> Graph:
    return server.get(Graph, "lineage", subject=subject, position=position)


@answers(lineage_subjects)
def _subjects(server: Remote, *, position: int | None = None) -> tuple[LineageNode, ...]:
    return server.get(Subjects, "lineage", "subjects", position=position).items


@answers(position_at)
def _position(server: Remote, moment: datetime) -> int:
    return server.get(LedgerPosition, "ledger", "position", at=moment).position


def _path(ref: VersionRef | str) -> tuple[object, ...]:
    found = VersionRef.of(ref)
    return "models", found.model, "versions", found.version or found.alias
