"""Mistakes in HTTP requests: to the server's own API, to the Open Inference Protocol, and at the doors of both."""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest
from sqlalchemy import select
from tests.mistakes.answers import Mistake, check
from tests.mistakes.homes import ALICE, settings_of
from tests.mistakes.standing import RECORDED, unchanged
from tests.waiting import wait_until

from trimtab.kernel import GRANTED
from trimtab.loop.tables import marks
from trimtab.server.api import Live
from trimtab.server.doors import COOKIE
from trimtab.server.rooms import Rooms
from trimtab.server.run import application, doors_of
from trimtab.server.tokens import issue_token
from trimtab.store import Store, open_store

with warnings.catch_warnings():
    # Starlette would rather have httpx2; httpx is what our other tests use.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

NO_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
API = "/api/v1"
INFER = "/v2/models/slow/infer"
VERSIONS = f"{API}/models/slow/versions"


class Sent(NamedTuple):
    """A request; ``token`` names whose it carries ('' for none)."""

    method: str
    path: str
    status: int
    expected: Mistake
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    token: str = "admin"


def tensor(name: str, datatype: str, *values: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(values)], "data": list(values)}


WEIGHT, DEPOT = tensor("weight", "FP64", 3.0), tensor("depot", "BYTES", "north")
REST = [tensor("sent_hour", "INT64", 3), tensor("depot_delay_mean_24h", "FP64", 1.0)]
ROW = [WEIGHT, DEPOT, *REST]


def asked(*inputs: dict[str, Any], status: int = 400, what: str, where: str = "inputs", next: str, **more: Any) -> Sent:
    return Sent("POST", INFER, status, Mistake(what, where, next), {"inputs": list(inputs), **more}, token="predict")


DOORS = {
    "no token": Sent(
        "GET", f"{API}/models", 401, Mistake("carries no token", "header Authorization", "Bearer"), token=""
    ),
    "a token that nobody issued": Sent(
        "GET", f"{API}/models", 401, Mistake("not, or no longer, valid", "header Authorization", "Bearer"),
        token="trimtab_invented",
    ),
    "a token that may only read": Sent(
        "POST", f"{VERSIONS}/3/rollout", 403, Mistake("may not do this", "token", "create NAME --may approve"),
        {"because": "x"}, token="read",
    ),
    "a token that may not predict": Sent(
        "POST", INFER, 403, Mistake("may not do this", "token", "--may predict"), {"inputs": ROW}, token="read"
    ),
    "inference without a token": Sent(
        "POST", INFER, 401, Mistake("carries no token", "header Authorization", "Bearer"), {"inputs": ROW}, token=""
    ),
    "a foreign host": Sent(
        "GET", f"{API}/models", 403, Mistake("not called 'evil.example'", "header Host", "TRIMTAB_HOSTS"),
        headers={"host": "evil.example"},
    ),
    "inference at a foreign host": Sent(
        "POST", INFER, 403, Mistake("not called 'evil.example'", "header Host", "TRIMTAB_HOSTS"), {"inputs": ROW},
        headers={"host": "evil.example"},
    ),
    "a change from another site's page": Sent(
        "POST", f"{API}/tokens", 403, Mistake("asked for from", "header Origin", "open this server's own page"), {},
        headers={"origin": "http://evil.example"},
    ),
}  # fmt: skip

