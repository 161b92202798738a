"""Mind every endpoint: take its new decisions, check it, and tell people what is due to be told."""

import logging

from trimtab.kernel import TrimtabError
from trimtab.monitoring.checking import check
from trimtab.monitoring.notify import deliver
from trimtab.monitoring.releases import forged_endpoints
from trimtab.monitoring.watch import watch
from trimtab.serving import list_endpoints
from trimtab.store import Store

_log = logging.getLogger(__name__)


def mind(store: Store) -> None:
    """Do once what a server does every minute. An endpoint that cannot be checked does not keep the others from it.

    Safe to repeat, and for several processes to do at once.
    """
    now = store.clock.now()
    names = {endpoint.routing.endpoint for endpoint in list_endpoints(store)}
    for name in sorted(names | forged_endpoints(store).keys()):  # those too whose row was taken out
        try:
            watch(store, name, until=now)
            check(store, name, now)
        except TrimtabError as error:
            _log.warning("endpoint %s cannot be checked: %s", name, error)
    deliver(store)
