"""Which columns of a logged key are the key: those that the version's features are declared for."""

from trimtab.features import get_view
from trimtab.kernel import NotFound
from trimtab.registry import VersionRef, get_version
from trimtab.store import Store

_REMEMBERED = 256
_known: dict[tuple[str, str, int], tuple[str, ...] | None] = {}
"""By ledger, model and version: what a version was made from never changes, so it is looked up once a process."""


def key_columns(store: Store, model: str, version: int) -> tuple[str, ...] | None:
    """Return the key columns of a version's features; None when it has none, or the registry does not know it."""
    name = (store.origin, model, version)
    if name not in _known:
        while len(_known) >= _REMEMBERED:
            _known.pop(next(iter(_known)))
        _known[name] = _looked_up(store, model, version)
    return _known[name]


def _looked_up(store: Store, model: str, version: int) -> tuple[str, ...] | None:
    try:
        view = get_version(store, VersionRef(model, version, "")).lineage.view
        return None if view is None else tuple(get_view(store, view).spec.of.keys)
    except NotFound:
        return None
