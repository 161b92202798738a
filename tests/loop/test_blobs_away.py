"""The place of blobs goes away while a model is trained: what was learnt is not lost for it."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from tests.conftest import S3_ENVIRONMENT
from werkzeug.serving import make_server

from trimtab.declare import Project
from trimtab.kernel import Actor, Settings, VirtualClock
from trimtab.loop import apply_project
from trimtab.pipelines import list_pipeline_runs
from trimtab.registry import get_version
from trimtab.store import open_store
from trimtab.tracking import find_artifact, read_artifact

REFUSALS = 4
"""As often as the client asks before it gives up."""


class Away:
    """S3 that refuses the first requests which bring it the environment of a run."""

    def __init__(self) -> None:
        self.refused = 0
        self._s3 = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and self.refused < REFUSALS:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if b'"packages"' in body:
                self.refused += 1
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            environ["wsgi.input"] = io.BytesIO(body)
        answer: Iterable[bytes] = self._s3(environ, start_response)
        return answer


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Away, str]]:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    app = Away()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="away")
    yield app, endpoint
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_training_whose_environment_is_not_taken_at_its_beginning_keeps_it_at_its_end(
    tmp_path: Path, project: Project, actor: Actor, clock: VirtualClock, away: tuple[Away, str]
) -> None:
    app, endpoint = away
    settings = Settings(home=str(tmp_path / ".trimtab"), blobs="s3://away", blobs_endpoint=endpoint)
    with closing(open_store(settings, clock=clock)) as store:
        apply_project(store, project, actor=actor, because="a bucket that goes away")
        (run,) = list_pipeline_runs(store)
        assert (app.refused, {step.attempts for step in run.steps}) == (REFUSALS, {1})
        made_from = get_version(store, "slow@1").lineage
        kept = read_artifact(store, find_artifact(store, made_from.run_id or "", "environment/environment.json"))
        assert msgspec.json.decode(kept)["digest"] == made_from.environment
