"""The declaration of a model in the bytes that its digest names."""

from typing import Any

from trimtab.kernel import canonical


def canonical_model(model: dict[str, Any]) -> bytes:
    """Return a model's declaration as the bytes of which its digest in the registry is taken.

    Places in the user's file (``where``) play no part, but a parameter of that name does.
    """
    return canonical(_without_places(model))


def _without_places(value: Any, *, inside: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: _without_places(item, inside=name)
            for name, item in value.items()
            if name != "where" or inside == "params"
        }
    return [_without_places(item, inside=inside) for item in value] if isinstance(value, list | tuple) else value