OWN = {
    "an unknown path": Sent("GET", f"{API}/nothing", 404, Mistake("nothing at /api/v1/nothing", "GET", "openapi.json")),
    "a wrong method": Sent("PATCH", f"{API}/models", 405, Mistake("PATCH cannot be done", "PATCH", "openapi.json")),
    "no JSON": Sent("POST", f"{API}/tokens", 400, Mistake("the body is not JSON", "body", "send JSON"), b"{name"),
    "an empty body": Sent("POST", f"{API}/tokens", 400, Mistake("the body is empty", "body", "send JSON"), b""),
    "a body of another form": Sent(
        "POST", f"{API}/tokens", 400, Mistake("Expected `object`, got `array`", "body", "openapi.json"), [1]
    ),
    "a field that nobody reads": Sent(
        "POST", f"{API}/tokens", 400, Mistake("unknown field `permission`", "body", "openapi.json"),
        {"name": "ci", "may": ["read"], "permission": "all"},
    ),
    "a body that is too large": Sent(
        "POST", f"{API}/tokens", 413, Mistake("the body has 2097152 bytes", "body", "in parts"), b"x" * (2 << 20)
    ),
    "a cursor of nobody's": Sent(
        "GET", f"{API}/evaluations?cursor=next", 400, Mistake("not one of ours", "query cursor", "start again")
    ),
    "a cursor of another search": Sent(
        "GET", f"{API}/runs?cursor=abc", 400, Mistake("does not belong to this search", "query cursor", "start again")
    ),
    "a limit that is no number": Sent(
        "GET", f"{API}/models?limit=all", 400, Mistake("limit is 'all'", "limit", "limit=50")
    ),
    "a parameter given twice": Sent(
        "GET", f"{API}/runs?limit=1&limit=2", 400, Mistake("'limit' is given twice", "query limit", "give limit once")
    ),
    "a text that no database keeps": Sent(
        "GET", f"{API}/models/slow%00", 400, Mistake("the character 0", "path", "send the text without it")
    ),
    "a filter that cannot be read": Sent(
        "GET", f"{API}/runs?filter=metrics.auc%20%3E", 400, Mistake("was expected", "filter", "write for example")
    ),
    "an unknown version": Sent("GET", f"{VERSIONS}/99", 404, Mistake("no version slow@99", "slow@99", "get models")),
    "an unknown decision": Sent(
        "GET", f"{API}/decisions/{NO_ID}/why", 404, Mistake("no decision", "decision log", "trimtab get decisions")
    ),
    "an unknown token": Sent("DELETE", f"{API}/tokens/ci", 404, Mistake("no token 'ci'", "tokens", "get tokens")),
    "a yes without a reason": Sent(
        "POST", f"{VERSIONS}/3/rollout", 400, Mistake("no reason was given", "approve slow@3", "over HTTP: because"), {}
    ),
    "a yes against the gate": Sent(
        "POST", f"{VERSIONS}/4/rollout", 403, Mistake("slow@4 did not pass its gate", "version slow@4", "--override"),
        {"because": "x"},
    ),
    "a yes to what is over": Sent(
        "POST", f"{VERSIONS}/2/rollout", 409, Mistake("slow@2 is rejected", "version slow@2", "trimtab get models"),
        {"because": "x"},
    ),
    "serving what was not approved": Sent(
        "POST", f"{VERSIONS}/3/serve", 403, Mistake("slow@3 is not released", "version slow@3", "trimtab approve"),
        {"because": "x"},
    ),
    "an unknown stage": Sent(
        "POST", f"{VERSIONS}/3/serve", 400, Mistake("Invalid enum value 'half'", "body", "openapi.json"),
        {"because": "x", "stage": "half"},
    ),
    "a share beyond everything": Sent(
        "POST", f"{VERSIONS}/3/serve", 400, Mistake("shares are 150 %", "endpoint 'slow'", "lower the shares"),
        {"because": "x", "stage": "canary", "percent": 150},
    ),
}  # fmt: skip

INFERENCE = {
    "an unknown model": Sent(
        "POST", "/v2/models/fast/infer", 404, Mistake("no endpoint 'fast'", "serving", "trimtab get endpoints"),
        {"inputs": ROW},
    ),
    "a version that is not routed": Sent(
        "POST", "/v2/models/slow/versions/9/infer", 404,
        Mistake("version 9 is not routed", "endpoint slow", "trimtab serve slow@9"), {"inputs": ROW},
    ),
    "an unknown operation": Sent("GET", "/v2/nothing", 404, Mistake("no GET /v2/nothing", "request", "GET /v2")),
    "no JSON for a model": Sent("POST", INFER, 400, Mistake("the body is not JSON", "body", "send JSON"), b"{"),
    "a body that is packed in an unknown way": Sent(
        "POST", INFER, 400, Mistake("packed as 'br'", "header Content-Encoding", "send it as gzip"), {"inputs": ROW},
        headers={"content-encoding": "br"},
    ),
    "a binary header longer than the body": Sent(
        "POST", INFER, 400, Mistake("is '99999'", "Inference-Header-Content-Length", "the length of the JSON"),
        {"inputs": ROW}, headers={"inference-header-content-length": "99999"},
    ),
    "a binary tensor of the wrong size": asked(
        {"name": "weight", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}, DEPOT, *REST,
        what="8 bytes are announced and 0 are left", next="make shape, datatype and data agree",
    ),
    "no inputs": Sent(
        "POST", INFER, 400, Mistake("missing required field `inputs`", "body", "send for example"), {"rows": []}
    ),
    "an unknown input": asked(*ROW, tensor("colour", "BYTES", "red"), what="no input colour", next="send all of"),
    "a missing feature": asked(*ROW[:3], what="depot_delay_mean_24h is missing", next="send all of: weight"),
    "an input twice": asked(*ROW, WEIGHT, what="weight is sent twice", next="send weight once"),
    "an unknown datatype": asked(
        tensor("weight", "FP65", 3.0), DEPOT, *REST, what="the datatype 'FP65'", next="use one of: BYTES"
    ),
    "a datatype that the values are not of": asked(
        tensor("weight", "FP64", "heavy"), DEPOT, *REST, what="does not hold FP64", next="send weight as a list of FP64"
    ),
    "a shape that the values do not have": asked(
        tensor("weight", "FP64", 3.0, shape=[2]), DEPOT, *REST, what="1 values and the shape [2]", next="make shape"
    ),
    "a shape of three dimensions": asked(
        tensor("weight", "FP64", 3.0, shape=[1, 1, 1]), DEPOT, *REST, what="the shape [1, 1, 1]", next="[rows, 1]"
    ),
    "inputs of different lengths": asked(
        tensor("weight", "FP64", 3.0, 4.0), DEPOT, *REST, what="different lengths", next="as many values"
    ),
    "a number for a category": asked(
        WEIGHT, tensor("depot", "INT64", 3), *REST, what="'3' is not a value for depot", next="send depot as a category"
    ),
    "a category that the contract does not list": asked(
        WEIGHT, tensor("depot", "BYTES", "east"), *REST, what="depot 'east', promised one of north, south",
        where="inputs: depot", next="correct depot",
    ),
    "a number beyond what the contract promises": asked(
        tensor("weight", "FP64", 400.0), tensor("depot", "BYTES", "north"), *REST,
        what="weight 400, promised 0 to 50", where="inputs: weight", next="correct weight",
    ),
    "nothing where nothing was ever missing": asked(
        WEIGHT, tensor("depot", "BYTES", None), *REST, what="depot is missing", next="send a value for depot"
    ),
    "an entity that nobody knows": asked(
        tensor("parcel_id", "BYTES", "p"), status=404, what="no Parcel with parcel_id='p'", where="features parcel",
        next="trimtab run parcel",
    ),
    "an entity of another type": asked(
        tensor("parcel_id", "FP64", 2.0**60), what="is not a key for parcel_id", where="features parcel",
        next="as the contract promises it",
    ),
    "a moment that is none": asked(
        WEIGHT, DEPOT, tensor("sent", "BYTES", "soon"), what="'soon' is not a time", where="sent", next="2013-03-01"
    ),
    "a moment long past": asked(
        WEIGHT, DEPOT, tensor("sent", "BYTES", "1990-01-01"), status=409, what="before what the online store holds",
        where="features parcel", next="ask for a later moment",
    ),
    "an output that the model has not": asked(
        *ROW, outputs=[{"name": "risk"}], what="no output 'risk'", where="outputs", next="ask for one of these"
    ),
    "too many rows": asked(
        tensor("weight", "FP64", *[3.0] * 10_001), tensor("depot", "BYTES", *["north"] * 10_001),
        tensor("sent_hour", "INT64", *[3] * 10_001), tensor("depot_delay_mean_24h", "FP64", *[1.0] * 10_001),
        what="weight has 10,001 rows", next="send the rows in parts",
    ),
}  # fmt: skip

