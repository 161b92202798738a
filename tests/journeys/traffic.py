"""Clients that ask on and on while something happens, and remember every answer."""

import json
import time
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_S, wait_until


class Answered(NamedTuple):
    """One decision that reached its caller."""

    id: str
    version: str
    probability: float


class Traffic:
    """Some clients, each with a connection of its own. A connection that breaks ends its client and is no answer.

    ``refused`` are answers that are not decisions: status and body.
    """

    def __init__(self, url: str, endpoint: str, bodies: list[dict[str, Any]], *, clients: int, pause_s: float) -> None:
        place = urlsplit(url)
        self.answered: list[Answered] = []
        self.refused: list[tuple[int, str]] = []
        self.broken: list[str] = []
        self._host, self._port = place.hostname or "", place.port
        self._path = f"/v2/models/{endpoint}/infer"
        self._bodies = [json.dumps(body) for body in bodies]
        self._pause_s = pause_s
        self._over = Event()
        self._threads = [Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def versions(self, *, last: int) -> set[str]:
        """Return which versions gave the last answers."""
        return {one.version for one in self.answered[-last:]}

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests were answered or refused, or every client has ended."""
        enough = self._count() + more
        wait_until(
            lambda: self._count() >= enough or not any(map(Thread.is_alive, self._threads)), "clients have asked"
        )

    def _count(self) -> int:
        return len(self.answered) + len(self.refused)

    def _ask(self, number: int) -> None:
        connection = HTTPConnection(self._host, self._port, timeout=PATIENCE_S)
        try:
            while not self._over.is_set():
                number += 1
                connection.request("POST", self._path, self._bodies[number % len(self._bodies)])
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    found = json.loads(text)
                    (probability,) = next(o["data"] for o in found["outputs"] if o["name"] == "probability")
                    id_ = found["parameters"]["decision_ids"]
                    self.answered.append(Answered(id_, found["model_version"], probability))
                else:
                    self.refused.append((answer.status, text))
                time.sleep(self._pause_s)
        except (OSError, HTTPException) as error:
            self.broken.append(repr(error))
        finally:
            connection.close()
