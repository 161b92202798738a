"""The nouns of the loop: what a plan would change, and what an apply did."""

from datetime import datetime
from typing import Any, Literal

import msgspec

Sign = Literal["+", "~", "-", "="]
"""To add, to change, to remove, unchanged."""


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One declared thing and what applying would do to it, in words."""

    sign: Sign
    kind: str
    name: str
    lines: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `fairlead apply` would do. An item that stays as it is carries the sign ``=``."""

    project: str
    as_of: datetime
    items: tuple[PlanItem, ...]

    def count(self, sign: Sign) -> int:
        return sum(item.sign == sign for item in self.items)

    @property
    def has_changes(self) -> bool:
        return any(item.sign != "=" for item in self.items)

    def item(self, kind: str, name: str) -> PlanItem:
        return next(item for item in self.items if (item.kind, item.name) == (kind, name))

    def __str__(self) -> str:
        head = f"{self.project}  .  {self.count('+')} to add, {self.count('~')} to change, {self.count('-')} to remove"
        lines = [head]
        for item in self.items:
            if item.sign == "=" and self.has_changes:
                continue
            first, *more = item.lines or ("",)
            more = [] if item.sign == "=" else more
            lines.append(f"  {item.sign} {item.kind:<8} {item.name:<12} {first}".rstrip())
            lines += [" " * 26 + line for line in more]
        lines.append(
            "Nothing has changed. Run `fairlead apply` to do this."
            if self.has_changes
            else "Everything is as declared; there is nothing to do."
        )
        return "\n".join(lines)


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """A declared thing as it was last applied: its digest decides whether a file changes it."""

    project: str
    kind: str
    name: str
    digest: str
    spec: dict[str, Any]
    applied_at: datetime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn of the training path came to, for one model."""

    model: str
    version: int
    passed: bool
    evaluation: str
    verdict: tuple[str, ...]
    already_registered: bool = False

    @property
    def ref(self) -> str:
        return f"{self.model}@{self.version}"
