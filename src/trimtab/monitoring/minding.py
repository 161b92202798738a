"""Mind every endpoint: take its new decisions, check it, and tell people what is due to be told."""

import logging
from collections.abc import Callable, Collection
from functools import partial

from trimtab.kernel import TrimtabError
from trimtab.monitoring.checking import check
from trimtab.monitoring.notify import deliver
from trimtab.monitoring.watch import watch
from trimtab.serving import endpoint_names, routed
from trimtab.store import NotAuthentic, Store

_log = logging.getLogger(__name__)


def mind(store: Store) -> None:
    """Do once what a server does every minute. An endpoint that cannot be checked does not keep the others from it.

    Safe to repeat, and for several processes to do at once.
    """
    now = store.clock.now()
    for name in sorted({*endpoint_names(store), *_forged(store)}):
        _try(name, "watched", partial(watch, store, name, until=now))
        _try(name, "checked", partial(check, store, name, now))
    deliver(store)


def _forged(store: Store) -> Collection[str]:
    """Return the endpoints whose routes were written past Trimtab, those too whose row is not there any more."""
    try:
        return routed(store).forged
    except NotAuthentic:
        return ()  # each check says so


def _try(endpoint: str, what: str, work: Callable[[], object]) -> None:
    try:
        work()
    except TrimtabError as error:
        _log.warning("endpoint %s cannot be %s: %s", endpoint, what, error)