SENT = {**DOORS, **OWN, **INFERENCE}


class Served(NamedTuple):
    client: TestClient
    store: Store
    tokens: dict[str, str]
    session: str


@pytest.fixture(scope="module")
def served(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole server over a copy of the prepared home, as callers from elsewhere meet it."""
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(prepared, folder)
    store = open_store(settings_of(folder))
    tokens = {}
    for name, may in {"read": ["read"], "predict": ["predict"], "admin": GRANTED}.items():
        with store.change(ALICE, "for the tests") as change:
            tokens[name] = issue_token(change, name, may=may).secret
    rooms = Rooms(store)
    doors = doors_of(store, msgspec.structs.replace(store.settings, hosts="testserver"))
    app = application(store, doors, rooms=rooms, live=Live(rooms.events))
    with TestClient(app, raise_server_exceptions=False) as client:
        # The loop has turned once, too: what it notes then is no trace of a mistake.
        wait_until(lambda: client.get("/readyz").status_code == 200 and has_turned(store), "it is ready and has turned")
        client.post("/ui/sign-in", data={"token": tokens["read"]}, follow_redirects=False)
        session = client.cookies.pop(COOKIE)
        yield Served(client, store, tokens, session)
    store.close()


def has_turned(store: Store) -> bool:
    with store.read() as connection:
        return connection.execute(select(marks.c.at)).first() is not None


COUNTED = ("serving_figures", "server_refusals")
"""The gateway counts requests, those with mistakes too, and the server who was refused what."""


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())
def test_a_mistake_is_answered(served: Served, sent: Sent) -> None:
    headers = dict(sent.headers)
    if sent.token:
        headers["authorization"] = f"Bearer {served.tokens.get(sent.token, sent.token)}"
    body = sent.body if isinstance(sent.body, bytes | None) else json.dumps(sent.body).encode()
    recorded = RECORDED if "did not pass its gate" in sent.expected.what else ()
    with unchanged(served.store, but=(*COUNTED, *recorded)):
        answer = served.client.request(sent.method, sent.path, content=body, headers=headers)
    assert answer.status_code == sent.status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    check(told, sent.expected)
    assert told["code"]
    assert told["error"].endswith(told["next"])
    assert ("www-authenticate" in answer.headers) == (sent.status == 401)
    assert "trimtab-decision-ids" not in answer.headers


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nothing", "there is nothing at /ui/nothing"),
        ("models/fast", "there is no model"),
        (f"runs/{NO_ID}", "there is no run"),
    ],
)
def test_a_wrong_address_is_told_on_a_page(served: Served, path: str, says: str) -> None:
    headers = {"cookie": f"{COOKIE}={served.session}"}
    with unchanged(served.store, but=COUNTED):
        answer = served.client.get(f"/ui/{path}", headers=headers)
    assert answer.status_code == 404
    assert says in answer.text
    assert "Traceback" not in answer.text


def test_the_request_before_the_mistake_is_right(served: Served) -> None:
    answer = served.client.post(
        INFER, json={"inputs": ROW}, headers={"authorization": f"Bearer {served.tokens['predict']}"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["trimtab-decision-ids"]
