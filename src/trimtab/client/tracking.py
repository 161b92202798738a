"""Runs and experiments, asked of a server."""

from collections.abc import Sequence

from trimtab.client.project import answers
from trimtab.kernel import Remote
from trimtab.tracking import LIMIT, Experiment, Experiments, Run, RunPage, get_run, list_experiments, search_runs

PAGE = 1000


@answers(get_run)
def _run(server: Remote, run_id: str) -> Run:
    return server.get(Run, "runs", run_id)


@answers(search_runs)
def _runs(
    server: Remote, filter: str = "", *, order_by: Sequence[str] | str = (), experiment: str | None = None,
    limit: int = LIMIT, cursor: str | None = None,
) -> RunPage:  # fmt: skip
    order = order_by if isinstance(order_by, str) else ",".join(order_by)
    found, following = server.listed(
        RunPage, "runs", limit=limit, page=PAGE, cursor=cursor, filter=filter or None, order_by=order or None,
        experiment=experiment,
    )  # fmt: skip
    return RunPage(items=tuple(found), next=following)


@answers(list_experiments)
def _experiments(server: Remote) -> list[Experiment]:
    return list(server.get(Experiments, "experiments").items)
