"""``tt.connect(url)``: a project that a server has, in Python, from any machine and any folder."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trimtab.client import Predicted, ServerProject, infer
from trimtab.evaluation import SavedEvaluation, get_evaluation
from trimtab.governance import Diff, Graph, Maturity, Why, diff, evidence_pack, level, lineage, why
from trimtab.kernel import Invalid, Remote, load, this_user
from trimtab.loop import Approved, Turn, approve_version, list_turns, roll_back
from trimtab.monitoring import Alert, Outcome, alerts, record_outcomes
from trimtab.monitoring import Recorded as OutcomesKept
from trimtab.notebook import Versions, versions_of
from trimtab.registry import Approval, Model, all_models, reject_version
from trimtab.server import Standing, standing_of
from trimtab.serving import Decision, Endpoint, decisions, list_endpoints
from trimtab.store import Recorded, Verification, events, server_at, verify
from trimtab.tracking import Run, search_runs


class Connection:
    """The project of a server. Who acts is whom the token stands for. Use it in ``with``, or close it at the end.

    Every method raises what the same question raises beside the store, ``NotSignedIn`` without a token that holds, and
    ``ServerUnreachable``.
    """

    def __init__(self, server: Remote) -> None:
        self._server = server
        self._project = ServerProject(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<project at {self._server.shown}>"

    def close(self) -> None:
        """Let go of the connection; another question opens it again."""
        self._project.close()

    # --- look ------------------------------------------------------------------------------------------------------

    def status(self) -> Standing:
        """Return how the project stands, and what needs a person."""
        return self._project.ask(standing_of)

    def models(self) -> list[Model]:
        """Return every model, by name."""
        return list(self._project.ask(all_models))

    def versions(self, model: str) -> Versions:
        """Return the versions of a model, by number or alias."""
        return versions_of(self._project, model)

    def evaluation(self, id: str) -> SavedEvaluation:
        """Return a saved evaluation; a version names its own: ``versions("late")[1].evaluation_id``."""
        return self._project.ask(get_evaluation, id)

    def runs(self, filter: str = "", *, order_by: str = "", limit: int = 50) -> list[Run]:
        """Return tracked runs, newest first, or as asked for: ``runs("metrics.auc > 0.7")``."""
        return list(self._project.ask(search_runs, filter, order_by=order_by, limit=limit).items)

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint and who answers there."""
        return self._project.ask(list_endpoints)

    def decisions(
        self, endpoint: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 100
    ) -> list[Decision]:
        """Return an endpoint's decisions answered in [since, until), newest first."""
        return self._project.ask(decisions, endpoint, since=since, until=until, limit=limit)

    def turns(self, model: str | None = None, *, limit: int = 50) -> list[Turn]:
        """Return turns of the loop, newest first."""
        return self._project.ask(list_turns, model, limit=limit)

    def alerts(self, endpoint: str | None = None, *, limit: int = 100) -> list[Alert]:
        """Return alerts, newest first."""
        return self._project.ask(alerts, endpoint=endpoint, limit=limit)

    def events(self, type: str | None = None, *, limit: int = 100) -> list[Recorded]:
        """Return events of the ledger, newest first; ``registry.`` stands for all types of a room."""
        return self._project.ask(events, type=type, limit=limit, order="newest")

    # --- act -------------------------------------------------------------------------------------------------------

    def predict(self, endpoint: str, /, **row: Any) -> Predicted:
        """Ask an endpoint about one row; the answer's ``decision`` is the id to ask ``why`` with."""
        return infer(self._server, endpoint, row)

    def outcomes(self, endpoint: str, outcomes: Sequence[Outcome], *, because: str = "") -> OutcomesKept:
        """Say what came of decisions, by id or by key; all are recorded, or none."""
        return self._project.ask(record_outcomes, endpoint, outcomes, actor=this_user(), because=because)

    def approve(self, version: str, *, because: str, override: str = "") -> Approved:
        """Approve a version (``late@2``), which signs its release and starts its rollout."""
        return self._project.ask(approve_version, version, actor=this_user(), because=because, override=override)

    def reject(self, version: str, *, because: str) -> Approval:
        """Reject a version: it is never served."""
        return self._project.ask(reject_version, version, actor=this_user(), because=because)

    def rollback(self, model: str, *, because: str) -> Endpoint:
        """Let the version before the present one answer again."""
        return self._project.ask(roll_back, model, actor=this_user(), because=because)

    # --- explain and prove -----------------------------------------------------------------------------------------

    def why(self, decision_id: str) -> Why:
        """Explain one served decision by its id."""
        return self._project.ask(why, decision_id)

    def lineage(self, subject: str) -> Graph:
        """Return what something was made from, and what depends on it: ``late@2``, ``decision:ID``, ..."""
        return self._project.ask(lineage, subject)

    def diff(self, was: str, now: str) -> Diff:
        """Say how two versions differ, from data to approvals."""
        return self._project.ask(diff, was, now)

    def level(self, model: str) -> Maturity:
        """Say how mature a model's operation is, by facts alone."""
        return self._project.ask(level, model)

    def export(self, version: str, file: str | Path) -> Path:
        """Write the evidence of a version to a file that verifies offline; return its path."""
        path = Path(file)
        path.write_bytes(self._project.ask(evidence_pack, version).data)
        return path

    def verify(self, *, keys: Sequence[str] = ()) -> Verification:
        """Copy the whole ledger and verify it here, by public keys that you trust."""
        return self._project.ask(verify, keys=keys)


def connect(url: str = "", *, token: str = "") -> Connection:
    """Return the project that a server has: the one at ``url``, or the one of the settings, with a token likewise.

    Asks nothing yet. Raises ``Invalid`` for what is no address, and when nothing names a server.
    """
    settings = load()[0]
    url = url or settings.server
    if not url:
        raise Invalid(
            "no server is named",
            where="tt.connect",
            why="Neither the call nor TRIMTAB_SERVER says where it is.",
            next='write tt.connect("http://127.0.0.1:8400")',
        )
    # A token is for the server that it was set for, and for no other.
    return Connection(server_at(url, token=token or (settings.token if url == settings.server else "")))
