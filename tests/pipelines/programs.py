"""Starts whole programs that the tests kill: a warm parent that forks a runner for each line that it reads.

A line is JSON: settings of the store, the run to work on (or null: all of them, in the background), the number of
workers, and the lease, which is long so that no program is taken for dead because the machine is slow. It answers with
the pid. Forking saves the half second that imports take, so that many kills fit into a test.
"""

import json
import os
import signal
import sys
import time

import psycopg  # noqa: F401  (loaded once, here)

from trimtab.kernel import Settings
from trimtab.pipelines import Runner
from trimtab.store import open_store


def program(order):
    store = open_store(Settings(**order["settings"]))
    with Runner(store, workers=order["workers"], poll_s=0.05, lease_s=order.get("lease_s", 600.0)) as runner:
        if order["run"] is None:
            runner.start()
            time.sleep(600)
        else:
            runner.run_until_done(order["run"])
    store.close()


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed are reaped by the system
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 1
            try:
                program(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


main()
