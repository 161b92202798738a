"""The digest of what a view means: it changes when, and only when, values are computed in another way."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.declare import FeatureViewSpec
from trimtab.features.kinds import kind_of_field
from trimtab.features.known import field_of
from trimtab.features.records import Computed, FeatureColumn, Given, Lookup, Tail, Value
from trimtab.kernel import digest_of


def digest_of_meaning(view: FeatureViewSpec, columns: Sequence[FeatureColumn], parts: Sequence[Lookup | Tail]) -> str:
    """Return the digest of a compiled view; see ``digest_of_view``."""
    return digest_of(_meaning(view, columns, parts))


def _meaning(view: FeatureViewSpec, columns: Sequence[FeatureColumn], parts: Sequence[Lookup | Tail]) -> Any:
    contracts = {contract.name: contract for contract in (view.of, *view.contracts)}
    return {
        "name": view.name,
        "of": view.of.name,
        "keys": [[key, kind_of_field(field_of(view.of, key, where=view.name))] for key in view.of.keys],
        "decided": [view.decided, view.decided_offset_s],
        "columns": [[column.name, column.kind, _written(column.value)] for column in columns],
        "parts": [
            {
                "read": type(part).__name__,
                "contract": part.contract,
                "by": [[name, kind_of_field(field_of(view.of, name, where=view.name))] for name in part.by],
                "known": part.known,
                "event": contracts[part.contract].event_time,
            }
            for part in parts
        ],
    }


def _written(value: Value) -> Any:
    if isinstance(value, Computed):
        return [value.op, _written(value.left), _written(value.right)]
    # A constant may be a number that JSON cannot hold.
    return (
        ["Given", repr(value.value)] if isinstance(value, Given) else [type(value).__name__, msgspec.to_builtins(value)]
    )
