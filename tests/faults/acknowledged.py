"""Clients over HTTP that change something on and on, at whichever server answers, and remember what they were told."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.faults.roles import Host
from tests.waiting import PATIENCE_S

DONE = (200, 201)
AWAY = (0, 503)
"""Nobody answered, or somebody said that something is away: it may have happened, or not."""
KNOWN_AT = "2013-03-04T00:00:00Z"


class Client:
    """Does one thing after the other on a thread, until its block is left."""

    pause_s = 0.05

    def __init__(self, hosts: Sequence[Host], seed: int) -> None:
        self.hosts = hosts
        self.chance = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.complaints: list[Any] = []
        """Answers that should never come."""
        self._over = Event()
        self._thread = Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def step(self) -> None:
        raise NotImplementedError

    def send(self, host: Host, method: str, path: str, body: Any = None, *, because: str = "") -> tuple[int, Any]:
        status, answer = send(f"{host.url}/api/v1{path}", method, body, because=because) if host.url else (0, None)
        self.statuses[status] += 1
        return status, answer

    def _work(self) -> None:
        while not self._over.wait(self.pause_s):
            try:
                self.step()
            except Exception as error:
                self.complaints.append(error)
                return


class Outcomes(Client):
    """Tells what came of decisions, again until it is acknowledged."""

    def __init__(self, hosts: Sequence[Host], seed: int) -> None:
        super().__init__(hosts, seed)
        self.told: dict[str, list[dict[str, Any]]] = {}
        """What was acknowledged, by its reason."""
        self._next = [0 for _ in hosts]
        self._untold: tuple[str, list[dict[str, Any]]] | None = None

    def step(self) -> None:
        of = self.chance.randrange(len(self.hosts))
        if self._untold is None:
            some = self.hosts[of].answered[self._next[of] :][:3]
            if not some:
                return
            self._next[of] += self.chance.randint(len(some), 20)
            outcomes = [
                {"decision": one.id, "value": float(self.chance.random() < one.probability), "known_at": KNOWN_AT}
                for one in some
            ]
            self._untold = f"outcomes {len(self.told)}", outcomes
        because, outcomes = self._untold
        body = {"outcomes": outcomes, "because": because}
        status, answer = self.send(self.hosts[of], "POST", "/endpoints/slow/outcomes", body)
        if status in DONE:
            self.told[because] = outcomes
            self._untold = None
        elif status not in AWAY:
            self.complaints.append((status, answer))


class Made(NamedTuple):
    """One change that was asked for, and what was said of it."""

    kind: str
    because: str
    status: int
    answer: Any


class Changes(Client):
    """Issues and revokes tokens, approves what waits, and routes by hand."""

    KINDS = ("token", "token", "revoke", "approve", "serve", "serve", "serve", "back")
    REFUSED = (400, 403, 404, 409, 422)
    """What may be said of a rollout that others have moved meanwhile."""

    def __init__(self, hosts: Sequence[Host], seed: int) -> None:
        super().__init__(hosts, seed)
        self.made: list[Made] = []
        self._revocable: list[str] = []

    def step(self) -> None:
        host, kind = self.chance.choice(self.hosts), self.chance.choice(self.KINDS)
        because = f"change {len(self.made)}"
        asked = getattr(self, f"_{kind}")(host)
        if asked is None:
            return
        method, path, body = asked
        status, answer = self.send(host, method, path, body, because=because)
        self.made.append(Made(kind, because, status, answer))
        if kind == "token" and status in DONE:
            self._revocable.append(answer["token"]["id"])
        if status not in (*DONE, *AWAY) and (kind in ("token", "revoke") or status not in self.REFUSED):
            self.complaints.append(self.made[-1])

    def _token(self, host: Host) -> Any:
        return "POST", "/tokens", {"name": f"asked-{len(self.made)}", "may": ["read"]}

    def _revoke(self, host: Host) -> Any:
        if not self._revocable:
            return None
        return "DELETE", f"/tokens/{self._revocable.pop(self.chance.randrange(len(self._revocable)))}", None

    def _approve(self, host: Host) -> Any:
        found = self._versions(host, "candidate")
        return ("POST", f"/models/slow/versions/{found[0]}/rollout", {}) if found else None

    def _serve(self, host: Host) -> Any:
        found = self._versions(host, "approved")
        if not found:
            return None
        stage, percent = self.chance.choice((("full", 100.0), ("canary", float(self.chance.randint(1, 60)))))
        body = {"stage": stage, "percent": percent}
        return "POST", f"/models/slow/versions/{self.chance.choice(found[:3])}/serve", body

    def _back(self, host: Host) -> Any:
        return "POST", "/endpoints/slow/rollback", {}

    def _versions(self, host: Host, status: str) -> list[int]:
        """Return the numbers of the newest versions that stand so."""
        answered, page = self.send(host, "GET", "/models/slow/versions")
        return [one["number"] for one in page["items"] if one["status"] == status] if answered == 200 else []


class Lookups(Client):
    """Looks decisions up wherever they were taken."""

    pause_s = 0.3

    def step(self) -> None:
        asked = self.chance.choice(self.hosts).answered
        if asked:
            one = self.chance.choice(asked[-200:])
            status, answer = self.send(self.chance.choice(self.hosts), "GET", f"/decisions/{one.id}")
            if status == 200 and answer["result"]["probability"] != one.probability:
                self.complaints.append((one, answer))
            elif status not in (200, *AWAY):
                self.complaints.append((one, status, answer))


def send(url: str, method: str, body: Any, *, because: str) -> tuple[int, Any]:
    """Ask for something, for a reason; return the answer's status and its JSON. Status 0: no whole answer came."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
    headers = {"Content-Type": "application/json"} | ({"Trimtab-Because": because} if because else {})
    try:
        connection.request(method, place.path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()
