"""The digest of a declaration: what it means, and not where in which file it stands."""

from typing import Any

import msgspec

from trimtab.declare.records import Spec
from trimtab.kernel import digest_of


def declaration_digest(spec: Spec) -> str:
    """Return the digest of a declared value; fields named ``where`` play no part at any depth."""
    return digest_of(_without_places(msgspec.to_builtins(spec)))


def _without_places(value: Any, *, inside: str = "") -> Any:
    if isinstance(value, dict):
        # A parameter of a train function may be called "where", too; that one counts.
        return {
            key: _without_places(item, inside=key)
            for key, item in value.items()
            if key != "where" or inside == "params"
        }
    if isinstance(value, list | tuple):
        return [_without_places(item, inside=inside) for item in value]
    return value
