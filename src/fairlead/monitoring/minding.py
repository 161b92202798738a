"""Mind every endpoint: take its new decisions, check it, and tell people what is due to be told."""

import logging

from fairlead.kernel import FairleadError
from fairlead.monitoring.checking import check
from fairlead.monitoring.notify import deliver
from fairlead.monitoring.watch import watch
from fairlead.serving import list_endpoints
from fairlead.store import Store

_log = logging.getLogger(__name__)


def mind(store: Store) -> None:
    """Do once what a server does every minute. An endpoint that cannot be checked does not keep the others from it.

    Safe to repeat, and for several processes to do at once.
    """
    now = store.clock.now()
    for endpoint in list_endpoints(store):
        name = endpoint.routing.endpoint
        try:
            watch(store, name, until=now)
            check(store, name, now)
        except FairleadError as error:
            _log.warning("endpoint %s cannot be checked: %s", name, error)
    deliver(store)
