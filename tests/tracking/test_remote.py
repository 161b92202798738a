"""Against a server the same words do the same, and a server that goes away for a while costs nothing."""

import http.client
import io
import json
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.waiting import PATIENCE_S

import trimtab as tt
from trimtab.kernel import Invalid, NotFound, Remote, ServerUnreachable, Settings, Unavailable
from trimtab.tracking import (
    BadName,
    FinishRun,
    NotPackable,
    ParamChanged,
    RunNotRunning,
    RunStatus,
    StartRun,
    check_seal,
    close_run,
    find_artifact,
    get_metric,
    get_run,
    list_artifacts,
    list_models,
    open_run,
    read_console,
    search_runs,
)
from trimtab.tracking.remote import ServerBackend


@pytest.fixture
def started(serve):
    """Start runs against a server that serves for the whole test."""
    with serve() as url:
        yield lambda name="far", **words: tt.run(name, settings=Settings(server=url), **{"capture": (), **words})


say = print  # a user's script prints; ours does not


def ask(url, method, path, body=None, **headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request(method, path, body=data, headers=headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response, answer


def test_the_same_words_over_http(sqlite_store, started, capsys):
    with started("first", experiment="late", params={"lr": 0.1}, capture=("console", "environment")) as run:
        say("hello")
        for n in range(7000):
            run.log_metric("loss", 1 / (n + 1))
        run.log_metrics({"nan": float("nan"), "inf": float("inf")})
        run.set_tag("team", "ops")
        run.log_text("text", "notes/a.txt")
        run.log_bytes(b"\x00" * 3_000_000, "big.bin")
        X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        logged = run.log_model(LogisticRegression().fit(X, [0, 1, 1, 0]), sample=X)
        with started("child") as child:
            child.log_metric("x", 1.0)
    found = get_run(sqlite_store, run.id)
    assert (found.status, found.experiment, found.actor) == (RunStatus.FINISHED, "late", "alice")
    assert found.params["lr"] == "0.1"
    assert found.tags["team"] == "ops"
    assert found.tags["model.class"].endswith("LogisticRegression")
    assert found.metrics["loss"].points == 7000
    assert found.metrics["nan"].value is None
    odd = {name: one["odd"] for name, one in msgspec.json.decode(msgspec.json.encode(found))["metrics"].items()}
    assert odd["nan"] == {"value": "nan"}
    assert odd["inf"] == {"value": "inf", "min": "inf", "max": "inf"}
    assert odd["loss"] == {}
    assert get_metric(sqlite_store, run.id, "inf").items[0].value == "inf"
    assert get_run(sqlite_store, child.id).parent_id == run.id
    assert list_models(sqlite_store, run.id) == [logged]
    names = {artifact.name for artifact in list_artifacts(sqlite_store, run.id)}
    assert {"notes/a.txt", "big.bin", "console.txt", "environment/environment.json", "model/model.onnx"} <= names
    assert read_console(sqlite_store, run.id) == "hello\n"
    assert check_seal(sqlite_store, run.id) == ()


def test_mistakes_come_back_as_themselves(sqlite_store, started, actor):
    run = started(params={"a": "1"})
    with pytest.raises(BadName):
        run.log_text("x", "../x")
    with pytest.raises(NotPackable):
        run.log_model(LogisticRegression(), sample=np.zeros((2, 2)))
    close_run(sqlite_store, run.id, FinishRun(), actor=actor)
    run.log_metric("x", 1.0)
    with pytest.raises(RunNotRunning, match="has ended: finished"):
        run.flush()
    assert run.finish().status is RunStatus.FINISHED
    with pytest.raises(NotFound, match="no run"):
        started(parent="01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_run_that_was_taken_for_lost_goes_on(sqlite_store, started, actor):
    with started() as run:
        close_run(sqlite_store, run.id, FinishRun(status=RunStatus.LOST), actor=actor)
        run.log_metric("x", 1.0)
        run.flush()
        assert get_run(sqlite_store, run.id).status is RunStatus.RUNNING
    assert get_run(sqlite_store, run.id).metrics["x"].points == 1


def test_a_parameter_that_another_writer_set(sqlite_store, started):
    from trimtab.tracking import Batch, log_batch

    run = started()
    log_batch(sqlite_store, run.id, Batch(writer="other", number=1, params={"lr": "1"}))
    run.log_param("lr", "2")
    with pytest.raises(ParamChanged):
        run.finish()


def test_what_no_encoding_can_write_does_not_stop_a_run(sqlite_store, started, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())  # as a notebook's

    def fail():
        with started(
            capture=("console",), params={"a\x00": "\ud800", "big": 10**30, "weights": {0: float("nan")}}
        ) as run:
            say("\ud800 printed")
            run.log_metric("x", 1.0)
            raise ValueError("bad luck \ud800\x00")

    with pytest.raises(ValueError, match="bad luck"):
        fail()
    (found,) = search_runs(sqlite_store).items
    assert found.params == {"a␀": "?", "big": "1" + "0" * 30, "weights": '{"0":"nan"}'}
    assert (found.status, found.error) == (RunStatus.FAILED, "ValueError: bad luck ?␀")
    assert found.metrics["x"].points == 1
    assert read_console(sqlite_store, found.id) == "? printed\n"


def test_a_server_that_goes_away_and_comes_back(sqlite_store, serve, monkeypatch):
    monkeypatch.setattr("trimtab.tracking.writer.WRITE_EVERY_S", 0.02)
    with serve() as url:
        run = tt.run("far", settings=Settings(server=url), capture=())
        run.log_metric("x", 0.0)
        run.flush()
    run.log_metric("x", 1.0)
    with pytest.raises(ServerUnreachable, match="does not answer"):
        run.flush()
    with serve(port=urlsplit(url).port):
        run.log_metric("x", 2.0)
        run.finish()
    assert [p.value for p in get_metric(sqlite_store, run.id, "x").items] == [0.0, 1.0, 2.0]


def test_an_address_that_is_none(monkeypatch):
    monkeypatch.setattr("trimtab.kernel.remote.TRIES", 1)
    for url in ("ftp://x", "localhost:8400", "http://"):
        with pytest.raises(Invalid, match="is not the address of a server"):
            tt.run("x", settings=Settings(server=url))
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9 does not answer"):
        tt.run("x", settings=Settings(server="http://127.0.0.1:9"))


def test_a_server_that_is_no_trimtab_says_what_it_is(serve):
    with serve() as url:
        backend = ServerBackend(Remote(url + "/elsewhere"))
        with pytest.raises(Unavailable, match="does not know what was asked for"):
            backend.get("x")
        backend.close()


def test_a_request_that_is_sent_twice_counts_once(sqlite_store, serve):
    with serve() as url:
        body = {"writer": "w", "number": 1, "points": [["x", 0, 5, 1.5], ["x", 1, 6, "nan"]], "params": {"a": "1"}}
        id_ = sqlite_store.ids.new()
        for _ in range(2):
            response, _ = ask(url, "POST", "/api/v1/runs", {"experiment": "e", "id": id_})
            assert response.status == 201
            response, _ = ask(url, "POST", f"/api/v1/runs/{id_}/log", body)
            assert response.status == 200
        for _ in range(2):
            response, answer = ask(url, "POST", f"/api/v1/runs/{id_}/finish", {"status": "finished", "because": "done"})
            assert json.loads(answer)["metrics"]["x"]["points"] == 2


def test_search_lists_and_pages_over_http(sqlite_store, serve, actor, clock):
    for n in range(5):
        open_run(sqlite_store, StartRun(experiment="e", name=f"r{n}", params={"n": str(n)}), actor=actor)
        clock.sleep(1)
    with serve() as url:
        seen, cursor = [], ""
        while cursor is not None:
            path = "/api/v1/runs?experiment=e&order_by=params.n%20desc&limit=2&filter=params.n%20%3C%204"
            _, answer = ask(url, "GET", path + (f"&cursor={cursor}" if cursor else ""))
            page = json.loads(answer)
            seen += [run["name"] for run in page["items"]]
            cursor = page["next"]
        assert seen == ["r3", "r2", "r1", "r0"]
        _, answer = ask(
            url, "POST", "/api/v1/runs/search", {"filter": "name = 'r1' OR params.n = 4", "order_by": ["name"]}
        )
        assert [run["name"] for run in json.loads(answer)["items"]] == ["r1", "r4"]
        response, answer = ask(url, "POST", "/api/v1/runs/search", {"filter": "metrics.auc >> 1"})
        assert response.status == 400
        assert json.loads(answer)["where"] == "filter, character 14"
        _, answer = ask(url, "GET", "/api/v1/experiments")
        assert [e["name"] for e in json.loads(answer)["items"]] == ["e"]
        for bad in ("limit=0", "limit=many", "limit=100000", f"limit={'9' * 5000}", "cursor=x"):
            assert ask(url, "GET", f"/api/v1/runs?{bad}")[0].status == 400


def test_files_are_addressed_by_ids_and_never_run_in_a_browser(sqlite_store, serve, actor):
    run = open_run(sqlite_store, StartRun(), actor=actor)
    with serve() as url:
        path = f"/api/v1/runs/{run.id}/artifacts?name=page.html"
        response, answer = ask(url, "POST", path, b"<script>alert(1)</script>")
        assert response.status == 201
        artifact = json.loads(answer)
        assert ask(url, "POST", f"/api/v1/runs/{run.id}/artifacts?name=../x", b"x")[0].status == 400
        assert ask(url, "POST", f"/api/v1/runs/{run.id}/artifacts", b"x")[0].status == 400
        for bad in ("text%2Fplain%0D%0AX-Own%3A%201", "text%2Fpl%C3%A4in", "text", "a%2F" + "b" * 99):
            assert ask(url, "POST", f"{path}&type={bad}", b"x")[0].status == 400
        response, data = ask(url, "GET", f"/api/v1/artifacts/{artifact['id']}")
        assert data == b"<script>alert(1)</script>"
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''page.html")
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in response.headers["content-security-policy"]
        ask(url, "POST", f"/api/v1/runs/{run.id}/artifacts?name=a%2Fb%22%0A.txt", b"x")
        ask(url, "POST", f"/api/v1/runs/{run.id}/artifacts?name=a/b.txt&type=text/plain", b"text")
        response, data = ask(url, "GET", f"/api/v1/runs/{run.id}/file?name=a/b.txt")
        assert (data, response.headers["content-type"].partition(";")[0]) == (b"text", "text/plain")
        for missing in (
            "/api/v1/artifacts/../../etc/passwd",
            "/api/v1/artifacts/x",
            f"/api/v1/runs/{run.id}/file?name=z",
        ):
            assert ask(url, "GET", missing)[0].status == 404
        _, answer = ask(url, "GET", f"/api/v1/runs/{run.id}/artifacts")
        assert [a["name"] for a in json.loads(answer)["items"]] == ["a/b.txt", "page.html"]
    assert find_artifact(sqlite_store, run.id, "page.html").size_bytes == 25


def test_the_other_routes(sqlite_store, serve, started, capsys):
    with started(capture=("console",)) as run:
        say("said")
        run.log_metric("x", 1.0)
        run.flush()
    with serve() as url:
        of_run = f"/api/v1/runs/{run.id}"
        assert ask(url, "GET", of_run + "/console")[1] == b"said\n"
        assert json.loads(ask(url, "GET", of_run + "/points?key=x")[1])["items"][0][3] == 1.0
        assert json.loads(ask(url, "GET", of_run + "/models")[1])["items"] == []
        answer = ask(url, "POST", of_run + "/tags", {"tags": {"a": "b"}, "because": "why not"})[1]
        assert json.loads(answer)["tags"] == {"a": "b"}
        assert json.loads(ask(url, "POST", of_run + "/resume", {})[1])["status"] == "running"
        model = {
            "name": "m", "format": "skops", "digest": "sha256:" + "0" * 64, "size_bytes": 1,
            "sample": "x", "profile": "y", "signature_digest": "z",
            "signature": {"inputs": [], "outputs": [], "task": "other"},
        }  # fmt: skip
        response, answer = ask(url, "POST", of_run + "/models", model)
        assert response.status == 400
        assert "no artifact of the run" in json.loads(answer)["what"]
        assert ask(url, "GET", "/api/v1/runs/nothing/points?key=x")[0].status == 404
        assert ask(url, "POST", "/api/v1/runs", {"experimnt": "typo"})[0].status == 400
